"""The tiny SD3: the stock classes of StableDiffusion3Pipeline at a size that trains on a CPU."""

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from transformers import AddedToken, CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from generation.scenes.vocabulary import GRAMMAR_WORDS

PICTURE_SIZE = 64
LATENT_CHANNELS = 12
LATENT_SIZE = 16
TEXT_TOKENS = 24
# The pipeline appends this many zero tokens where a third (T5) encoder would stand. They are not masked, so training
# and sampling must use the same number: SD3's default of 256 would only slow a CPU down.
T5_TOKENS = 1


def build_tokenizer() -> CLIPTokenizer:
    """One token for every word of the scene grammar in lower case; everything else, so every sign, is spelled."""
    characters = [chr(code) for code in range(33, 127)]
    specials = ["<|startoftext|>", "<|endoftext|>"]
    pieces = specials + characters + [f"{character}</w>" for character in characters]
    tokenizer = CLIPTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], model_max_length=TEXT_TOKENS
    )
    # normalized=False matches before lower-casing: `red` is one token, "RED" on a sign is spelled.
    words = [
        AddedToken(word, single_word=True, normalized=False) for word in dict.fromkeys(GRAMMAR_WORDS) if len(word) > 1
    ]
    tokenizer.add_tokens(words)
    return tokenizer


def build_text_encoder(tokenizer: CLIPTokenizer, *, width: int, layers: int) -> CLIPTextModelWithProjection:
    """A CLIP text encoder of the given width, random weights."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=TEXT_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModelWithProjection(config)


def build_transformer(*, layers: int = 6, heads: int = 4, text_width: int = 192) -> SD3Transformer2DModel:
    """An MM-DiT with zero-initialised modulation and output (diffusers leaves them random, which trains worse)."""
    transformer = SD3Transformer2DModel(
        sample_size=LATENT_SIZE,
        patch_size=2,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=layers,
        attention_head_dim=32,
        num_attention_heads=heads,
        joint_attention_dim=text_width,
        caption_projection_dim=32 * heads,
        pooled_projection_dim=text_width,
        pos_embed_max_size=LATENT_SIZE,
        qk_norm="rms_norm",
    )
    for block in transformer.transformer_blocks:
        for layer in (block.norm1.linear, block.norm1_context.linear):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    for layer in (transformer.norm_out.linear, transformer.proj_out):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    return transformer


def build_vae() -> AutoencoderKL:
    """An f=4 autoencoder with 12 latent channels; only its decoder is trained, on latents of `PatchBasis`."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=PICTURE_SIZE,
        scaling_factor=1.0,
        shift_factor=0.0,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def build_pipeline(layers: int = 6, heads: int = 4) -> StableDiffusion3Pipeline:
    """All components of a tiny SD3 without a third text encoder, random weights, as the stock pipeline."""
    tokenizer = build_tokenizer()
    return StableDiffusion3Pipeline(
        transformer=build_transformer(layers=layers, heads=heads),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=build_vae(),
        text_encoder=build_text_encoder(tokenizer, width=128, layers=3),
        tokenizer=tokenizer,
        text_encoder_2=build_text_encoder(tokenizer, width=64, layers=2),
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )
