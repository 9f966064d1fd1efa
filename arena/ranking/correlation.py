"""Strengths against a number each contender has, such as validation loss or an automatic metric.

Strengths come with errors, and errors pull a correlation towards zero (Spearman 1904, Am. J. Psych. 15:72). The
interval here is about the correlation of the true strengths: given the metric x, true strengths are a + b x + normal
residuals, estimates add errors with the covariance of the fit, and the correlation's likelihood is averaged over the
spread of true strengths, evenly on a log scale. Without errors it is close to Fisher's z.

Rank correlations have intervals of their own, about the ranks of the estimates as they are: Fisher's z with the
variances that Bonett & Wright (2000, Psychometrika 65:23) found to hold also where neither is normal, (1 + r^2/2) /
(n - 3) for Spearman's and 0.437 / (n - 4) for Kendall's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import kendalltau, norm, pearsonr, spearmanr

Floats = NDArray[np.float64]

# Below so many contenders an interval covers nearly everything, and one contender makes or breaks the correlation.
FEWEST = 10
_CORRELATIONS = 201
_SPREADS = 80
# The largest true spread considered, in multiples of the one seen; the smallest is the largest over a thousand.
_WIDEST = 10.0
# Bonett & Wright's constants: what is taken off the number of contenders.
_OFF_SPEARMAN, _OFF_KENDALL = 3, 4
_KENDALL_VARIANCE = 0.437

Ends = tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Correlation:
    """Strengths against a metric, over the n contenders that have both.

    n:                  contenders
    pearson, spearman, kendall: of the estimates as they are; each with its p-value, that of Kendall exact for small n
    low, high:          interval for Pearson's correlation of the true strengths; NaN below four contenders
    corrected:          the likeliest correlation of the true strengths
    reliability:        share of the variance of the estimates that is not error, 0 to 1
    spearman_ends, kendall_ends: intervals of the two rank correlations; None where there are too few contenders for one
                        (below four, below five) or the two orders are the same or opposite, where z has no end
    given_size:         Pearson's correlation once the size of the models is accounted for; None without sizes
    warnings:           what a reader must know, in sentences
    """

    n: int
    pearson: float
    pearson_p: float
    spearman: float
    spearman_p: float
    kendall: float
    kendall_p: float
    low: float
    high: float
    corrected: float
    reliability: float
    given_size: float | None
    warnings: tuple[str, ...]
    spearman_ends: Ends = None
    kendall_ends: Ends = None


def correlate(
    strengths: Floats, covariance: Floats, metric: Floats, *, sizes: Floats | None = None, level: float = 0.95
) -> Correlation:
    """Correlate strengths (K,) of covariance (K, K) with a metric (K,); contenders with NaN in either are left out.

    sizes: (K,) parameters of each model: size drives both quality and loss, so that they correlate for its sake alone

    Raises ValueError with fewer than three contenders or where one of the two is constant.
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, not at {level}")
    both = np.flatnonzero(~np.isnan(strengths) & ~np.isnan(metric))
    if len(both) < 3:
        raise ValueError(f"a correlation needs three contenders with a strength and the metric, there are {len(both)}")
    own, values = strengths[both], metric[both]
    if np.ptp(own) == 0 or np.ptp(values) == 0:
        raise ValueError("a correlation needs strengths and a metric that differ between contenders")
    errors = covariance[np.ix_(both, both)]
    low, high, corrected = _interval(own, errors, values, level)
    measured = None if sizes is None else np.log(sizes[both])
    results = pearsonr(own, values), spearmanr(own, values), kendalltau(own, values)
    (pearson, pearson_p), (spearman, spearman_p), (kendall, kendall_p) = (
        (float(result.statistic), float(result.pvalue)) for result in results
    )
    given_size = None if measured is None else _partial(own, values, measured)
    reliability = _reliability(own, errors)
    warnings = _warnings(len(both), reliability, pearson, given_size, has_sizes=measured is not None)
    return Correlation(
        len(both), pearson, pearson_p, spearman, spearman_p, kendall, kendall_p,
        low, high, corrected, reliability, given_size, warnings,
        spearman_interval(spearman, len(both), level=level), kendall_interval(kendall, len(both), level=level),
    )  # fmt: skip


def spearman_interval(spearman: float, n: int, *, level: float = 0.95) -> Ends:
    """Ends by Fisher's z and Bonett & Wright's variance; None below four contenders or for one order twice."""
    return _by_fishers_z(spearman, 1 + spearman**2 / 2, n - _OFF_SPEARMAN, level)


