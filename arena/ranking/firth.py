"""Strengths where the likelihood has no maximum: Firth's penalty (Firth 1993, Biometrika 80:27).

To the log-likelihood comes half of the logarithm of the determinant of the expected information, without the flat
directions: by the matrix-tree theorem it is the same whichever contender serves as reference. The estimate is finite
even where a contender never lost (Heinze & Schemper 2002, Stat. Med. 21:2409) and unbiased to first order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.ranking import likelihoods
from arena.ranking.likelihoods import Bend
from arena.ranking.newton import ConvergenceError, is_inside, step_size
from arena.ranking.problem import Problem

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_STEPS = 1000
_STEP = 1e-11
# Profiles are drawn less finely than estimates.
_CONSTRAINED_STEP = 1e-6
_STILL = 1e-8
_HALVINGS = 40
_CLOSE = 1e-4
_ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class Constraint:
    """Parameters for which direction (p,) @ parameters is value; direction sums to zero over each group's strengths."""

    direction: Floats
    value: float


@dataclass(frozen=True, eq=False)
class Penalised:
    """A problem of one data set with Firth's penalty on some of its parameters.

    penalised: bool (p,), those whose information is in the penalty: the rest is left to the likelihood
    """

    problem: Problem
    penalised: Flags

    def value(self, parameters: Floats) -> float:
        """The penalised log-likelihood, up to a constant."""
        return float(self.problem.log_likelihood(parameters[:, None])[0]) + self._log_determinant(parameters) / 2

    def maximise(self, start: Floats, *, within: Constraint | None = None) -> Floats:
        """(p,) the parameters where the penalised log-likelihood is greatest, strengths centred, from start (p,).

        Fisher scoring on the modified score. Raises ConvergenceError where the maximum is not reached.
        """
        here = start.copy()
        if within is not None:
            # Every further step stays where the constraint is met, so that the way there is the only one down.
            missing = within.value - float(within.direction @ here)
            here += within.direction * (missing / float(within.direction @ within.direction))
        value = self.value(here)
        for _ in range(_STEPS):
            step = self._step(here, within)
            size = float(step_size(self.problem, step[:, None])[0])
            if size <= (_STEP if within is None else _CONSTRAINED_STEP):
                return self.problem.centred(here + step)
            shorter: Floats = step * (np.log1p(size) / size)
            before = here
            here, value = self._uphill(here, value, shorter, check=within is not None or size > _CLOSE)
            if within is not None and float(np.abs(here - before).max()) <= _STILL:
                # Tens of log units away the determinant is all rounding, and no step is seen to lead up.
                return self.problem.centred(here)
        raise ConvergenceError(f"the penalised likelihood did not settle in {_STEPS} steps")

    def modified_score(self, parameters: Floats) -> Floats:
        """(p,) derivatives of the penalised log-likelihood."""
        return self._score(parameters, self._leverages(parameters))

    def _score(self, parameters: Floats, leverages: Bend) -> Floats:
        problem = self.problem
        levels = problem.tie_levels(parameters[:, None])
        chance = likelihoods.chances(problem.link, problem.log_odds(parameters[:, None]), levels)
        steeper = likelihoods.steepening(problem.link, chance, levels)
        pulls = [_product(leverages, bend) * problem.totals / 2 for bend in steeper]
        extra = problem.spread(pulls[0], pulls[1] if problem.has_ties else None)
        return (problem.gradient(parameters[:, None]) + extra)[:, 0]

    def _curvature(self, parameters: Floats, leverages: Bend) -> Floats:
        """(p, p) how fast the modified score falls, nearly: the penalty acts as votes added to each pair.

        With the information of the votes alone, steps overshoot, and with one vote per parameter they never settle.
        """
        problem = self.problem
        levels = problem.tie_levels(parameters[:, None])
        bend = likelihoods.expected_bend(problem.link, problem.chances(parameters[:, None]), levels)
        votes = problem.totals * (1 + _product(leverages, bend))
        tied = (votes * bend.cross, votes * bend.phi) if problem.has_ties else (None, None)
        curvature: Floats = problem.assembled(votes * bend.eta, *tied)[0] + problem.shifts
        return curvature

    def added_information(self, parameters: Floats) -> Floats:
        """(p, p) what the penalty adds to the information of the votes, nearly: see _curvature."""
        added: Floats = self._curvature(parameters, self._leverages(parameters)) - self._information(parameters)
        return added

    def _information(self, parameters: Floats) -> Floats:
        # Lifted by a constant, unlike in Newton's method: its determinant must not depend on the parameters.
        information: Floats = self.problem.expected_information(parameters[:, None])[0] + self.problem.shifts
        return information

    def _log_determinant(self, parameters: Floats) -> float:
        sign, value = np.linalg.slogdet(self._information(parameters)[np.ix_(self.penalised, self.penalised)])
        return float(value) if sign > 0 else -np.inf

    def _leverages(self, parameters: Floats) -> Bend:
        """(P, 1) variances of eta and phi of each pair and their covariance, under the penalised information."""
        problem = self.problem
        covariance = np.zeros((problem.size, problem.size))
        inside = np.ix_(self.penalised, self.penalised)
        covariance[inside] = np.linalg.inv(self._information(parameters)[inside])
        whole = problem.expansion @ covariance @ problem.expansion.T
        rows = problem.incidence.T @ whole[: problem.incidence.shape[0]]
        by_eta = _rowwise(problem, rows)
        if not problem.has_ties:
            return Bend(by_eta, np.zeros_like(by_eta), np.zeros_like(by_eta))
        return Bend(by_eta, rows[:, -1:], np.full_like(by_eta, whole[-1, -1]))

    def _step(self, here: Floats, within: Constraint | None) -> Floats:
        try:
            leverages = self._leverages(here)
            curvature = self._curvature(here, leverages)
            step: NDArray[Any] = np.linalg.solve(curvature, self._score(here, leverages))
            if within is None:
                return step
            towards = np.linalg.solve(curvature, within.direction)
        except np.linalg.LinAlgError as error:
            raise ConvergenceError("the penalised likelihood is flat: the votes do not join all contenders") from error
        along = float(within.direction @ towards)
        if not along > 0:
            raise ConvergenceError("the penalised likelihood is flat along the constraint")
        missing = within.value - float(within.direction @ (here + step))
        met: Floats = step + towards * (missing / along)
        return met

    def _uphill(self, here: Floats, value: float, step: Floats, *, check: bool) -> tuple[Floats, float]:
        """The place and value after the step, halved until it stays inside and, if that is checked, does not go down.

        Steps close to the maximum gain less than the rounding of the determinant, so that checking would stop them.
        """
        for _ in range(_HALVINGS):
            there = here + step
            if bool(is_inside(self.problem, there[:, None])[0]):
                after = self.value(there)
                if not check or after >= value - _ROUNDING * abs(value):
                    return there, after
            step *= 0.5
        return here + step, value


def _rowwise(problem: Problem, rows: Floats) -> Floats:
    """(P, 1) x' V x from rows (P, ...) = x' V, x being the row of each pair in the incidence."""
    pair = np.arange(len(problem.left))
    value: Floats = rows[pair, problem.left] - rows[pair, problem.right]
    return (value + rows[:, problem.contenders] if problem.side else value)[:, None]


def _product(leverages: Bend, bend: Bend) -> Floats:
    return leverages.eta * bend.eta + 2 * leverages.cross * bend.cross + leverages.phi * bend.phi
