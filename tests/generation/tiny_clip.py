"""The stock CLIPModel at the smallest size that runs, random weights, on disk as `save_pretrained` writes it."""

from pathlib import Path
from typing import Any

import torch
import transformers

from generation.training.components import CLIP_TOKENS, build_clip_tokenizer

PIXELS = 32
WIDTH = 16


def save_clip(folder: Path, *, seed: int = 7) -> Path:
    """A CLIP of two layers a side, with tokenizer and image processor; the same weights for the same seed."""
    tokenizer = build_clip_tokenizer()
    size = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    text: dict[str, Any] = {
        **size,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CLIP_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = transformers.CLIPConfig(
        text_config=text, vision_config={**size, "image_size": PIXELS, "patch_size": 8}, projection_dim=WIDTH
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.CLIPModel(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    sides = {"shortest_edge": PIXELS}
    transformers.CLIPImageProcessorPil(
        size=sides, crop_size={"height": PIXELS, "width": PIXELS}, do_convert_rgb=True
    ).save_pretrained(folder)
    return folder