def kendall_interval(kendall: float, n: int, *, level: float = 0.95) -> Ends:
    """Ends by Fisher's z and Fieller's variance (1957); None below five contenders or for one order twice."""
    return _by_fishers_z(kendall, _KENDALL_VARIANCE, n - _OFF_KENDALL, level)


def _by_fishers_z(value: float, variance: float, freedom: int, level: float) -> Ends:
    if freedom < 1 or abs(value) > 1 - 1e-9:
        return None
    reach = float(norm.ppf((1 + level) / 2)) * (variance / freedom) ** 0.5
    low, high = np.tanh(np.arctanh(value) + np.array([-reach, reach]))
    return float(low), float(high)


def _reliability(strengths: Floats, errors: Floats) -> float:
    """One less the error's share of the sample variance; differences count, not a common error of all."""
    count = len(strengths)
    noise = (np.trace(errors) - errors.sum() / count) / (count - 1)
    return float(np.clip(1 - noise / strengths.var(ddof=1), 0, 1))


def _interval(strengths: Floats, errors: Floats, metric: Floats, level: float) -> tuple[float, float, float]:
    """Ends and likeliest value of the correlation of true strengths."""
    count = len(strengths)
    # The intercept is free: work on what is left when the mean is taken away.
    contrasts = np.linalg.svd(np.ones((count, 1)))[0][:, 1:].T
    values, vectors = np.linalg.eigh(contrasts @ errors @ contrasts.T)
    values = np.maximum(values, 0)
    seen = vectors.T @ contrasts @ strengths
    slope = vectors.T @ contrasts @ ((metric - metric.mean()) / metric.std())
    widest = _WIDEST * float(strengths.std(ddof=1))
    spreads = np.geomspace(widest / 1000, widest, _SPREADS)[:, None, None]
    # Fine towards -1 and 1, where a strong correlation's likelihood is narrow.
    angles = np.linspace(-np.pi / 2, np.pi / 2, _CORRELATIONS + 2)[1:-1]
    correlations = np.sin(angles)[None, :, None]
    variance = spreads**2 * (1 - correlations**2) + values
    distance = seen - correlations * spreads * slope
    log_likelihood = -0.5 * (np.log(variance) + distance**2 / variance).sum(axis=-1)
    marginal: Floats = logsumexp(log_likelihood, axis=0)
    best = float(np.sin(angles[marginal.argmax()]))
    if count < 4:
        return float("nan"), float("nan"), best
    # Evenly in the correlation: the grid is even in its angle.
    mass = np.exp(marginal - marginal.max()) * np.cos(angles)
    share = (mass.cumsum() - mass / 2) / mass.sum()
    low, high = np.interp([(1 - level) / 2, (1 + level) / 2], share, np.sin(angles))
    return float(low), float(high), best


def _partial(strengths: Floats, metric: Floats, sizes: Floats) -> float | None:
    """Pearson's correlation of what a straight line in log size leaves; None where nothing is left."""
    if len(strengths) < 4 or np.ptp(sizes) == 0:
        return None
    line = np.column_stack([np.ones_like(sizes), sizes])
    residuals = [values - line @ np.linalg.lstsq(line, values)[0] for values in (strengths, metric)]
    lengths = [float(np.linalg.norm(residual)) for residual in residuals]
    if min(lengths[0] / np.ptp(strengths), lengths[1] / np.ptp(metric)) < 1e-9:
        return None
    return float(residuals[0] @ residuals[1] / lengths[0] / lengths[1])


def _warnings(
    count: int, reliability: float, pearson: float, given_size: float | None, *, has_sizes: bool
) -> tuple[str, ...]:
    sentences = []
    if count < FEWEST:
        sentences.append(f"Only {count} contenders: a correlation of so few says little, whatever its size.")
    if reliability < 0.5:
        sentences.append("Most of the differences in strength may be error: more votes are needed before correlating.")
    if not has_sizes:
        sentences.append("The sizes of the models are not known: size alone can drive both strength and metric.")
    elif given_size is not None and abs(given_size) < abs(pearson) / 2:
        sentences.append(
            f"Model size explains most of it: the correlation is {pearson:.2f} as it is and {given_size:.2f} "
            "among models of one size."
        )
    return tuple(sentences)
