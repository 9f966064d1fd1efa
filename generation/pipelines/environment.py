"""On what the images are made: device name and library versions, for their provenance."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
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
        "numpy": metadata.version("numpy"),
        "pillow": metadata.version("pillow"),  # not the pixels, but the bytes of their files
    }


def threads() -> int:
    """With how many processor threads torch calculates."""
    return torch.get_num_threads()


@contextmanager
def calculating_with(count: int | None) -> Iterator[None]:
    """As many threads for a while; None leaves their number alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def device_like(recorded: str) -> str:
    """Where to calculate what was calculated on a device of that name: on the processor what was made there."""
    return "cuda" if not recorded.startswith("cpu") and torch.cuda.is_available() else "cpu"


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
