"""Boards by category of prompt: overall as a fixed average of categories, and each category leaning on the others.

Pooling all votes weighs categories by how many votes they happened to get, and a contender may lose in every category
and win overall (Simpson 1951). The macro average fixes the weights. Partial pooling: theta_ic = theta_i + u_ic with
u ~ N(0, tau^2), so that a category with few votes leans on the others and one with many speaks for itself.
Categories are stacked like criteria (arena/ranking/stacked.py), because the same raters vote in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f

from arena.ranking.intervals import Intervals, normal_quantile, t_quantile, wider
from arena.ranking.stacked import Composite, Stacked, composite

Floats = NDArray[np.float64]

# A spread of categories beyond this, in log odds, is as good as none at all to lean on.
_UNPOOLED = 1e6
# One below this is none.
_NO_SPREAD = 1e-4


@dataclass(frozen=True, eq=False)
class Pooled:
    """Partially pooled strengths.

    spread:     tau, standard deviation of a contender's strength over categories, in log odds
    overall:    (K,) mean over these categories, all alike
    categories: (C, K) theta_ic
    """

    spread: float
    overall: Intervals
    categories: Intervals


@dataclass(frozen=True)
class Interaction:
    """Whether contenders' differences depend on the category at all. statistic: 1 on average if they do not."""

    statistic: float
    degrees_of_freedom: tuple[float, float]
    p_value: float


def macro_average(stacked: Stacked, *, weights: Floats | None = None, level: float = 0.95) -> Composite:
    """One board from categories by fixed weights (C,), by default all alike."""
    number = len(stacked.precisions)
    return composite(stacked, np.full(number, 1 / number) if weights is None else weights, level=level)


def pool(stacked: Stacked, *, spread: float | None = None, level: float = 0.95) -> Pooled:
    """Partial pooling of categories; spread is tau, by default estimated: 0 pools all, infinity leaves each its own.

    The weights come from independent votes times each category's design effect, the errors from the stacked covariance
    and from what the spread leaves open; tau by moments (DerSimonian & Laird 1986, Control. Clin. Trials 7:177).
    Raises ValueError where some category does not link all contenders.
    """
    _require_linked(stacked)
    basis = _contrasts(stacked)
    number, free = len(stacked.precisions), basis.shape[1]
    seen = (stacked.strengths @ basis).ravel()
    errors = _lifted(basis, number).T @ stacked.covariance @ _lifted(basis, number)
    across = _across(number, free)
    if spread is None:
        excess = float(seen @ across @ seen - np.trace(across @ errors))
        spread = float(np.sqrt(max(excess, 0.0) / ((number - 1) * free))) if number > 1 else 0.0
    spread = 0.0 if spread < _NO_SPREAD else spread
    variance = min(spread, _UNPOOLED) ** 2
    weights = _weights(stacked, basis, across, variance)
    remaining = weights - np.eye(len(weights))
    left_open = variance * remaining @ remaining.T
    noise = (stacked.covariance, *stacked.floors, stacked.independent())
    lifted = _lifted(basis, number)
    uncertain = [weights @ lifted.T @ each @ lifted @ weights.T + left_open for each in noise]
    found = weights @ seen
    average = np.kron(np.full((1, number), 1 / number), np.eye(free))
    pick = [*np.eye(number * free).reshape(number, free, number * free), average]
    parts = [_intervals(stacked, basis, one @ found, [one @ each @ one.T for each in uncertain], level) for one in pick]
    categories = Intervals(
        *(np.stack([getattr(part, end) for part in parts[:-1]]) for end in ("estimate", "low", "high"))
    )
    return Pooled(spread, parts[-1], categories)


def interaction(stacked: Stacked) -> Interaction:
    """Test of equal differences in all categories, errors by cluster as the stack is.

    Mean square over its expectation, with Box's degrees of freedom (Brunner, Dette & Munk 1997, JASA 92:1494): holds
    with fewer clusters than contrasts too.
    """
    _require_linked(stacked)
    basis, number = _contrasts(stacked), len(stacked.precisions)
    if number < 2:
        raise ValueError("an interaction needs two or more categories")
    seen = (stacked.strengths @ basis).ravel()
    across = _across(number, basis.shape[1])
    errors = across @ _lifted(basis, number).T @ stacked.covariance @ _lifted(basis, number)
    expected = float(np.trace(errors))
    statistic = float(seen @ across @ seen) / expected
    first, second = expected**2 / float(np.trace(errors @ errors)), float(np.nanmin(stacked.degrees_of_freedom))
    return Interaction(statistic, (first, second), float(f.sf(statistic, first, second)))


def _require_linked(stacked: Stacked) -> None:
    for precision in stacked.precisions:
        if len(np.unique(precision.fit.components)) > 1 or stacked.contenders < 2:
            raise ValueError("a category does not link all contenders by votes: leave it out, or contenders not in it")


def _contrasts(stacked: Stacked) -> Floats:
    """(K, K - 1) orthonormal, each column sums to zero: strengths mean nothing but by their differences."""
    basis: Floats = np.linalg.svd(np.ones((stacked.contenders, 1)))[0][:, 1:]
    return basis


def _lifted(basis: Floats, number: int) -> Floats:
    """(C K, C (K - 1)) the same contrasts in each category."""
    return np.asarray(np.kron(np.eye(number), basis), dtype=np.float64)


def _across(number: int, free: int) -> Floats:
    """(C (K - 1), same) takes the mean over categories from each."""
    return np.asarray(np.kron(np.eye(number) - 1 / number, np.eye(free)), dtype=np.float64)


def _weights(stacked: Stacked, basis: Floats, across: Floats, variance: float) -> Floats:
    """(C (K - 1), same) what each pooled contrast takes from each category's own."""
    number, free = len(stacked.precisions), basis.shape[1]
    information = np.zeros((number * free, number * free))
    for place, precision in enumerate(stacked.precisions):
        own = slice(place * free, (place + 1) * free)
        independent = precision.fit.covariance[: stacked.contenders, : stacked.contenders]
        information[own, own] = np.linalg.inv(basis.T @ independent @ basis * max(precision.design_effect, 1e-12))
    if variance == 0:
        together = np.kron(np.ones((number, 1)), np.eye(free))
        shared = np.linalg.solve(together.T @ information @ together, together.T @ information)
        return np.asarray(together @ shared, dtype=np.float64)
    return np.asarray(np.linalg.solve(information + across / variance, information), dtype=np.float64)


def _intervals(stacked: Stacked, basis: Floats, found: Floats, uncertain: Sequence[Floats], level: float) -> Intervals:
    """(K,) the widest by several covariances of contrasts: Student's t of clusters, the last z of independent votes.

    As for one criterion: what all votes say is known too well for the t of few clusters.
    """
    estimate: Floats = basis @ found
    variances = [np.maximum(np.diagonal(basis @ each @ basis.T), 0) for each in uncertain]
    clustered: Floats = np.max(variances[:-1], axis=0)
    width = wider(clustered, variances[-1], t_quantile(stacked.degrees_of_freedom, level), normal_quantile(level))
    return Intervals(estimate, estimate - width, estimate + width)
