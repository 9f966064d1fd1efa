"""Which job a worker takes next: urgency first, then what waited too long, then what is in memory, then the plan.

One look costs one step into an index for each recipe, however many jobs wait.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Now

from generation.models import Checkpoint, ImageJob, Recipe, Run, RunItem

LONGEST_WAIT: Final = timedelta(minutes=10)
"""A job that waited longer goes before jobs of loaded pipelines."""
MOST_EXPIRED: Final = 50
LEAST_PRIORITY, MOST_PRIORITY = -1000, 1000
HELD: Final = -1_000_000
"""The priority of a waiting job that only paused runs want. It stands behind all others in the index by which claims
look, and none of them looks that far: they cost the same however many jobs are held."""


def claimable(run: Run | None = None, *, checkpoints: Collection[int] | None = None) -> QuerySet[ImageJob]:
    """Jobs that a worker may take now; only those of these checkpoints, where some are given."""
    jobs = ImageJob.objects.due().filter(
        Exists(_wanted(run)), recipe__state=Recipe.State.READY, recipe__checkpoint__state=Checkpoint.State.READY
    )
    return jobs if checkpoints is None else jobs.filter(recipe__checkpoint__in=checkpoints)


def heads(run: Run | None = None, *, checkpoints: Collection[int] | None = None) -> QuerySet[ImageJob]:
    """The first waiting job of each recipe."""
    recipes = Recipe.objects.filter(state=Recipe.State.READY, checkpoint__state=Checkpoint.State.READY)
    if checkpoints is not None:
        recipes = recipes.filter(checkpoint__in=checkpoints)
    waiting = ImageJob.objects.filter(
        Exists(_wanted(run)),
        recipe=OuterRef("pk"),
        state=ImageJob.State.PENDING,
        priority__gte=LEAST_PRIORITY,
        attempts__lt=ImageJob.MOST_ATTEMPTS,
    )
    first = Subquery(waiting.order_by("-priority", "pk").values("pk")[:1])
    return ImageJob.objects.filter(pk__in=recipes.order_by().annotate(head=first).values("head"))


def abandoned(run: Run | None = None, *, checkpoints: Collection[int] | None = None) -> QuerySet[ImageJob]:
    """Jobs whose worker let the lease run out and that may be tried again; few at any time."""
    expired = claimable(run, checkpoints=checkpoints).filter(state=ImageJob.State.RUNNING)
    return expired.order_by("-priority", "pk")[:MOST_EXPIRED]


def candidates(
    run: Run | None = None,
    *,
    checkpoints: Collection[int] | None = None,
    loaded: Collection[int] = (),
    longest_wait: timedelta | None = LONGEST_WAIT,
) -> list[ImageJob]:
    """First jobs of recipes, the one to take first. `loaded` are checkpoints in memory; None lets no wait count."""
    is_old = (
        Value(False, output_field=BooleanField())
        if longest_wait is None
        else ExpressionWrapper(Q(created_at__lt=Now() - longest_wait), output_field=BooleanField())
    )
    found = [
        *heads(run, checkpoints=checkpoints).annotate(is_old=is_old).select_related("recipe"),
        *abandoned(run, checkpoints=checkpoints).annotate(is_old=is_old).select_related("recipe"),
    ]

    def in_order(job: ImageJob) -> tuple[int, int, int]:
        is_waiting_long: bool = getattr(job, "is_old")  # noqa: B009 - an annotation, which the model does not declare
        turn = 0 if is_waiting_long else 1 if job.recipe.checkpoint_id in loaded else 2
        return -job.priority, turn, job.pk

    return sorted(found, key=in_order)


def overdue(*, checkpoints: Collection[int]) -> list[ImageJob]:
    """First waiting jobs of recipes of these checkpoints that have waited too long; the one to take first."""
    old = heads(checkpoints=checkpoints).filter(created_at__lt=Now() - LONGEST_WAIT)
    return list(old.select_related("recipe").order_by("-priority", "pk"))


def _wanted(run: Run | None) -> QuerySet[RunItem]:
    wanted = RunItem.objects.filter(job=OuterRef("pk"), run__paused_at__isnull=True, run__cancelled_at__isnull=True)
    return wanted if run is None else wanted.filter(run=run)
