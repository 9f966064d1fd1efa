"""What a careful user of diffusers writes: the pipeline is loaded once, then one call and one PNG file an image."""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch


class BareLoop:
    """A stock pipeline in memory and a folder for its pictures."""

    def __init__(self, folder: Path, *, device: str, dtype: torch.dtype, pictures: Path) -> None:
        index = json.loads((folder / "model_index.json").read_text())
        absent: dict[str, Any] = {name: None for name, entry in index.items() if entry == [None, None]}
        self._pipe: Any = diffusers.DiffusionPipeline.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, **absent
        )
        self._pipe.to(device)
        self._pipe.set_progress_bar_config(disable=True)
        self._pictures = pictures
        pictures.mkdir(parents=True, exist_ok=True)

    def draw(self, prompt: str, *, seed: int, arguments: dict[str, Any]) -> None:
        """One image from one call, saved."""
        with torch.inference_mode():
            [picture] = self._pipe(prompt, generator=torch.Generator("cpu").manual_seed(seed), **arguments).images
        picture.save(self._pictures / f"{seed}.png")
