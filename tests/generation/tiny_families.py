"""The stock pipeline of every family at the smallest size that runs, random weights; made with stock classes only."""

from collections.abc import Callable
from typing import Any, Final

import diffusers
import torch
import transformers

from generation.training.components import TEXT_TOKENS, build_tokenizer

WIDTH: Final = 16
SCALING: Final = {"norm_num_groups": 4, "layers_per_block": 1}


def clip(*, has_projection: bool) -> Any:
    """A CLIP text encoder of two layers."""
    tokenizer = build_tokenizer()
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TEXT_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return (transformers.CLIPTextModelWithProjection if has_projection else transformers.CLIPTextModel)(config)


def t5(width: int = WIDTH) -> dict[str, Any]:
    """A T5 encoder of one layer and a tokenizer that spells; no sentencepiece file is needed."""
    pieces = ["<pad>", "</s>", "<unk>", "▁", *(chr(code) for code in range(97, 123))]
    tokenizer = transformers.T5Tokenizer(vocab=[(piece, -1.0) for piece in pieces], extra_ids=0)
    config = transformers.T5Config(
        vocab_size=len(pieces), d_model=width, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2, feed_forward_proj="relu"
    )
    return {"encoder": transformers.T5EncoderModel(config), "tokenizer": tokenizer}


def vae(*, levels: int, channels: int = 4, shift: float | None = None) -> Any:
    """An autoencoder that halves `levels - 1` times."""
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=(8,) * levels,
        latent_channels=channels,
        scaling_factor=1.0,
        shift_factor=shift,
        mid_block_add_attention=False,
        **SCALING,
    )


def unet(**changes: Any) -> Any:
    """A UNet of three levels, so that latents of 6 x 6 do not halve twice."""
    return diffusers.UNet2DConditionModel(
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 8, 8),
        cross_attention_dim=changes.pop("cross_attention_dim", WIDTH),
        attention_head_dim=2,
        **SCALING,
        **changes,
    )


def stable_diffusion() -> Any:
    """SD1.5 and latent diffusion."""
    scheduler = diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    return diffusers.StableDiffusionPipeline(
        vae=vae(levels=3),
        text_encoder=clip(has_projection=False),
        tokenizer=build_tokenizer(),
        unet=unet(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl() -> Any:
    """SDXL: two encoders, sizes as conditions."""
    tokenizer = build_tokenizer()
    conditions = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
    return diffusers.StableDiffusionXLPipeline(
        vae=vae(levels=3),
        text_encoder=clip(has_projection=False),
        text_encoder_2=clip(has_projection=True),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet(cross_attention_dim=2 * WIDTH, projection_class_embeddings_input_dim=WIDTH + 6 * 8, **conditions),
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading"
        ),
        add_watermarker=False,
    )


def flux() -> Any:
    """FLUX.1: CLIP and T5, a shift that follows the size, guidance as an input."""
    third = t5()
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(4, 4, 8),
    )
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True, max_shift=1.15),
        vae=vae(levels=2, shift=0.1),
        text_encoder=clip(has_projection=False),
        tokenizer=build_tokenizer(),
        text_encoder_2=third["encoder"],
        tokenizer_2=third["tokenizer"],
        transformer=transformer,
    )


def pixart_sigma() -> Any:
    """PixArt-Sigma: T5 alone, learned variance, the old callback."""
    text = t5()
    transformer = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        cross_attention_dim=16,
        sample_size=8,
        patch_size=2,
        caption_channels=WIDTH,
        use_additional_conditions=False,
    )
    return diffusers.PixArtSigmaPipeline(
        tokenizer=text["tokenizer"],
        text_encoder=text["encoder"],
        vae=vae(levels=3),
        transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(beta_end=0.02, timestep_spacing="linspace"),
    )


def stable_diffusion_3(*, has_third: bool, scheduler: Any = None) -> Any:
    """SD3 with or without its T5."""
    tokenizer = build_tokenizer()
    # As wide as the two CLIP encoders together.
    third = t5(2 * WIDTH) if has_third else {"encoder": None, "tokenizer": None}
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=2 * WIDTH,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=8,
    )
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=scheduler or diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(levels=3, shift=0.0),
        text_encoder=clip(has_projection=True),
        tokenizer=tokenizer,
        text_encoder_2=clip(has_projection=True),
        tokenizer_2=tokenizer,
        text_encoder_3=third["encoder"],
        tokenizer_3=third["tokenizer"],
    )


def stable_diffusion_3_of_noise() -> Any:
    """An SD3 network that predicts noise, as the demo's members of the eps/linear formulation do."""
    scheduler = diffusers.DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        solver_order=1,
        timestep_spacing="trailing",
    )
    return stable_diffusion_3(has_third=False, scheduler=scheduler)


def stable_diffusion_3_of_velocity() -> Any:
    """An SD3 network that predicts v, with a thousand betas of its own in the scheduler's file."""
    betas = [1e-6 + 0.02 * (k / 999) ** 2 for k in range(1000)]
    scheduler = diffusers.DDIMScheduler(
        trained_betas=betas,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )
    return stable_diffusion_3(has_third=False, scheduler=scheduler)


BUILDERS: Final[dict[str, Callable[[], Any]]] = {
    "sd15": stable_diffusion,
    "sdxl": stable_diffusion_xl,
    "flux": flux,
    "pixart": pixart_sigma,
    "sd3-t5": lambda: stable_diffusion_3(has_third=True),
    "sd3-eps": stable_diffusion_3_of_noise,
    "sd3-v": stable_diffusion_3_of_velocity,
}


def save(name: str, folder: Any) -> None:
    """Build one and write it as `save_pretrained` does; the same weights at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        pipeline = BUILDERS[name]()
        for module in pipeline.components.values():
            if isinstance(module, torch.nn.Module):
                for parameter in module.parameters():
                    # Layers that begin at zero would hide what comes before them.
                    if not parameter.any():
                        torch.nn.init.normal_(parameter, std=0.2)
        pipeline.save_pretrained(folder, safe_serialization=True)
