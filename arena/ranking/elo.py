"""Other papers' scales, as views of the same votes: they add no knowledge, and carry no interval of their own.

Stability's Elo (SVD, arXiv 2311.15127, appendix E; ADD, arXiv 2311.17042): updates of K = 1 from 1000, averaged over
1000 shuffles of the votes, because the result of Elo's updates depends on their order. With so small a K and few votes
the numbers are far from settled, so gaps depend on how many votes there were.
GLIDE (arXiv 2112.10741): "Elo" is the Bradley-Terry strength on the scale where 400 points are odds of ten to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE, Votes

Floats = NDArray[np.float64]

START: Final = 1000.0
_SCALE: Final = 400 / np.log(10)
_POINTS: Final = np.array([1.0, 0.5, 0.0, 0.5])[np.argsort([LEFT, TIE, RIGHT, BOTH_BAD])]


@dataclass(frozen=True, eq=False)
class Ratings:
    """mean: (K,) over shuffles; spread: (K,) standard deviation over shuffles, which is no standard error."""

    mean: Floats
    spread: Floats


def elo(
    votes: Votes, *, rng: np.random.Generator, step: float = 1.0, start: float = START, shuffles: int = 1000
) -> Ratings:
    """Ratings by Elo's updates in shuffled order; a tie is half a win for each. Weights are not looked at."""
    if shuffles < 1 or step <= 0:
        raise ValueError("Elo needs one shuffle or more, and a step above 0")
    ratings = np.full((shuffles, votes.contenders), start)
    # All shuffles take one vote each at a time.
    order = np.tile(np.arange(len(votes)), (shuffles, 1))
    rng.permuted(order, axis=1, out=order)
    left, right, points = votes.left.astype(np.intp), votes.right.astype(np.intp), _POINTS[votes.outcome]
    every = np.arange(shuffles)
    for column in np.ascontiguousarray(order.T):
        one, other = left[column], right[column]
        expected = 1 / (1 + 10 ** ((ratings[every, other] - ratings[every, one]) / 400))
        change = step * (points[column] - expected)
        ratings[every, one] += change
        ratings[every, other] -= change
    return Ratings(ratings.mean(axis=0), ratings.std(axis=0))


def to_elo(strengths: Floats, *, start: float = START) -> Floats:
    """Log strengths of any shape on GLIDE's scale: 400 / ln 10 points a log unit, start where the strength is 0."""
    scaled: Floats = start + _SCALE * strengths
    return scaled


def from_elo(ratings: Floats, *, start: float = START) -> Floats:
    """The log strengths behind ratings on GLIDE's scale."""
    scaled: Floats = (ratings - start) / _SCALE
    return scaled
