"""Texts encoded by the stock class one by one, as our sampling does.

A row's product with a matrix differs in its last bits from the same row's among three, so that a call with three texts
at once equals ours by luck only.
"""

from collections.abc import Sequence
from typing import Any

import torch

NAMES = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")


def encoded_one_by_one(pipeline: Any, prompts: Sequence[str], **options: Any) -> dict[str, torch.Tensor]:
    """Arguments for a call of Stable Diffusion 3 that stand in place of its prompts."""
    with torch.inference_mode():
        each = [pipeline.encode_prompt(prompt=text, prompt_2=None, prompt_3=None, **options) for text in prompts]
    return {name: torch.cat(parts) for name, parts in zip(NAMES, zip(*each, strict=True), strict=True)}
