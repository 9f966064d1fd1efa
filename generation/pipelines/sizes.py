"""Which picture sizes a checkpoint can draw, from its configuration files."""

from dataclasses import dataclass
from pathlib import Path

from generation.errors import GenerationError
from generation.families import FAMILIES
from generation.model_folders import read_json


@dataclass(frozen=True)
class SizeRule:
    """Sides are multiples of `multiple_of` and at most `largest`; `usual` is the size it was trained at."""

    multiple_of: int
    largest: int
    usual: int

    def check(self, *, width: int, height: int) -> None:
        """Refuse a size that the pipeline could not draw."""
        for side, pixels in (("width", width), ("height", height)):
            if pixels % self.multiple_of or not 0 < pixels <= self.largest:
                raise GenerationError(
                    f"This checkpoint draws sides that are multiples of {self.multiple_of} up to {self.largest} pixels;"
                    f" {side} {pixels} is not."
                )

    def tokens(self, *, width: int, height: int) -> int:
        """How many picture tokens the denoiser sees."""
        return (width // self.multiple_of) * (height // self.multiple_of)


def size_rule(folder: Path, pipeline_class: str) -> SizeRule:
    """The rule of a latent diffusion transformer: autoencoder factor times patch size, up to its table of positions."""
    denoiser = read_json(folder / FAMILIES[pipeline_class].denoiser / "config.json")
    autoencoder = read_json(folder / "vae" / "config.json")
    try:
        factor = 2 ** (len(autoencoder["block_out_channels"]) - 1)
        patch = int(denoiser["patch_size"])
        usual = int(denoiser["sample_size"]) * factor
        largest = int(denoiser.get("pos_embed_max_size") or denoiser["sample_size"]) * patch * factor
    except (KeyError, TypeError, ValueError) as error:
        raise GenerationError(f"The configuration of {folder.name} lacks {error}; copy the whole model.") from error
    return SizeRule(multiple_of=factor * patch, largest=largest, usual=usual)
