"""How the making of images stands on the whole site: what is due, who is at work, what failed, what is held up."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db.models import BooleanField, Count, ExpressionWrapper, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Now
from django.utils import timezone

from generation import choosing, running_totals
from generation.heartbeats import ALIVE_WITHIN
from generation.models import Image, ImageJob, Run, WorkerHeartbeat

State: Final = ImageJob.State
MOST_REASONS: Final = 20
_MOST_READ: Final = 200
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True)
class DueJobs:
    """Jobs that a worker of this queue, or of a larger one, may take now; the oldest has waited so many seconds."""

    queue: str
    count: int
    seconds: float


@dataclass(frozen=True)
class FailedJobs:
    """Failed images whose reasons differ in numbers alone; `example` is one of their jobs, of this run."""

    reason: str
    count: int
    newest: datetime | None
    example: int
    run: int | None = None


@dataclass(frozen=True)
class WorkerState:
    """A worker that was seen within the last hour, and what it holds now."""

    heart: WorkerHeartbeat
    is_alive: bool
    seconds_since_seen: float
    recipe: str
    images: int
    lease_seconds: float | None
    """Until the first of its leases runs out; below 0 where one has."""

    @property
    def is_lease_short(self) -> bool:
        """Whether a lease was not renewed in time: the worker hangs, died, or has lost the database."""
        return self.lease_seconds is not None and self.lease_seconds < settings.LEASE_SECONDS / 2


def jobs_by_state() -> dict[str, int]:
    """How many jobs are pending, running and failed. Those that are done count as images."""
    states = (State.PENDING, State.RUNNING, State.FAILED)
    found = dict(ImageJob.objects.filter(state__in=states).order_by().values_list("state").annotate(Count("pk")))
    return {state.value: int(found.get(state, 0)) for state in states}


def due_by_queue() -> list[DueJobs]:
    """What waits, by the machine that it needs. Paused runs wait for nobody, so their jobs are not counted."""
    heads = choosing.heads().order_by().annotate(now=Now())
    rows = list(heads.values_list("recipe", "recipe__checkpoint__needs", "created_at", "now"))
    waiting = ImageJob.objects.filter(
        recipe__in=[recipe for recipe, *_ in rows], state=State.PENDING, priority__gte=choosing.LEAST_PRIORITY
    )
    counts = dict(waiting.order_by().values_list("recipe").annotate(Count("pk")))
    due: Counter[str] = Counter()
    oldest: dict[str, float] = {}
    for recipe, needs, created_at, now in rows:
        due[needs] += counts.get(recipe, 0)
        oldest[needs] = max(oldest.get(needs, 0.0), (now - created_at).total_seconds())
    return [DueJobs(queue=needs, count=count, seconds=oldest[needs]) for needs, count in sorted(due.items())]


def overdue_leases() -> int:
    """Jobs in work whose lease has run out and that nobody has brought back yet."""
    return ImageJob.objects.filter(state=State.RUNNING, lease_until__lt=Now()).count()


def images_made() -> dict[bool, tuple[float, float, float]]:
    """By whether a worker of ours made them: images, seconds it took, bytes."""
    found = running_totals.totals(
        Image.objects.annotate(is_made=ExpressionWrapper(Q(job__isnull=False), output_field=BooleanField())),
        name="images",
        by=["is_made"],
        sums={"count": Count("pk"), "took": Sum("seconds"), "bytes": Sum("size_bytes")},
    )
    return {group in (("True",), ("1",)): (values[0], values[1], values[2]) for group, values in found.items()}


def paused_runs() -> list[Run]:
    """Runs that stand still, those that stopped by themselves first."""
    paused = Run.objects.filter(paused_at__isnull=False, cancelled_at__isnull=True)
    return sorted(paused.order_by("-paused_at")[:_MOST_READ], key=lambda run: not run.pause_reason)


def failures() -> list[FailedJobs]:
    """What failed and why, the newest first; reasons that differ in numbers alone are taken together."""
    failed = ImageJob.objects.filter(state=State.FAILED).order_by().values_list("reason")
    groups = failed.annotate(count=Count("pk"), newest=Max("finished_at"), example=Min("pk"))
    together: dict[str, FailedJobs] = {}
    for reason, count, newest, example in groups.order_by("-newest")[:_MOST_READ]:
        key = _NUMBERS.sub("0", reason)
        known = together.get(key)
        together[key] = FailedJobs(
            reason=known.reason if known else reason,
            count=count + (known.count if known else 0),
            newest=known.newest if known else newest,
            example=known.example if known else example,
        )
    listed = list(together.values())[:MOST_REASONS]
    runs = _runs_of([one.example for one in listed])
    return [FailedJobs(one.reason, one.count, one.newest, one.example, runs.get(one.example)) for one in listed]


def workers() -> list[WorkerState]:
    """Every worker that was seen within the last hour, living ones first."""
    held = _held()
    states = []
    for heart in WorkerHeartbeat.objects.annotate(now=Now()):
        recipe, images, lease_until = held.pop(heart.worker, ("", 0, None))
        silence = max(0.0, (heart.now - heart.seen_at).total_seconds())
        states.append(
            WorkerState(
                heart=heart,
                is_alive=silence < ALIVE_WITHIN.total_seconds(),
                seconds_since_seen=silence,
                recipe=recipe,
                images=images,
                lease_seconds=None if lease_until is None else (lease_until - heart.now).total_seconds(),
            )
        )
    return sorted(states, key=lambda state: (not state.is_alive, state.heart.worker))


def images_a_second(*, seconds: float = 300.0, most: int = 1000) -> float:
    """How fast images came lately: over the last minutes, or over the newest thousand where those took less."""
    newest = Image.objects.filter(job__isnull=False).order_by("-pk").values_list("created_at", flat=True)[:most]
    now = timezone.now()
    ages = [age for made_at in newest if (age := (now - made_at).total_seconds()) < seconds]
    span = max(ages) if len(ages) == most else seconds
    return len(ages) / max(1.0, span)


def _held() -> dict[str, tuple[str, int, datetime]]:
    running = ImageJob.objects.filter(state=State.RUNNING).order_by()
    groups = running.values_list("worker").annotate(Max("recipe__name"), Count("pk"), Min("lease_until"))
    return {worker: (recipe, count, lease_until) for worker, recipe, count, lease_until in groups}


def _runs_of(jobs: Sequence[int]) -> dict[int, int]:
    wanted: QuerySet[ImageJob] = ImageJob.objects.filter(Q(pk__in=jobs), runs__isnull=False)
    return dict(wanted.order_by().values_list("pk").annotate(Max("runs")))
