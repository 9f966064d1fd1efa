"""What is looked at while everything runs: memory and files of each process, keys of Redis, rows that nobody moves."""

import os
import platform
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

import psutil
from django.db import connection
from django.utils import timezone

from arena.models import Ballot
from generation.models import ImageJob
from tests.faults.crew import Crew
from tests.servers.mortal_web import WebServer

MINUTES: Final = float(os.environ.get("SOAK_MINUTES", "0"))
SECONDS: Final = 60 * MINUTES or 30.0
IS_LONG: Final = MINUTES >= 3
"""As .ci/run asks for it and `make soak` does; below, allocators have not settled and parts not all begun."""
IS_WRITTEN: Final = MINUTES >= 10
"""Whether its table is one for benchmarks/results."""
MOST_GROWTH: Final = 0.10 if IS_LONG else 0.25
"""Of a process's memory after its warm-up."""
MOST_MORE_FILES: Final = 2 if IS_LONG else 8
"""Each part opens its connections when it first needs them, and some need them seldom."""
MOST_KEYS: Final = 30
LATE: Final = timedelta(minutes=3)
_QUEUES: Final = ("default", "gen.cpu")


@dataclass
class Course:
    """One process over time: seconds, bytes of memory, open files."""

    at: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def ends(self) -> tuple[float, float, int, int]:
        """Memory in the first and last quarter (medians), and the least number of open files in each."""
        quarter = max(1, len(self.at) // 4)
        first, last = slice(0, quarter), slice(-quarter, None)
        return median(self.memory[first]), median(self.memory[last]), min(self.files[first]), min(self.files[last])


class Watch:
    """Looks at everything from time to time; `problems` says what a soak must not show."""

    def __init__(self, crew: Crew, web: WebServer) -> None:
        self._crew, self._web = crew, web
        self.courses: dict[str, Course] = defaultdict(Course)
        self.keys: list[int] = []
        self.waiting: list[int] = []
        self.stuck: list[str] = []
        self._began = time.monotonic()

    def look(self) -> None:
        """Once."""
        now = time.monotonic() - self._began
        for name, process in self._processes().items():
            course = self.courses[f"{name} ({process.pid})"]
            course.at.append(now)
            course.memory.append(process.memory_info().rss)
            course.files.append(process.num_fds())
        with self._crew.redis.client() as client:
            self.keys.append(int(client.dbsize()))
            self.waiting.append(sum(int(client.llen(queue)) for queue in _QUEUES))
        self.stuck += stuck_rows()

    def _processes(self) -> dict[str, psutil.Process]:
        found = self._web.processes()
        for role, worker in (("default worker", self._crew.keeper), ("image worker", self._crew.painter)):
            master = psutil.Process(worker.pid)
            found[role] = master
            children = sorted(master.children(recursive=True), key=lambda process: process.pid)
            found |= {f"{role}, child {number}": child for number, child in enumerate(children, start=1)}
        found["Redis"] = psutil.Process(self._crew.redis.pid)
        return found

    def problems(self) -> list[str]:
        """Each in words."""
        said = list(self.stuck)
        for name, course in self.courses.items():
            before, after, files_before, files_after = course.ends()
            if after > before * (1 + MOST_GROWTH):
                said.append(f"{name} grew from {before / 2**20:.0f} to {after / 2**20:.0f} MiB")
            if files_after > files_before + MOST_MORE_FILES:
                said.append(f"{name} held {files_before} files open, and later {files_after}")
        if max(self.keys) > MOST_KEYS:
            said.append(f"Redis held {max(self.keys)} keys")
        return said

    def table(self, *, sentence: str) -> str:
        """For people."""
        lines = [
            "# Soak: everything at once for a while",
            "",
            f"`make soak`, {datetime.now(UTC):%Y-%m-%d}, {platform.system()}, {os.cpu_count()} cores, beside other load"
            f" (load average {os.getloadavg()[2]:.1f} over the last 15 minutes), Python {platform.python_version()},"
            f" {connection.vendor}. {sentence}",
            "",
            "Memory is the resident set, the median of the first and of the last quarter of the time after the warm-up;"
            " open files are the least in each.",
            "",
            "| process | memory, MiB | later | growth | open files | later |",
            "|---|---|---|---|---|---|",
        ]
        for name, course in self.courses.items():
            before, after, files_before, files_after = course.ends()
            lines.append(
                f"| {name.rpartition(' (')[0]} | {before / 2**20:.1f} | {after / 2**20:.1f} |"
                f" {100 * (after / before - 1):+.1f} % | {files_before} | {files_after} |"
            )
        lines += [
            "",
            f"Keys in Redis: {min(self.keys)} to {max(self.keys)}; messages waiting at most {max(self.waiting)}; rows"
            f" that nobody moved: {len(self.stuck)}; looked at {len(self.keys)} times.",
            "",
        ]
        return "\n".join(lines)


def stuck_rows() -> list[str]:
    """Jobs and ballots whose lease was over minutes ago and that nobody has taken back."""
    long_ago = timezone.now() - LATE
    jobs = ImageJob.objects.filter(state="running", lease_until__lt=long_ago).count()
    ballots = Ballot.objects.filter(state=Ballot.State.OPEN, lease_until__lt=long_ago).count()
    found = ((jobs, "jobs run"), (ballots, "ballots are open"))
    return [f"{number} {what} with a lease that was over {LATE} ago" for number, what in found if number]


def write(text: str, *, root: Path) -> Path:
    """The table of a long soak."""
    place = root / "benchmarks" / "results" / "soak.md"
    place.write_text(text)
    return place
