"""How long an image takes and how large it is: measured by recipe, else judged from images that are alike."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from django.db.models import Count, QuerySet, Sum

from generation.models import Image, Recipe

# PNG of photographs takes about two bytes a pixel, flat drawings much less: for sizes of which nothing was made yet.
GUESSED_BYTES_A_PIXEL: Final = 2.0

Key = TypeVar("Key")


class Kind(NamedTuple):
    """Recipes that take about the same time for a function evaluation."""

    checkpoint_id: int | None
    width: int
    height: int


class Size(NamedTuple):
    """Width and height."""

    width: int
    height: int


@dataclass(frozen=True)
class Means:
    """Seconds and bytes of an image: of each recipe, of an evaluation of each kind, of each size."""

    seconds: Mapping[int, float] = field(default_factory=dict)
    seconds_an_evaluation: Mapping[Kind, float] = field(default_factory=dict)
    bytes: Mapping[int, float] = field(default_factory=dict)
    bytes_of_size: Mapping[Size, float] = field(default_factory=dict)

    def seconds_of(self, recipe: Recipe, *, evaluations: int | None = None) -> float | None:
        """Seconds an image; None where neither the recipe nor its checkpoint at this size was measured."""
        if (known := self.seconds.get(recipe.pk)) is not None:
            return known
        each = self.seconds_an_evaluation.get(Kind(recipe.checkpoint_id, recipe.width, recipe.height))
        count = evaluations or recipe.evaluations
        return None if each is None or not count else each * count

    def bytes_of(self, recipe: Recipe) -> float | None:
        """Bytes an image; None where nothing of this size was made yet."""
        return self.bytes.get(recipe.pk, self.bytes_of_size.get(Size(recipe.width, recipe.height)))


def means_of(images: QuerySet[Image]) -> Means:
    """The means over these images, by one query."""
    rows = images.order_by().values_list(
        "recipe", "recipe__checkpoint", "recipe__width", "recipe__height", "recipe__evaluations"
    )
    seconds: dict[int, float] = {}
    bytes_of: dict[int, float] = {}
    spent: dict[Kind, tuple[float, float]] = {}
    sizes: dict[Size, tuple[float, float]] = {}
    for pk, checkpoint, width, height, evaluations, time, timed, size, count in rows.annotate(
        Sum("seconds"), Count("seconds"), Sum("size_bytes"), Count("pk")
    ):
        bytes_of[pk] = size / count
        _add(sizes, Size(width, height), size, count)
        if timed:
            seconds[pk] = time / timed
            if evaluations:
                _add(spent, Kind(checkpoint, width, height), time, timed * evaluations)
    return Means(
        seconds=seconds,
        seconds_an_evaluation={kind: total / count for kind, (total, count) in spent.items()},
        bytes=bytes_of,
        bytes_of_size={size: total / count for size, (total, count) in sizes.items()},
    )


def means_for(recipes: Iterable[Recipe]) -> Means:
    """Everything measured at the sizes of these recipes, by whatever run."""
    recipes = list(recipes)
    widths, heights = {recipe.width for recipe in recipes}, {recipe.height for recipe in recipes}
    return means_of(Image.objects.filter(recipe__width__in=widths, recipe__height__in=heights))


def _add(sums: dict[Key, tuple[float, float]], key: Key, total: float, count: float) -> None:
    before = sums.get(key, (0.0, 0.0))
    sums[key] = before[0] + total, before[1] + count
