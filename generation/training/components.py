"""The demo family's parts: stock classes of diffusers and transformers at a size that trains on a CPU, random weights.

One autoencoder and three text encoders serve every member of the family; a member is what denoises.
"""

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel
from transformers import (
    AddedToken,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from generation.scenes.vocabulary import GRAMMAR_WORDS

PICTURE_SIZE = 64
LATENT_CHANNELS = 8
LATENT_SIZE = 16
CLIP_TOKENS = 16
T5_TOKENS = 18
CLIP_WIDTH, SMALL_CLIP_WIDTH, T5_WIDTH = 96, 32, 160
_WORDS = tuple(dict.fromkeys(GRAMMAR_WORDS))


def build_clip_tokenizer() -> CLIPTokenizer:
    """One token for every word of the scene grammar; what stands on a sign is unknown, one token a letter.

    SD3's CLIP encoders see words as wholes and spell badly; the T5 encoder is there for spelling. So it is here.
    """
    pieces = ["<|startoftext|>", "<|endoftext|>", "<|unknown|>", '"</w>', '"']
    tokenizer = CLIPTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        unk_token="<|unknown|>",  # noqa: S106 - a token of text
        model_max_length=CLIP_TOKENS,
    )
    # normalized=False matches before lower-casing: `red` is a word of the grammar, "RED" on a sign is not.
    tokenizer.add_tokens([AddedToken(word, single_word=True, normalized=False) for word in _WORDS])
    return tokenizer


def build_t5_tokenizer() -> T5TokenizerFast:
    """One token for every word of the scene grammar; everything else, so every sign, is spelled."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0)]
    pieces += [(f"▁{word}", -2.0) for word in _WORDS]
    pieces += [(chr(code), -5.0) for code in range(33, 127)] + [("▁", -6.0)]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=T5_TOKENS)


def build_clip(tokenizer: CLIPTokenizer, *, width: int, layers: int) -> CLIPTextModelWithProjection:
    """A CLIP text encoder of the given width."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=CLIP_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModelWithProjection(config)


def build_t5(tokenizer: T5TokenizerFast, *, layers: int = 3) -> T5EncoderModel:
    """A T5 encoder; its width is the transformer's joint attention width, as in SD3."""
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=T5_WIDTH,
        d_kv=T5_WIDTH // 4,
        d_ff=3 * T5_WIDTH,
        num_layers=layers,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    return T5EncoderModel(config)


def build_transformer(*, layers: int = 6, heads: int = 3) -> SD3Transformer2DModel:
    """An MM-DiT with zero-initialised modulation and output (diffusers leaves them random, which trains worse)."""
    transformer = SD3Transformer2DModel(
        sample_size=LATENT_SIZE,
        patch_size=2,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_layers=layers,
        attention_head_dim=32,
        num_attention_heads=heads,
        joint_attention_dim=T5_WIDTH,
        caption_projection_dim=32 * heads,
        pooled_projection_dim=CLIP_WIDTH + SMALL_CLIP_WIDTH,
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


def build_unet() -> UNet2DConditionModel:
    """The latent-diffusion UNet with cross-attention at 8 x 8 and 4 x 4, zero-initialised output."""
    unet = UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        layers_per_block=1,
        block_out_channels=(32, 64, 96),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=CLIP_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.conv_out.bias)
    return unet


def build_vae(*, scaling_factor: float = 1.0) -> AutoencoderKL:
    """An f=4 autoencoder with 8 latent channels."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 24, 48),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        sample_size=PICTURE_SIZE,
        scaling_factor=scaling_factor,
        shift_factor=0.0,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
