"""The processes that faults are done to: a Redis, a worker with beat for the default queue, workers that draw."""

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
from django.conf import settings
from django.db.models import Count

from generation.models import Image, ImageJob
from generation.provenance import bytes_digest
from tests.faults.clock import ShiftedClock
from tests.faults.scale import SCALE
from tests.servers.addresses import wait_until
from tests.servers.celery_worker import CeleryWorker
from tests.servers.redis_server import RedisServer

APP = "tests.faults.app"


class Crew:
    """Started once for all fault tests; whoever kills a member starts it again."""

    def __init__(self, folder: Path, *, models_root: Path) -> None:
        self.folder = folder
        self.faults = folder / "faults"
        self.faults.mkdir()
        (folder / "redis").mkdir()
        self.redis = RedisServer(folder / "redis")
        self._started = 0
        self.clock = ShiftedClock(folder)
        self._environment = (
            SCALE.environment
            | self.clock.environment
            | {
                "FAULTS_FOLDER": str(self.faults),
                "WINRATE_MODELS_ROOT": str(models_root),
            }
        )
        self.keeper = self.start("default", has_beat=True, waits=False)
        self.painter = self.start("gen.cpu", FAULTS_DRAWS="yes")
        self.second: CeleryWorker | None = None
        self.keeper.wait_until_ready()

    def start(self, queues: str, *, has_beat: bool = False, waits: bool = True, **environment: str) -> CeleryWorker:
        """One more worker process."""
        self._started += 1
        return CeleryWorker(
            queues=queues,
            broker_url=self.redis.url,
            has_beat=has_beat,
            environment=self._environment | environment,
            log=self.folder / f"worker-{self._started}.log",
            app=APP,
            waits=waits,
        )

    def ensure_second_painter(self) -> CeleryWorker:
        """Another worker that draws, which then stays: starting one takes seconds."""
        if self.second is None:
            self.second = self.start("gen.cpu", FAULTS_DRAWS="yes")
        return self.second

    def clean(self) -> None:
        """No fault armed, an empty image store and an empty broker."""
        shutil.rmtree(self.faults)
        self.faults.mkdir()
        shutil.rmtree(images_folder(), ignore_errors=True)
        with self.redis.client() as client:
            client.flushall()

    def arm(self, fault: str, content: str = "") -> None:
        """Let it happen, from now on."""
        (self.faults / fault).write_text(content)

    def disarm(self, fault: str) -> None:
        """Let it not happen any more."""
        (self.faults / fault).unlink(missing_ok=True)

    def has_fired(self, fault: str) -> bool:
        """Whether a fault that fires once has."""
        return not (self.faults / fault).exists()

    def drawn(self) -> Counter[str]:
        """How often each prompt was begun."""
        notes = self.faults / "notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        return Counter(prompt for line in lines for prompt in line.split(" ", 2)[2].split("|"))

    def begun_by(self, process: int) -> int:
        """How many batches a process has begun."""
        notes = (self.faults / "notes").read_text() if (self.faults / "notes").exists() else ""
        return sum(line.split(" ", 2)[1] == str(process) for line in notes.splitlines())

    def lose_redis(self) -> None:
        """kill -9, and nothing of it comes back."""
        self.redis.kill()
        for kept in (self.folder / "redis").glob("appendonly*"):
            shutil.rmtree(kept) if kept.is_dir() else kept.unlink()

    def stop(self) -> None:
        """End all of them."""
        for worker in (self.keeper, self.painter, self.second):
            if worker is not None:
                worker.kill()
        self.redis.kill()


def images_folder() -> Path:
    """Where this process and the workers keep images."""
    return Path(settings.DATA_DIR) / "images"


def kill_whoever_draws() -> float:
    """kill -9 of the pool process that holds a running job, waiting for one; the time of its death."""
    wait_until(lambda: bool(drawing_processes()), seconds=SCALE.lease + 60, what="a job is running")
    for process in drawing_processes():
        os.kill(process, signal.SIGKILL)
    return time.monotonic()


def drawing_processes() -> set[int]:
    """Living processes that hold a running job; a dead one holds its jobs until the lease is over."""
    workers = ImageJob.objects.filter(state="running").values_list("worker", flat=True)
    return {pid for worker in set(workers) if psutil.pid_exists(pid := int(worker.rpartition(":")[2]))}


def done() -> int:
    """Finished jobs."""
    return ImageJob.objects.filter(state="done").count()


def wait_for(holds: Callable[[], bool], *, seconds: float, what: str) -> float:
    """Wait, and say how long it took; what the jobs look like is told where it does not happen."""
    began = time.monotonic()
    try:
        wait_until(holds, seconds=seconds, what=what)
    except AssertionError as error:
        states = dict(ImageJob.objects.values_list("state").annotate(Count("pk")).order_by())
        reasons = set(ImageJob.objects.exclude(reason="").values_list("reason", flat=True))
        raise AssertionError(f"{error}; jobs: {states}, reasons: {reasons}") from error
    return time.monotonic() - began


def wait_until_all_are_made(*, seconds: float) -> float:
    """Wait until no job is left to do; how long it took."""
    return wait_for(lambda: not ImageJob.objects.unfinished().exists(), seconds=seconds, what="all images are made")


def files() -> list[str]:
    """Names of everything in the store."""
    return sorted(path.name for path in images_folder().rglob("*") if path.is_file())


def assert_each_image_once(count: int) -> None:
    """One row and one whole file for each job, all jobs done, and no other file."""
    assert set(ImageJob.objects.values_list("state", flat=True)) == {"done"}
    assert ImageJob.objects.count() == Image.objects.count() == count
    assert set(Image.objects.values_list("job", flat=True)) == set(ImageJob.objects.values_list("pk", flat=True))
    hashes = set(Image.objects.values_list("file_sha256", flat=True))
    assert files() == sorted(f"{sha256}.png" for sha256 in hashes)
    for path in images_folder().rglob("*.png"):
        assert bytes_digest(path.read_bytes()) == path.stem
