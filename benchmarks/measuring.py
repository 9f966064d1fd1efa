"""Time and memory of acts that are compared: run in turn, so that a busy machine disturbs all alike."""

from __future__ import annotations

import platform
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

Act = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """Medians over the rounds in milliseconds; cpu is over all threads."""

    cpu: float
    wall: float


def timed(acts: Mapping[str, Act], *, rounds: int) -> dict[str, Timing]:
    """Each act once per round, one after the other. Every act has had one run that does not count."""
    for act in acts.values():
        act()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            cpu, wall = time.process_time(), time.perf_counter()
            act()
            spent[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {name: Timing(*(1000 * median(each) for each in zip(*times, strict=True))) for name, times in spent.items()}


def peak_mebibytes(act: Act) -> float | None:
    """How far the process's resident memory rose above what it was before; None where Linux does not say."""
    try:
        # Forgets the highest mark so far.
        Path("/proc/self/clear_refs").write_text("5")
        before = _resident("VmRSS")
        act()
        return max(_resident("VmHWM") - before, 0) / 1024
    except OSError:
        return None


def allocated_mebibytes(act: Act) -> float:
    """Highest sum of what Python and NumPy held at one time, above what they held before."""
    tracemalloc.start()
    act()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def machine() -> str:
    """The processor's family, the cores this process may use, and how busy the machine was."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    loadavg = Path("/proc/loadavg")
    load = loadavg.read_text().split()[0] if loadavg.exists() else "unknown"
    name = names[0] if names else platform.machine()
    return f"{name}, {len(names)} cores, load average {load} at the start, Python {platform.python_version()}"


def _resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")
