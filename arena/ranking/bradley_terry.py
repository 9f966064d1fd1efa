"""Bradley-Terry strengths with ties as half wins, and the win probabilities they imply."""

from __future__ import annotations

from dataclasses import dataclass

import choix
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from arena.ranking import newton
from arena.ranking.newton import ConvergenceError, PairResults
from arena.ranking.structure import estimable_groups
from arena.ranking.tallies import Tallies

__all__ = ["ConvergenceError", "HalfWinFit", "fit_half_win", "win_probability_matrix"]

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

# Largest slope of the log-likelihood per vote that counts as zero: some hundred roundings of a double.
_FLAT = 1e-13


@dataclass(frozen=True, eq=False)
class HalfWinFit:
    """Maximum-likelihood strengths of K contenders, ties counted as half wins.

    strengths:      (K,) log strengths, mean 0 in each estimable group; NaN for a contender alone in its group
    groups:         (K,) labels of the estimable groups: only strengths with one label can be compared
    half_wins:      (K, K) the points that were fitted
    log_likelihood: of the half-win results inside the groups, natural logarithm
    slope:          largest derivative of the log-likelihood there, per vote: how exactly it is the maximum
    """

    strengths: Floats
    groups: Integers
    half_wins: Floats
    log_likelihood: float
    slope: float

    @property
    def contenders(self) -> int:
        return len(self.strengths)

    def members(self) -> list[Integers]:
        """The contenders of each estimable group that has two or more."""
        each = [np.flatnonzero(self.groups == group) for group in range(self.groups.max(initial=-1) + 1)]
        return [group for group in each if len(group) > 1]

    def win_probabilities(self) -> Floats:
        """(K, K) P(row is preferred to column), see win_probability_matrix."""
        return win_probability_matrix(self.strengths, self.groups)


def fit_half_win(votes: Tallies | Floats) -> HalfWinFit:
    """Fit by maximum likelihood, from tallies or from a half-win matrix (K, K).

    choix's I-LSR (Maystre & Grossglauser 2015, NeurIPS) finds the maximum in each estimable group and Newton's method
    confirms or polishes it. Contenders between whom no finite estimate exists fall into different groups.

    Raises ConvergenceError where the maximum cannot be confirmed.
    """
    half_wins = votes.half_wins() if isinstance(votes, Tallies) else _checked(votes)
    groups = estimable_groups(half_wins)
    strengths = np.full(len(half_wins), np.nan)
    likelihood, slope = 0.0, 0.0
    for group in range(groups.max(initial=-1) + 1):
        members = np.flatnonzero(groups == group)
        if len(members) == 1:
            continue
        results = PairResults.of(half_wins[np.ix_(members, members)])
        best = newton.maximise(results, _start(half_wins[np.ix_(members, members)])[:, None])
        strengths[members] = best[:, 0]
        likelihood += float(newton.log_likelihood(best, results)[0])
        slope = max(slope, _slope(best, results))
    if not slope <= _FLAT:
        raise ConvergenceError(
            f"the likelihood still rises by {slope:.1e} per vote and log unit at the best strengths found"
        )
    return HalfWinFit(strengths, groups, half_wins, likelihood, slope)


def win_probability_matrix(strengths: Floats, groups: Integers) -> Floats:
    """(K, K) P(row is preferred to column) = sigma(row - column), ties halved.

    NaN on the diagonal and between groups: across them there is nothing to say.
    """
    probabilities: Floats = expit(strengths[:, None] - strengths[None, :])
    probabilities[groups[:, None] != groups[None, :]] = np.nan
    np.fill_diagonal(probabilities, np.nan)
    return probabilities


def _start(half_wins: Floats) -> Floats:
    try:
        found: Floats = choix.ilsr_pairwise_dense(half_wins, tol=1e-12)
    except (RuntimeError, ValueError, np.linalg.LinAlgError):
        # I-LSR can miss its tolerance or lose positivity by rounding on thin graphs. Nothing is hidden by starting
        # elsewhere: the estimate is Newton's either way, and is confirmed.
        return np.zeros(len(half_wins))
    return found if np.isfinite(found).all() else np.zeros(len(half_wins))


def _slope(strengths: Floats, results: PairResults) -> float:
    return float(np.abs(newton.gradient(strengths, results)).max() / (results.wins + results.losses).sum())


def _checked(half_wins: Floats) -> Floats:
    points = np.asarray(half_wins, dtype=np.float64)
    if points.ndim != 2 or points.shape[0] != points.shape[1]:
        raise ValueError(f"half wins must form a square matrix, not one of shape {points.shape}")
    if not (np.isfinite(points).all() and (points >= 0).all()):
        raise ValueError("half wins must be finite and not negative")
    if np.diagonal(points).any():
        raise ValueError("half wins compare a contender with itself")
    return points
