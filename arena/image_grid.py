"""The images of a study or run as a grid: prompts down, contenders across, a page of rows at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Exists, Max, Min, OuterRef, Q

from arena.models import Study, StudyPrompt
from arena.supply import asked_prompts, live_contenders, samples_of
from generation.models import Image, ImageJob, Prompt, PromptSet, Recipe, Run, RunItem
from generation.provenance import request_digest

MOST_ROWS: Final = 50
MOST_CELLS: Final = 2000
MOST_SAMPLES: Final = 4


@dataclass(frozen=True)
class Column:
    """A contender of a study, or a recipe of a run."""

    recipe: Recipe
    label: str
    is_baseline: bool = False


@dataclass(frozen=True)
class GridPrompt:
    """A prompt and its place, by which the next page goes on."""

    place: int
    text: str
    digest: str
    category: str = ""


@dataclass(frozen=True)
class GridCell:
    """One wanted image: `state` is made, quarantined, or that of its job; "missing" where nobody has asked for it."""

    sample: int
    state: str
    image_id: int | None = None
    job_id: int | None = None
    reason: str = ""
    can_retry: bool = False

    @property
    def is_made(self) -> bool:
        return self.state == "made"


@dataclass(frozen=True)
class GridRow:
    """A prompt with its cells: for each column those of the samples shown."""

    prompt: GridPrompt
    cells: tuple[tuple[GridCell, ...], ...]


@dataclass(frozen=True)
class GridFilter:
    """What of a grid is looked at."""

    text: str = ""
    category: str = ""
    first_sample: int = 0
    after: int | None = None
    """The place of the last prompt of the page before."""


@dataclass(frozen=True)
class GridPage:
    """A page of rows. `after` is where the next one begins, None at the end."""

    columns: tuple[Column, ...]
    rows: tuple[GridRow, ...]
    samples: tuple[int, ...]
    samples_in_all: int
    after: int | None

    @property
    def other_samples(self) -> list[int]:
        """First samples of the groups that can be looked at instead."""
        return list(range(0, self.samples_in_all, MOST_SAMPLES)) if self.samples_in_all > MOST_SAMPLES else []


class GridSource(Protocol):
    """What a grid is about."""

    run: Run | None
    """By which failed images are tried again."""

    def columns(self) -> tuple[Column, ...]: ...

    def samples(self) -> int: ...

    def categories(self) -> list[str]: ...

    def prompts(self, wanted: GridFilter, *, most: int) -> list[GridPrompt]: ...


class StudySource:
    """Asked prompts and live contenders of a study."""

    run: Run | None

    def __init__(self, study: Study) -> None:
        self.study = study
        self.run = study.run

    def columns(self) -> tuple[Column, ...]:
        live = live_contenders(self.study).select_related("recipe").order_by("position")
        return tuple(Column(each.recipe, each.label, each.is_baseline) for each in live)

    def samples(self) -> int:
        return samples_of(self.study)

    def categories(self) -> list[str]:
        named = asked_prompts(self.study).exclude(prompt__category="")
        return list(named.order_by("prompt__category").values_list("prompt__category", flat=True).distinct())

    def prompts(self, wanted: GridFilter, *, most: int) -> list[GridPrompt]:
        rows = asked_prompts(self.study)
        if wanted.text:
            rows = rows.filter(prompt__text__icontains=wanted.text)
        if wanted.category:
            rows = rows.filter(prompt__category=wanted.category)
        if wanted.after is not None:
            rows = rows.filter(position__gt=wanted.after)
        found = rows.order_by("position").values_list(
            "position", "prompt__text", "prompt__text_digest", "prompt__category"
        )
        return [GridPrompt(*row) for row in found[:most]]


class RunSource:
    """Everything that a run asks for, in the order in which it was planned.

    A job knows a text only: its categories are those that the text has in prompt sets and studies the viewer may see.
    """

    run: Run | None

    def __init__(self, run: Run, *, viewer: AbstractBaseUser | AnonymousUser) -> None:
        self.run = run
        self._jobs = ImageJob.objects.filter(runs=run).order_by()
        studies = StudyPrompt.objects.filter(study__in=Study.objects.visible_to(viewer).filter(run=run).values("pk"))
        self._categorised = Prompt.objects.filter(
            Q(prompt_set__in=PromptSet.objects.visible_to(viewer).values("pk")) | Q(pk__in=studies.values("prompt"))
        ).exclude(category="")

    def columns(self) -> tuple[Column, ...]:
        recipes = Recipe.objects.filter(pk__in=self._jobs.values("recipe")).order_by("pk")
        return tuple(Column(recipe, recipe.name) for recipe in recipes)

    def samples(self) -> int:
        return 1 + (self._jobs.aggregate(last=Max("sample"))["last"] or 0)

    def categories(self) -> list[str]:
        named = self._categorised.filter(text_digest__in=self._jobs.values("prompt_digest"))
        return list(named.order_by("category").values_list("category", flat=True).distinct())

    def prompts(self, wanted: GridFilter, *, most: int) -> list[GridPrompt]:
        jobs = self._jobs.filter(prompt_text__icontains=wanted.text) if wanted.text else self._jobs
        if wanted.category:
            texts = self._categorised.filter(category=wanted.category).values("text_digest")
            jobs = jobs.filter(prompt_digest__in=texts)
        rows = jobs.values_list("prompt_text", "prompt_digest").annotate(place=Min("pk")).order_by("place")
        if wanted.after is not None:
            rows = rows.filter(place__gt=wanted.after)
        found = list(rows[:most])
        categories = self._categories_of([digest for _, digest, _ in found])
        return [GridPrompt(place, text, digest, categories.get(digest, "")) for text, digest, place in found]

    def _categories_of(self, digests: Sequence[str]) -> dict[str, str]:
        """What stands below each prompt: more than one where prompt sets disagree."""
        names: dict[str, list[str]] = {}
        rows = self._categorised.filter(text_digest__in=digests).order_by("category")
        for digest, category in rows.values_list("text_digest", "category").distinct():
            names.setdefault(digest, []).append(category)
        return {digest: ", ".join(several) for digest, several in names.items()}


def grid_page(source: GridSource, wanted: GridFilter) -> GridPage:
    """One page; the number of queries depends on nothing."""
    columns = source.columns()
    in_all = source.samples()
    first = wanted.first_sample if 0 <= wanted.first_sample < in_all else 0
    samples = tuple(range(first, min(first + MOST_SAMPLES, in_all)))
    most = max(1, min(MOST_ROWS, MOST_CELLS // max(1, len(columns) * len(samples))))
    prompts = source.prompts(wanted, most=most + 1)
    shown = prompts[:most]
    cells = _cells(source.run, columns, shown, samples)
    return GridPage(
        columns=columns,
        rows=tuple(
            GridRow(
                prompt=prompt,
                cells=tuple(
                    tuple(cells[column.recipe.pk, prompt.digest, sample] for sample in samples) for column in columns
                ),
            )
            for prompt in shown
        ),
        samples=samples,
        samples_in_all=in_all,
        after=shown[-1].place if len(prompts) > most else None,
    )


def cell_of_job(run: Run, job_id: int) -> GridCell | None:
    """The cell of one job of a run, as it is now."""
    return next((cell for _, cell in _of_jobs(run, ImageJob.objects.filter(runs=run, pk=job_id))), None)


Key = tuple[int, str, int]


def _cells(
    run: Run | None, columns: Sequence[Column], prompts: Sequence[GridPrompt], samples: Sequence[int]
) -> dict[Key, GridCell]:
    cells: dict[Key, GridCell] = {}
    images = Image.objects.filter(
        recipe__in=[column.recipe.pk for column in columns],
        prompt_digest__in=[prompt.digest for prompt in prompts],
        sample__in=samples,
    )
    for pk, recipe, digest, sample, is_out, reason in images.order_by().values_list(
        "pk", "recipe", "prompt_digest", "sample", "is_quarantined", "quarantine_reason"
    ):
        state = "quarantined" if is_out else "made"
        cells[recipe, digest, sample] = GridCell(sample=sample, state=state, image_id=pk, reason=reason)
    lacking = {
        request_digest(recipe_digest=column.recipe.digest, prompt_text=prompt.text, sample=sample): (
            (column.recipe.pk, prompt.digest, sample),
            column.recipe,
        )
        for column in columns
        for prompt in prompts
        for sample in samples
        if (column.recipe.pk, prompt.digest, sample) not in cells
    }
    for key, asked in lacking.values():
        is_refused = asked.state == Recipe.State.REFUSED
        cells[key] = GridCell(sample=key[2], state="missing", reason=asked.refusal if is_refused else "")
    for digest, cell in _of_jobs(run, ImageJob.objects.filter(request_digest__in=list(lacking))):
        cells[lacking[digest][0]] = cell
    return cells


def _of_jobs(run: Run | None, jobs: Any) -> Iterable[tuple[str, GridCell]]:
    in_run = Exists(RunItem.objects.filter(run=run, job=OuterRef("pk")))
    for pk, digest, sample, state, reason, is_ours, recipe_state in (
        jobs.order_by()
        .annotate(is_ours=in_run)
        .values_list("pk", "request_digest", "sample", "state", "reason", "is_ours", "recipe__state")
    ):
        cell = GridCell(sample=sample, state=STATES[state], job_id=pk)
        if state == ImageJob.State.FAILED:
            retryable = is_ours and recipe_state != Recipe.State.REFUSED and run is not None and not run.cancelled_at
            cell = replace(cell, reason=reason, can_retry=bool(retryable))
        yield digest, cell


STATES: Final = {
    ImageJob.State.PENDING.value: "waiting",
    ImageJob.State.RUNNING.value: "in work",
    ImageJob.State.DONE.value: "missing",  # its image is gone; asking again makes it anew
    ImageJob.State.FAILED.value: "failed",
    ImageJob.State.CANCELLED.value: "cancelled",
}
