"""Whether the likelihood has a finite maximum, and where it does not.

Without ties and sides that is the strong connectivity of the win graph (Zermelo 1929, Math. Z. 29:436; Ford 1957, Amer.
Math. Monthly 64:28). In general it is the absence of a direction along which no vote becomes less likely (Albert &
Anderson 1984, Biometrika 71:1), which is a linear programme; the quick answers below settle it nearly always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from arena.ranking.problem import Problem
from arena.ranking.structure import estimable_groups

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Optimum of the linear programme that counts as zero: its rows are 0 and 1, so a real one is of order 1.
_NOTHING = 1e-6


def unbounded(problem: Problem) -> Flags:
    """(K,) contenders whose strengths have no finite estimate together with the other parameters of the problem.

    One data set. All of a board are marked where one of its members escapes; all boards, where the side bias or the
    tie parameter does, for these are common to all.
    """
    points = _points(problem)
    split = estimable_groups(points)
    loose = np.zeros(problem.contenders, dtype=bool)
    for board in range(problem.groups.max(initial=-1) + 1):
        members = problem.groups == board
        loose[members] = len(np.unique(split[members])) > 1
    if problem.basis is not None:
        everywhere = _everyone(bool(loose.any()) or not _shared_are_bounded(problem), problem)
        return everywhere if not everywhere.any() else _everyone(_has_direction(problem), problem)
    if not loose.all() and not _shared_are_bounded(problem):
        # Boards that escape on their own may or may not hold the shared parameters: the programme tells.
        return _everyone(True, problem) if _has_shared_direction(problem) else loose
    return loose


def _everyone(answer: bool, problem: Problem) -> Flags:
    return np.full(problem.contenders, answer)


def _points(problem: Problem) -> Floats:
    """(K, K) above 0 where the row took a win or a tie from the column."""
    left, tie, right = problem.masses[:, :, 0]
    points = np.zeros((problem.contenders, problem.contenders))
    points[problem.left, problem.right] += left + tie
    points[problem.right, problem.left] += right + tie
    return points


def _shared_are_bounded(problem: Problem) -> bool:
    """True where side bias and tie parameter are surely bounded; False means that it takes a closer look."""
    left, tie, right = problem.masses[:, :, 0]
    contested = bool(((left > 0) & (right > 0)).any())
    if problem.has_ties and not contested:
        return False
    if not problem.side:
        return True
    # Both sides of one pair of contenders lost on the right, and both sides of one on the left.
    each = []
    for mass in (left + tie if problem.link == "half" else left, right + tie if problem.link == "half" else right):
        seen = np.zeros((problem.contenders, problem.contenders), dtype=bool)
        seen[problem.left[mass > 0], problem.right[mass > 0]] = True
        each.append(bool((seen & seen.T).any()))
    return all(each)


def _has_shared_direction(problem: Problem) -> bool:
    """Whether some direction that moves the side bias or the tie parameter makes no vote less likely."""
    linprog = _linear_programming()
    rows = _rows(problem)
    for place in range(problem.n_strengths, problem.size):
        for sign in (1.0, -1.0):
            bounds: list[tuple[float | None, float | None]] = [(None, None)] * problem.size
            bounds[place] = (sign, sign)
            if linprog(np.zeros(problem.size), A_ub=-rows, b_ub=np.zeros(rows.shape[0]), bounds=bounds).success:
                return True
    return False


def _has_direction(problem: Problem) -> bool:
    """Whether some direction makes a vote more likely and none less."""
    rows = _rows(problem)
    bounds = sparse.vstack([-rows, rows])
    limits = np.repeat([0.0, 1.0], rows.shape[0])
    found = _linear_programming()(-rows.sum(axis=0), A_ub=bounds, b_ub=limits, bounds=(None, None))
    return bool(found.status != 0 or -found.fun > _NOTHING)


def _rows(problem: Problem) -> sparse.csr_array:
    """(n, p) one row per kind of vote that was given: it becomes less likely along a direction of negative product."""
    left, tie, right = (problem.masses[which, :, 0] > 0 for which in range(3))
    steps = problem.incidence.T.tocsr()
    level = sparse.csr_array(np.full((len(problem.left), int(problem.has_ties)), 1.0))
    if problem.has_ties:
        parts = [
            sparse.hstack([steps[left], -level[left]]),
            sparse.hstack([-steps[right], -level[right]]),
            sparse.hstack([steps[tie], level[tie]]),
            sparse.hstack([-steps[tie], level[tie]]),
        ]
    else:
        parts = [steps[left], -steps[right]]
    return sparse.csr_array(sparse.csr_array(sparse.vstack(parts)) @ sparse.csr_array(problem.expansion))


def _linear_programming() -> Callable[..., Any]:
    # Only here, because SciPy's optimisers take longer to load than most rankings to make.
    from scipy.optimize import linprog

    program: Callable[..., Any] = linprog
    return program
