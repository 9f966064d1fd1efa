"""How sure a fit is: covariances that take votes of one rater, and votes on one prompt, for alike.

Sandwich from cluster scores (Liang & Zeger 1986, Biometrika 73:13), by default jackknifed (CR3); two-way as raters +
prompts - both (Cameron, Gelbach & Miller 2011, JBES 29:238), with Student's t at the effective number of clusters less
one. Intervals that take votes for independent are far too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from arena.ranking.cluster_scores import ClusterBy, Partition, ScoredVotes
from arena.ranking.fitted import ModelFit
from arena.ranking.jackknife import Jackknife
from arena.ranking.tallies import Votes

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Method = Literal["cr3", "cr1", "cr0"]
NoInterval = Literal["alone", "too_few_raters", "too_few_prompts"]

# Under two clusters' worth of votes there is no telling how clusters differ.
_FEWEST_CLUSTERS = 2.0


@dataclass(frozen=True, eq=False)
class Precision:
    """The precision of a fit of K contenders. Parameters are in the order strengths, side bias, tie parameter.

    covariance:    (K [+ 1] [+ 1], same), of log nu or tau as far as there are ties
    floors:        that of independent votes, below which no variance is taken to lie; empty without clusters
    effective:     (K,) effective clusters of the contender's component, (sum n)^2 / sum n^2, the smaller of what was
                   clustered by; without clusters, its votes
    no_interval:   (K,) why a contender has no interval, None where it has one
    by:            what was clustered
    critical_values: of joint intervals by (members, level, clustered or not), as far as asked for: they take time
    profiles:        profile intervals by (contrast, the two quantiles), likewise
    """

    fit: ModelFit
    covariance: Floats
    floors: tuple[Floats, ...]
    effective: Floats
    no_interval: tuple[NoInterval | None, ...]
    by: tuple[ClusterBy, ...]
    # Not an argument, so that a changed copy starts without what was drawn for the original.
    critical_values: dict[tuple[bytes, float, bool], float] = field(init=False, repr=False, default_factory=dict)
    profiles: dict[tuple[bytes, float, float], tuple[float, float]] = field(
        init=False, repr=False, default_factory=dict
    )

    @property
    def degrees_of_freedom(self) -> Floats:
        """(K,) of Student's t: effective clusters less one, infinite without clusters."""
        return self.effective - 1 if self.by else np.where(np.isnan(self.effective), np.nan, np.inf)

    def variances(self, contrasts: Floats) -> Floats:
        """(n,) of contrasts (n, K [+ 1] [+ 1]) of the parameters."""
        largest: Floats = np.maximum(*self.variances_by_source(contrasts))
        return largest

    def variances_by_source(self, contrasts: Floats) -> tuple[Floats, Floats]:
        """(n,) of contrasts as clusters show them, and if votes were independent; the latter 0 without clusters.

        Each makes an interval with the quantile of its own degrees of freedom, and the wider one holds: Student's t of
        few clusters is too much for what is known from all votes.
        """
        clustered = np.maximum(((contrasts @ self.covariance) * contrasts).sum(axis=1), 0)
        if not self.floors:
            return clustered, np.zeros_like(clustered)
        return clustered, np.maximum(((contrasts @ self.floors[-1]) * contrasts).sum(axis=1), 0)

    @cached_property
    def standard_errors(self) -> Floats:
        """(K,) of the strengths; NaN where no honest one exists."""
        errors: Floats = np.sqrt(np.diagonal(self._spread)).copy()
        errors[self._silent] = np.nan
        return errors

    @cached_property
    def difference_errors(self) -> Floats:
        """(K, K) of row minus column; NaN on the diagonal, between components, where no honest one exists."""
        errors: Floats = np.sqrt(self._spread)
        errors[self._silent | self._silent[:, None]] = np.nan
        errors[self.fit.components[:, None] != self.fit.components[None, :]] = np.nan
        np.fill_diagonal(errors, np.nan)
        return errors

    @property
    def side_bias_error(self) -> float | None:
        return self._error(self.fit.contenders) if self.fit.problem.side else None

    @property
    def tie_parameter_error(self) -> float | None:
        """Of Davidson's nu or Rao and Kupper's tau; None where the model has none or nobody tied."""
        if not self.fit.problem.has_ties or self.fit.tie_parameter is None:
            return None
        error = self._error(len(self.covariance) - 1)
        return error * self.fit.tie_parameter if error is not None and self.fit.ties == "davidson" else error

    @cached_property
    def coefficient_errors(self) -> Floats | None:
        """(q,) of the covariates' coefficients, NaN where the votes do not determine one."""
        fit = self.fit
        if fit.to_coefficients is None or fit.problem.basis is None:
            return None
        # Centring took a mean that the covariates have no part in: the pseudo-inverse of the centred basis undoes it.
        centred = fit.centring[: fit.contenders, : fit.contenders] @ fit.problem.basis
        to_parameters = np.linalg.pinv(centred)
        contrasts = np.zeros((len(fit.to_coefficients), len(self.covariance)))
        contrasts[:, : fit.contenders] = np.nan_to_num(fit.to_coefficients) @ to_parameters
        errors: Floats = np.sqrt(self.variances(contrasts))
        errors[np.isnan(fit.to_coefficients).any(axis=1)] = np.nan
        return errors

    @cached_property
    def design_effect(self) -> float:
        """How many times the variance of a difference is what it would be if votes were independent, on average."""
        if not self.by:
            return 1.0
        known = ~np.isnan(self.difference_errors)
        independent = _spread(self.floors[-1][: self.fit.contenders, : self.fit.contenders])
        if not known.any():
            return float("nan")
        return float((self.difference_errors[known] ** 2 / independent[known]).mean())

    @cached_property
    def shape(self) -> Floats:
        """(K [+ 1] [+ 1], same) the covariance whose correlations joint intervals use: that of most variance."""
        return max((self.covariance, *self.floors), key=lambda covariance: float(np.trace(covariance)))

    @cached_property
    def differences_by_source(self) -> tuple[Floats, Floats]:
        """(K, K) variances by source of row minus column, and of the strengths themselves on the diagonal."""
        known = self.fit.contenders
        clustered = np.maximum(_spread(self.covariance[:known, :known]), 0)
        if not self.floors:
            return clustered, np.zeros_like(clustered)
        return clustered, np.maximum(_spread(self.floors[-1][:known, :known]), 0)

    @cached_property
    def _spread(self) -> Floats:
        largest: Floats = np.maximum(*self.differences_by_source)
        return largest

    @cached_property
    def _silent(self) -> NDArray[np.bool_]:
        return np.array([reason is not None for reason in self.no_interval], dtype=bool)

    def _error(self, place: int) -> float | None:
        # What the whole study knows is unknown only where nobody in it has an interval.
        if self._silent.all():
            return None
        contrast = np.zeros((1, len(self.covariance)))
        contrast[0, place] = 1
        return float(np.sqrt(self.variances(contrast)[0]))


