"""What an import brings and what is still missing, per contender, before anything is kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from generation.image_imports.pictures import Facts
from generation.image_imports.placing import Placed, Placement, PromptCell, PromptIndex
from generation.image_imports.rows import named, plural
from generation.models import Image, Recipe
from generation.planning import in_chunks
from generation.prompt_files import shown
from generation.provenance import request_digest

NAMED_AT_MOST = 20


@dataclass(frozen=True)
class MissingCell:
    """A prompt and sample without an image."""

    cell: PromptCell
    sample: int

    def __str__(self) -> str:
        return f"{self.cell.shown}, sample {self.sample}"


@dataclass(frozen=True)
class ContenderCoverage:
    """One contender's cells: `wanted` = `found` + `already` + `missing`."""

    contender: str
    wanted: int
    found: int
    already: int
    missing: tuple[MissingCell, ...]
    duplicates: tuple[str, ...] = ()
    """Files left out because the same picture fills their cell already, each as a sentence."""

    @property
    def missing_named(self) -> tuple[MissingCell, ...]:
        return self.missing[:NAMED_AT_MOST]

    @property
    def missing_more(self) -> int:
        return max(0, len(self.missing) - NAMED_AT_MOST)


@dataclass(frozen=True)
class Report:
    """The whole import as one value; with a problem in it, nothing can be taken in."""

    contenders: tuple[ContenderCoverage, ...]
    unknown: tuple[str, ...]
    problems: tuple[str, ...]
    to_store: tuple[Placed, ...]
    """One for each cell that is filled now."""
    cell_count: int = 0
    """Different cells that files are of, filled or not."""
    has_conflict: bool = False
    """Whether pictures contradict each other or those that are there."""

    @property
    def is_acceptable(self) -> bool:
        return not self.problems

    def lines(self) -> Iterator[str]:
        """The report for a terminal."""
        for each in self.contenders:
            yield (
                f"{shown(each.contender)}: {plural(each.wanted, 'image')} wanted, {each.found:,} found, "
                f"{each.already:,} there already, {len(each.missing):,} missing."
            )
            yield from (f"  missing: {missing}" for missing in each.missing_named)
            if each.missing_more:
                yield f"  and {each.missing_more:,} more are missing"
            yield from _some("  duplicate: ", each.duplicates)
        yield from _some("unknown, left out: ", self.unknown)
        yield from _some("", self.problems)


def existing_pictures(recipe: Recipe | None, cells: Sequence[tuple[PromptCell, int]]) -> dict[tuple[str, int], str]:
    """(prompt text, sample) -> sha256 of the pixels, for those of the cells that have an image already."""
    if recipe is None:
        return {}
    digests = {
        request_digest(recipe_digest=recipe.digest, prompt_text=cell.text, sample=sample): (cell.text, sample)
        for cell, sample in cells
    }
    found: dict[tuple[str, int], str] = {}
    for chunk in in_chunks(digests, size=500):
        rows = Image.objects.filter(request_digest__in=chunk).values_list("request_digest", "pixels_sha256")
        found.update({digests[digest]: pixels for digest, pixels in rows})
    return found


def coverage_of(recipe: Recipe, *, index: PromptIndex, samples: int = 1) -> ContenderCoverage:
    """How far a contender is with these prompts, nothing being imported."""
    cells = [(cell, sample) for cell in index.cells for sample in range(samples)]
    existing = existing_pictures(recipe, cells)
    return _coverage(recipe.name, cells, kept=[], existing=existing)


def report_on(
    placement: Placement,
    *,
    index: PromptIndex,
    facts: Mapping[str, Facts],
    recipes: Mapping[str, Recipe],
    contenders: Sequence[str],
    samples: int | None,
    refused: Mapping[str, str],
) -> Report:
    """Compare what was found with what is wanted.

    `facts` and `refused` speak of each placed file by its name: what its picture is, or why it is none. `samples` is
    how many images are wanted of each prompt; None takes as many as there are.
    """
    names = list(dict.fromkeys([*contenders, *(each.contender for each in placement.placed)]))
    wanted_samples = samples or max((each.sample + 1 for each in placement.placed), default=1)
    cells = [(cell, sample) for cell in index.cells for sample in range(wanted_samples)]
    problems = [
        refused[name] for name in dict.fromkeys(each.claim.file for each in placement.placed) if name in refused
    ]
    read = [each for each in placement.placed if each.claim.file in facts]
    wanted = [each for each in read if each.sample < wanted_samples]
    coverages, to_store, conflicts = [], [], []
    for name in names:
        mine = [each for each in wanted if each.contender == name]
        existing = existing_pictures(recipes.get(name), cells)
        kept, duplicates, contradictions = _one_for_each_cell(mine, facts, existing)
        coverages.append(_coverage(name, cells, kept=kept, existing=existing, duplicates=duplicates))
        to_store += kept
        conflicts += contradictions
    if not problems and not conflicts and not to_store and not any(each.already for each in coverages):
        problems.append("No file is of any prompt of this set: check the names, the layout and the prompt set.")
    return Report(
        contenders=tuple(coverages),
        unknown=(*placement.unknown, *(each.claim.place for each in read if each.sample >= wanted_samples)),
        problems=(*problems, *conflicts),
        to_store=tuple(to_store),
        cell_count=len({each.key for each in wanted}),
        has_conflict=bool(conflicts),
    )


def _coverage(
    name: str,
    cells: Sequence[tuple[PromptCell, int]],
    *,
    kept: Sequence[Placed],
    existing: Mapping[tuple[str, int], str],
    duplicates: Sequence[str] = (),
) -> ContenderCoverage:
    filled = {(each.cell.text, each.sample) for each in kept} | set(existing)
    missing = tuple(MissingCell(cell, sample) for cell, sample in cells if (cell.text, sample) not in filled)
    return ContenderCoverage(name, len(cells), len(kept), len(existing), missing, tuple(duplicates))


def _one_for_each_cell(
    placed: Sequence[Placed], facts: Mapping[str, Facts], existing: Mapping[tuple[str, int], str]
) -> tuple[list[Placed], list[str], list[str]]:
    """The files to keep, sentences about duplicates, and sentences about files that contradict each other."""
    first: dict[tuple[str, int], Placed] = {}
    duplicates, conflicts = [], []
    for each in placed:
        key = each.cell.text, each.sample
        pixels = facts[each.claim.file].pixels_sha256
        if key in existing:
            if existing[key] != pixels:
                conflicts.append(
                    f"{each.claim.place}: sample {each.sample} of {each.cell.shown} has another image already; images "
                    "are never replaced, so choose another name for the contender."
                )
        elif key not in first:
            first[key] = each
        elif facts[first[key].claim.file].pixels_sha256 == pixels:
            duplicates.append(f"{each.claim.place} is the same picture as {first[key].claim.place}")
        else:
            conflicts.append(
                f"{each.claim.place}: {first[key].claim.place} is another picture of the same prompt and sample "
                f"({each.cell.shown}, sample {each.sample}); remove one, or number the samples."
            )
    return list(first.values()), duplicates, conflicts


def _some(before: str, sentences: Sequence[str]) -> Iterator[str]:
    yield from (f"{before}{named(each) if len(each) < 80 else each}" for each in sentences[:NAMED_AT_MOST])
    if len(sentences) > NAMED_AT_MOST:
        yield f"{before}and {len(sentences) - NAMED_AT_MOST:,} more"
