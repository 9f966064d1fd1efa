from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.optimize import linprog

from arena.ranking import existence
from arena.ranking.existence import unbounded
from arena.ranking.likelihoods import Link
from arena.ranking.problem import Problem
from arena.ranking.structure import weak_components

Floats = NDArray[np.float64]


def problem_of(counts: Floats, link: Link, *, side: bool) -> Problem:
    return Problem.of(counts, link=link, side=side, groups=weak_components(counts.sum(axis=2)))


def counts_of(contenders: int, rows: list[tuple[int, int, int, int, int]]) -> Floats:
    counts = np.zeros((contenders, contenders, 3))
    for left, right, *results in rows:
        counts[left, right] += results
    return counts


def by_programme(problem: Problem) -> bool:
    """Whether any direction but a common shift leaves no vote less likely, the slow and plain way."""
    rows = existence._rows(problem).toarray()
    known = problem.contenders
    objectives = []
    for one in range(known):
        for other in range(one):
            if problem.groups[one] == problem.groups[other]:
                objectives.append(np.eye(problem.size)[one] - np.eye(problem.size)[other])
    objectives += list(np.eye(problem.size)[known:])
    return any(
        -linprog(-sign * objective, A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=(-1, 1)).fun > 1e-9
        for objective in objectives
        for sign in (1, -1)
    )


@given(
    arrays(np.int64, (3, 3, 3), elements=st.sampled_from([0, 0, 0, 1, 2])),
    st.sampled_from(["half", "davidson", "rao-kupper"]),
    st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_quick_answers_agree_with_the_linear_programme(counts: Floats, link: Link, side: bool) -> None:
    counts = counts.astype(float)
    counts[np.arange(3), np.arange(3)] = 0
    if not counts.any() or (link != "half" and not counts[:, :, 1].any()):
        return
    problem = problem_of(counts, link, side=side)

    assert unbounded(problem).any() == by_programme(problem)


def test_an_undefeated_contender_marks_its_board_and_no_other() -> None:
    counts = counts_of(5, [(0, 1, 5, 0, 0), (1, 2, 2, 0, 2), (3, 4, 2, 0, 2)])

    assert unbounded(problem_of(counts, "half", side=False)).tolist() == [True, True, True, False, False]


def test_a_side_that_always_wins_marks_all() -> None:
    always_left = counts_of(2, [(0, 1, 3, 0, 0), (1, 0, 3, 0, 0)])

    assert unbounded(problem_of(always_left, "half", side=True)).all()
    assert not unbounded(problem_of(always_left, "half", side=False)).any()


def test_decisive_votes_of_one_kind_cannot_bound_the_tie_parameter() -> None:
    # Were ties certain between 1 and 2 and between 0 and 1, and 0 far enough from 2: every vote would be certain.
    chain = counts_of(3, [(0, 1, 0, 5, 0), (1, 2, 0, 5, 0), (0, 2, 5, 0, 0)])

    assert unbounded(problem_of(chain, "davidson", side=False)).all()
    assert not unbounded(problem_of(chain + counts_of(3, [(0, 2, 0, 0, 1)]), "davidson", side=False)).any()


@pytest.mark.parametrize("link", ["half", "davidson"])
def test_covariates_can_bound_what_the_contenders_alone_cannot(link: Link) -> None:
    # 0 never lost, but 1 and 2 beat each other, and on the covariate 0 lies between them.
    counts = counts_of(3, [(0, 1, 5, 0, 0), (1, 2, 3, 0, 4), (2, 1, 3, link != "half", 4)])
    between = np.array([[1.0], [0.0], [2.0]])
    alike = Problem.of(counts, link=link, side=False, groups=np.zeros(3, dtype=np.intp), basis=between)

    assert unbounded(problem_of(counts, link, side=False)).all()
    assert not unbounded(alike).any()


def test_covariates_that_explain_every_vote_are_unbounded() -> None:
    counts = counts_of(3, [(0, 1, 5, 0, 0), (1, 2, 3, 0, 0)])
    falling = np.array([[2.0], [1.0], [0.0]])
    problem = Problem.of(counts, link="half", side=False, groups=np.zeros(3, dtype=np.intp), basis=falling)

    assert unbounded(problem).all()
