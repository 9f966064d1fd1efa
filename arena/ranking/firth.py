"""Strengths where the likelihood has no maximum: Firth's penalty (Firth 1993, Biometrika 80:27).

To the log-likelihood comes half of the logarithm of the determinant of the expected information, without the flat
directions: by the matrix-tree theorem it is the same whichever contender serves as reference. The estimate is finite
even where a contender never lost (Heinze & Schemper 2002, Stat. Med. 21:2409) and unbiased to first order.

Many places are climbed from at once: profile intervals take hundreds of climbs on a handful of votes, and one after the
other nearly all of their time would be Python's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arena.ranking import likelihoods
from arena.ranking.likelihoods import Bend
from arena.ranking.newton import ConvergenceError, is_inside, step_size
from arena.ranking.problem import Problem

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
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
class _Constraints:
    """One for each of B climbs. directions: (p, B); values: (B,)"""

    directions: Floats
    values: Floats

    def of(self, columns: Integers) -> _Constraints:
        return _Constraints(self.directions[:, columns], self.values[columns])

    def missing(self, parameters: Floats) -> Floats:
        """(B,) how far parameters (p, B) are from meeting them."""
        short: Floats = self.values - (self.directions * parameters).sum(axis=0)
        return short


@dataclass(frozen=True, eq=False)
class Penalised:
    """A problem of one data set with Firth's penalty on some of its parameters.

    penalised: bool (p,), those whose information is in the penalty: the rest is left to the likelihood
    """

    problem: Problem
    penalised: Flags

    def value(self, parameters: Floats) -> float:
        """The penalised log-likelihood at (p,), up to a constant."""
        return float(self.values(parameters[:, None])[0])

    def values(self, parameters: Floats) -> Floats:
        """(B,) the same at (p, B)."""
        total: Floats = self.problem.log_likelihood(parameters) + self._log_determinants(parameters) / 2
        return total

    def maximise(self, start: Floats, *, within: Constraint | None = None) -> Floats:
        """(p,) the parameters where the penalised log-likelihood is greatest, strengths centred, from start (p,).

        Fisher scoring on the modified score. Raises ConvergenceError where the maximum is not reached.
        """
        constraints = None
        if within is not None:
            constraints = _Constraints(within.direction[:, None], np.array([within.value]))
        found = self._climbed(start[:, None], constraints)[:, 0]
        if np.isnan(found).any():
            raise ConvergenceError(
                f"the penalised likelihood is flat or did not settle in {_STEPS} steps: "
                "the votes may not join all contenders"
            )
        return found

    def maximise_within(self, starts: Floats, directions: Floats, values: Floats) -> Floats:
        """(p, B) the same under B constraints, from starts (p, B); NaN where a maximum is not reached."""
        return self._climbed(starts, _Constraints(directions, values))

    def modified_score(self, parameters: Floats) -> Floats:
        """Derivatives of the penalised log-likelihood, (p,) or (p, B) as the parameters are."""
        columns = parameters.reshape(len(parameters), -1)
        return self._scores(columns, self._leverages(columns)).reshape(parameters.shape)

    def added_information(self, parameters: Floats) -> Floats:
        """(p, p) what the penalty at (p,) adds to the information of the votes, nearly: see _curvatures."""
        here = parameters[:, None]
        added: Floats = (self._curvatures(here, self._leverages(here)) - self._informations(here))[0]
        return added

    def _climbed(self, starts: Floats, within: _Constraints | None) -> Floats:
        """(p, B) maxima from starts (p, B); NaN where one is not reached."""
        here = starts.copy() if within is None else self._moved_within(starts, within)
        values = self.values(here)
        found = np.full_like(here, np.nan)
        active = np.arange(here.shape[1])
        for _ in range(_STEPS):
            if not len(active):
                break
            now = here[:, active]
            step = self._steps(now, None if within is None else within.of(active))
            size = step_size(self.problem, step)
            arrived = size <= (_STEP if within is None else _CONSTRAINED_STEP)
            found[:, active[arrived]] = (now + step)[:, arrived]
            # A step that is not a number ends the climb without a find.
            going = np.flatnonzero(~arrived & np.isfinite(size))
            active, now, step, size = active[going], now[:, going], step[:, going], size[going]
            shorter = step * (np.log1p(size) / size)
            check = np.full(len(going), within is not None) | (size > _CLOSE)
            here[:, active], values[active] = self._uphill(now, values[active], shorter, check)
            if within is not None:
                # Tens of log units away the determinant is all rounding, and no step is seen to lead up.
                still = np.abs(here[:, active] - now).max(axis=0, initial=0) <= _STILL
                found[:, active[still]] = here[:, active[still]]
                active = active[~still]
        return self.problem.centred(found)

    def _moved_within(self, starts: Floats, within: _Constraints) -> Floats:
        """(p, B) places near the starts where the constraints are met, lest on the way there were up and down."""
        towards = _solved(self._curvatures(starts, self._leverages(starts)), within.directions)
        along = (within.directions * towards).sum(axis=0)
        # Where the likelihood is flat, straight ahead is as good a way as any.
        towards = np.where(along > 0, towards, within.directions)
        along = (within.directions * towards).sum(axis=0)
        moved: Floats = starts + towards * (within.missing(starts) / along)
        inside = is_inside(self.problem, moved)
        straight = within.directions * (within.missing(starts) / (within.directions**2).sum(axis=0))
        return np.where(inside, moved, starts + straight)

    def _scores(self, parameters: Floats, leverages: Bend) -> Floats:
        """(p, B)"""
        problem = self.problem
        levels = problem.tie_levels(parameters)
        chance = likelihoods.chances(problem.link, problem.log_odds(parameters), levels)
        steeper = likelihoods.steepening(problem.link, chance, levels)
        pulls = [_product(leverages, bend) * problem.totals / 2 for bend in steeper]
        extra = problem.spread(pulls[0], pulls[1] if problem.has_ties else None)
        return problem.gradient(parameters) + extra

    def _curvatures(self, parameters: Floats, leverages: Bend) -> Floats:
        """(B, p, p) how fast the modified score falls, nearly: the penalty acts as votes added to each pair.

        With the information of the votes alone, steps overshoot, and with one vote per parameter they never settle.
        """
        problem = self.problem
        levels = problem.tie_levels(parameters)
        bend = likelihoods.expected_bend(problem.link, problem.chances(parameters), levels)
        votes = problem.totals * (1 + _product(leverages, bend))
        tied = (votes * bend.cross, votes * bend.phi) if problem.has_ties else (None, None)
        curvature: Floats = problem.assembled(votes * bend.eta, *tied) + problem.shifts
        return curvature

    def _informations(self, parameters: Floats) -> Floats:
        """(B, p, p)"""
        # Lifted by a constant, unlike in Newton's method: its determinant must not depend on the parameters.
        information: Floats = self.problem.expected_information(parameters) + self.problem.shifts
        return information

    def _log_determinants(self, parameters: Floats) -> Floats:
        inside = np.flatnonzero(self.penalised)
        sign, value = np.linalg.slogdet(self._informations(parameters)[:, inside[:, None], inside])
        return np.where(sign > 0, value, -np.inf)

    def _leverages(self, parameters: Floats) -> Bend:
        """(P, B) variances of eta and phi of each pair and their covariance, under the penalised information."""
        problem = self.problem
        covariance = np.zeros((parameters.shape[1], problem.size, problem.size))
        inside = np.flatnonzero(self.penalised)
        covariance[:, inside[:, None], inside] = _inverted(self._informations(parameters)[:, inside[:, None], inside])
        whole = problem.expansion @ covariance @ problem.expansion.T
        left, right, side = problem.left, problem.right, problem.contenders
        own = whole[:, left, left] + whole[:, right, right] - 2 * whole[:, left, right]
        cross = whole[:, left, -1] - whole[:, right, -1]
        if problem.side:
            own += 2 * (whole[:, left, side] - whole[:, right, side]) + whole[:, side, side][:, None]
            cross += whole[:, side, -1][:, None]
        if not problem.has_ties:
            return Bend(own.T, np.zeros_like(own.T), np.zeros_like(own.T))
        return Bend(own.T, cross.T, np.broadcast_to(whole[:, -1, -1], own.T.shape))

    def _steps(self, here: Floats, within: _Constraints | None) -> Floats:
        """(p, B); NaN where the penalised likelihood is flat."""
        leverages = self._leverages(here)
        curvature = self._curvatures(here, leverages)
        step = _solved(curvature, self._scores(here, leverages))
        if within is None:
            return step
        towards = _solved(curvature, within.directions)
        along = (within.directions * towards).sum(axis=0)
        met: Floats = step + towards * (within.missing(here + step) / np.where(along > 0, along, np.nan))
        return met

    def _uphill(self, here: Floats, values: Floats, steps: Floats, check: Flags) -> tuple[Floats, Floats]:
        """Places (p, B) and values (B,) after the steps, halved until inside and, where checked, not going down.

        Steps close to the maximum gain less than the rounding of the determinant, so that checking would stop them.
        """
        there, after, scale = here.copy(), values.copy(), np.ones(len(values))
        pending = np.arange(len(values))
        for _ in range(_HALVINGS):
            trial = here[:, pending] + steps[:, pending] * scale[pending]
            inside = is_inside(self.problem, trial)
            # Behind the border there is no likelihood to ask for.
            reached = self.values(np.where(inside, trial, here[:, pending]))
            lowest = values[pending] - _ROUNDING * np.abs(values[pending])
            fine = inside & (~check[pending] | (reached >= lowest))
            there[:, pending[fine]], after[pending[fine]] = trial[:, fine], reached[fine]
            pending = pending[~fine]
            if not len(pending):
                break
            scale[pending] /= 2
        there[:, pending] += steps[:, pending] * scale[pending]
        return there, after


def _solved(matrices: Floats, columns: Floats) -> Floats:
    """(p, B) solutions of matrices (B, p, p) @ x = columns (p, B); NaN where a matrix is singular."""
    solved: Floats = np.full(columns.shape, np.nan)
    try:
        solved[:] = np.linalg.solve(matrices, columns.T[..., None])[..., 0].T
    except np.linalg.LinAlgError:
        for number in np.flatnonzero(_regular(matrices)):
            solved[:, number] = np.linalg.solve(matrices[number], columns[:, number])
    return solved


def _inverted(matrices: Floats) -> Floats:
    """Inverses of (B, p, p); NaN where one is singular."""
    inverse: Floats = np.full(matrices.shape, np.nan)
    try:
        inverse[:] = np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        regular = _regular(matrices)
        inverse[regular] = np.linalg.inv(matrices[regular])
    return inverse


def _regular(matrices: Floats) -> Flags:
    """(B,) which matrices have no zero pivot: exactly those that NumPy solves."""
    sign, _ = np.linalg.slogdet(matrices)
    regular: Flags = (sign != 0) & np.isfinite(matrices).all(axis=(1, 2))
    return regular


def _product(leverages: Bend, bend: Bend) -> Floats:
    return leverages.eta * bend.eta + 2 * leverages.cross * bend.cross + leverages.phi * bend.phi
