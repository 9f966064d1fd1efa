"""Votes as columns, and the integer table of counts that every model is fitted to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEFT, TIE, RIGHT, BOTH_BAD = 0, 1, 2, 3
OUTCOMES = 4
# The third axis of Tallies.unordered(), read from the first contender's side.
WIN, LOSS = LEFT, RIGHT

NOBODY = -1
"""Rater of a vote that no person gave, such as a tie by rule between two identical images."""

# Short enough that one chunk's codes stay in the processor's cache, long enough that Python's share is lost in it.
_CHUNK = 65_536


@dataclass(frozen=True, eq=False)
class Votes:
    """Pairwise votes on one criterion, one row per vote.

    left, right: integers (n,), the contenders shown on each side, 0 .. contenders-1
    outcome:     integers (n,), LEFT, TIE, RIGHT or BOTH_BAD
    contenders:  K, how many contenders there are, met or not
    rater:       integers (n,), any labels >= 0; NOBODY where no person voted; None where raters are unknown
    prompt:      integers (n,), any labels >= 0; None where prompts are unknown
    weight:      floats (n,), finite and > 0; None means that every vote counts once

    Raises ValueError where a column is wrong: votes are refused, never repaired.
    """

    left: NDArray[np.integer[Any]]
    right: NDArray[np.integer[Any]]
    outcome: NDArray[np.integer[Any]]
    contenders: int
    rater: NDArray[np.integer[Any]] | None = None
    prompt: NDArray[np.integer[Any]] | None = None
    weight: NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        if self.contenders < 1:
            raise ValueError(f"a table of votes needs at least one contender, not {self.contenders}")
        _require_integers("left", self.left, len(self.left), lowest=0, highest=self.contenders - 1)
        _require_integers("right", self.right, len(self.left), lowest=0, highest=self.contenders - 1)
        _require_integers("outcome", self.outcome, len(self.left), lowest=LEFT, highest=BOTH_BAD)
        if self.rater is not None:
            _require_integers("rater", self.rater, len(self.left), lowest=NOBODY)
        if self.prompt is not None:
            _require_integers("prompt", self.prompt, len(self.left), lowest=0)
        if self.weight is not None:
            _require_weights(self.weight, len(self.left))
        for part in _chunks(len(self.left)):
            same = self.left[part] == self.right[part]
            if same.any():
                row = part.start + int(np.argmax(same))
                raise ValueError(f"vote {row} compares contender {int(self.left[row])} with itself")

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True, eq=False)
class Tallies:
    """How often each outcome was given to each ordered pair.

    counts: int64 (K, K, 4), [left, right, outcome] with outcome LEFT, TIE, RIGHT, BOTH_BAD
    mass:   float64 (K, K, 4), the same with each vote counted by its weight; None while every weight is 1

    All that the models need: fitting from tallies costs the same for a thousand votes and for ten million.
    """

    counts: NDArray[np.int64]
    mass: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        contenders = self.counts.shape[0] if self.counts.ndim else 0
        if self.counts.shape != (contenders, contenders, OUTCOMES) or self.counts.dtype != np.int64:
            raise ValueError(
                f"counts must be int64 of shape (K, K, {OUTCOMES}), not {self.counts.dtype} {self.counts.shape}"
            )
        if (self.counts < 0).any():
            raise ValueError("counts must not be negative")
        if self.counts[np.arange(contenders), np.arange(contenders)].any():
            raise ValueError("counts compare a contender with itself")
        if self.mass is not None and self.mass.shape != self.counts.shape:
            raise ValueError(f"mass must have the shape of counts, {self.counts.shape}, not {self.mass.shape}")

    @classmethod
    def from_counts(
        cls,
        left: NDArray[np.integer[Any]],
        right: NDArray[np.integer[Any]],
        wins_left: NDArray[np.integer[Any]],
        ties: NDArray[np.integer[Any]],
        wins_right: NDArray[np.integer[Any]],
        *,
        contenders: int,
        both_bad: NDArray[np.integer[Any]] | None = None,
    ) -> Tallies:
        """Add up rows of counts, such as a grouped query gives; an ordered pair may come in several rows."""
        _require_integers("left", left, len(left), lowest=0, highest=contenders - 1)
        _require_integers("right", right, len(left), lowest=0, highest=contenders - 1)
        if (left == right).any():
            row = int(np.argmax(left == right))
            raise ValueError(f"row {row} compares contender {int(left[row])} with itself")
        counts = np.zeros((contenders, contenders, OUTCOMES), dtype=np.int64)
        none = np.zeros(len(left), dtype=np.int64)
        columns = (
            (LEFT, wins_left),
            (TIE, ties),
            (RIGHT, wins_right),
            (BOTH_BAD, none if both_bad is None else both_bad),
        )
        for outcome, column in columns:
            _require_integers("counts", column, len(left), lowest=0)
            np.add.at(counts[:, :, outcome], (left, right), column)
        return cls(counts)

    @classmethod
    def from_cells(
        cls,
        left: NDArray[np.integer[Any]],
        right: NDArray[np.integer[Any]],
        outcome: NDArray[np.integer[Any]],
        votes: NDArray[np.integer[Any]],
        *,
        contenders: int,
    ) -> Tallies:
        """Put together what a query grouped by left, right and outcome gives: one row for each cell, in any order."""
        _require_integers("left", left, len(left), lowest=0, highest=contenders - 1)
        _require_integers("right", right, len(left), lowest=0, highest=contenders - 1)
        _require_integers("outcome", outcome, len(left), lowest=LEFT, highest=BOTH_BAD)
        _require_integers("counts", votes, len(left), lowest=0)
        counts = np.zeros((contenders, contenders, OUTCOMES), dtype=np.int64)
        np.add.at(counts, (left, right, outcome), votes)
        return cls(counts)

    @classmethod
    def empty(cls, contenders: int) -> Tallies:
        return cls(np.zeros((contenders, contenders, OUTCOMES), dtype=np.int64))

    @property
    def contenders(self) -> int:
        return int(self.counts.shape[0])

    @property
    def n_votes(self) -> int:
        return int(self.counts.sum())

    @property
    def n_both_bad(self) -> int:
        return int(self.counts[:, :, BOTH_BAD].sum())

    def add(self, votes: Votes) -> Tallies:
        """These tallies with more votes counted in; this object stays as it was.

        One pass in chunks, so no temporary array grows with the number of votes.
        """
        shape = (votes.contenders, votes.contenders, OUTCOMES)
        cells = int(np.prod(shape))
        counts = np.zeros(cells, dtype=np.int64)
        mass = None if votes.weight is None else np.zeros(cells)
        # The narrowest type that holds every code: what a chunk takes to read and write is most of the work.
        kind: type[np.integer[Any]] = np.uint16 if cells <= 1 << 16 else np.int64
        for part in _chunks(len(votes)):
            # Widened first: left * contenders overflows the narrow columns that votes are best kept in.
            code: NDArray[np.integer[Any]] = votes.left[part].astype(kind)
            code *= kind(votes.contenders * OUTCOMES)
            code += votes.right[part].astype(kind) * kind(OUTCOMES)
            code += votes.outcome[part].astype(kind, copy=False)
            counts += np.bincount(code, minlength=cells)
            if mass is not None and votes.weight is not None:
                mass += np.bincount(code, weights=votes.weight[part], minlength=cells)
        return self.merge(Tallies(counts.reshape(shape), None if mass is None else mass.reshape(shape)))

    def remove(self, votes: Votes) -> Tallies:
        """These tallies without some votes that were counted in, as after an exclusion or an undo.

        Raises ValueError where they were not. Weights that do not add up in binary leave a rounding behind.
        """
        gone = tally(votes)
        if self.contenders != gone.contenders:
            raise ValueError(f"tallies of {self.contenders} and of {gone.contenders} contenders cannot be joined")
        counts = self.counts - gone.counts
        if (counts < 0).any():
            raise ValueError("votes can be taken out only of tallies that they were counted into")
        if self.mass is None and gone.mass is None:
            return Tallies(counts)
        # Where no vote is left there is no weight either.
        return Tallies(counts, np.where(counts > 0, np.maximum(self._masses() - gone._masses(), 0), 0.0))

    def merge(self, other: Tallies) -> Tallies:
        """The votes of both."""
        if self.contenders != other.contenders:
            raise ValueError(f"tallies of {self.contenders} and of {other.contenders} contenders cannot be joined")
        counts = self.counts + other.counts
        if self.mass is None and other.mass is None:
            return Tallies(counts)
        return Tallies(counts, self._masses() + other._masses())

    def outcomes(self, *, drop_both_bad: bool = False) -> NDArray[np.float64]:
        """Float (K, K, 3): votes for left, tie and right in each ordered pair; "both bad" is a tie or left out."""
        masses = self._masses()
        results = masses[:, :, [LEFT, TIE, RIGHT]]
        if not drop_both_bad:
            results[:, :, TIE] += masses[:, :, BOTH_BAD]
        return results

    def unordered(self) -> NDArray[np.float64]:
        """Float (K, K, 4): what i got against j on either side, as WIN, TIE, LOSS, BOTH_BAD."""
        shown_left = self._masses()
        shown_right = shown_left.transpose(1, 0, 2)[:, :, [RIGHT, TIE, LEFT, BOTH_BAD]]
        return shown_left + shown_right

    def half_wins(self, *, drop_both_bad: bool = False) -> NDArray[np.float64]:
        """Float (K, K): wins of i over j plus half of their ties.

        "Both bad" counts as a tie, for it says that neither was better; drop_both_bad leaves such votes out.
        """
        results = self.unordered()
        ties = results[:, :, TIE] if drop_both_bad else results[:, :, TIE] + results[:, :, BOTH_BAD]
        points: NDArray[np.float64] = results[:, :, WIN] + ties / 2
        return points

    def _masses(self) -> NDArray[np.float64]:
        return self.counts.astype(np.float64) if self.mass is None else self.mass


def tally(votes: Votes) -> Tallies:
    """Count votes."""
    return Tallies.empty(votes.contenders).add(votes)


def _chunks(length: int) -> Iterator[slice]:
    for start in range(0, length, _CHUNK):
        yield slice(start, min(start + _CHUNK, length))


def _require_integers(
    name: str, column: NDArray[np.integer[Any]], length: int, *, lowest: int, highest: int | None = None
) -> None:
    if not isinstance(column, np.ndarray) or column.ndim != 1 or not np.issubdtype(column.dtype, np.integer):
        raise ValueError(f"{name} must be a one-dimensional array of integers")
    if len(column) != length:
        raise ValueError(f"{name} has {len(column)} rows and left has {length}")
    if length == 0:
        return
    if column.min() < lowest or (highest is not None and column.max() > highest):
        reach = f"{lowest} or more" if highest is None else f"between {lowest} and {highest}"
        raise ValueError(f"{name} must be {reach}, found {int(column.min())} to {int(column.max())}")


def _require_weights(weight: NDArray[np.floating[Any]], length: int) -> None:
    if not isinstance(weight, np.ndarray) or weight.ndim != 1 or not np.issubdtype(weight.dtype, np.floating):
        raise ValueError("weight must be a one-dimensional array of floats")
    if len(weight) != length:
        raise ValueError(f"weight has {len(weight)} rows and left has {length}")
    # The minimum is NaN where any weight is, and a comparison with NaN is false.
    if length and not (weight.min() > 0 and np.isfinite(weight.max())):
        raise ValueError("weight must be finite and above 0")
