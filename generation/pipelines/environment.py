"""On what the images are made: device name and library versions, for their provenance."""

import platform
from functools import cache
from importlib import metadata
from pathlib import Path

import diffusers
import torch
import transformers


@cache
def versions() -> dict[str, str]:
    """Versions of everything whose change can change pixels."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "peft": metadata.version("peft"),
    }


@cache
def device_name(device: str) -> str:
    """The device as a person would name it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"cpu: {_processor()}"


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
