"""Newton's method on the likelihood of any of the models, for many data sets at once.

All of them are concave, and the maximum is unique where it exists at all: see existence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.ranking.problem import Problem

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

_NEWTON_STEPS = 200
_CHORD_STEPS = 40
_HALVINGS = 40
# A Newton step this small (log units, largest change of any difference) leaves an error of about its square.
_NEWTON_STEP = 1e-8
# The chord's error where it ends. It is at most r / (1 - r) of the last step if each step is r of the one before; r
# is checked to be under a half, and taken to be a tenth where it seems less.
_CHORD_STEP = 1e-10
_CHORD_CONTRACTION = 0.5
_LEAST_CONTRACTION = 0.1
# A fall of the log-likelihood that is nothing but rounding, as a share of it.
_ROUNDING = 1e-12


class ConvergenceError(ArithmeticError):
    """The maximum was not reached; there is no estimate to show."""


def maximise(problem: Problem, start: Floats) -> Floats:
    """(p, B) parameters of greatest likelihood, strengths centred to mean 0, from start (p, B).

    Damped Newton: the step is shortened to log(1 + d) / d of itself, d being its largest change of a log odds. The
    logistic likelihood is generalized self-concordant (Bach 2010, EJS 4:384), so every such step goes uphill (Sun &
    Tran-Dinh 2019, Math. Prog. 178:145). Models with ties are searched along the step as well.

    Raises ConvergenceError where the maximum is not reached.
    """
    parameters = start.copy()
    active = np.arange(problem.n_sets)
    for _ in range(_NEWTON_STEPS):
        if not len(active):
            break
        part = problem if len(active) == problem.n_sets else problem.select(active)
        here = parameters[:, active]
        try:
            curvature = part.grounded(part.information(here))
            solution: NDArray[Any] = np.linalg.solve(curvature, part.gradient(here).T[..., None])
            step: Floats = solution[..., 0].T
        except np.linalg.LinAlgError as error:
            raise ConvergenceError(
                "Newton's method met a flat likelihood: the votes do not join all contenders"
            ) from error
        size = step_size(part, step)
        shorter = step * _damping(size)
        parameters[:, active] += _uphill(part, here, shorter) if part.has_ties else shorter
        # Written so that a NaN stays active and ends as an error.
        active = active[~(_least_change(part, here, step, size) <= _NEWTON_STEP)]
    if len(active):
        raise ConvergenceError(f"Newton's method did not converge in {_NEWTON_STEPS} steps for {len(active)} data sets")
    return problem.centred(parameters)


def maximise_near(problem: Problem, base: Problem, at: Floats, *, inverse: Floats | None = None) -> Floats:
    """As maximise, for data sets that are reweightings of the one in base, whose maximum is at (p,).

    inverse: (p, p) of base's information there, where it is known

    A chord iteration with the inverse information of base needs no matrix per data set. Those it does not bring
    closer by half at each step are solved by full Newton steps instead.
    """
    known: NDArray[Any] = np.zeros(0) if inverse is None else inverse
    if inverse is None:
        known = np.linalg.inv(base.grounded(base.information(at[:, None])[0]))
    # Without this a data set of double weight would overshoot by double.
    inverse_weight = base.totals.sum() / problem.totals.sum(axis=0)
    parameters = np.repeat(at[:, None], problem.n_sets, axis=1)
    part, columns = problem, np.arange(problem.n_sets)
    going, stubborn = np.ones(problem.n_sets, dtype=bool), np.zeros(problem.n_sets, dtype=bool)
    previous = np.full(problem.n_sets, np.inf)
    for _ in range(_CHORD_STEPS):
        # To work on those that have arrived costs less than to copy out the others, until these are few.
        if going.sum() <= len(columns) / 2:
            columns = np.flatnonzero(going)
            part = problem.select(columns)
        if not len(columns):
            break
        here, moving = parameters[:, columns], going[columns]
        step: Floats = known @ part.gradient(here)
        step *= inverse_weight[columns] * moving
        size = step_size(part, step)
        ratio = size / previous[columns]
        contracts = (ratio <= _CHORD_CONTRACTION) & is_inside(part, here + step)
        stubborn[columns] |= moving & ~contracts
        parameters[:, columns] += step
        previous[columns] = np.where(moving, size, np.inf)
        # What is left to go is at most the geometric series of the steps still to come.
        ratio = np.maximum(ratio, _LEAST_CONTRACTION)
        going[columns] = moving & contracts & (size * ratio / (1 - ratio) > _CHORD_STEP)
    rest = np.flatnonzero(stubborn | going)
    if len(rest):
        parameters[:, rest] = maximise(problem.select(rest), np.repeat(at[:, None], len(rest), axis=1))
    return problem.centred(parameters)


def step_size(problem: Problem, step: Floats) -> Floats:
    """(B,) the largest change of any log odds under steps (p, B)."""
    strengths = problem.strengths(step)
    size: Floats = strengths.max(axis=0, initial=-np.inf) - strengths.min(axis=0, initial=np.inf)
    size = np.maximum(size, 0) if not len(strengths) else size
    for extra in step[problem.n_strengths :]:
        size = size + 2 * np.abs(extra)
    return size


def is_inside(problem: Problem, parameters: Floats) -> NDArray[np.bool_]:
    """(B,) whether the tie parameter is one: Rao-Kupper's is positive."""
    if problem.link != "rao-kupper":
        return np.ones(parameters.shape[1:], dtype=bool)
    positive: NDArray[np.bool_] = parameters[-1] > 0
    return positive


def _least_change(problem: Problem, here: Floats, step: Floats, size: Floats) -> Floats:
    """(B,) the step's size; Rao and Kupper's tie parameter, which may be tiny, is to be exact to as many digits."""
    if problem.link != "rao-kupper":
        return size
    larger: Floats = np.maximum(size, np.abs(step[-1] / here[-1]))
    return larger


def _uphill(problem: Problem, here: Floats, step: Floats) -> Floats:
    """The step (p, B), halved for each data set until it stays inside and does not go down."""
    before = problem.log_likelihood(here)
    lowest = before - _ROUNDING * np.abs(before)
    scale = np.ones(step.shape[1])
    for _ in range(_HALVINGS):
        there = here + step * scale
        inside = is_inside(problem, there)
        # Behind the border there is no likelihood to ask for.
        after = problem.log_likelihood(np.where(inside, there, here))
        fine = inside & ~(after < lowest)
        if fine.all():
            break
        scale[~fine] /= 2
    return step * scale


def _damping(size: Floats) -> Floats:
    safe = np.maximum(size, 1e-12)
    return np.log1p(safe) / safe
