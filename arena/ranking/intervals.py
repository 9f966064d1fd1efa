"""Intervals and ranks from a fit and its precision: marginal ones, and such as hold for all differences at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, gammaincc, logit, stdtrit

from arena.ranking import likelihoods
from arena.ranking.largest_differences import largest_differences, root
from arena.ranking.precision import Precision
from arena.ranking.profiles import profile_interval

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Flags = NDArray[np.bool_]

# Draws behind joint intervals and chances; their seed is fixed, so that one fit gives one answer.
_DRAWS = 10_000
_SEED = 20_250_101
# From here on it makes no difference whether the differences have standard errors of their own.
_MANY_CLUSTERS = 120
# Profile intervals cost two dozen fits each; above so many the symmetric ones have to do.
_MOST_PROFILES = 60
# Log odds beyond which a chance is 0 or 1.
_CERTAIN = 300.0


@dataclass(frozen=True, eq=False)
class Intervals:
    """estimate, low, high: arrays of one shape; low and high are NaN where there is no honest interval.

    An end is infinite where votes so few exclude nothing on that side.
    """

    estimate: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class RankRanges:
    """best, worst: intp (K,), the ranks a contender may hold within its component, 1 for the strongest."""

    best: Integers
    worst: Integers


def strength_intervals(precision: Precision, *, level: float = 0.95) -> Intervals:
    """(K,) log strengths, each against the mean of its component."""
    fit = precision.fit
    quantile = t_quantile(precision.degrees_of_freedom, level)
    reach = quantile * precision.standard_errors
    low, high = fit.strengths - reach, fit.strengths + reach
    flagged = np.flatnonzero(_escaped(precision) & ~np.isnan(precision.standard_errors))
    if len(flagged) <= _MOST_PROFILES:
        for contender in flagged:
            ends = _profile(precision, fit.centring[contender], float(quantile[contender]))
            low[contender], high[contender] = ends
    return Intervals(fit.strengths, low, high)


def difference_intervals(precision: Precision, *, level: float = 0.95, simultaneous: bool = False) -> Intervals:
    """(K, K) log strength of the row less that of the column; simultaneous ones hold for all pairs of a component."""
    gaps = precision.fit.strengths[:, None] - precision.fit.strengths[None, :]
    quantile = t_quantile(precision.degrees_of_freedom, level)
    if simultaneous:
        for members in precision.fit.members():
            quantile[members] = critical_value(precision, members, level=level)
    reach = quantile[:, None] * precision.difference_errors
    low, high = gaps - reach, gaps + reach
    _sharpen(precision, quantile, low, high)
    nowhere = np.isnan(low)
    return Intervals(np.where(np.eye(len(gaps), dtype=bool), np.nan, gaps), low, np.where(nowhere, np.nan, high))


def win_probability_intervals(precision: Precision, *, level: float = 0.95) -> Intervals:
    """(K, K) P(row wins) + P(tie) / 2 against the column at zero side bias; made on the logit scale."""
    fit = precision.fit
    win = fit.win_probabilities()
    if not fit.problem.has_ties:
        gaps = difference_intervals(precision, level=level)
        return Intervals(win, expit(gaps.low), expit(gaps.high))
    chance, by_eta, by_phi = _chances(precision)
    slope = (by_eta[0] - by_eta[2]) / 2, (by_phi[0] - by_phi[2]) / 2
    low, high = _logit_interval(precision, (1 + chance[0] - chance[2]) / 2, *slope, level=level)
    for (row, column), (lowest, highest) in _profiles(precision, t_quantile(precision.degrees_of_freedom, level)):
        # Infinite ends have no chances to work out, and these differ from 0 and 1 by nothing that shows.
        reached = np.clip([lowest, highest], -_CERTAIN, _CERTAIN)
        ends = likelihoods.chances(fit.problem.link, reached, np.array(fit.parameters[-1]))
        low[row, column], high[row, column] = (1 + ends.left - ends.right) / 2
    return Intervals(win, low, high)


def outcome_probability_intervals(precision: Precision, *, level: float = 0.95) -> Intervals:
    """(K, K, 3) chances that the row wins, ties and loses at zero side bias; NaN where the model has no ties."""
    estimate = precision.fit.outcome_probabilities()
    low, high = np.full_like(estimate, np.nan), np.full_like(estimate, np.nan)
    if precision.fit.problem.has_ties:
        chance, by_eta, by_phi = _chances(precision)
        for outcome in range(3):
            low[:, :, outcome], high[:, :, outcome] = _logit_interval(
                precision, chance[outcome], by_eta[outcome], by_phi[outcome], level=level
            )
    return Intervals(estimate, low, high)


def rank_ranges(precision: Precision, *, level: float = 0.95) -> RankRanges:
    """Ranks that hold for all contenders of a component at once.

    Mogstad, Romano, Shaikh & Wilhelm 2024, REStud 91:476.

    best = 1 + how many are surely stronger, worst = size of the component - how many are surely weaker, "surely" by
    simultaneous intervals. A contender without an interval is surely neither.
    """
    sure = difference_intervals(precision, level=level, simultaneous=True)
    sizes = np.bincount(precision.fit.components, minlength=1)[precision.fit.components]
    # A NaN compares as false: not sure.
    return RankRanges(1 + (sure.high < 0).sum(axis=1), sizes - (sure.low > 0).sum(axis=1))


def tiers(precision: Precision, *, level: float = 0.95) -> Integers:
    """(K,) 1 for the strongest and all not surely weaker than it, 2 for the strongest of the rest, and so on."""
    sure = difference_intervals(precision, level=level, simultaneous=True)
    tier = np.ones(precision.fit.contenders, dtype=np.intp)
    for members in precision.fit.members():
        order = members[np.argsort(-precision.fit.strengths[members], kind="stable")]
        leader, current = order[0], 1
        for contender in order[1:]:
            if sure.low[leader, contender] > 0:
                leader, current = contender, current + 1
            tier[contender] = current
    return tier


def probability_best(precision: Precision) -> Floats:
    """(K,) how often the contender is the strongest of its component in draws around the estimates.

    A frequency under resampled clusters, not a belief. NaN in a component where some contender has no interval: it
    might be the best.
    """
    fit = precision.fit
    shares = np.full(fit.contenders, np.nan)
    for members in fit.members():
        if any(precision.no_interval[member] is not None for member in members):
            continue
        draws = _draws(precision, members)
        df = float(precision.degrees_of_freedom[members[0]])
        if np.isfinite(df):
            draws /= np.sqrt(np.random.default_rng(_SEED + 1).chisquare(df, size=(len(draws), 1)) / df)
        winners = (fit.strengths[members] + draws).argmax(axis=1)
        shares[members] = np.bincount(winners, minlength=len(members)) / len(draws)
    return shares


def critical_value(precision: Precision, members: Integers, *, level: float = 0.95) -> float:
    """The c for which every difference of a component lies within c standard errors, with the probability wanted.

    The quantile of the largest of correlated t statistics, by simulation. Each draw has its own standard errors, from a
    Wishart matrix of the degrees of freedom: a denominator common to all contrasts, as in the multivariate t, makes
    the largest too small where clusters are few (91 % joint coverage for 95 % with 20 uneven raters).

    Drawn once for a precision, component and level: ranks, tiers and intervals share it.
    """
    asked = (members.tobytes(), level)
    if asked not in precision.critical_values:
        precision.critical_values[asked] = _critical_value(precision, members, level)
    return precision.critical_values[asked]


def _critical_value(precision: Precision, members: Integers, level: float) -> float:
    known = ~np.isnan(precision.difference_errors[np.ix_(members, members)])
    if not known.any():
        return float("nan")
    df = float(precision.degrees_of_freedom[members[0]])
    single = float(t_quantile(np.array(df), level))
    own = precision.shape[np.ix_(members, members)]
    spread = np.diagonal(own)[:, None] + np.diagonal(own)[None, :] - 2 * own
    moving = known & (spread > 1e-12 * max(float(spread[known].max()), 1e-300))
    if np.count_nonzero(moving) < 4:
        return single
    if df > _MANY_CLUSTERS:
        return max(single, _joint_quantile(largest_differences(own, moving), df, level, single))
    return max(single, float(np.quantile(largest_differences(own, moving, degrees_of_freedom=df), level)))


def t_quantile(degrees_of_freedom: Floats, level: float) -> Floats:
    """Two-sided quantile of Student's t."""
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, not at {level}")
    quantile: Floats = np.array(stdtrit(degrees_of_freedom, (1 + level) / 2), dtype=np.float64)
    return quantile


