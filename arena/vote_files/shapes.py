"""The three shapes of votes files: single votes, counts of a pair, and scores that become pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE, Tallies, Votes, tally
from arena.vote_files.sheets import Codes, Flags, Floats, Sheet, VoteFileError, read_sheet, shown

Shape = Literal["votes", "counts", "scores"]

REQUIRED: Final[dict[Shape, tuple[str, ...]]] = {
    "votes": ("left", "right", "choice"),
    "counts": ("left", "right", "wins_left", "ties", "wins_right"),
    "scores": ("prompt", "model", "rater", "score"),
}
OPTIONAL: Final = ("criterion", "rater", "prompt", "weight")
OVERALL: Final = "overall"
"""Name of the criterion of a file that has no such column."""

# Columns as LMArena, its contest on Kaggle and GenAI-Arena publish them, in the order of ours.
_ELSEWHERE: Final[tuple[tuple[Shape, tuple[str, ...]], ...]] = (
    ("votes", ("model_a", "model_b", "winner")),
    ("votes", ("left_model", "right_model", "vote_type")),
    ("counts", ("model_a", "model_b", "winner_model_a", "winner_tie", "winner_model_b")),
)
SKIP: Final = 4
_CHOICES: Final = {"left": LEFT, "tie": TIE, "right": RIGHT, "both_bad": BOTH_BAD, "skip": SKIP}
# Tables are K x K: so many contenders are more likely a column of something else.
_MOST_CONTENDERS: Final = 2_000
_MOST_PAIRS: Final = 50_000_000
_LARGEST_COUNT: Final = 1e12
_LEAST_WEIGHT: Final = 1e-6
_MOST_WEIGHT: Final = 1e9


@dataclass(frozen=True, eq=False)
class CriterionVotes:
    """What a file says about one criterion.

    names:    of contenders 0 .. K-1
    tallies:  of all votes but skips
    votes:    the same one by one, or by rows of counts as weights; None where neither raters nor prompts are named
    number:   of votes, skips not among them
    raters, prompts: how many are named
    notes:    sentences on what was taken for what
    """

    criterion: str
    names: tuple[str, ...]
    tallies: Tallies
    votes: Votes | None
    number: int
    skips: int
    raters: int
    prompts: int
    notes: tuple[str, ...]

    @property
    def both_bad(self) -> int:
        return self.tallies.n_both_bad


@dataclass(frozen=True, eq=False)
class VoteFile:
    """A file that was read, with one entry per criterion in the order of their first appearance."""

    name: str
    shape: Shape
    criteria: tuple[CriterionVotes, ...]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows on one criterion, contenders numbered 0 .. K-1 among themselves. Raters and prompts: labels, blanks -1."""

    names: tuple[str, ...]
    left: NDArray[np.integer[Any]]
    right: NDArray[np.integer[Any]]
    rater: Codes | None
    prompt: Codes | None
    weight: Floats | None
    chosen: slice | NDArray[np.intp]


def read_votes(path: Path) -> VoteFile:
    """Read votes, counts or scores. Raises VoteFileError, whose message names file, line and reason."""
    wanted = {*OPTIONAL, *(name for names in REQUIRED.values() for name in names)}
    sheet = read_sheet(path, wanted=wanted)
    shape = _shape_of(sheet)
    build = {"votes": _votes, "counts": _counts, "scores": _scores}[shape]
    return VoteFile(path.name, shape, tuple(build(sheet)))


def _shape_of(sheet: Sheet) -> Shape:
    for shape, names in REQUIRED.items():
        if set(names) <= set(sheet.columns):
            return shape
    nearest = max(REQUIRED, key=lambda shape: len(set(REQUIRED[shape]) & set(sheet.columns)) / len(REQUIRED[shape]))
    missing = [name for name in REQUIRED[nearest] if name not in sheet.columns]
    needed = "; ".join(f"{shape} need {','.join(names)}" for shape, names in REQUIRED.items())
    columns = f"column{'s' * (len(missing) > 1)} {', '.join(missing)}"
    raise sheet.fault_of_columns(
        f"lacks the {columns} (it has {','.join(sheet.found)[:200]}; {needed}).{_renaming(sheet)}"
    )


