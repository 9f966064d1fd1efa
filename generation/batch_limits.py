"""Which batch fits: by the pixels of its pictures, and by what once ran out of memory on a device."""

from typing import Final

from django.db.models import QuerySet

from generation import jobs
from generation.errors import GenerationError
from generation.models import BatchLimit, Recipe

STRICT: Final = "strict"
FAST: Final = "fast"
ROWS_OF_STRICT: Final = 4
"""A strict batch has so many rows whatever is asked for, fewer for large pictures: pixels then never depend on it."""


def strict_rows(recipe: Recipe) -> int:
    """Rows of each strict batch of a recipe: follows from its size alone, the same on every machine."""
    return min(ROWS_OF_STRICT, jobs.fitting_by_size(recipe))


def largest_batch(recipe: Recipe, *, device: str) -> int:
    """How many pictures of a recipe are drawn at once on a device, at most."""
    if recipe.batch_mode == STRICT:
        return strict_rows(recipe)
    known = _limits(recipe, device).values_list("largest", flat=True).first()
    fitting = jobs.fitting_by_size(recipe)
    return fitting if known is None else min(known, fitting)


def learn(recipe: Recipe, *, device: str, largest: int) -> None:
    """Remember that no more than this fits; a lower limit that is known stays."""
    if recipe.checkpoint is None:
        raise GenerationError(f"{recipe} stands for a service; it has no batches.")
    limit, is_new = BatchLimit.objects.get_or_create(
        checkpoint=recipe.checkpoint,
        width=recipe.width,
        height=recipe.height,
        device=device,
        defaults={"largest": largest},
    )
    if not is_new and limit.largest > largest:
        limit.largest = largest
        limit.save(update_fields=["largest", "learned_at"])


def _limits(recipe: Recipe, device: str) -> QuerySet[BatchLimit]:
    return BatchLimit.objects.filter(
        checkpoint=recipe.checkpoint_id, width=recipe.width, height=recipe.height, device=device
    )