def _joint_quantile(largest: Floats, df: float, level: float, single: float) -> float:
    """The quantile over a chi-square denominator common to all, which is integrated out."""
    if np.isinf(df):
        return float(np.quantile(largest, level))

    def excess(quantile: float) -> float:
        return float(gammaincc(df / 2, df / 2 * (largest / quantile) ** 2).mean()) - level

    lowest, highest = single / 10, single
    while excess(highest) < 0:
        highest *= 2
    return float(brentq(excess, lowest, highest))


def _draws(precision: Precision, members: Integers) -> Floats:
    """(n, k) normal draws with the covariance of the members' strengths."""
    roots = root(precision.shape[np.ix_(members, members)])
    draws: Floats = np.random.default_rng(_SEED).standard_normal((_DRAWS, roots.shape[1])) @ roots.T
    return draws


def _chances(precision: Precision) -> tuple[list[Floats], list[Floats], list[Floats]]:
    """(K, K) chances of win, tie and loss at zero side bias, their slopes in the gap and in the tie parameter."""
    problem = precision.fit.problem
    gaps = precision.fit.strengths[:, None] - precision.fit.strengths[None, :]
    level = np.array(precision.fit.parameters[-1])
    chance = likelihoods.chances(problem.link, gaps, level)
    slopes = likelihoods.slopes(problem.link, chance, level)
    by_eta = [part * slope.eta for part, slope in zip(chance, slopes, strict=True)]
    by_phi = [part * slope.phi for part, slope in zip(chance, slopes, strict=True)]
    return list(chance), by_eta, by_phi


