"""An exported board fitted again from its votes, and compared with the fit that came along. Needs no database."""

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from arena.board_exports import BOARD, FORMAT, FORMAT_VERSION, OUTCOMES, VOTES
from arena.ranking import intervals
from arena.ranking.models import ConvergenceError
from arena.ranking.pooled import Stratum, pool, pool_ties
from arena.ranking.tallies import NOBODY, Votes
from arena.refusals import Refusal

SAME: Final = 1e-6
LEVEL: Final = 0.95
_MOST_WEIGHT: Final = 1e9


class BoardFileError(Refusal):
    """A file that is no exported board, with the place that is wrong."""


@dataclass(frozen=True)
class Refitted:
    """One question. strengths: by label. largest: difference from the fit that came along; None where there is none.

    is_of_these_votes: whether that fit saw the very votes of the file
    """

    question: str
    votes: int
    strengths: Mapping[str, float]
    largest: float | None
    is_of_these_votes: bool

    @property
    def is_other(self) -> bool:
        """Whether the very votes of the fit give other numbers than it says."""
        return self.largest is not None and self.is_of_these_votes and self.largest > SAME

    @property
    def sentence(self) -> str:
        if self.largest is None:
            return f"{self.question}: {self.votes:,} votes; there is no fit to compare with."
        if not self.is_of_these_votes:
            return f"{self.question}: {self.votes:,} votes; the fit in the file saw others, so its numbers may differ."
        same = "OTHER NUMBERS" if self.is_other else "the same numbers"
        return f"{self.question}: {self.votes:,} votes give {same} (largest difference {self.largest:.1e})."


def refit_file(path: Path) -> list[Refitted]:
    """Fit every question of an exported board. Raises BoardFileError, ConvergenceError."""
    try:
        with zipfile.ZipFile(path) as archive:
            told = _told(path, archive)
            return [_refitted(path, archive, told, question) for question in told["questions"]]
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise BoardFileError(f"{path.name}: is no zip that can be read ({error}).", code="no_zip") from error


