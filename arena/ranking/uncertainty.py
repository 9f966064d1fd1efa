"""How sure the strengths are: intervals, rank ranges and the chance of being best, from a cluster bootstrap.

Votes of one rater, and votes on one prompt, are alike; intervals that take them for independent are far too narrow.
Where raters and prompts are both drawn anew, the product weights of the bootstrap count the noise of single votes
three times over (Owen & Eckles 2012, Ann. Appl. Stat. 6:895), so its raw percentiles are too wide where that noise
rules; with few raters they are too narrow where it does not. The standard errors here are therefore the bootstrap's
with that excess taken out, and never below those of the two-way jackknife (Cameron, Gelbach & Miller 2011, JBES 29:238,
with CR3 clusters) nor below those of independent votes. Intervals use Student's t at the effective number of clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, gammaincc, stdtrit

from arena.ranking import clusters
from arena.ranking.bradley_terry import HalfWinFit, fit_half_win
from arena.ranking.clusters import ClusterBy, GroupVotes, group_votes
from arena.ranking.resampling import resample
from arena.ranking.tallies import Votes, tally

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
NoInterval = Literal["alone", "too_few_raters", "too_few_prompts"]
Method = Literal["t", "percentile"]

# Under two clusters' worth of votes there is no telling how clusters differ.
_FEWEST_CLUSTERS = 2.0


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """A fit of K contenders with B replicates of it and the precision that follows.

    replicates:         (B, K) strengths under random weights; NaN where the fit has none
    standard_errors:    (K,) of the strengths; NaN where no honest one exists
    difference_errors:  (K, K) of row minus column; NaN on the diagonal, between groups, where no honest one exists
    effective:          (K,) effective clusters of the contender's group, (sum n)^2 / sum n^2, the smaller of what was
                        clustered by; without clusters, its votes
    degrees_of_freedom: (K,) effective clusters less one; infinite without clusters
    no_interval:        (K,) why a contender has no interval, None where it has one.
                        alone: it can be compared with no other;
                        too_few_raters, too_few_prompts: its votes, or its group's, come in effect from fewer than two
    by:                 what was clustered
    """

    fit: HalfWinFit
    replicates: Floats
    standard_errors: Floats
    difference_errors: Floats
    effective: Floats
    degrees_of_freedom: Floats
    no_interval: tuple[NoInterval | None, ...]
    by: tuple[ClusterBy, ...]


@dataclass(frozen=True, eq=False)
class Intervals:
    """estimate, low, high: arrays of one shape; low and high are NaN where there is no honest interval."""

    estimate: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class RankRanges:
    """best, worst: intp (K,), the ranks a contender may hold within its group, 1 for the strongest."""

    best: Integers
    worst: Integers


def bootstrap(
    votes: Votes,
    *,
    rng: np.random.Generator,
    by: Sequence[ClusterBy] = ("rater", "prompt"),
    replicates: int = 1000,
    drop_both_bad: bool = False,
) -> Bootstrap:
    """Fit the votes and resample them.

    by: which clusters are drawn anew. ("rater", "prompt") speaks about other people and other prompts, ("rater",) about
    other people on these prompts, () takes votes for independent, which they are not: that one is for comparison.

    Raises ValueError where the votes lack a column to cluster by, ConvergenceError where a maximum cannot be reached.
    """
    if replicates < 2:
        raise ValueError(f"a bootstrap needs at least 2 replicates, not {replicates}")
    if not set(by) <= {"rater", "prompt"} or len(set(by)) < len(by):
        raise ValueError(f"votes cluster by rater, prompt, both or neither, not by {', '.join(by)}")
    fit = fit_half_win(tally(votes).half_wins(drop_both_bad=drop_both_bad))
    contenders = fit.contenders
    draws = np.full((replicates, contenders), np.nan)
    variances = np.full((contenders, contenders), np.nan)
    effective = np.full(contenders, np.nan)
    reasons: list[NoInterval | None] = ["alone"] * contenders
    for members in fit.members():
        inside = np.ix_(members, members)
        group = group_votes(votes, members, fit.half_wins[inside], drop_both_bad=drop_both_bad)
        strengths = fit.strengths[members]
        draws[:, members] = resample(group, strengths, by=by, replicates=replicates, rng=rng)
        variances[inside] = _variances(group, strengths, draws[:, members], by)
        effective[members] = _effective(group, by)
        for member, reason in zip(members, _reasons(group, by), strict=True):
            reasons[member] = reason
    silent = np.array([reason is not None for reason in reasons], dtype=bool)
    errors = np.where(silent[:, None] | silent[None, :], np.nan, np.sqrt(variances))
    return Bootstrap(
        fit=fit,
        replicates=draws,
        standard_errors=np.diagonal(errors).copy(),
        difference_errors=np.where(np.eye(contenders, dtype=bool), np.nan, errors),
        effective=effective,
        degrees_of_freedom=effective - 1 if by else np.where(np.isnan(effective), np.nan, np.inf),
        no_interval=tuple(reasons),
        by=tuple(by),
    )


def strength_intervals(result: Bootstrap, *, level: float = 0.95, method: Method = "t") -> Intervals:
    """(K,) log strengths, each against the mean of its group."""
    strengths, errors = result.fit.strengths, result.standard_errors
    if method == "t":
        reach = _t_quantile(result.degrees_of_freedom, level) * errors
        return Intervals(strengths, strengths - reach, strengths + reach)
    low, high = np.quantile(result.replicates, _tails(level), axis=0)
    return Intervals(strengths, np.where(np.isnan(errors), np.nan, low), np.where(np.isnan(errors), np.nan, high))


def win_probability_intervals(result: Bootstrap, *, level: float = 0.95, method: Method = "t") -> Intervals:
    """(K, K) P(row is preferred to column), ties halved.

    Intervals are made for the difference of strengths and carried over, so they stay inside 0 .. 1.
    """
    strengths, errors = result.fit.strengths, result.difference_errors
    if method == "t":
        gaps = strengths[:, None] - strengths[None, :]
        reach = _t_quantile(result.degrees_of_freedom, level)[:, None] * errors
        low, high = gaps - reach, gaps + reach
    else:
        low, high = np.full_like(errors, np.nan), np.full_like(errors, np.nan)
        for column in range(len(strengths)):
            gaps = result.replicates - result.replicates[:, [column]]
            low[:, column], high[:, column] = np.quantile(gaps, _tails(level), axis=0)
        low[np.isnan(errors)] = high[np.isnan(errors)] = np.nan
    return Intervals(result.fit.win_probabilities(), expit(low), expit(high))


def win_probability_against(
    result: Bootstrap, baseline: int, *, level: float = 0.95, method: Method = "t"
) -> Intervals:
    """(K,) P(contender is preferred to the baseline), ties halved; NaN for the baseline itself."""
    matrix = win_probability_intervals(result, level=level, method=method)
    return Intervals(matrix.estimate[:, baseline], matrix.low[:, baseline], matrix.high[:, baseline])


def probability_best(result: Bootstrap) -> Floats:
    """(K,) share of replicates in which the contender is the strongest of its group.

    A bootstrap frequency, not a belief. NaN in a group where some contender has no interval: it might be the best.
    """
    shares = np.full(result.fit.contenders, np.nan)
    for members in result.fit.members():
        if all(result.no_interval[member] is None for member in members):
            winners = np.bincount(result.replicates[:, members].argmax(axis=1), minlength=len(members))
            shares[members] = winners / len(result.replicates)
    return shares


def rank_ranges(result: Bootstrap, *, level: float = 0.95) -> RankRanges:
    """Ranks that hold for all contenders of a group at once (Mogstad, Romano, Shaikh & Wilhelm 2024, REStud 91:476).

    best = 1 + how many are surely stronger, worst = size of the group - how many are surely weaker, "surely" by
    intervals that hold for all differences simultaneously. A contender without an interval is surely neither.
    """
    best = np.ones(result.fit.contenders, dtype=np.intp)
    worst = best.copy()
    for members in result.fit.members():
        strengths, errors = result.fit.strengths[members], result.difference_errors[np.ix_(members, members)]
        gaps = strengths[:, None] - strengths[None, :]
        reach = _simultaneous_quantile(result, members, level) * errors
        # A NaN compares as false: not sure.
        best[members] = 1 + (gaps + reach < 0).sum(axis=1)
        worst[members] = len(members) - (gaps - reach > 0).sum(axis=1)
    return RankRanges(best, worst)


def _simultaneous_quantile(result: Bootstrap, members: Integers, level: float) -> float:
    """The c for which every difference of the group lies within c standard errors, with the probability wanted.

    From the largest standardised difference of each replicate over a common chi-square denominator, integrated out: a
    multivariate t with the bootstrap's correlations.
    """
    first, second = np.triu_indices(len(members), 1)
    known = ~np.isnan(result.difference_errors[members[first], members[second]])
    if not known.any():
        return float("nan")
    gaps = result.replicates[:, members[first[known]]] - result.replicates[:, members[second[known]]]
    spread = gaps.std(axis=0)
    # Replicates that never differ, such as those of nothing but ties, have no say.
    moving = spread > 0
    df = float(result.degrees_of_freedom[members[0]])
    single = float(_t_quantile(np.array(df), level))
    if not moving.any():
        return single
    largest = np.abs((gaps - gaps.mean(axis=0))[:, moving] / spread[moving]).max(axis=1)
    if np.isinf(df):
        return float(np.quantile(largest, level))

    def excess(quantile: float) -> float:
        return float(gammaincc(df / 2, df / 2 * (largest / quantile) ** 2).mean()) - level

    lowest, highest = single / 10, single
    while excess(highest) < 0:
        highest *= 2
    return float(brentq(excess, lowest, highest))


def _variances(group: GroupVotes, strengths: Floats, draws: Floats, by: Sequence[ClusterBy]) -> Floats:
    """(k, k) variances of all differences, and on the diagonal those of the strengths."""
    floor = _spread(_independent(group, strengths))
    resampled = _spread(np.cov(draws, rowvar=False))
    partitions = [group.clusters(name) for name in by]
    one_way = [_spread(clusters.jackknife(group, strengths, partition)) for partition in partitions]
    if len(partitions) < 2:
        return _largest(resampled, floor, *one_way)
    # To first order product weights give raters + prompts + cells, where raters + prompts - cells is right.
    expected = np.sum([_spread(clusters.sandwich(group, strengths, partition)) for partition in partitions], axis=0)
    cells = _spread(clusters.sandwich(group, strengths, group.cells()))
    right_share = np.divide(expected - cells, expected + cells, out=np.zeros_like(cells), where=expected + cells > 0)
    two_way = np.sum(one_way, axis=0) - cells
    return _largest(resampled * right_share, floor, two_way, *one_way)


def _largest(*variances: Floats) -> Floats:
    largest: Floats = np.max(variances, axis=0)
    return largest


def _independent(group: GroupVotes, strengths: Floats) -> Floats:
    """(k, k) covariance if votes were independent: ties vary less than wins, so the inverse information is scaled down.

    The share of decisive votes is Laplace's (+1, +2), so that three ties do not pass for certainty.
    """
    decisive = (np.count_nonzero(group.share != 0.5) + 1) / (len(group.share) + 2)
    heaviness = (group.weight**2).sum() / group.weight.sum()
    covariance: Floats = clusters.model_covariance(group.results, strengths) * decisive * heaviness
    return covariance


def _spread(covariance: Floats) -> Floats:
    """(k, k) variances of differences, and of the strengths themselves on the diagonal."""
    own = np.diagonal(covariance)
    variances: Floats = own[:, None] + own[None, :] - 2 * covariance
    np.fill_diagonal(variances, own)
    return variances


def _effective(group: GroupVotes, by: Sequence[ClusterBy]) -> float:
    each = [clusters.effective_clusters(group, group.clusters(name)) for name in by]
    return min(each, default=float(len(group.pair)))


def _reasons(group: GroupVotes, by: Sequence[ClusterBy]) -> list[NoInterval | None]:
    """(k,) Why each contender has no interval."""
    reasons: list[NoInterval | None] = [None] * group.results.contenders
    for name in by:
        partition = group.clusters(name)
        # Written so that NaN, the effective number of no clusters at all, counts as too few.
        enough = clusters.effective_clusters(group, partition) >= _FEWEST_CLUSTERS
        for contender, seen in enumerate(clusters.clusters_per_contender(group, partition)):
            if not enough or seen < _FEWEST_CLUSTERS:
                reasons[contender] = reasons[contender] or ("too_few_raters" if name == "rater" else "too_few_prompts")
    return reasons


def _t_quantile(degrees_of_freedom: Floats, level: float) -> Floats:
    quantile: Floats = stdtrit(degrees_of_freedom, _tails(level)[1])
    return quantile


def _tails(level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, not at {level}")
    return (1 - level) / 2, (1 + level) / 2
