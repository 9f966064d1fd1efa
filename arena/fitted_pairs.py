"""What a fit tells of pairs: kept as tables for some contenders, packed for many, and read alike."""

import math
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from zlib import compress, decompress

import numpy as np
from numpy.typing import NDArray

Results = dict[str, Any]
Floats = NDArray[np.float64]
Share = tuple[float | None, float | None, float | None]

MOST_LISTED: Final = 200
"""Contenders up to which every pair has its numbers in the results and on pages: a thousand have 499,500 pairs."""
# Of an interval whose ends are not equally far from the estimate, in log odds.
_UNEVEN: Final = 1e-6


def packed_pairs(gaps: Any, covariance: Floats, counts: NDArray[Any]) -> Results:
    """What of all pairs is kept of many contenders; their strengths say the rest.

    gaps:       Intervals (K, K) of the differences of log strength
    covariance: (K, K) of the strengths
    counts:     (K, K, 2) wins of the row and ties
    """
    below = np.tril_indices(len(covariance), -1)
    with np.errstate(invalid="ignore"):
        reach = (gaps.high[below] - gaps.low[below]) / 2
        uneven = np.abs(gaps.high[below] + gaps.low[below] - 2 * gaps.estimate[below]) > _UNEVEN
        uneven |= np.isinf(reach)
    own = np.flatnonzero(uneven & ~np.isnan(reach))
    rows, columns = below[0][own], below[1][own]
    return {
        "reach": _packed(reach, "<f4"),
        "uneven": [
            [int(row), int(column), _chance(float(low)), _chance(float(high))]
            for row, column, low, high in zip(
                rows, columns, gaps.low[rows, columns], gaps.high[rows, columns], strict=True
            )
        ],
        "covariance": _packed(covariance[np.tril_indices(len(covariance))], "<f4"),
        "wins": _packed(counts[:, :, 0].ravel(), "<u4"),
        "ties": _packed(counts[:, :, 1][below], "<u4"),
    }


@dataclass(frozen=True, eq=False)
class FittedPairs:
    """The pairs of one fit's results, by contender ids; None stands for what is not known."""

    results: Mapping[str, Any]

    @cached_property
    def place(self) -> Mapping[int, int]:
        return {entry["id"]: index for index, entry in enumerate(self.results["contenders"])}

    def share(self, one: int, other: int) -> Share:
        """How probably one is preferred to the other, and its interval."""
        i, j = self.place.get(one), self.place.get(other)
        if i is None or j is None:
            return None, None, None
        if (stored := self.results["win_probability"]) is not None:
            return stored["estimate"][i][j], stored["low"][i][j], stored["high"][i][j]
        return self._packed_share(i, j) if "pairs" in self.results else (None, None, None)

    def seen(self, one: int, other: int) -> tuple[int, int, int] | None:
        """Wins, losses and ties of one against the other, without ties by rule."""
        i, j = self.place.get(one), self.place.get(other)
        if i is None or j is None:
            return None
        if (stored := self.results["observed"]) is not None:
            return stored["wins"][i][j], stored["wins"][j][i], stored["ties"][i][j]
        if "pairs" not in self.results:
            return None
        ties = 0 if i == j else int(self._table("ties")[_below(i, j)])
        wins, size = self._table("wins"), len(self.place)
        return int(wins[i * size + j]), int(wins[j * size + i]), ties

    def covariance(self, ids: Sequence[int]) -> list[list[float]] | None:
        """Of these contenders' log strengths; None in fits made before it was kept."""
        places = [self.place[one] for one in ids]
        if (stored := self.results.get("covariance")) is not None:
            return [[stored[i][j] or 0.0 for j in places] for i in places]
        if "pairs" not in self.results:
            return None
        # With its diagonal a row has one place more than without.
        at = np.array(places)
        high, low = np.maximum(at[:, None], at), np.minimum(at[:, None], at)
        told: list[list[float]] = self._table("covariance")[high * (high + 1) // 2 + low].astype(float).tolist()
        return told

    def _packed_share(self, i: int, j: int) -> Share:
        one, other = (self.results["contenders"][place] for place in (i, j))
        strengths = one["log_strength"], other["log_strength"]
        if i == j or None in strengths or one["board"] != other["board"]:
            return None, None, None
        gap = strengths[0] - strengths[1]
        if (ends := self._uneven.get((max(i, j), min(i, j)))) is not None:
            low, high = ends if i > j else (1 - ends[1], 1 - ends[0])
            return _chance(gap), low, high
        reach = float(self._table("reach")[_below(i, j)])
        if math.isnan(reach):
            return _chance(gap), None, None
        return _chance(gap), _chance(gap - reach), _chance(gap + reach)

    @cached_property
    def _uneven(self) -> dict[tuple[int, int], tuple[float, float]]:
        return {(i, j): (low, high) for i, j, low, high in self.results["pairs"]["uneven"]}

    @cached_property
    def _tables(self) -> dict[str, NDArray[Any]]:
        return {}

    def _table(self, name: str) -> NDArray[Any]:
        if name not in self._tables:
            stored = self.results["pairs"][name]
            self._tables[name] = np.frombuffer(decompress(b64decode(stored["data"])), dtype=stored["kind"])
        return self._tables[name]


def _packed(values: NDArray[Any], kind: str) -> Results:
    """The numbers one after the other as bytes, compressed: as text in JSON they would be ten times as long."""
    return {"kind": kind, "data": b64encode(compress(values.astype(kind).tobytes(), 1)).decode()}


def _below(i: int, j: int) -> int:
    """Place of a pair among those below the diagonal, row by row."""
    row, column = max(i, j), min(i, j)
    return row * (row - 1) // 2 + column


def _chance(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds)) if log_odds > -700 else 0.0
