"""Fitting a model of pairwise votes: how ties count, side bias, covariates, and Firth's penalty where it is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from arena.ranking.existence import unbounded
from arena.ranking.firth import Penalised
from arena.ranking.fitted import BothBad, Goodness, ModelFit, PairTable, Ties
from arena.ranking.likelihoods import Link
from arena.ranking.newton import ConvergenceError, maximise, maximise_near
from arena.ranking.problem import Problem
from arena.ranking.structure import weak_components
from arena.ranking.tallies import OUTCOMES, Tallies

__all__ = [
    "ConvergenceError",
    "Goodness",
    "ModelFit",
    "PairTable",
    "Ties",
    "fit_model",
    "fit_tie_models",
    "refit_without",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Flags = NDArray[np.bool_]
Asked = Literal["auto", "mle", "firth"]

_LINKS: Final[dict[Ties, Link]] = {
    "half": "half",
    "davidson": "davidson",
    "rao-kupper": "rao-kupper",
    "drop": "half",
}
# Largest slope of the log-likelihood per vote that counts as zero: some roundings of a double.
_FLAT = 1e-12
_PENALISED_FLAT = 1e-8
# A chord ends when its steps, and not its slope, are next to nothing.
_NEARLY_FLAT = 1e-10
# Singular values and distances below this share of the largest are zero.
_RANK = 1e-9


def fit_model(
    tallies: Tallies,
    *,
    ties: Ties = "half",
    side_bias: bool = True,
    covariates: Floats | None = None,
    both_bad: BothBad = "tie",
    estimator: Asked = "auto",
) -> ModelFit:
    """Fit a model to the tallies by maximum likelihood, or by Firth's penalised likelihood where it has no maximum.

    ties:       "half" a tie is half a win for each (the headline), "davidson" and "rao-kupper" model three outcomes,
                "drop" leaves ties out
    side_bias:  one advantage of the left side, common to all pairs; left out with a flag where it is not identified
    covariates: (K, q), strengths = covariates @ coefficients instead of one free strength per contender
    both_bad:   whether "both bad" counts as a tie or not at all
    estimator:  "auto" takes Firth's penalty for boards whose maximum does not exist, "firth" for all, "mle" for none

    Boards, the weak components of the votes, have strengths of their own but share the side bias and tie parameter.

    Raises ConvergenceError where the maximum is not reached or, under "mle", does not exist.
    """
    if ties not in _LINKS:
        raise ValueError(f"ties are treated as one of {', '.join(_LINKS)}, not as {ties!r}")
    counts = tallies.outcomes(drop_both_bad=both_bad == "drop")
    if ties == "drop":
        counts[:, :, 1] = 0
    # Without a tie the likelihood of both models is greatest at no ties, where they are Bradley and Terry's.
    link = _LINKS[ties] if counts[:, :, 1].any() else "half"
    groups = weak_components(counts.sum(axis=2))
    basis, to_coefficients = None, None
    if covariates is not None:
        basis, to_coefficients, groups = _identified(np.asarray(covariates, dtype=np.float64), counts)
    side = side_bias and _tells_sides_apart(counts, basis)
    problem = Problem.of(counts, link=link, side=side, groups=groups, basis=basis)
    parameters, penalised = _solved(problem, estimator)
    strengths = _shown(problem.strengths(parameters), groups)
    return ModelFit(
        ties=ties,
        both_bad=both_bad,
        counts=counts,
        problem=problem,
        parameters=parameters,
        penalised=penalised,
        strengths=strengths,
        components=groups,
        coefficients=None if to_coefficients is None else to_coefficients @ parameters[: to_coefficients.shape[1]],
        to_coefficients=to_coefficients,
        unidentified_side=side_bias and not side and bool(counts.any()),
        slope=_checked_slope(problem, parameters, penalised),
    )


def fit_tie_models(
    tallies: Tallies, *, side_bias: bool = True, both_bad: BothBad = "tie"
) -> dict[Literal["davidson", "rao-kupper"], ModelFit]:
    """Both models of ties, to compare their log-likelihoods: they have the same number of parameters."""
    return {
        "davidson": fit_model(tallies, ties="davidson", side_bias=side_bias, both_bad=both_bad),
        "rao-kupper": fit_model(tallies, ties="rao-kupper", side_bias=side_bias, both_bad=both_bad),
    }


def refit_without(fit: ModelFit, gone: Tallies) -> ModelFit:
    """The fit again after a few of its votes were taken out, from where it stood; of many contenders in a tenth of the
    time that a fit of the rest takes.

    Only of free strengths. Where an estimate then rests on something else, such as the penalty, all is fitted anew.
    """
    counts = fit.counts - gone.outcomes(drop_both_bad=fit.both_bad == "drop")
    if fit.ties == "drop":
        counts[:, :, 1] = 0
    # Weights that do not add up in binary leave a rounding behind.
    counts[counts < _RANK] = 0
    before = fit.problem
    rest = Problem.of(counts, link=before.link, side=before.side, groups=before.groups)
    groups = weak_components(counts.sum(axis=2))
    is_alike = (groups == fit.components).all() and not fit.penalised.any() and not unbounded(rest).any()
    if not is_alike or (before.has_ties and not counts[:, :, 1].any()):
        whole = np.zeros((*counts.shape[:2], OUTCOMES))
        whole[:, :, :3] = counts
        return fit_model(
            Tallies(np.ceil(whole).astype(np.int64), whole), ties=fit.ties, side_bias=before.side, both_bad=fit.both_bad
        )
    masses = np.zeros_like(before.masses)
    place = np.searchsorted(_codes(before), _codes(rest))
    masses[:, place] = rest.masses
    near = before.with_masses(masses)
    parameters = maximise_near(near, before, fit.parameters, inverse=fit.bread)[:, 0]
    return replace(
        fit,
        counts=counts,
        problem=rest,
        parameters=parameters,
        strengths=_shown(rest.strengths(parameters), groups),
        slope=_checked_slope(rest, parameters, fit.penalised, flat=_NEARLY_FLAT),
    )


def _codes(problem: Problem) -> Integers:
    """(P,) ascending numbers of the pairs."""
    codes: Integers = problem.left * problem.contenders + problem.right
    return codes


def start(problem: Problem) -> Floats:
    """(p,) equal strengths, no side bias, and the tie parameter that fits the share of ties then."""
    parameters = np.zeros(problem.size)
    if problem.has_ties:
        # All ties would be infinity: half a decisive vote keeps the start finite.
        odds = problem.masses[1].sum() / (problem.masses[[0, 2]].sum() + 0.5)
        parameters[-1] = np.log(2 * odds) if problem.link == "davidson" else np.log1p(2 * odds)
    return parameters


def penalised_parameters(problem: Problem, loose: Flags) -> Flags:
    """(p,) which parameters have the penalty when these contenders (K,) have no finite strength."""
    flags = np.full(problem.size, bool(loose.any()))
    if problem.basis is None:
        flags[: problem.contenders] = loose
    return flags


def _solved(problem: Problem, estimator: Asked) -> tuple[Floats, Flags]:
    nowhere = np.zeros(problem.contenders, dtype=bool)
    if not len(problem.left):
        return np.zeros(problem.size), penalised_parameters(problem, nowhere)
    loose = ~nowhere if estimator == "firth" else unbounded(problem)
    if estimator == "mle" and loose.any():
        raise ConvergenceError(
            "the likelihood has no maximum: somebody never lost or never won, or a side or a tie explains everything"
        )
    penalised = penalised_parameters(problem, loose)
    if penalised.any():
        return Penalised(problem, penalised).maximise(start(problem)), penalised
    return maximise(problem, start(problem)[:, None])[:, 0], penalised


def _checked_slope(problem: Problem, parameters: Floats, penalised: Flags, *, flat: float = _FLAT) -> float:
    if not len(problem.left):
        return 0.0
    firth = bool(penalised.any())
    score = (
        Penalised(problem, penalised).modified_score(parameters)
        if firth
        else problem.gradient(parameters[:, None])[:, 0]
    )
    slope = float(np.abs(score).max() / problem.totals.sum())
    if not slope <= (_PENALISED_FLAT if firth else flat):
        raise ConvergenceError(f"the likelihood still rises by {slope:.1e} per vote and log unit at the best found")
    return slope


def _shown(strengths: Floats, groups: Integers) -> Floats:
    """Strengths with mean 0 in each group, NaN for who is alone in one."""
    sizes = np.bincount(groups)
    means = np.bincount(groups, weights=strengths) / sizes
    return np.where(sizes[groups] > 1, strengths - means[groups], np.nan)


def _tells_sides_apart(counts: Floats, basis: Floats | None) -> bool:
    """Whether a side bias is not just another set of strengths for the ordered pairs that met."""
    met = counts.sum(axis=2) > 0
    if not met.any():
        return False
    if (met & met.T).any():
        return True
    left, right = np.nonzero(met)
    design = np.zeros((len(left), len(counts)))
    design[np.arange(len(left)), left] = 1
    design[np.arange(len(left)), right] = -1
    design = design if basis is None else design @ basis
    explained = design @ np.linalg.lstsq(design, np.ones(len(left)), rcond=None)[0]
    return bool(np.abs(1 - explained).max() > 1e-8)


def _identified(covariates: Floats, counts: Floats) -> tuple[Floats, Floats, Integers]:
    """Basis (K, m) of the strengths that votes determine, map (q, m) to coefficients, comparable groups (K,).

    The map is NaN for a coefficient of which only sums with others are determined.
    """
    if covariates.ndim != 2 or len(covariates) != len(counts) or not np.isfinite(covariates).all():
        raise ValueError(f"covariates must be finite numbers in a table of {len(counts)} rows, one per contender")
    left, right = np.nonzero(np.triu(counts.sum(axis=2) + counts.sum(axis=2).T))
    contrasts = covariates[left] - covariates[right]
    scale = np.abs(contrasts).max(axis=0, initial=0)
    scale = np.where(scale > 0, scale, 1.0)
    _, values, directions = np.linalg.svd(contrasts / scale, full_matrices=False)
    kept = directions[values > _RANK * values.max(initial=0)].T
    if not kept.shape[1]:
        raise ValueError("the covariates do not differ between any two contenders that met, so they explain nothing")
    beyond = covariates / scale - (covariates / scale) @ kept @ kept.T
    groups = np.full(len(covariates), -1)
    reach = _RANK**0.5 * max(1.0, float(np.abs(covariates / scale).max()))
    for contender in range(len(covariates)):
        if groups[contender] < 0:
            alike = np.abs(beyond - beyond[contender]).max(axis=1) <= reach
            groups[alike & (groups < 0)] = groups.max() + 1
    to_coefficients = kept / scale[:, None]
    # A coefficient is determined where its axis lies wholly in the directions that are.
    to_coefficients[np.linalg.norm(kept, axis=1) < 1 - _RANK**0.5] = np.nan
    return covariates / scale @ kept, to_coefficients, groups
