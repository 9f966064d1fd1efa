"""One board from several studies: strengths are shared, what belongs to a study alone is its own.

Each study is a stratum (Cox & Snell 1989, Analysis of Binary Data, section 2.4): the advantage of the left side is
estimated in each study for itself, as the pages, the raters and the sizes of the pictures differ. Two contenders that
never met are compared through those that both have met, whichever study they met in. Whether studies agree at all is
asked by the likelihood ratio against strengths that each study has for itself, as a share I^2 of what is left open
(Higgins & Thompson 2002, Stat. Med. 21:1539), its errors by cluster (Rao & Scott 1981, JASA 76:221).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc

from arena.ranking.cluster_scores import ClusterBy
from arena.ranking.fitted import ModelFit
from arena.ranking.models import ConvergenceError, Ties, fit_model
from arena.ranking.precision import Precision, estimate_precision
from arena.ranking.structure import weak_components
from arena.ranking.tallies import TIE, Tallies, Votes, tally

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
TieModel = Literal["davidson", "rao-kupper"]

TIE_MODELS: Final[tuple[TieModel, ...]] = ("davidson", "rao-kupper")
MOST_SEATS = 600
"""Contenders by side and study above which all studies share one side bias: tables of votes grow with the square."""


@dataclass(frozen=True, eq=False)
class Stratum:
    """The votes of one study. Contenders, raters and prompts have the same numbers in all strata of a pool.

    has_sides: whether the left side's advantage is estimated in this study
    """

    votes: Votes
    has_sides: bool = True

    @cached_property
    def tallies(self) -> Tallies:
        return tally(self.votes)

    @cached_property
    def fit(self) -> ModelFit:
        """By its own votes alone."""
        return fit_model(self.tallies, side_bias=self.has_sides)

    @property
    def met(self) -> NDArray[np.bool_]:
        """(K,) which contenders it has votes on."""
        counts = self.tallies.counts.sum(axis=2)
        seen: NDArray[np.bool_] = (counts + counts.T).any(axis=1)
        return seen


@dataclass(frozen=True, eq=False)
class Pool:
    """K contenders over S studies.

    precision:   of the shared strengths; its fit has them
    side_biases: of each study, in log odds; None where none was estimated
    is_by_study: whether each study has its own side bias; else all share one, which `one_bias` explains
    """

    precision: Precision
    side_biases: tuple[float | None, ...]
    is_by_study: bool
    one_bias: str = ""

    @property
    def fit(self) -> ModelFit:
        return self.precision.fit


@dataclass(frozen=True, eq=False)
class PooledTies:
    """Three outcomes instead of half wins: strengths, and one tie parameter that all studies share.

    model:           the likelier of the two, which have equally many parameters
    log_likelihoods: of both
    precision:       of that model's strengths and tie parameter
    """

    model: TieModel
    log_likelihoods: Mapping[TieModel, float]
    precision: Precision


@dataclass(frozen=True)
class Disagreement:
    """Whether one study orders its contenders otherwise than the rest of the pool does.

    statistic: likelihood ratio over its design effect; 0 or so per degree of freedom where it does not
    """

    statistic: float
    degrees_of_freedom: int
    p_value: float


@dataclass(frozen=True)
class Heterogeneity:
    """Of all studies together. share: I^2, of the spread between studies that chance does not explain."""

    statistic: float
    degrees_of_freedom: int
    p_value: float
    share: float


def together(strata: Sequence[Stratum]) -> Votes:
    """The votes of all strata under one another."""
    each = [stratum.votes for stratum in strata]
    has_weight = any(votes.weight is not None for votes in each)
    raters = [votes.rater for votes in each if votes.rater is not None]
    prompts = [votes.prompt for votes in each if votes.prompt is not None]
    return Votes(
        left=np.concatenate([votes.left for votes in each]),
        right=np.concatenate([votes.right for votes in each]),
        outcome=np.concatenate([votes.outcome for votes in each]),
        contenders=each[0].contenders,
        rater=np.concatenate(raters) if len(raters) == len(each) else None,
        prompt=np.concatenate(prompts) if len(prompts) == len(each) else None,
        weight=np.concatenate([_weights(votes) for votes in each]) if has_weight else None,
    )


def pool(strata: Sequence[Stratum], *, by: Sequence[ClusterBy] = ("rater", "prompt")) -> Pool:
    """Fit strengths that all strata share; by as in estimate_precision.

    Raises ConvergenceError where there is no estimate, ValueError without strata or with unlike ones.
    """
    if not strata or len({stratum.votes.contenders for stratum in strata}) > 1:
        raise ValueError("a pool needs one stratum or more, all of the same contenders")
    found = _fit(strata)
    precision = _precision(strata, found, by)
    if found.seats is not None:
        return Pool(precision, found.seats.biases(found.fit), True)
    fit = found.fit
    biases = tuple(fit.side_bias if stratum.has_sides else None for stratum in strata)
    return Pool(precision, biases, len(strata) == 1 or not fit.problem.side, found.why)


def pool_ties(strata: Sequence[Stratum], *, by: Sequence[ClusterBy] = ("rater", "prompt")) -> PooledTies | None:
    """Both models of ties over the studies in which a tie can be called; None where nobody tied.

    Raises ConvergenceError where one of them has no fit.
    """
    if not strata or not tally(together(strata)).outcomes()[:, :, TIE].any():
        return None
    found = {name: _fit(strata, ties=name) for name in TIE_MODELS}
    if len({one.seats is None for one in found.values()}) > 1:
        # With side biases in one of them only, their likelihoods could not be compared.
        tallies = tally(together(strata))
        found = {name: _Found(fit_model(tallies, ties=name)) for name in TIE_MODELS}
    model = max(TIE_MODELS, key=lambda name: found[name].fit.log_likelihood)
    likelihoods = {name: one.fit.log_likelihood for name, one in found.items()}
    return PooledTies(model, likelihoods, _precision(strata, found[model], by))


def disagreements(strata: Sequence[Stratum], pooled: Pool) -> list[Disagreement | None]:
    """Each study against all the others, by giving it strengths of its own; None where that cannot be told.

    So it is where the others have a side bias each only as long as this study is among them: what would be compared
    then are two models of which neither is part of the other.
    """
    none: list[Disagreement | None] = [None] * len(strata)
    if len(strata) < 2 or not pooled.is_by_study:
        return none
    try:
        whole, effects = _fit(strata).fit, _Effects.of(strata, pooled.precision.by)
        rest = [_without(strata, place) for place in range(len(strata))]
    except ConvergenceError:
        return none
    return [
        None if others is None else _against(stratum.fit, others, whole, effects, effects.each[place])
        for place, (stratum, others) in enumerate(zip(strata, rest, strict=True))
    ]


def heterogeneity(strata: Sequence[Stratum], pooled: Pool) -> Heterogeneity | None:
    """All studies with strengths of their own against shared ones; None where that cannot be told."""
    if len(strata) < 2 or not pooled.is_by_study:
        return None
    try:
        whole, effects = _fit(strata).fit, _Effects.of(strata, pooled.precision.by)
    except ConvergenceError:
        return None
    own = [stratum.fit for stratum in strata]
    free = sum(fit.free_parameters for fit in own) - whole.free_parameters
    if free < 1 or any(fit.penalised.any() for fit in (whole, *own)):
        return None
    gain = 2 * (sum(fit.log_likelihood for fit in own) - whole.log_likelihood)
    statistic = max(gain, 0.0) / (whole.dispersion * effects.mean)
    share = max(0.0, 1 - free / statistic) if statistic > 0 else 0.0
    return Heterogeneity(statistic, free, effects.p_value(statistic, free), share)


@dataclass(frozen=True, eq=False)
class _Effects:
    """Design effects within studies: how raters and prompts differ, and not how studies do.

    each:     of each study, 1 or more
    mean:     weighted by how many differences each study knows
    clusters: of all studies together, less one for each
    """

    each: tuple[float, ...]
    mean: float
    clusters: float

    @classmethod
    def of(cls, strata: Sequence[Stratum], by: Sequence[ClusterBy]) -> _Effects:
        own = [estimate_precision(stratum.fit, stratum.votes, by=by) for stratum in strata]
        effects = [precision.design_effect for precision in own]
        weights = np.array([stratum.fit.free_parameters for stratum in strata], dtype=np.float64)
        known = np.isfinite(effects)
        mean = float(np.average(np.array(effects)[known], weights=weights[known])) if known.any() else 1.0
        freedom = [each[np.isfinite(each)].min(initial=np.inf) for each in (one.degrees_of_freedom for one in own)]
        clusters = float(sum(each for each in freedom if np.isfinite(each)))
        each = tuple(max(effect, mean, 1.0) if np.isfinite(effect) else max(mean, 1.0) for effect in effects)
        return cls(each, max(mean, 1.0), clusters if by else np.inf)

    def p_value(self, statistic: float, free: int) -> float:
        """Few clusters do not tell their own design effect well: then it is F and not chi-square."""
        if not np.isfinite(self.clusters):
            return float(chdtrc(free, statistic))
        return float(fdtrc(free, max(self.clusters, 1.0), statistic / free))


@dataclass(frozen=True, eq=False)
class _Seats:
    """Every contender once, and once more for each study in which it was seen on the left of a study with sides.

    Then a study's side bias is a covariate of its seats, and the model is the ordinary one.

    left:       (S, K) the number of a contender's seat on the left of a study
    covariates: (seats, K + S)
    """

    left: Integers
    covariates: Floats

    @classmethod
    def of(cls, strata: Sequence[Stratum]) -> _Seats:
        known = strata[0].votes.contenders
        left = np.tile(np.arange(known), (len(strata), 1))
        rows = [np.eye(known, known + len(strata))]
        total = known
        for number, stratum in enumerate(strata):
            if stratum.has_sides:
                seen = np.unique(stratum.votes.left)
                left[number, seen] = total + np.arange(len(seen))
                total += len(seen)
                seats = np.eye(known, known + len(strata))[seen]
                seats[:, known + number] = 1
                rows.append(seats)
        return cls(left, np.concatenate(rows))

    def __len__(self) -> int:
        return len(self.covariates)

    def seated(self, strata: Sequence[Stratum]) -> Votes:
        """All votes between seats."""
        votes = together(strata)
        left = np.concatenate([self.left[number][each.votes.left] for number, each in enumerate(strata)])
        return replace(votes, left=left, contenders=len(self))

    def biases(self, fit: ModelFit) -> tuple[float | None, ...]:
        coefficients = fit.problem.strengths(fit.parameters)
        known = self.left.shape[1]
        found: list[float | None] = []
        for seats in self.left:
            moved = np.flatnonzero(seats >= known)
            found.append(float(coefficients[seats[moved[0]]] - coefficients[moved[0]]) if len(moved) else None)
        return tuple(found)


@dataclass(frozen=True, eq=False)
class _Found:
    """A fit of seats, or without them one of the contenders themselves, and why it is that."""

    fit: ModelFit
    seats: _Seats | None = None
    why: str = ""


def _fit(strata: Sequence[Stratum], *, ties: Ties = "half") -> _Found:
    tallies = tally(together(strata))
    if len(strata) == 1:
        return _Found(fit_model(tallies, ties=ties, side_bias=strata[0].has_sides))
    if not any(stratum.has_sides for stratum in strata):
        return _Found(fit_model(tallies, ties=ties, side_bias=False))
    seats = _Seats.of(strata)
    if len(seats) > MOST_SEATS:
        return _Found(fit_model(tallies, ties=ties), why="there are too many contenders and studies")
    fit = fit_model(tally(seats.seated(strata)), ties=ties, side_bias=False, covariates=seats.covariates)
    if fit.penalised.any():
        return _Found(fit_model(tallies, ties=ties), why="some contender never won or never lost")
    if not _same_groups(fit.components[: tallies.counts.shape[0]], _linked(tallies)):
        return _Found(fit_model(tallies, ties=ties), why="it cannot be told from the strengths in some study")
    return _Found(fit, seats)


def _precision(strata: Sequence[Stratum], found: _Found, by: Sequence[ClusterBy]) -> Precision:
    """Of the contenders themselves, whether or not they were fitted by their seats."""
    votes = together(strata)
    if found.seats is None:
        return estimate_precision(found.fit, votes, by=by)
    shown = _shown(strata, found.fit)
    seated = estimate_precision(found.fit, found.seats.seated(strata), by=by)
    return replace(
        estimate_precision(shown, votes, by=by),
        covariance=_of_contenders(shown, seated.covariance),
        floors=tuple(_of_contenders(shown, floor) for floor in seated.floors),
    )


def _without(strata: Sequence[Stratum], place: int) -> ModelFit | None:
    """The other studies as they are fitted among all; None where they alone can only have one side bias together."""
    others = [*strata[:place], *strata[place + 1 :]]
    found = _fit(others)
    share_one = found.seats is None and len(others) > 1 and any(stratum.has_sides for stratum in others)
    return None if share_one else found.fit


def _shown(strata: Sequence[Stratum], seated: ModelFit) -> ModelFit:
    """A fit of the contenders themselves that has the strengths of their seats; side biases are taken out of it."""
    plain = fit_model(tally(together(strata)), ties=seated.ties, side_bias=False)
    strengths = seated.problem.strengths(seated.parameters)[: plain.contenders]
    means = np.bincount(plain.components, weights=strengths) / np.bincount(plain.components)
    centred = strengths - means[plain.components]
    level = seated.parameters[-1:] if seated.problem.has_ties else np.zeros(0)
    shown = np.where(np.isnan(plain.strengths), np.nan, centred)
    return replace(plain, strengths=shown, parameters=np.concatenate([centred, level]))


def _of_contenders(shown: ModelFit, covariance: Floats) -> Floats:
    """(K [+ 1], same) of the contenders' strengths and the tie parameter from that of all seats, the first K theirs."""
    kept = np.r_[: shown.contenders, len(covariance) - shown.problem.has_ties : len(covariance)]
    own: Floats = shown.centring @ covariance[np.ix_(kept, kept)] @ shown.centring.T
    return own


def _against(alone: ModelFit, rest: ModelFit, whole: ModelFit, effects: _Effects, effect: float) -> Disagreement | None:
    free = alone.free_parameters + rest.free_parameters - whole.free_parameters
    if free < 1 or any(fit.penalised.any() for fit in (whole, rest, alone)):
        return None
    gain = 2 * (alone.log_likelihood + rest.log_likelihood - whole.log_likelihood)
    statistic = max(gain, 0.0) / (whole.dispersion * effect)
    return Disagreement(statistic, free, effects.p_value(statistic, free))


def _linked(tallies: Tallies) -> Integers:
    return weak_components(tallies.outcomes().sum(axis=2))


def _same_groups(one: Integers, other: Integers) -> bool:
    return bool(np.array_equal(one[:, None] == one[None, :], other[:, None] == other[None, :]))


def _weights(votes: Votes) -> Floats:
    return np.ones(len(votes)) if votes.weight is None else votes.weight.astype(np.float64)
