"""Newton's method on the half-win Bradley-Terry likelihood, for many data sets at once.

P(i beats j) = sigma(theta_i - theta_j) (Zermelo 1929, Math. Z. 29:436; Bradley & Terry 1952, Biometrika 39:324), a tie
being half a win for each. Concave; the maximum is unique up to a common shift where the win graph is strongly connected
(Ford 1957, Amer. Math. Monthly 64:28).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

_NEWTON_STEPS = 200
_CHORD_STEPS = 40
# A Newton step this small (log units, largest change of any difference) leaves an error of about its square.
_NEWTON_STEP = 1e-8
# The chord's error is at most its last step where each step is under half of the one before, which is checked.
_CHORD_STEP = 1e-10
_CHORD_CONTRACTION = 0.5


class ConvergenceError(ArithmeticError):
    """The maximum was not reached; there is no estimate to show."""


@dataclass(frozen=True, eq=False)
class PairResults:
    """Half-win results of B data sets over the same P pairs of K contenders.

    first, second: intp (P,), the contenders of each pair, first < second
    wins, losses:  float64 (P, B), points of first against second and of second against first
    """

    contenders: int
    first: Integers
    second: Integers
    wins: Floats
    losses: Floats

    @classmethod
    def of(cls, half_wins: Floats) -> PairResults:
        """One data set from its half-win matrix (K, K)."""
        first, second = np.nonzero(np.triu(half_wins + half_wins.T, 1))
        return cls(
            contenders=len(half_wins),
            first=first,
            second=second,
            wins=half_wins[first, second][:, None],
            losses=half_wins[second, first][:, None],
        )

    def select(self, columns: Integers) -> PairResults:
        """Some of the data sets."""
        return PairResults(self.contenders, self.first, self.second, self.wins[:, columns], self.losses[:, columns])

    @property
    def n_sets(self) -> int:
        return int(self.wins.shape[1])

    @cached_property
    def incidence(self) -> sparse.csr_array:
        """(K, P): +1 where the contender is first in the pair, -1 where it is second."""
        pair = np.arange(len(self.first))
        signs = np.concatenate([np.ones(len(pair)), -np.ones(len(pair))])
        rows = np.concatenate([self.first, self.second])
        return sparse.csr_array((signs, (rows, np.concatenate([pair, pair]))), shape=(self.contenders, len(pair)))

    def laplacians(self, weights: Floats) -> Floats:
        """(m, K, K) graph Laplacians of the pairs under m sets of weights (P, m)."""
        laplacians = np.zeros((weights.shape[1], self.contenders, self.contenders))
        laplacians[:, self.first, self.second] = -weights.T
        laplacians[:, self.second, self.first] = -weights.T
        diagonal = np.arange(self.contenders)
        laplacians[:, diagonal, diagonal] = -laplacians.sum(axis=2)
        return laplacians


def log_likelihood(strengths: Floats, results: PairResults) -> Floats:
    """(B,) half-win log-likelihoods at strengths (K, B)."""
    gap = strengths[results.first] - strengths[results.second]
    total: Floats = -(results.wins * np.logaddexp(0, -gap) + results.losses * np.logaddexp(0, gap)).sum(axis=0)
    return total


def probabilities(strengths: Floats, results: PairResults) -> tuple[Floats, Floats]:
    """(P, B) probabilities that first and that second wins, with one exponential per contender."""
    odds = np.exp(strengths - strengths.max(axis=0))
    first, second = odds[results.first], odds[results.second]
    total = first + second
    return first / total, second / total


def gradient(strengths: Floats, results: PairResults) -> Floats:
    """(K, B) derivatives of the log-likelihood: points won minus points expected."""
    win, loss = probabilities(strengths, results)
    slopes: Floats = results.incidence @ (results.wins * loss - results.losses * win)
    return slopes


def information(strengths: Floats, results: PairResults) -> Floats:
    """(B, K, K) negative Hessians: Laplacians of the pairs weighted by n p (1 - p)."""
    win, loss = probabilities(strengths, results)
    return results.laplacians((results.wins + results.losses) * win * loss)


def grounded(laplacian: Floats) -> Floats:
    """Laplacians (..., K, K) made invertible without favouring a contender.

    The missing rank is the common shift; the inverse acts as the pseudo-inverse on everything that sums to zero.
    """
    contenders = laplacian.shape[-1]
    scale = np.trace(laplacian, axis1=-2, axis2=-1) / contenders**2
    lifted: Floats = laplacian + scale[..., None, None]
    return lifted


def maximise(results: PairResults, start: Floats) -> Floats:
    """(K, B) strengths of greatest likelihood, each set centred to mean 0, from start (K, B).

    Damped Newton: the step is shortened to log(1 + d) / d of itself, d being its largest change of a difference. The
    logistic likelihood is generalized self-concordant (Bach 2010, EJS 4:384), so every such step goes uphill (Sun &
    Tran-Dinh 2019, Math. Prog. 178:145) and no line search is needed.

    Raises ConvergenceError where the maximum is not reached.
    """
    strengths = start.copy()
    active = np.arange(results.n_sets)
    for _ in range(_NEWTON_STEPS):
        if not len(active):
            break
        part = results.select(active)
        here = strengths[:, active]
        try:
            slopes = gradient(here, part).T[..., None]
            step = np.linalg.solve(grounded(information(here, part)), slopes)[..., 0].T
        except np.linalg.LinAlgError as error:
            raise ConvergenceError(
                "Newton's method met a flat likelihood: the votes do not join all contenders"
            ) from error
        size = np.ptp(step, axis=0)
        strengths[:, active] += step * _damping(size)
        # Written so that a NaN stays active and ends as an error.
        active = active[~(size <= _NEWTON_STEP)]
    if len(active):
        raise ConvergenceError(f"Newton's method did not converge in {_NEWTON_STEPS} steps for {len(active)} data sets")
    return _centred(strengths)


def maximise_near(results: PairResults, base: PairResults, at: Floats) -> Floats:
    """As maximise, for data sets that are reweightings of the one in base, whose maximum is at (K,).

    A chord iteration with the inverse information of base needs no matrix per data set. Those it does not bring
    closer by half at each step are solved by full Newton steps instead.
    """
    inverse = np.linalg.inv(grounded(information(at[:, None], base)[0]))
    base_weight = (base.wins + base.losses).sum()
    # Without this a data set of double weight would overshoot by double.
    inverse_weight = base_weight / (results.wins + results.losses).sum(axis=0)
    strengths = np.repeat(at[:, None], results.n_sets, axis=1)
    active = np.arange(results.n_sets)
    stubborn = []
    previous = np.full(results.n_sets, np.inf)
    for _ in range(_CHORD_STEPS):
        if not len(active):
            break
        part = results if len(active) == results.n_sets else results.select(active)
        step = inverse @ gradient(strengths[:, active], part) * inverse_weight[active]
        size = np.ptp(step, axis=0)
        contracts = size <= _CHORD_CONTRACTION * previous[active]
        stubborn.append(active[~contracts])
        strengths[:, active] += step
        previous[active] = size
        active = active[contracts & (size > _CHORD_STEP)]
    stubborn.append(active)
    rest = np.concatenate(stubborn)
    if len(rest):
        strengths[:, rest] = maximise(results.select(rest), np.repeat(at[:, None], len(rest), axis=1))
    return _centred(strengths)


def _damping(size: Floats) -> Floats:
    safe = np.maximum(size, 1e-12)
    return np.log1p(safe) / safe


def _centred(strengths: Floats) -> Floats:
    centred: Floats = strengths - strengths.mean(axis=0)
    return centred
