"""Intervals and ranks from a fit and its precision: marginal ones, and such as hold for all differences at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaincc, stdtrit

from arena.ranking import likelihoods
from arena.ranking.largest_differences import largest_differences, root
from arena.ranking.precision import Precision
from arena.ranking.profiles import profile_intervals

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Flags = NDArray[np.bool_]

# Draws behind joint intervals and chances; their seed is fixed, so that one fit gives one answer.
_DRAWS = 10_000
_SEED = 20_250_101
# From here on it makes no difference whether the differences have standard errors of their own.
_MANY_CLUSTERS = 120
# Share of the variance of independent votes below which no draw's variance lies: see critical_value.
_KEPT_OF_INDEPENDENT = 0.4
# Of the search for a quantile: its level is met to this.
_EXACT = 1e-10
_MOST_STEPS = 200
# Profile intervals cost a dozen fits each; above so many the symmetric ones have to do.
_MOST_PROFILES = 60
# Log odds beyond which a chance is 0 or 1.
_CERTAIN = 300.0


@dataclass(frozen=True, eq=False)
class Intervals:
    """estimate, low, high: arrays of one shape; low and high are NaN where there is no honest interval."""

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
    quantile, plain = t_quantile(precision.degrees_of_freedom, level), normal_quantile(level)
    clustered, independent = precision.differences_by_source
    reach = wider(np.diagonal(clustered), np.diagonal(independent), quantile, plain)
    reach[np.isnan(precision.standard_errors)] = np.nan
    low, high = fit.strengths - reach, fit.strengths + reach
    flagged = np.flatnonzero(_escaped(precision) & ~np.isnan(precision.standard_errors))
    if len(flagged) <= _MOST_PROFILES:
        ends = _profiled(precision, fit.centring[flagged], quantile[flagged], np.full(len(flagged), plain))
        low[flagged], high[flagged] = ends.T
    return Intervals(fit.strengths, low, high)


def difference_intervals(precision: Precision, *, level: float = 0.95, simultaneous: bool = False) -> Intervals:
    """(K, K) log strength of the row less that of the column; simultaneous ones hold for all pairs of a component."""
    gaps = precision.fit.strengths[:, None] - precision.fit.strengths[None, :]
    quantile = t_quantile(precision.degrees_of_freedom, level)
    plain = np.full_like(quantile, normal_quantile(level))
    if simultaneous:
        for members in precision.fit.members():
            quantile[members] = critical_value(precision, members, level=level)
            plain[members] = critical_value(precision, members, level=level, clustered=False)
    reach = wider(*precision.differences_by_source, quantile[:, None], plain[:, None])
    reach[np.isnan(precision.difference_errors)] = np.nan
    low, high = gaps - reach, gaps + reach
    _sharpen(precision, quantile, plain, low, high)
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
    # Each as a sum, not as one less the other: of a chance next to 1 that would leave nothing.
    share, rest = chance[0] + chance[1] / 2, chance[2] + chance[1] / 2
    low, high = _logit_interval(precision, share, rest, *slope, level=level)
    quantile = t_quantile(precision.degrees_of_freedom, level)
    plain = np.full_like(quantile, normal_quantile(level))
    for (row, column), (lowest, highest) in _profiles(precision, quantile, plain):
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
            rest = chance[(outcome + 1) % 3] + chance[(outcome + 2) % 3]
            low[:, :, outcome], high[:, :, outcome] = _logit_interval(
                precision, chance[outcome], rest, by_eta[outcome], by_phi[outcome], level=level
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


def critical_value(precision: Precision, members: Integers, *, level: float = 0.95, clustered: bool = True) -> float:
    """The c for which every difference of a component lies within c standard errors, with the probability wanted.

    The quantile of the largest of correlated t statistics, by simulation. Each draw has its own standard errors, from a
    Wishart matrix of the degrees of freedom: a denominator common to all contrasts, as in the multivariate t, makes
    the largest too small where clusters are few (91 % joint coverage for 95 % with 20 uneven raters). No draw's
    variance lies below a share of that of independent votes: what all votes say keeps errors from being tiny by chance
    (with 20 raters who differ little, 99 % joint coverage for 95 % without; with the whole of it, 92 %).

    clustered: of the errors that clusters show, or of those of independent votes, which are known well

    Drawn once for a precision, component and level: ranks, tiers and intervals share it.
    """
    asked = (members.tobytes(), level, clustered)
    if asked not in precision.critical_values:
        draw = _critical_value if clustered or not precision.floors else _plain_critical_value
        precision.critical_values[asked] = draw(precision, members, level)
    return precision.critical_values[asked]


def _critical_value(precision: Precision, members: Integers, level: float) -> float:
    place = np.ix_(members, members)
    df = float(precision.degrees_of_freedom[members[0]])
    single = float(t_quantile(np.array(df), level))
    own = precision.covariance[place]
    clustered, independent = (part[place] for part in precision.differences_by_source)
    moving = _moving(precision, members, clustered)
    if np.count_nonzero(moving) < 4:
        return single if moving.any() or not np.isnan(precision.difference_errors[place]).all() else float("nan")
    if df > _MANY_CLUSTERS:
        return max(single, _joint_quantile(largest_differences(own, moving), df, level, single))
    largest = largest_differences(own, moving, degrees_of_freedom=df, least=_KEPT_OF_INDEPENDENT * independent)
    return max(normal_quantile(level), float(np.quantile(largest, level)))


def _plain_critical_value(precision: Precision, members: Integers, level: float) -> float:
    place = np.ix_(members, members)
    moving = _moving(precision, members, precision.differences_by_source[1][place])
    single = normal_quantile(level)
    if np.count_nonzero(moving) < 4:
        return single
    return max(single, float(np.quantile(largest_differences(precision.floors[-1][place], moving), level)))


def _moving(precision: Precision, members: Integers, spread: Floats) -> Flags:
    """(k, k) differences of the members that have an error above rounding."""
    known = ~np.isnan(precision.difference_errors[np.ix_(members, members)])
    return known & (spread > 1e-12 * max(float(spread.max(initial=0, where=known)), 1e-300))


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
    return _crossing(excess, lowest, highest)


def _crossing(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function crosses zero, between two places of unlike sign.

    Regula falsi in the Illinois form (Dowell & Jarratt 1971, BIT 11:168): loading SciPy's optimisers for this one root
    would take longer than most rankings.
    """
    below, above = rising(low), rising(high)
    previous = 0
    for _ in range(_MOST_STEPS):
        middle = high - above * (high - low) / (above - below)
        value = rising(middle)
        if value == 0 or high - low < _EXACT:
            return middle
        if value < 0:
            low, below = middle, value
            above = above / 2 if previous < 0 else above
        else:
            high, above = middle, value
            below = below / 2 if previous > 0 else below
        previous = -1 if value < 0 else 1
        if abs(value) < _EXACT:
            return middle
    raise ArithmeticError(f"a root was not found in {_MOST_STEPS} steps")


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
    precision: Precision, value: Floats, rest: Floats, by_eta: Floats, by_phi: Floats, *, level: float
) -> tuple[Floats, Floats]:
    """(K, K) ends of delta-method intervals for a chance, made on the logit scale; rest is what it lacks of 1."""
    known, each = precision.fit.contenders, []
    # As contrasts these would be K^2 rows of K numbers: gigabytes for some hundred contenders.
    for covariance in (precision.covariance, *precision.floors[-1:]):
        own, with_level = np.diagonal(covariance)[:known], covariance[:known, -1]
        spread = own[:, None] + own[None, :] - 2 * covariance[:known, :known]
        cross = with_level[:, None] - with_level[None, :]
        each.append(np.maximum(by_eta**2 * spread + 2 * by_eta * by_phi * cross + by_phi**2 * covariance[-1, -1], 0))
    clustered, independent = each[0], each[-1] if precision.floors else np.zeros_like(each[0])
    quantile = t_quantile(precision.degrees_of_freedom, level)[:, None]
    reach = wider(clustered, independent, quantile, normal_quantile(level)) / (value * rest)
    reach[np.isnan(precision.difference_errors)] = np.nan
    middle = np.log(value) - np.log(rest)
    return expit(middle - reach), expit(middle + reach)


