"""How a run stands: counts, pace, failures by reason, what each worker does, and what nobody can do."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import Count, Min
from django.db.models.functions import Now
from django.utils import timezone

from generation.capabilities import is_image_queue
from generation.heartbeats import living_workers
from generation.models import Checkpoint, ImageJob, Recipe, Run
from generation.planning import seconds_left
from generation.runnable import unrunnable_reason
from generation.timetable import GENERATION_QUEUE

PACE_WINDOW: Final = timedelta(minutes=5)
MOST_REASONS: Final = 20
State = ImageJob.State


@dataclass(frozen=True)
class Failure:
    """Images of a run that failed for one reason; `example` is one of their jobs."""

    reason: str
    count: int
    example: int


@dataclass(frozen=True)
class WorkerLine:
    """A living worker: what it draws now (any run's images), which checkpoints it has in memory, when it was seen."""

    worker: str
    device: str
    recipe: str
    images: int
    loaded: tuple[str, ...]
    seconds_since_seen: float
    takes_messages: bool

    @property
    def is_drawing(self) -> bool:
        return self.images > 0


@dataclass(frozen=True)
class RunStatus:
    """Counted from the jobs. In a cancelled run, what another run still waits for counts as cancelled."""

    run: Run
    done: int
    running: int
    waiting: int
    failed: int
    cancelled: int
    images_a_second: float
    seconds_left: float | None
    failures: tuple[Failure, ...]
    workers: tuple[WorkerLine, ...]
    obstacles: tuple[str, ...]
    """Sentences about images that no living worker can make."""

    @property
    def total(self) -> int:
        return self.done + self.left + self.failed + self.cancelled

    @property
    def left(self) -> int:
        """Images still to be made."""
        return self.running + self.waiting

    @property
    def state(self) -> str:
        """In one word."""
        if self.run.cancelled_at:
            return "cancelled"
        if not self.left:
            return "finished"
        return "paused" if self.run.paused_at else "running"

    @property
    def is_moving(self) -> bool:
        """Whether something can change by itself."""
        return self.left > 0

    @property
    def unlisted_failures(self) -> int:
        """Failed images whose reason is not among those listed."""
        return self.failed - sum(failure.count for failure in self.failures)


def status_of(run: Run) -> RunStatus:
    """Read it all; the number of queries does not depend on the number of images."""
    counts = dict(run.jobs.values_list("state").annotate(Count("pk")).order_by())
    waiting, cancelled = counts.get(State.PENDING, 0), counts.get(State.CANCELLED, 0)
    if run.cancelled_at:
        waiting, cancelled = 0, waiting + cancelled
    workers = worker_lines()
    return RunStatus(
        run=run,
        done=counts.get(State.DONE, 0),
        running=counts.get(State.RUNNING, 0),
        waiting=waiting,
        failed=counts.get(State.FAILED, 0),
        cancelled=cancelled,
        images_a_second=images_a_second(run),
        seconds_left=seconds_left(run) if waiting + counts.get(State.RUNNING, 0) else 0.0,
        failures=_failures(run) if counts.get(State.FAILED) else (),
        workers=workers,
        obstacles=_obstacles(run, workers) if waiting and not run.paused_at else (),
    )


def images_a_second(run: Run) -> float:
    """Images of a run finished in the last five minutes, or since it was asked for, by the second."""
    finished = run.jobs.filter(state=State.DONE, finished_at__gt=Now() - PACE_WINDOW).count()
    span = min(PACE_WINDOW, max(timedelta(seconds=1), timezone.now() - run.created_at))
    return finished / span.total_seconds()


def worker_lines() -> tuple[WorkerLine, ...]:
    """The living workers that make images, and those on a terminal."""
    held = ImageJob.objects.filter(state=State.RUNNING, lease_until__gt=Now())
    batches = {
        worker: (recipe, count)
        for worker, recipe, count in held.order_by().values_list("worker", "recipe__name").annotate(Count("pk"))
    }
    lines = []
    for heart in living_workers().annotate(now=Now()):
        recipe, count = batches.get(heart.worker, ("", 0))
        if heart.queues and not any(is_image_queue(queue) for queue in heart.queues):
            continue
        lines.append(
            WorkerLine(
                worker=heart.worker,
                device=heart.device,
                recipe=recipe,
                images=count,
                loaded=tuple(heart.loaded),
                seconds_since_seen=max(0.0, (heart.now - heart.seen_at).total_seconds()),
                takes_messages=bool(heart.queues),
            )
        )
    return tuple(lines)


def _failures(run: Run) -> tuple[Failure, ...]:
    failed = run.jobs.filter(state=State.FAILED).order_by().values_list("reason")
    groups = failed.annotate(count=Count("pk"), example=Min("pk")).order_by("-count", "example")
    return tuple(Failure(reason, count, example) for reason, count, example in groups[:MOST_REASONS])


def _obstacles(run: Run, workers: tuple[WorkerLine, ...]) -> tuple[str, ...]:
    waiting = run.jobs.filter(state=State.PENDING).order_by()
    groups = waiting.values_list("recipe__state", "recipe__checkpoint__state", "recipe__checkpoint")
    unchecked, ready = 0, Counter[int]()
    for recipe_state, checkpoint_state, checkpoint, count in groups.annotate(Count("pk")):
        if recipe_state == Recipe.State.READY and checkpoint_state == Checkpoint.State.READY:
            ready[checkpoint] += count
        else:
            unchecked += count
    sentences = []
    if not workers:
        sentences.append(
            f"No living worker takes messages from the queue {GENERATION_QUEUE}, so nothing is made: start a worker, "
            "or make the images on a terminal."
        )
    elif all(worker.takes_messages for worker in workers):  # one on a terminal shows its weights by drawing
        living = list(living_workers())
        for checkpoint in Checkpoint.objects.filter(pk__in=ready).order_by("name"):
            if reason := unrunnable_reason(checkpoint, workers=living):
                sentences.append(f"{_images(ready[checkpoint.pk])} in vain. {reason}")
    if unchecked:
        sentences.append(f"{_images(unchecked)} until a worker has checked the recipe or its checkpoint.")
    return tuple(sentences)


def _images(count: int) -> str:
    return f"{count:,} image{' waits' if count == 1 else 's wait'}"
