"""What a machine can run, said by the name of its queue: gen.cpu, or gen.gpu and its gigabytes, such as gen.gpu24."""

import re
from typing import Final

_QUEUE: Final = re.compile(r"gen\.(?:cpu|gpu([1-9][0-9]{0,3}))")
GPU_NAMED: Final = "gen.cpu, or gen.gpu and the gigabytes of its memory, such as gen.gpu24"


def is_image_queue(queue: str) -> bool:
    """Whether image workers may listen to a queue of this name."""
    return _QUEUE.fullmatch(queue) is not None


def gigabytes_of(queue: str) -> int:
    """Memory of the graphics card that a queue stands for; 0 for processors.

    Raises ValueError for a name that is no image queue.
    """
    match = _QUEUE.fullmatch(queue)
    if match is None:
        raise ValueError(f"{queue!r} is no image queue: it is {GPU_NAMED}")
    return int(match[1] or 0)


def can_serve(queue: str, *, needs: str) -> bool:
    """Whether a worker of this queue may run what needs that queue, or a smaller one; "" needs nothing special."""
    return is_image_queue(queue) and (not needs or gigabytes_of(queue) >= gigabytes_of(needs))
