"""Small model folders written by tests: plausible to the checks, without any weights worth loading."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

INDEX: dict[str, Any] = {
    "_class_name": "StableDiffusion3Pipeline",
    "_diffusers_version": "0.42.1",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder_3": [None, None],
    "transformer": ["diffusers", "SD3Transformer2DModel"],
}


def write_model(folder: Path, **index: Any) -> Path:
    """A folder with a transformer of 12 numbers and a scheduler; `index` changes entries of model_index.json."""
    (folder / "transformer").mkdir(parents=True)
    (folder / "scheduler").mkdir()
    (folder / "model_index.json").write_text(json.dumps(INDEX | index))
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    (folder / "transformer" / "config.json").write_text("{}")
    save_file({"weight": np.zeros((3, 4), np.float32)}, folder / "transformer" / "diffusion_pytorch_model.safetensors")
    return folder
