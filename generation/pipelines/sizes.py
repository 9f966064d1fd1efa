"""Which picture sizes a checkpoint can draw, from its configuration files."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from generation.errors import GenerationError
from generation.families import FAMILIES, LARGEST_SIDE
from generation.model_folders import read_json

FLUX_LATENT_SIDE: Final = 128
"""FluxPipeline's default_sample_size: its configuration names none."""
PIXELS: Final = 8
"""Pipelines with a UNet, and PixArt's, refuse sides that are no multiples of this, whatever their autoencoder."""


@dataclass(frozen=True)
class SizeRule:
    """Sides are multiples of `multiple_of` and at most `largest`; `usual` is the size it was trained at, (w, h)."""

    multiple_of: int
    largest: int
    usual: tuple[int, int]

    def check(self, *, width: int, height: int) -> None:
        """Refuse a size that the pipeline could not draw."""
        for side, pixels in (("width", width), ("height", height)):
            if pixels % self.multiple_of or not 0 < pixels <= self.largest:
                raise GenerationError(
                    f"This checkpoint draws sides that are multiples of {self.multiple_of} up to {self.largest} pixels;"
                    f" {side} {pixels} is not."
                )

    def tokens(self, *, width: int, height: int) -> int:
        """How many picture tokens a transformer sees."""
        return (width // self.multiple_of) * (height // self.multiple_of)


def size_rule(folder: Path, pipeline_class: str) -> SizeRule:
    """The rule of a checkpoint: what its autoencoder halves, times what its denoiser groups.

    A UNet pads inside itself, so latents need not be multiples of its own down-sampling.
    """
    family = FAMILIES[pipeline_class]
    denoiser = read_json(folder / family.denoiser / "config.json")
    autoencoder = read_json(folder / "vae" / "config.json")
    try:
        factor = 2 ** (len(autoencoder["block_out_channels"]) - 1)
        if family.sizes == "positions":
            return _with_positions(denoiser, factor)
        if family.sizes == "packed":
            side = FLUX_LATENT_SIDE * factor
            return SizeRule(multiple_of=2 * factor, largest=LARGEST_SIDE, usual=(side, side))
        grouped = int(denoiser["patch_size"]) if family.sizes == "patches" else 1
        multiple = math.lcm(PIXELS, factor * grouped)
        return SizeRule(multiple_of=multiple, largest=LARGEST_SIDE, usual=_usual(denoiser["sample_size"], factor))
    except (KeyError, TypeError, ValueError) as error:
        raise GenerationError(f"The configuration of {folder.name} lacks {error}; copy the whole model.") from error


def _with_positions(denoiser: dict[str, Any], factor: int) -> SizeRule:
    # SD3: a table of positions ends the picture.
    patch = int(denoiser["patch_size"])
    largest = int(denoiser.get("pos_embed_max_size") or denoiser["sample_size"]) * patch * factor
    return SizeRule(multiple_of=factor * patch, largest=largest, usual=_usual(denoiser["sample_size"], factor))


def _usual(sample_size: Any, factor: int) -> tuple[int, int]:
    # A number, or height and width.
    height, width = sample_size if isinstance(sample_size, list) else (sample_size, sample_size)
    return int(width) * factor, int(height) * factor