def _told(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(archive.read(BOARD))
        known = told["format"], told["version"]
        labels = [(str(one["id"]), str(one["label"])) for one in told["contenders"]]
        for question in told["questions"]:
            [*map(int, question["studies_with_sides"]), *map(int, question["studies_with_ties"])]
            (str(question["key"]), list(question["clusters"]), question["fit"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BoardFileError(f"{path.name}, {BOARD}: is not that of an exported board.", code="no_board") from error
    if known != (FORMAT, FORMAT_VERSION):
        raise BoardFileError(
            f"{path.name}, {BOARD}: is {known[0]!r} of version {known[1]!r} and not {FORMAT!r} of {FORMAT_VERSION}.",
            code="other_version",
        )
    if not labels:
        raise BoardFileError(f"{path.name}, {BOARD}: names no contenders.", code="no_board")
    return told


def _refitted(path: Path, archive: zipfile.ZipFile, told: Mapping[str, Any], question: Mapping[str, Any]) -> Refitted:
    name = f"votes/{question['key']}.csv"
    try:
        with archive.open(name) as file:
            rows = _rows(f"{path.name}, {name}", io.TextIOWrapper(file, "utf-8", newline=""), told)
    except KeyError as error:
        raise BoardFileError(f"{path.name}: lacks {name}.", code="no_votes") from error
    labels = [str(one["label"]) for one in told["contenders"]]
    if not len(rows):
        return Refitted(question["key"], 0, {}, None, False)
    strata = _strata(rows, len(labels), question)
    by = tuple(question["clusters"])
    pooled = pool([stratum for _, stratum in strata], by=by)
    strengths = intervals.strength_intervals(pooled.precision, level=LEVEL)
    found = {"log_strength": strengths.estimate, "low": strengths.low, "high": strengths.high}
    ties = [stratum for study, stratum in strata if study in question["studies_with_ties"]]
    chances = _chances(ties, by)
    known = {str(label): float(value) for label, value in zip(labels, strengths.estimate, strict=True)}
    known = {label: value for label, value in known.items() if np.isfinite(value)}
    fit = question["fit"]
    largest = None if fit is None else _largest(fit["results"], found, chances, told)
    return Refitted(question["key"], len(rows), known, largest, bool(fit and fit["is_of_these_votes"]))


def _rows(place: str, text: io.TextIOWrapper, told: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """(n, 7) numbers in the order of VOTES; NOBODY for a rater or prompt that is not named."""
    most = {"study": len(told["studies"]), "left": len(told["contenders"]), "right": len(told["contenders"])}
    reader = csv.reader(text)
    found: list[list[float]] = []
    try:
        if tuple(next(reader, ())) != VOTES:
            raise BoardFileError(f"{place}, line 1: should name the columns {', '.join(VOTES)}.", code="bad_head")
        for row in reader:
            found.append(_numbers(f"{place}, line {reader.line_num}", dict(zip(VOTES, row, strict=True)), most))
    except (csv.Error, UnicodeDecodeError, ValueError) as error:
        raise BoardFileError(
            f"{place}, line {reader.line_num}: is no line of {len(VOTES)} columns.", code="bad_row"
        ) from error
    return np.array(found, dtype=np.float64).reshape(-1, len(VOTES))


def _numbers(place: str, row: Mapping[str, str], most: Mapping[str, int]) -> list[float]:
    def refuse(column: str, what: str) -> BoardFileError:
        return BoardFileError(f"{place}, {column}: {row[column][:40]!r} is not {what}.", code="bad_cell", field=column)

    numbers = []
    for column in VOTES:
        cell = row[column]
        if column == "outcome":
            if cell not in OUTCOMES:
                raise refuse(column, f"one of {', '.join(OUTCOMES)}")
            numbers.append(float(OUTCOMES.index(cell)))
        elif column == "weight":
            try:
                weight = float(cell)
            except ValueError as error:
                raise refuse(column, "a number") from error
            if not 0 < weight < _MOST_WEIGHT:
                raise refuse(column, "a number above 0")
            numbers.append(weight)
        elif cell == "" and column in ("rater", "prompt"):
            numbers.append(float(NOBODY))
        elif not (cell.isascii() and cell.isdigit() and len(cell) < 16) or int(cell) >= most.get(column, 10**15):
            raise refuse(column, f"a number from 0 to {most[column] - 1}" if column in most else "a number")
        else:
            numbers.append(float(cell))
    if numbers[1] == numbers[2]:
        raise refuse("right", "another contender than that on the left")
    return numbers


def _strata(rows: np.ndarray[Any, Any], contenders: int, question: Mapping[str, Any]) -> list[tuple[int, Stratum]]:
    """The votes of each study, by its place."""
    strata = []
    for study in np.unique(rows[:, 0]).astype(int).tolist():
        own = rows[rows[:, 0] == study]
        columns = {name: own[:, place].astype(np.intp) for place, name in enumerate(VOTES[:-1])}
        weight = own[:, -1]
        votes = Votes(
            left=columns["left"],
            right=columns["right"],
            outcome=columns["outcome"],
            contenders=contenders,
            rater=columns["rater"],
            prompt=None if (columns["prompt"] < 0).any() else columns["prompt"],
            weight=None if (weight == 1).all() else weight,
        )
        strata.append((study, Stratum(votes, has_sides=study in question["studies_with_sides"])))
    return strata


def _chances(strata: Sequence[Stratum], by: Sequence[Any]) -> intervals.Intervals | None:
    try:
        ties = pool_ties(strata, by=tuple(by))
    except ConvergenceError:
        return None
    return None if ties is None else intervals.outcome_probability_intervals(ties.precision, level=LEVEL)


def _largest(
    results: Mapping[str, Any],
    strengths: Mapping[str, Any],
    chances: intervals.Intervals | None,
    told: Mapping[str, Any],
) -> float:
    """Of all differences from what the fit said; infinite where one of the two says nothing."""
    place = {one["id"]: number for number, one in enumerate(told["contenders"])}
    pairs: list[tuple[Any, Any]] = []
    for entry in results["contenders"]:
        own = place.get(entry["id"])
        if own is None:
            return float("inf")
        pairs += [(entry[name], values[own]) for name, values in strengths.items()]
        said = entry["against"].get("outcomes")
        if said is not None and chances is not None:
            against = place[results["reference"]]
            for number, outcome in enumerate(("win", "tie", "loss")):
                found = [ends[own, against, number] for ends in (chances.estimate, chances.low, chances.high)]
                pairs += zip(said[outcome], found, strict=True)
    return max((_difference(one, other) for one, other in pairs), default=0.0)


def _difference(one: Any, other: Any) -> float:
    known = [value is not None and bool(np.isfinite(value)) for value in (one, other)]
    if not any(known):
        return 0.0
    return abs(float(one) - float(other)) if all(known) else float("inf")
