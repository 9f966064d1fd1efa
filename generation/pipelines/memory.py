"""Out of memory: how every device says it, and giving back what can be given back."""

import gc
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