def _escaped(precision: Precision) -> Flags:
    """(K,) contenders whose strength is finite only by the penalty."""
    unbounded = {"undefeated", "winless", "separated"}
    return np.array([bool(unbounded & set(own)) and "firth" in own for own in precision.fit.flags], dtype=bool)


def wider(clustered: Floats, independent: Floats, quantile: Floats, plain: Floats | float) -> Floats:
    """Half the width of the wider of two intervals: by clusters, and as if votes were independent."""
    reach: Floats = np.maximum(quantile * np.sqrt(clustered), plain * np.sqrt(independent))
    return reach


def normal_quantile(level: float) -> float:
    """Two-sided quantile of the normal distribution."""
    return float(t_quantile(np.array(np.inf), level))


def _sharpen(precision: Precision, quantile: Floats, plain: Floats, low: Floats, high: Floats) -> None:
    """Put profile intervals in the place of symmetric ones where a difference is finite only by the penalty."""
    for (row, column), (lowest, highest) in _profiles(precision, quantile, plain):
        low[row, column], high[row, column] = lowest, highest


def _profiles(
    precision: Precision, quantile: Floats, plain: Floats
) -> list[tuple[tuple[int, int], tuple[float, float]]]:
    """((row, column), (low, high)) of differences that only the penalty makes finite, each in both directions."""
    rows, columns = np.nonzero(np.triu(_apart(precision) & ~np.isnan(precision.difference_errors), 1))
    if len(rows) > _MOST_PROFILES:
        return []
    contrasts = np.zeros((len(rows), len(precision.covariance)))
    contrasts[np.arange(len(rows)), rows], contrasts[np.arange(len(rows)), columns] = 1, -1
    found = []
    ends = _profiled(precision, contrasts, quantile[rows], plain[rows])
    for row, column, (low, high) in zip(rows.tolist(), columns.tolist(), ends.tolist(), strict=True):
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


def _profiled(precision: Precision, contrasts: Floats, quantiles: Floats, plains: Floats) -> Floats:
    """(n, 2) profile intervals of contrasts (n, K [+ 1] [+ 1]).

    Found once for a precision, contrast and quantiles: ranks and tiers ask for the same ones.
    """
    asked = [
        (contrast.tobytes(), float(quantile), float(plain))
        for contrast, quantile, plain in zip(contrasts, quantiles, plains, strict=True)
    ]
    new = np.array([number for number, key in enumerate(asked) if key not in precision.profiles], dtype=np.intp)
    if len(new):
        units = ((contrasts[new] @ precision.fit.bread) * contrasts[new]).sum(axis=1)
        clustered, independent = precision.variances_by_source(contrasts[new])
        # What a small study's clusters show may be less than nothing: the likelihood itself is the least there is.
        inflated = plains[new] * np.maximum(1.0, np.sqrt(independent / units))
        reaches = np.maximum(quantiles[new] * np.sqrt(clustered / units), inflated)
        for number, (low, high) in zip(new, profile_intervals(precision.fit, contrasts[new], reaches), strict=True):
            precision.profiles[asked[number]] = float(low), float(high)
    return np.array([precision.profiles[key] for key in asked]).reshape(-1, 2)
