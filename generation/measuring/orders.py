"""Metrics left to image workers: an order names recipes, and what they lack is measured in short turns."""

import logging
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from django.db.models import DateTimeField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now

from generation.errors import GenerationError
from generation.hints import hint_measurers
from generation.measuring import clip
from generation.measuring.rows import Measured, measurable, without_metric
from generation.models import Image, MetricOrder, Recipe

logger = logging.getLogger(__name__)

LEASE: Final = timedelta(seconds=180)
LONGEST_REFUSAL: Final = 1000


class TurnIsOver(Exception):
    """The time of a turn is up; what was measured in it is kept."""


def order_scores(recipes: Iterable[Recipe], *, weights: clip.Weights) -> MetricOrder:
    """Ask image workers for the CLIP scores of all images of these recipes. Asked again, a refused order is retried."""
    order, _ = MetricOrder.objects.update_or_create(metric=clip.SCORE, weights=str(weights), defaults={"refusal": ""})
    order.recipes.add(*recipes)
    hint_measurers()
    return order


def progress_of(order: MetricOrder) -> Measured:
    """How many images have the metric; none are counted before a worker has looked at the weights."""
    wanted = measurable(_images_of(order)).count()
    left = without_metric(_images_of(order), name=order.metric, source=order.source).count() if order.source else wanted
    return Measured(wanted - left, wanted)


def due_orders() -> list[MetricOrder]:
    """Orders that a worker could go on with now: not refused, held by nobody, with images that lack the metric."""
    return [order for order in _claimable() if progress_of(order).left]


def work_for(seconds: float, *, worker: str) -> bool:
    """Measure for one turn; whether work is left. An order that cannot be carried out is refused with its reason."""
    ends = time.monotonic() + seconds
    for order in due_orders():
        if not _claimable().filter(pk=order.pk).update(worker=worker, lease_until=_lease_end()):
            continue  # another worker was quicker
        try:
            _carry_out(order, ends=ends)
        except TurnIsOver:
            pass
        except GenerationError as error:
            MetricOrder.objects.filter(pk=order.pk).update(refusal=str(error)[:LONGEST_REFUSAL])
        finally:
            MetricOrder.objects.filter(pk=order.pk, worker=worker).update(worker="", lease_until=None)
        if time.monotonic() > ends:
            break
    return bool(due_orders())


def _carry_out(order: MetricOrder, *, ends: float) -> None:
    loaded = clip.load(clip.Weights.told(order.weights))
    MetricOrder.objects.filter(pk=order.pk).update(source=loaded.source)

    def look_at_the_clock(progress: Measured) -> None:
        MetricOrder.objects.filter(pk=order.pk).update(lease_until=_lease_end())
        if progress.left and time.monotonic() > ends:
            raise TurnIsOver

    found = clip.measure_scores(_images_of(order), loaded, watch=look_at_the_clock)
    if found.problems:
        # Else every round would load the weights again for the sake of a file that is gone.
        raise GenerationError(f"{len(found.problems)} images could not be measured. The first: {found.problems[0]}")


def _images_of(order: MetricOrder) -> QuerySet[Image]:
    return Image.objects.filter(recipe__in=order.recipes.values("pk"))


def _claimable() -> QuerySet[MetricOrder]:
    is_free = Q(lease_until__isnull=True) | Q(lease_until__lt=Now())
    return MetricOrder.objects.filter(is_free, refusal="")


def _lease_end() -> ExpressionWrapper:  # type: ignore[type-arg]
    return ExpressionWrapper(Now() + LEASE, output_field=DateTimeField())