def _renaming(sheet: Sheet) -> str:
    """What to call the columns of a file as other arenas publish them; nothing for a file of another kind."""
    for shape, names in _ELSEWHERE:
        if set(names) <= {name.lower() for name in sheet.found}:
            renamed = ", ".join(f"{name} to {own}" for name, own in zip(names, REQUIRED[shape], strict=True))
            words = ", and write left, right, tie or both_bad for who won" if shape == "votes" else ""
            return f" Rename {renamed}{words}."
    return ""


def _votes(sheet: Sheet) -> list[CriterionVotes]:
    left, right, names = contenders_of(sheet, "left", "right")
    choice = sheet.columns["choice"]
    outcomes = np.array([_CHOICES.get(text, 255) for text in choice.values], dtype=np.uint8)
    unknown = (outcomes == 255)[choice.codes] if (outcomes == 255).any() else None
    choices = ", ".join(_CHOICES)
    sheet.refuse(_pair_faults(sheet, left, right) | {f"choice must be one of {choices}, not {{choice}}.": unknown})
    weight = _weights(sheet)
    outcome = outcomes[choice.codes]
    criteria = []
    for criterion, chosen in by_criterion(sheet):
        own = outcome[chosen]
        skipped = own == SKIP
        skips = int(skipped.sum())
        rows = _rows(sheet, names, left, right, weight, chosen)
        criteria.append(_criterion_of_votes(criterion, rows, own, None if not skips else ~skipped, skips))
    return criteria


def _criterion_of_votes(
    criterion: str, rows: _Rows, outcome: NDArray[np.uint8], kept: Flags | None, skips: int
) -> CriterionVotes:
    def of(column: Any) -> Any:
        return column if kept is None or column is None else column[kept]

    rater, raters, rater_note = _clusters(of(rows.rater), "rater")
    prompt, prompts, prompt_note = _clusters(of(rows.prompt), "prompt")
    votes = Votes(of(rows.left), of(rows.right), of(outcome), len(rows.names), rater, prompt, of(rows.weight))
    notes = tuple(note for note in (rater_note, prompt_note) if note)
    return CriterionVotes(criterion, rows.names, tally(votes), votes, len(votes), skips, raters, prompts, notes)


def _counts(sheet: Sheet) -> list[CriterionVotes]:
    left, right, names = contenders_of(sheet, "left", "right")
    sheet.refuse(_pair_faults(sheet, left, right))
    each = []
    for name in ("wins_left", "ties", "wins_right"):
        numbers = sheet.numbers(name)
        wrong = (numbers < 0) | (numbers != np.floor(numbers)) | (numbers > _LARGEST_COUNT)
        sheet.refuse({f"{name} must be a whole number of votes, not {{{name}}}.": wrong})
        each.append(numbers.astype(np.int64))
    weight = _weights(sheet)
    criteria = []
    for criterion, chosen in by_criterion(sheet):
        rows = _rows(sheet, names, left, right, weight, chosen)
        criteria.append(_criterion_of_counts(criterion, rows, [column[chosen] for column in each]))
    return criteria


def _criterion_of_counts(criterion: str, rows: _Rows, counts: list[NDArray[np.int64]]) -> CriterionVotes:
    contenders = len(rows.names)
    tallies = Tallies.from_counts(rows.left, rows.right, counts[0], counts[1], counts[2], contenders=contenders)
    if rows.weight is not None:
        mass = np.zeros(tallies.counts.shape)
        for outcome, column in zip((LEFT, TIE, RIGHT), counts, strict=True):
            np.add.at(mass[:, :, outcome], (rows.left, rows.right), column * rows.weight)
        tallies = Tallies(tallies.counts, mass)
    rater, raters, rater_note = _clusters(rows.rater, "rater")
    prompt, prompts, prompt_note = _clusters(rows.prompt, "prompt")
    votes = None
    if rater is not None or prompt is not None:
        # Cluster scores are sums, so that a row may stand for all of its votes by its weight.
        cells = [(outcome, np.flatnonzero(column)) for outcome, column in zip((LEFT, TIE, RIGHT), counts, strict=True)]
        place = np.concatenate([met for _, met in cells])
        outcomes = np.concatenate([np.full(len(met), outcome, dtype=np.uint8) for outcome, met in cells])
        number = np.concatenate([column[met] for column, (_, met) in zip(counts, cells, strict=True)])
        weight = number * (1.0 if rows.weight is None else rows.weight[place])
        cluster = [None if labels is None else labels[place] for labels in (rater, prompt)]
        votes = Votes(rows.left[place], rows.right[place], outcomes, contenders, cluster[0], cluster[1], weight)
    notes = tuple(note for note in (rater_note, prompt_note) if note)
    return CriterionVotes(criterion, rows.names, tallies, votes, tallies.n_votes, 0, raters, prompts, notes)


