"""Strength as a function of a level, such as steps or timestep shift: how few are as good, who matches whom.

A line is one model at several levels; each of its points is a contender. Between levels it runs straight in
log2(level) through free strengths ("saturated"), or it is a natural cubic spline with few knots, fitted as covariates
(Springall 1973, Appl. Stat. 22:59). Either way its height anywhere is a weighted sum of the strengths at its levels, so
that errors by rater and prompt carry over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtrit
from scipy.stats import chi2, f

from arena.ranking.fitted import ModelFit
from arena.ranking.intervals import Intervals, t_quantile
from arena.ranking.precision import Precision

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

# Singular values below this share of the largest are zero.
_RANK = 1e-9


@dataclass(frozen=True, eq=False)
class Line:
    """One model at several levels.

    contenders: intp (n,), the contender at each level
    levels:     (n,), above 0, each once
    knots:      (k,) levels of a natural spline, 2 or more; None for straight pieces between all levels
    """

    contenders: Integers
    levels: Floats
    knots: Floats | None = None

    def __post_init__(self) -> None:
        if len(self.contenders) != len(self.levels) or len(self.levels) < 2:
            raise ValueError("a line needs two or more contenders, and a level for each")
        if not (self.levels > 0).all() or len(np.unique(self.levels)) < len(self.levels):
            raise ValueError("levels of a line must be above 0 and differ")
        if self.knots is not None and not 2 <= len(np.unique(self.knots)) == len(self.knots) <= len(self.levels):
            raise ValueError(f"a spline takes two or more different knots and at most as many as levels: {self.knots}")

    def weights(self, level: float) -> Floats:
        """(n,) by which the strengths at the levels add up to the line's height at a level."""
        here = np.log2([level])
        places = np.log2(self.levels)
        if self.knots is None:
            order = np.argsort(places)
            weights = np.zeros(len(places))
            weights[order] = [np.interp(here[0], places[order], row) for row in np.eye(len(places))]
            return weights
        knots = np.log2(np.sort(self.knots))
        solved: Floats = (_basis(here, knots) @ np.linalg.pinv(_basis(places, knots)))[0]
        return solved

    def contrast(self, level: float, parameters: int) -> Floats:
        """(parameters,) the same weights in the places of the contenders among all parameters."""
        whole = np.zeros(parameters)
        whole[self.contenders] = self.weights(level)
        return whole

    def height(self, fit: ModelFit, level: float) -> float:
        return float(self.weights(level) @ fit.strengths[self.contenders])


@dataclass(frozen=True, eq=False)
class NonInferiority:
    """Levels of a line against its reference.

    levels:  (n,) from the reference downwards
    loss:    (n,) log strength of the reference less that of the level
    highest: (n,) the most it may be, one-sided at the confidence wanted; NaN where there is no honest bound
    fewest:  the lowest level that is not worse than the reference by more than the margin; None if that is the
             reference alone
    """

    levels: Floats
    loss: Floats
    highest: Floats
    fewest: float | None


@dataclass(frozen=True)
class Match:
    """Level at which one line reaches the height that another has at a given one.

    level, low, high: estimate and interval, multiples of one another on the log2 scale; NaN where it is not reached
    status:           "within" the levels tried; "below" if the line is higher than that already at its lowest level,
                      "above" if it does not get there
    """

    level: float
    low: float
    high: float
    status: Literal["within", "below", "above"]


@dataclass(frozen=True)
class LackOfFit:
    """Whether a curve leaves out something real.

    statistic:          Wald's or the likelihood ratio's
    degrees_of_freedom: contrasts tested
    p_value:            None where none is tested, or where clusters are too few to tell
    """

    statistic: float
    degrees_of_freedom: int
    p_value: float | None


def line_covariates(lines: Sequence[Line], contenders: int) -> Floats:
    """(K, q) covariates for fit_model: the curve of each line, and a strength for each contender outside of lines."""
    outside = np.setdiff1d(np.arange(contenders), np.concatenate([line.contenders for line in lines]))
    columns = [np.eye(contenders)[:, outside]]
    for line in lines:
        if line.knots is None:
            block = np.eye(len(line.levels))
        else:
            block = _basis(np.log2(line.levels), np.log2(np.sort(line.knots)))
        whole = np.zeros((contenders, block.shape[1]))
        whole[line.contenders] = block
        columns.append(whole)
    return np.concatenate(columns, axis=1)


