"""What a run would cost before it is started: images, evaluations, changes of checkpoint, bytes and time."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from generation.capabilities import is_image_queue
from generation.heartbeats import living_workers
from generation.models import Recipe
from generation.pace import GUESSED_BYTES_A_PIXEL, Means, means_for
from generation.planning import Cell, cells_in_order, check_wish, missing


@dataclass(frozen=True)
class RunPlan:
    """Counts of one planned run. Everything but `wanted` and `existing` is about the images that are missing."""

    wanted: int
    existing: int
    evaluations: int
    unchecked_recipes: int
    """Recipes that no worker has looked at yet: their steps stand for their evaluations."""
    checkpoint_changes: int
    """In the planned order; workers that hold several checkpoints in memory load less often."""
    size_bytes: int
    bytes_are_measured: bool
    worker_seconds: float | None
    """Seconds one worker would take; None where something was never measured."""
    unmeasured: tuple[str, ...]
    """Recipes of which neither they nor their checkpoint at their size were measured."""
    workers: int

    @property
    def missing(self) -> int:
        """Images to be made."""
        return self.wanted - self.existing

    @property
    def seconds(self) -> float | None:
        """With the workers that live now, or with one where none does."""
        return None if self.worker_seconds is None else self.worker_seconds / max(1, self.workers)

    def lines(self) -> list[str]:
        """The plan in sentences, for a terminal."""
        if not self.missing:
            return [f"{self.wanted:,} images wanted; all of them exist."]
        return [
            f"{self.wanted:,} images wanted, {self.existing:,} exist, {self.missing:,} to make.",
            self.evaluations_in_words,
            f"{_plural(self.checkpoint_changes, 'change')} of checkpoint in the planned order.",
            self.bytes_in_words,
            self.time_in_words,
        ]

    @property
    def evaluations_in_words(self) -> str:
        guessed = ""
        if self.unchecked_recipes:
            guessed = f" ({_plural(self.unchecked_recipes, 'recipe')} not checked yet: the steps are taken)"
        return f"{self.evaluations:,} function evaluations{guessed}."

    @property
    def bytes_in_words(self) -> str:
        measured = "from images made before" if self.bytes_are_measured else "an estimate: none of this size exists yet"
        return f"About {size_in_words(self.size_bytes)} ({measured})."

    @property
    def time_in_words(self) -> str:
        if self.seconds is None:
            more = f" and {len(self.unmeasured) - 1} more" if len(self.unmeasured) > 1 else ""
            return f"Time is not known yet: nothing was measured for {self.unmeasured[0]}{more}."
        with_whom = f"with {_plural(self.workers, 'worker')}" if self.workers else "with one worker; none lives now"
        return f"About {duration_in_words(self.seconds)} {with_whom}."


def plan_run(*, recipes: Sequence[Recipe], prompt_texts: Sequence[str], samples: int, own_workers: int = 0) -> RunPlan:
    """What `start_run` with the same arguments would ask for. `own_workers` are those beside the living ones.

    Raises GenerationError where `start_run` would.
    """
    check_wish(recipes, prompt_texts, samples)
    cells = list(cells_in_order(recipes=recipes, prompt_texts=prompt_texts, samples=samples))
    return plan_of(
        cells,
        missing={cell.request_digest for cell in missing(cells)},
        recipes={recipe.pk: recipe for recipe in recipes},
        means=means_for(recipes),
        workers=image_workers() + own_workers,
    )


def plan_of(
    cells: Iterable[Cell], *, missing: Collection[str], recipes: Mapping[int, Recipe], means: Means, workers: int
) -> RunPlan:
    """The plan of cells in their planned order. Pure: it reads nothing but its arguments.

    `missing` are request digests without an image, `recipes` those of the cells by their id.
    """
    wanted = 0
    waiting: Counter[int] = Counter()
    changes, loaded = 0, None
    for cell in cells:
        wanted += 1
        if cell.request_digest in missing:
            waiting[cell.recipe_id] += 1
            checkpoint = recipes[cell.recipe_id].checkpoint_id
            changes += loaded is not None and checkpoint != loaded
            loaded = checkpoint
    seconds = {pk: means.seconds_of(recipes[pk], evaluations=_evaluations(recipes[pk])) for pk in waiting}
    sizes = {pk: means.bytes_of(recipes[pk]) for pk in waiting}
    unmeasured = tuple(recipes[pk].name for pk, each in seconds.items() if each is None)
    return RunPlan(
        wanted=wanted,
        existing=wanted - waiting.total(),
        evaluations=sum(_evaluations(recipes[pk]) * count for pk, count in waiting.items()),
        unchecked_recipes=sum(recipes[pk].evaluations is None for pk in waiting),
        checkpoint_changes=changes,
        size_bytes=round(sum((sizes[pk] or _guessed_bytes(recipes[pk])) * count for pk, count in waiting.items())),
        bytes_are_measured=None not in sizes.values(),
        worker_seconds=None if unmeasured else sum((seconds[pk] or 0.0) * count for pk, count in waiting.items()),
        unmeasured=unmeasured,
        workers=workers,
    )


def image_workers() -> int:
    """Living workers that take messages about images."""
    living = living_workers().values_list("queues", flat=True)
    return sum(any(is_image_queue(queue) for queue in queues) for queues in living)


def duration_in_words(seconds: float) -> str:
    """Roughly, as people say it: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def size_in_words(size_bytes: float) -> str:
    """Such as "12 kB" or "3.4 GB", in powers of ten as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:,.1f} TB"


def _evaluations(recipe: Recipe) -> int:
    if recipe.evaluations is not None:
        return recipe.evaluations
    return recipe.schedule.steps if recipe.schedule else 0


def _guessed_bytes(recipe: Recipe) -> float:
    return GUESSED_BYTES_A_PIXEL * recipe.width * recipe.height


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