def _scores(sheet: Sheet) -> list[CriterionVotes]:
    if "weight" in sheet.columns:
        raise sheet.fault_of_columns("scores take no weight: leave the column out.")
    model, _, names = contenders_of(sheet, "model", "model")
    blanks = {f"{name} is empty.": sheet.columns[name].blank for name in ("prompt", "model", "rater")}
    sheet.refuse(blanks)
    score = sheet.columns["score"]
    missing = score.blank
    filled = sheet if missing is None else without_blanks(sheet, "score")
    value = filled.numbers("score")
    criteria = []
    for criterion, chosen in by_criterion(sheet):
        rows = _rows(sheet, names, model, model, None, chosen)
        given = np.ones(len(rows.left), dtype=bool) if missing is None else ~missing[chosen]
        criteria.append(_criterion_of_scores(sheet, criterion, rows, value[chosen], given))
    return criteria


def without_blanks(sheet: Sheet, name: str) -> Sheet:
    """The sheet with 0 where a number is missing: such rows are left out afterwards."""
    column = sheet.columns[name]
    values = tuple(text or "0" for text in column.values)
    return replace(sheet, columns={**sheet.columns, name: replace(column, values=values)})


def _criterion_of_scores(sheet: Sheet, criterion: str, rows: _Rows, score: Floats, given: Flags) -> CriterionVotes:
    assert rows.rater is not None and rows.prompt is not None  # noqa: S101 - scores without them were refused
    one, other, outcome = score_pairs(
        sheet, criterion, model=rows.left, rater=rows.rater, prompt=rows.prompt, score=score, given=given
    )
    rater, raters, _ = _clusters(rows.rater[one], "rater")
    prompt, prompts, _ = _clusters(rows.prompt[one], "prompt")
    votes = Votes(rows.left[one], rows.left[other], outcome, len(rows.names), rater, prompt)
    skips = int((~given).sum())
    return CriterionVotes(criterion, rows.names, tally(votes), votes, len(votes), skips, raters, prompts, ())


def score_pairs(
    sheet: Sheet,
    criterion: str,
    *,
    model: NDArray[np.integer[Any]],
    rater: Codes,
    prompt: Codes,
    score: Floats,
    given: Flags,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint8]]:
    """Rows of scores as pairs: of every two models that one rater scored on one prompt, the rows and who is ahead."""
    place = np.flatnonzero(given)
    unit = rater[place].astype(np.int64) * (int(prompt.max(initial=0)) + 1) + prompt[place]
    order = np.lexsort((model[place], unit))
    place, unit = place[order], unit[order]
    first, second = _pairs_within(sheet, unit)
    one, other = place[first], place[second]
    apart = model[one] != model[other]
    one, other = one[apart], other[apart]
    if not len(one):
        raise sheet.fault(
            f"no rater scored two models on one prompt for {shown(criterion)}: there is nothing to compare."
        )
    gap = score[one] - score[other]
    return one, other, np.where(gap > 0, LEFT, np.where(gap < 0, RIGHT, TIE)).astype(np.uint8)


