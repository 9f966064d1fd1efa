"""Pipelines with random weights at the size of published ones, or small: what they draw is noise."""

from pathlib import Path
from typing import Any, Final

import diffusers
import torch
import transformers

from generation.training.components import build_clip_tokenizer

SIZES: Final = ("small", "full")
LEVELS: Final = {"small": (16, 16, 32, 32), "full": (128, 256, 512, 512)}


def build(network: str, size: str, folder: Path, *, dtype: torch.dtype, device: str = "cpu") -> tuple[int, int]:
    """Save the pipeline `sd3` or `sdxl` as `save_pretrained` does; the side of its pictures in pixels, (w, h)."""
    torch.manual_seed(0)
    with torch.device(device):  # two thousand million random numbers take a processor a minute
        pipeline = {"sd3": _sd3, "sdxl": _sdxl}[network](size)
    pipeline.to(dtype=dtype)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return (1024, 1024) if size == "full" else (128, 128)


def _clip(size: str, *, width: int, layers: int, heads: int, has_projection: bool, projection: int) -> Any:
    tokenizer = build_clip_tokenizer()
    if size == "small":
        width, layers, heads, projection = 32, 2, 2, 32
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=projection,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return (transformers.CLIPTextModelWithProjection if has_projection else transformers.CLIPTextModel)(config)


def _vae(size: str, *, channels: int, shift: float | None) -> Any:
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=LEVELS[size],
        layers_per_block=2 if size == "full" else 1,
        latent_channels=channels,
        scaling_factor=1.0,
        shift_factor=shift,
        norm_num_groups=32 if size == "full" else 4,
        force_upcast=False,
    )


def _sd3(size: str) -> Any:
    is_full = size == "full"
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=128 if is_full else 16,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=24 if is_full else 2,
        attention_head_dim=64 if is_full else 16,
        num_attention_heads=24 if is_full else 2,
        joint_attention_dim=4096 if is_full else 64,
        caption_projection_dim=1536 if is_full else 32,
        pooled_projection_dim=2048 if is_full else 64,
        pos_embed_max_size=192 if is_full else 16,
    )
    tokenizer = build_clip_tokenizer()
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(size, channels=16, shift=0.0),
        text_encoder=_clip(size, width=768, layers=12, heads=12, has_projection=True, projection=768),
        tokenizer=tokenizer,
        text_encoder_2=_clip(size, width=1280, layers=32, heads=20, has_projection=True, projection=1280),
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )


def _sdxl(size: str) -> Any:
    is_full = size == "full"
    unet = diffusers.UNet2DConditionModel(
        sample_size=128 if is_full else 16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(320, 640, 1280) if is_full else (8, 16, 16),
        layers_per_block=2 if is_full else 1,
        transformer_layers_per_block=(1, 2, 10) if is_full else 1,
        attention_head_dim=(5, 10, 20) if is_full else 2,
        cross_attention_dim=2048 if is_full else 64,
        use_linear_projection=True,
        norm_num_groups=32 if is_full else 4,
        addition_embed_type="text_time",
        addition_time_embed_dim=256 if is_full else 8,
        projection_class_embeddings_input_dim=2816 if is_full else 32 + 6 * 8,
    )
    tokenizer = build_clip_tokenizer()
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(size, channels=4, shift=None),
        text_encoder=_clip(size, width=768, layers=12, heads=12, has_projection=False, projection=768),
        text_encoder_2=_clip(size, width=1280, layers=32, heads=20, has_projection=True, projection=1280),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading"
        ),
        add_watermarker=False,
    )