def _logit_interval(
    precision: Precision, value: Floats, by_eta: Floats, by_phi: Floats, *, level: float
) -> tuple[Floats, Floats]:
    """(K, K) ends of delta-method intervals for a chance, made on the logit scale."""
    known, each = precision.fit.contenders, []
    # As contrasts these would be K^2 rows of K numbers: gigabytes for some hundred contenders.
    for covariance in (precision.covariance, *precision.floors):
        own, with_level = np.diagonal(covariance)[:known], covariance[:known, -1]
        spread = own[:, None] + own[None, :] - 2 * covariance[:known, :known]
        cross = with_level[:, None] - with_level[None, :]
        each.append(by_eta**2 * spread + 2 * by_eta * by_phi * cross + by_phi**2 * covariance[-1, -1])
    error = np.sqrt(np.maximum(np.max(each, axis=0), 0)) / (value * (1 - value))
    error[np.isnan(precision.difference_errors)] = np.nan
    reach = t_quantile(precision.degrees_of_freedom, level)[:, None] * error
    return expit(logit(value) - reach), expit(logit(value) + reach)


def _escaped(precision: Precision) -> Flags:
    """(K,) contenders whose strength is finite only by the penalty."""
    unbounded = {"undefeated", "winless", "separated"}
    return np.array([bool(unbounded & set(own)) and "firth" in own for own in precision.fit.flags], dtype=bool)


def _sharpen(precision: Precision, quantile: Floats, low: Floats, high: Floats) -> None:
    """Put profile intervals in the place of symmetric ones where a difference is finite only by the penalty."""
    for (row, column), (lowest, highest) in _profiles(precision, quantile):
        low[row, column], high[row, column] = lowest, highest


def _profiles(precision: Precision, quantile: Floats) -> list[tuple[tuple[int, int], tuple[float, float]]]:
    """((row, column), (low, high)) of differences that only the penalty makes finite, each in both directions."""
    rows, columns = np.nonzero(np.triu(_apart(precision) & ~np.isnan(precision.difference_errors), 1))
    if len(rows) > _MOST_PROFILES:
        return []
    found = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        contrast = np.zeros(len(precision.covariance))
        contrast[row], contrast[column] = 1, -1
        low, high = _profile(precision, contrast, float(quantile[row]))
        found += [((row, column), (low, high)), ((column, row), (-high, -low))]
    return found


def _apart(precision: Precision) -> Flags:
    """(K, K) pairs of one component whose difference has no finite maximum-likelihood estimate."""
    fit = precision.fit
    escaped = _escaped(precision)
    if not escaped.any():
        return np.zeros((fit.contenders, fit.contenders), dtype=bool)
    group = np.arange(fit.contenders) + len(fit.reasons)
    for number, reason in enumerate(fit.reasons):
        if reason.kind != "unlinked":
            group[list(reason.contenders)] = number
    apart: Flags = (fit.components[:, None] == fit.components[None, :]) & (group[:, None] != group[None, :])
    return apart


def _profile(precision: Precision, contrast: Floats, quantile: float) -> tuple[float, float]:
    """Found once for a precision, contrast and quantile: ranks and tiers ask for the same ones."""
    asked = (contrast.tobytes(), quantile)
    if asked not in precision.profiles:
        independent = float(contrast @ precision.fit.bread @ contrast)
        effect = max(1.0, float(precision.variances(contrast[None, :])[0]) / independent)
        reach = quantile * float(np.sqrt(effect))
        precision.profiles[asked] = profile_interval(precision.fit, contrast, reach=reach)
    return precision.profiles[asked]