def estimate_precision(
    fit: ModelFit,
    votes: Votes | None = None,
    *,
    by: Sequence[ClusterBy] = ("rater", "prompt"),
    method: Method = "cr3",
    scored: ScoredVotes | None = None,
) -> Precision:
    """The precision of a fit to these votes.

    by:     ("rater", "prompt") speaks about other people and other prompts, ("rater",) about other people on these
            prompts, () takes votes for independent; without votes that is all there is
    method: "cr3" leaves each cluster out, "cr0" is the plain sandwich, "cr1" that times G / (G - 1)
    scored: these votes behind this fit, where they were summed by some cluster before

    Raises ValueError where the votes lack a column to cluster by.
    """
    if not set(by) <= {"rater", "prompt"} or len(set(by)) < len(by):
        raise ValueError(f"votes cluster by rater, prompt, both or neither, not by {', '.join(by)}")
    alone: list[NoInterval | None] = ["alone" if np.isnan(strength) else None for strength in fit.strengths]
    independent = fit.covariance if len(fit.problem.left) else np.zeros((fit.contenders, fit.contenders))
    if votes is None or not by:
        return Precision(fit, independent, (), _votes_per_component(fit), tuple(alone), ())
    if votes.contenders != fit.contenders:
        raise ValueError(f"votes on {votes.contenders} contenders are not those of a fit of {fit.contenders}")
    scored = ScoredVotes(fit, votes) if scored is None else scored
    partitions = [scored.partition(name) for name in by]
    effective = np.full((len(by), fit.contenders), np.nan)
    for row, (name, partition) in enumerate(zip(by, partitions, strict=True)):
        effective[row] = _effective(scored, partition)[fit.components] if fit.contenders else effective[row]
        for contender, seen in enumerate(scored.contender_clusters(partition, enough=2)):
            # Written so that NaN, the effective number of no clusters at all, counts as too few.
            if not effective[row, contender] >= _FEWEST_CLUSTERS or seen < _FEWEST_CLUSTERS:
                alone[contender] = alone[contender] or ("too_few_raters" if name == "rater" else "too_few_prompts")
    for name, partition in zip(by, partitions, strict=True):
        if (name, method) not in scored.covariances:
            scored.covariances[name, method] = cluster_covariance(scored, partition, method=method)
    one_way = [scored.covariances[name, method] for name in by]
    if len(one_way) == 1:
        return Precision(fit, one_way[0], (independent,), effective[0], tuple(alone), tuple(by))
    cells = fit.bread @ scored.cell_meat(*partitions) @ fit.bread
    both = clipped(one_way[0] + one_way[1] - cells)
    return Precision(fit, both, (independent,), effective.min(axis=0), tuple(alone), tuple(by))


def cluster_covariance(scored: ScoredVotes, partition: Partition, *, method: Method = "cr3") -> Floats:
    """(K [+ 1] [+ 1], same) covariance of the parameters if clusters, and not votes, are independent."""
    count = partition.count
    if method == "cr3":
        covariance: Floats = Jackknife(scored, partition).squares() * (1 - 1 / max(count, 1))
        return covariance
    bread = scored.fit.bread
    plain: Floats = bread @ scored.meat(partition) @ bread
    return plain * (count / (count - 1)) if method == "cr1" and count > 1 else plain


def clipped(covariance: Floats) -> Floats:
    """The nearest matrix without negative variances."""
    values, vectors = np.linalg.eigh(covariance)
    positive: Floats = (vectors * np.maximum(values, 0)) @ vectors.T
    return positive


def _effective(scored: ScoredVotes, partition: Partition) -> Floats:
    """(C,) effective clusters of each component; NaN without any."""
    sizes = scored.sizes(partition)
    squares = (sizes**2).sum(axis=1)
    effective = np.full(len(squares), np.nan)
    np.divide(sizes.sum(axis=1) ** 2, squares, out=effective, where=squares > 0)
    return effective


def _votes_per_component(fit: ModelFit) -> Floats:
    """(K,) votes of the contender's component."""
    votes = np.bincount(fit.components, weights=fit.counts.sum(axis=(1, 2)), minlength=1).astype(np.float64)
    return votes[fit.components]


def _spread(covariance: Floats) -> Floats:
    """(K, K) variances of differences, and of the strengths themselves on the diagonal."""
    own = np.diagonal(covariance)
    variances: Floats = own[:, None] + own[None, :] - 2 * covariance
    np.fill_diagonal(variances, own)
    return variances