def _pairs_within(sheet: Sheet, unit: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of all pairs of equal neighbours in a sorted column."""
    sizes = np.unique(unit, return_counts=True)[1]
    if float((sizes * (sizes - 1.0) / 2).sum()) > _MOST_PAIRS:
        raise sheet.fault("one rater scored too much on one prompt for pairs: are the columns what they say?")
    first: list[NDArray[np.intp]] = []
    second: list[NDArray[np.intp]] = []
    for step in range(1, int(sizes.max(initial=0))):
        here = np.flatnonzero(unit[step:] == unit[:-step])
        first.append(here)
        second.append(here + step)
    none = np.zeros(0, dtype=np.intp)
    return np.concatenate([none, *first]), np.concatenate([none, *second])


def contenders_of(
    sheet: Sheet, one: str, other: str
) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]], tuple[str, ...]]:
    """Two columns numbered alike, by the order of names, in as narrow integers as will do."""
    first, second = sheet.columns[one], sheet.columns[other]
    names = tuple(sorted({*first.values, *second.values} - {""}))
    if len(names) > _MOST_CONTENDERS:
        raise sheet.fault(f"{one} names {len(names):,} contenders; at most {_MOST_CONTENDERS:,} can be ranked at once.")
    kind: type[np.integer[Any]] = np.uint8 if len(names) <= 256 else np.uint16
    # A blank gets any number: it is refused before it is used.
    place = {"": 0} | {name: number for number, name in enumerate(names)}
    left, right = (np.array([place[text] for text in column.values], dtype=kind) for column in (first, second))
    return left[first.codes], right[second.codes], names


def _pair_faults(
    sheet: Sheet, left: NDArray[np.integer[Any]], right: NDArray[np.integer[Any]]
) -> dict[str, Flags | None]:
    blanks = {f"{name} is empty.": sheet.columns[name].blank for name in ("left", "right")}
    return blanks | {"{left} is compared with itself.": left == right}


def _weights(sheet: Sheet) -> Floats | None:
    if "weight" not in sheet.columns:
        return None
    weight = sheet.numbers("weight")
    sheet.refuse(
        {
            "weight must be above 0, not {weight}.": weight <= 0,
            # Beyond, sums of votes lose the small ones to rounding.
            f"weight must lie between {_LEAST_WEIGHT:g} and {_MOST_WEIGHT:g}, not {{weight}}.": (weight > 0)
            & ((weight < _LEAST_WEIGHT) | (weight > _MOST_WEIGHT)),
        }
    )
    return weight


def by_criterion(sheet: Sheet) -> list[tuple[str, slice | NDArray[np.intp]]]:
    """The names of the criteria in the order of their first appearance, each with its rows."""
    column = sheet.columns.get("criterion")
    if column is None or column.values == ("",):
        return [(OVERALL, slice(None))]
    sheet.refuse({"criterion is empty.": column.blank})
    if len(column.values) == 1:
        return [(column.values[0], slice(None))]
    return [(name, np.flatnonzero(column.codes == code)) for code, name in enumerate(column.values)]


def _rows(
    sheet: Sheet,
    names: tuple[str, ...],
    left: NDArray[np.integer[Any]],
    right: NDArray[np.integer[Any]],
    weight: Floats | None,
    chosen: slice | NDArray[np.intp],
) -> _Rows:
    own_left, own_right = left[chosen], right[chosen]
    seen = np.bincount(own_left, minlength=len(names)) + np.bincount(own_right, minlength=len(names)) > 0
    if not seen.all():
        number = (np.cumsum(seen) - 1).astype(left.dtype)
        own_left, own_right = number[own_left], number[own_right]
    labels: dict[str, Codes | None] = {}
    for name in ("rater", "prompt"):
        column = sheet.columns.get(name)
        blank = None if column is None else column.blank
        codes = None if column is None else column.codes[chosen]
        labels[name] = codes if codes is None or blank is None else np.where(blank[chosen], np.int32(-1), codes)
    return _Rows(
        names=tuple(name for name, is_seen in zip(names, seen, strict=True) if is_seen),
        left=own_left,
        right=own_right,
        rater=labels["rater"],
        prompt=labels["prompt"],
        weight=None if weight is None else weight[chosen],
        chosen=chosen,
    )


def _clusters(labels: Codes | None, name: str) -> tuple[Codes | None, int, str | None]:
    """Labels with a new one for each blank, how many are named, and a note on the blanks; nothing if all are blank."""
    if labels is None or not len(labels):
        return None, 0, None
    present = np.bincount(labels + 1)
    blanks, named = int(present[0]), int(np.count_nonzero(present[1:]))
    if not named:
        return None, 0, None
    if not blanks:
        return labels, named, None
    # An unknown rater is somebody: as nobody, their votes would add no uncertainty.
    fresh = labels.copy()
    fresh[labels < 0] = len(present) - 1 + np.arange(blanks)
    who = "1 vote names" if blanks == 1 else f"{blanks:,} votes name"
    return fresh, named, f"{who} no {name}: each is taken for one of a {name} of its own."


__all__ = ["OVERALL", "CriterionVotes", "Shape", "VoteFile", "VoteFileError", "read_votes"]
