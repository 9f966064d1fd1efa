"""Published counts, typed in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arena.ranking.tallies import Tallies

# (left, right, wins of left, ties, wins of right), by number of contender.
Row = tuple[int, int, int, int, int]

# The worked example of the Wikipedia article on the Bradley-Terry model: A, B, C, D.
WIKIPEDIA: list[Row] = [(0, 1, 2, 0, 3), (0, 3, 1, 0, 4), (1, 2, 5, 0, 3), (2, 3, 1, 0, 3)]

# How often the left journal's papers are cited by the right one, and the reverse (Stigler 1994; Turner & Firth 2012,
# JSS 48(9)): Biometrika, Comm Statist, JASA, JRSS-B.
CITATIONS: list[Row] = [
    (0, 1, 730, 0, 33),
    (0, 2, 498, 0, 320),
    (0, 3, 221, 0, 284),
    (1, 2, 68, 0, 813),
    (1, 3, 17, 0, 276),
    (2, 3, 142, 0, 325),
]

# Home wins and losses of the American League East in 1987 (Agresti 2002, p. 437-8), a row per home team and a column
# per visitor: Milwaukee, Detroit, Toronto, New York, Boston, Cleveland, Baltimore.
_HOME_WINS = [
    [0, 4, 4, 4, 6, 4, 6],
    [3, 0, 4, 4, 6, 6, 4],
    [2, 4, 0, 2, 4, 4, 6],
    [3, 5, 2, 0, 4, 4, 6],
    [5, 2, 3, 4, 0, 5, 6],
    [2, 3, 3, 4, 4, 0, 2],
    [2, 1, 1, 2, 1, 3, 0],
]
_HOME_LOSSES = [
    [0, 3, 2, 3, 1, 2, 0],
    [3, 0, 2, 3, 0, 1, 3],
    [5, 3, 0, 4, 3, 2, 0],
    [3, 1, 5, 0, 3, 2, 1],
    [1, 5, 3, 2, 0, 2, 0],
    [5, 3, 4, 3, 2, 0, 4],
    [5, 5, 6, 4, 6, 4, 0],
]
BASEBALL: list[Row] = [
    (home, visitor, _HOME_WINS[home][visitor], 0, _HOME_LOSSES[home][visitor])
    for home in range(7)
    for visitor in range(7)
    if home != visitor
]


def tallies_of(rows: Sequence[Row], contenders: int | None = None) -> Tallies:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    known = int(columns[:2].max()) + 1 if contenders is None else contenders
    return Tallies.from_counts(*columns, contenders=known)