def heights(precision: Precision, line: Line, levels: Floats, *, level: float = 0.95, against: int) -> Intervals:
    """(n,) log strength of a line at any levels within its own, less that of one contender, with marginal intervals."""
    fit = precision.fit
    _require_comparable(fit, np.append(line.contenders, against))
    parameters = len(precision.covariance)
    contrasts = np.array([line.contrast(float(one), parameters) for one in levels])
    contrasts[:, against] -= 1
    estimate: Floats = contrasts[:, : fit.contenders] @ fit.strengths
    quantile = t_quantile(precision.degrees_of_freedom[against], level)
    width = quantile * np.sqrt(precision.variances(contrasts))
    width = np.where(_silent(precision, line, against), np.nan, width)
    return Intervals(estimate, estimate - width, estimate + width)


def margin_of(points: float) -> float:
    """The margin in log odds at which the reference wins by this much more than half: 0.05 for a win rate of 55 %."""
    if not 0 < points < 0.5:
        raise ValueError(f"a margin in win rate lies between 0 and 0.5, not at {points}")
    return float(np.log((0.5 + points) / (0.5 - points)))


def fewest_not_worse(
    precision: Precision, line: Line, *, margin: float, reference: float | None = None, level: float = 0.95
) -> NonInferiority:
    """The lowest level whose loss against the reference is surely below the margin, in log odds.

    reference: one of the levels, by default the highest
    level:     confidence that no level named too low is worse by more than the margin. Levels are tried in turn from
               the reference down to the first that fails, which needs no correction for their number (Maurer, Hothorn &
               Lehmacher 1995).
    """
    if margin <= 0:
        raise ValueError(f"a margin of non-inferiority must be above 0, not {margin}")
    reference = float(line.levels.max()) if reference is None else reference
    if reference not in line.levels:
        raise ValueError(f"the reference {reference:g} is not a level of the line")
    levels = np.sort(line.levels[line.levels <= reference])[::-1]
    parameters = len(precision.covariance)
    top = int(line.contenders[np.flatnonzero(line.levels == reference)[0]])
    _require_comparable(precision.fit, line.contenders)
    contrasts = np.array(
        [line.contrast(reference, parameters) - line.contrast(float(one), parameters) for one in levels]
    )
    loss: Floats = contrasts[:, : precision.fit.contenders] @ precision.fit.strengths
    quantile = stdtrit(precision.degrees_of_freedom[top], level)
    highest = loss + quantile * np.sqrt(precision.variances(contrasts))
    if _silent(precision, line, top):
        highest[1:] = np.nan
    passed = highest[1:] < margin
    count = int(passed.argmin()) if not passed.all() else len(passed)
    return NonInferiority(levels, loss, highest, float(levels[count]) if count else None)


def matching_level(precision: Precision, line: Line, target: Line, *, at: float, level: float = 0.95) -> Match:
    """Where a line first is as high as the target is at a level; the interval by the delta method on the log2 scale."""
    fit, parameters = precision.fit, len(precision.covariance)
    _require_comparable(fit, np.concatenate([line.contenders, target.contenders]))
    wanted = target.height(fit, at)

    def short(place: float) -> float:
        return line.height(fit, 2.0**place) - wanted

    # Between levels a spline may turn, so crossings are looked for on a finer grid.
    lowest, highest = float(np.log2(line.levels.min())), float(np.log2(line.levels.max()))
    grid = np.union1d(np.linspace(lowest, highest, 65), np.log2(line.levels))
    values = np.array([short(place) for place in grid])
    if values[0] > 0:
        return Match(np.nan, np.nan, np.nan, "below")
    crossing = np.flatnonzero(values >= 0)
    if not len(crossing):
        return Match(np.nan, np.nan, np.nan, "above")
    upper = int(crossing[0])
    place = float(grid[0]) if upper == 0 else float(brentq(short, grid[upper - 1], grid[upper]))
    contrast = line.contrast(2.0**place, parameters) - target.contrast(at, parameters)
    # The difference of a line to itself is known, whatever rounding says.
    contrast[np.abs(contrast) < 1e-12] = 0
    step = 1e-4
    ahead, behind = min(place + step, highest), max(place - step, lowest)
    slope = (short(ahead) - short(behind)) / (ahead - behind)
    error = float(np.sqrt(precision.variances(contrast[None, :])[0])) / abs(slope) if slope else np.inf
    against = int(target.contenders[0])
    if _silent(precision, line, against) or _silent(precision, target, against):
        error = np.nan
    reach = float(t_quantile(precision.degrees_of_freedom[against], level)) * error
    return Match(2.0**place, float(np.exp2(place - reach)), float(np.exp2(place + reach)), "within")


