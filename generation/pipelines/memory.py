"""Out of memory: how every device says it, giving back what can be given back, and how much is held."""

import gc
import os
import resource
import sys
from pathlib import Path
from typing import Final

import torch

_SAID: Final = ("out of memory", "defaultcpuallocator", "can't allocate memory", "cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a graphics card or of the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAID)


def give_back() -> None:
    """Collect what nothing refers to, and hand the cached blocks of a graphics card back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def used_peak_and_total(device: str) -> tuple[int, int, int]:
    """Bytes held now, at most since the process began, and there at all: of a graphics card, else of this process.

    Of a card what torch has reserved, which costs no question to its driver.
    """
    if device.startswith("cuda"):
        total = torch.cuda.get_device_properties(device).total_memory
        return torch.cuda.memory_reserved(device), torch.cuda.max_memory_reserved(device), total
    page = resource.getpagesize()
    statm = Path("/proc/self/statm")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    used = int(statm.read_text().split()[1]) * page if statm.exists() else peak
    return used, peak, os.sysconf("SC_PHYS_PAGES") * page