def wald_lack_of_fit(precision: Precision, covariates: Floats) -> LackOfFit:
    """Whether free strengths depart from what covariates (K, q) can say, by rater and prompt as the precision is.

    Hotelling's T^2 with the effective clusters, if there are more of them than contrasts. Needs all in one component.
    """
    fit = precision.fit
    _require_comparable(fit, np.arange(fit.contenders))
    known = fit.contenders
    span = np.column_stack([np.ones(known), covariates])
    vectors, values, _ = np.linalg.svd(span, full_matrices=True)
    rank = int((values > _RANK * values[0]).sum())
    contrasts = vectors[:, rank:].T
    count = len(contrasts)
    departure = contrasts @ fit.strengths
    spread = contrasts @ precision.covariance[:known, :known] @ contrasts.T
    statistic = float(departure @ np.linalg.pinv(spread, hermitian=True) @ departure) if count else 0.0
    if not count:
        return LackOfFit(0.0, 0, None)
    clusters = float(precision.effective.min())
    if not precision.by:
        return LackOfFit(statistic, count, float(chi2.sf(statistic, count)))
    if any(precision.no_interval) or clusters <= count:
        return LackOfFit(statistic, count, None)
    scaled = statistic * (clusters - count) / ((clusters - 1) * count)
    return LackOfFit(statistic, count, float(f.sf(scaled, count, clusters - count)))


def likelihood_ratio(free: ModelFit, restricted: ModelFit, *, design_effect: float = 1.0) -> LackOfFit:
    """The same from two fits to the same votes; exact for independent votes, else divided by the design effect."""
    count = free.free_parameters - restricted.free_parameters
    if count < 0 or free.estimator != restricted.estimator or free.problem.link != restricted.problem.link:
        raise ValueError("a likelihood ratio compares fits of one model and estimator, the free one first")
    statistic = max(2 * (free.log_likelihood - restricted.log_likelihood), 0.0)
    return LackOfFit(statistic, count, float(chi2.sf(statistic / design_effect, count)) if count else None)


def _basis(places: Floats, knots: Floats) -> Floats:
    """(n, k) constant, straight line and k - 2 cubic pieces of a natural spline: straight outside of its knots.

    Harrell 2015, Regression Modeling Strategies, section 2.4.5.
    """
    columns = [np.ones_like(places), places]
    last, before = knots[-1], knots[-2]
    for knot in knots[:-2]:
        one = np.maximum(places - knot, 0) ** 3
        one -= np.maximum(places - before, 0) ** 3 * (last - knot) / (last - before)
        one += np.maximum(places - last, 0) ** 3 * (before - knot) / (last - before)
        columns.append(one / (last - knots[0]) ** 2)
    return np.stack(columns, axis=1)


def _silent(precision: Precision, line: Line, against: int) -> bool:
    """Whether somebody on the line, or the one it is compared with, has no interval."""
    return any(precision.no_interval[contender] is not None for contender in (*line.contenders, against))


def _require_comparable(fit: ModelFit, contenders: Integers) -> None:
    if len(np.unique(fit.components[contenders])) > 1 or np.isnan(fit.strengths[contenders]).any():
        raise ValueError("votes do not link all contenders of these lines, so they cannot be compared")
