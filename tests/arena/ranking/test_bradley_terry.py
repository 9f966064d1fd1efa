from __future__ import annotations

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.special import expit

from arena.ranking import newton
from arena.ranking.bradley_terry import ConvergenceError, fit_half_win, win_probability_matrix
from arena.ranking.structure import estimable_groups
from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE, Votes, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]

# Each row is (one, other, wins of one, wins of other).
WIKIPEDIA = [("A", "B", 2, 3), ("A", "D", 1, 4), ("B", "C", 5, 3), ("C", "D", 1, 3)]
# How often the left journal's papers are cited by the right one, and the reverse (Stigler 1994; Turner & Firth 2012).
CITATIONS = [
    ("Biometrika", "Comm Statist", 730, 33),
    ("Biometrika", "JASA", 498, 320),
    ("Biometrika", "JRSS-B", 221, 284),
    ("Comm Statist", "JASA", 68, 813),
    ("Comm Statist", "JRSS-B", 17, 276),
    ("JASA", "JRSS-B", 142, 325),
]


def published(rows: list[tuple[str, str, int, int]]) -> Floats:
    names = sorted({name for row in rows for name in row[:2]})
    matrix = np.zeros((len(names), len(names)))
    for one, other, wins, losses in rows:
        matrix[names.index(one), names.index(other)] += wins
        matrix[names.index(other), names.index(one)] += losses
    return matrix


@st.composite
def half_win_matrices(draw: st.DrawFn, smallest: int = 2) -> Floats:
    """Any results: dense, thin, of one contender or falling into many groups."""
    contenders = draw(st.integers(smallest, 7))
    points = draw(arrays(np.int64, (contenders, contenders), elements=st.sampled_from([0, 0, 0, 1, 2, 3, 17, 400])))
    matrix = points / 2
    np.fill_diagonal(matrix, 0)
    return matrix


def same_strengths(found: Floats, expected: Floats) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_seven_wins_to_three_lie_log_seven_thirds_apart() -> None:
    fit = fit_half_win(np.array([[0.0, 7.0], [3.0, 0.0]]))

    same_strengths(fit.strengths, np.array([np.log(7 / 3) / 2, -np.log(7 / 3) / 2]))
    assert fit.log_likelihood == pytest.approx(7 * np.log(0.7) + 3 * np.log(0.3), abs=1e-12)
    np.testing.assert_allclose(fit.win_probabilities(), [[np.nan, 0.7], [0.3, np.nan]], atol=1e-12)


def test_ties_count_as_half_wins() -> None:
    votes = some_votes([(0, 1, LEFT)] * 5 + [(0, 1, TIE)] * 2 + [(1, 0, TIE)] + [(1, 0, BOTH_BAD)] + [(0, 1, RIGHT)], 2)

    same_strengths(fit_half_win(tally(votes)).strengths, np.array([np.log(7 / 3) / 2, -np.log(7 / 3) / 2]))


def test_the_worked_example_of_wikipedia_comes_out_as_printed() -> None:
    fit = fit_half_win(published(WIKIPEDIA))

    np.testing.assert_array_equal(np.exp(fit.strengths).round(3), [0.640, 1.043, 0.660, 2.270])


def test_citations_between_journals_come_out_as_published() -> None:
    fit = fit_half_win(published(CITATIONS))

    np.testing.assert_array_equal((fit.strengths - fit.strengths[0]).round(4), [0, -2.9491, -0.4796, 0.2690])


def test_the_deviance_of_citations_is_the_published_one() -> None:
    points = published(CITATIONS)
    total = points + points.T
    saturated = sum(points[i, j] * np.log(points[i, j] / total[i, j]) for i, j in zip(*np.nonzero(points), strict=True))

    assert round(2 * (saturated - fit_half_win(points).log_likelihood), 2) == 4.29


@pytest.mark.parametrize("seed", range(20))
def test_choix_finds_the_same_strengths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    contenders = int(rng.integers(3, 30))
    # A cycle keeps the graph strongly connected however thin the rest is.
    points = np.roll(np.eye(contenders), 1, axis=1) + rng.poisson(rng.uniform(0, 3), size=(contenders, contenders)) / 2
    np.fill_diagonal(points, 0)

    same_strengths(fit_half_win(points).strengths, choix.ilsr_pairwise_dense(points, tol=1e-12))


def test_a_long_chain_of_neighbours_is_solved_exactly() -> None:
    points = np.zeros((30, 30))
    points[np.arange(29), np.arange(1, 30)] = 3
    points[np.arange(1, 30), np.arange(29)] = 1

    np.testing.assert_allclose(-np.diff(fit_half_win(points).strengths), np.full(29, np.log(3)), rtol=0, atol=1e-9)


def test_an_undefeated_contender_stands_apart_and_the_others_are_compared_without_it() -> None:
    points = np.array([[0.0, 5.0, 5.0], [0.0, 0.0, 7.0], [0.0, 3.0, 0.0]])
    fit = fit_half_win(points)

    same_strengths(fit.strengths, np.array([np.nan, np.log(7 / 3) / 2, -np.log(7 / 3) / 2]))
    np.testing.assert_array_equal(fit.groups, [0, 1, 1])
    assert [members.tolist() for members in fit.members()] == [[1, 2]]


def test_one_bridging_tie_joins_two_boards() -> None:
    pair = np.array([[0.0, 7.0], [3.0, 0.0]])
    apart = np.block([[pair, np.zeros((2, 2))], [np.zeros((2, 2)), pair]])
    joined = apart.copy()
    joined[1, 2] = joined[2, 1] = 0.5

    gap = np.log(7 / 3)
    same_strengths(fit_half_win(apart).strengths, np.array([gap, -gap, gap, -gap]) / 2)
    same_strengths(fit_half_win(joined).strengths, np.array([gap, 0, 0, -gap]))


def test_no_votes_give_no_strengths() -> None:
    fit = fit_half_win(np.zeros((3, 3)))

    np.testing.assert_array_equal(fit.strengths, np.full(3, np.nan))
    np.testing.assert_array_equal(fit.groups, [0, 1, 2])
    assert (fit.members(), fit.log_likelihood, fit.slope) == ([], 0.0, 0.0)


@given(half_win_matrices())
@settings(deadline=None, max_examples=100)
def test_strengths_are_the_maximum_of_the_likelihood(points: Floats) -> None:
    fit = fit_half_win(points)

    for members in fit.members():
        strengths = fit.strengths[members]
        inside = points[np.ix_(members, members)]
        expected = (inside + inside.T) * expit(strengths[:, None] - strengths[None, :])
        np.testing.assert_allclose(inside.sum(axis=1), expected.sum(axis=1), rtol=0, atol=1e-12 * inside.sum())
        assert abs(strengths.mean()) < 1e-12
    assert np.isnan(fit.strengths).tolist() == [bool((fit.groups == group).sum() == 1) for group in fit.groups]


@given(half_win_matrices(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_the_order_of_contenders_does_not_matter(points: Floats, random: object) -> None:
    order = np.arange(len(points))
    random.shuffle(order)  # type: ignore[attr-defined]

    same_strengths(fit_half_win(points[np.ix_(order, order)]).strengths, fit_half_win(points).strengths[order])


@given(half_win_matrices(), st.sampled_from([2, 10, 1000]))
@settings(deadline=None, max_examples=50)
def test_the_same_votes_several_times_give_the_same_strengths(points: Floats, times: int) -> None:
    same_strengths(fit_half_win(points * times).strengths, fit_half_win(points).strengths)


@given(half_win_matrices(), half_win_matrices())
@settings(deadline=None, max_examples=50)
def test_boards_without_a_common_vote_are_fitted_as_if_alone(one: Floats, other: Floats) -> None:
    gap = np.zeros((len(one), len(other)))
    union = fit_half_win(np.block([[one, gap], [gap.T, other]]))

    alone = np.concatenate([fit_half_win(one).strengths, fit_half_win(other).strengths])
    same_strengths(union.strengths, alone)


@given(half_win_matrices(smallest=3), st.data())
@settings(deadline=None, max_examples=50)
def test_one_more_win_never_makes_the_winner_weaker(points: Floats, data: st.DataObject) -> None:
    winner, loser = data.draw(st.permutations(range(len(points))))[:2]
    more = points.copy()
    more[winner, loser] += 1
    before, after = fit_half_win(points), fit_half_win(more)
    if not np.array_equal(before.groups, after.groups) or before.groups[winner] != before.groups[loser]:
        return

    group = before.groups == before.groups[winner]
    rise = (after.strengths - after.strengths[loser]) - (before.strengths - before.strengths[loser])
    assert rise[winner] > 0
    assert (rise[winner] - rise[group] >= -1e-9).all()


def test_swapping_the_sides_of_all_votes_changes_nothing() -> None:
    votes = simulate_votes(np.random.default_rng(0), np.array([0.0, 0.5, 1.0]), votes=200)
    swapped = Votes(votes.right, votes.left, np.array([RIGHT, TIE, LEFT])[votes.outcome], 3)

    np.testing.assert_array_equal(fit_half_win(tally(swapped)).strengths, fit_half_win(tally(votes)).strengths)


def test_win_probabilities_are_told_only_inside_a_group() -> None:
    probabilities = win_probability_matrix(np.array([np.log(3), 0.0, np.nan, 0.0]), np.array([0, 0, 1, 2]))

    nan = np.nan
    expected = [[nan, 0.75, nan, nan], [0.25, nan, nan, nan], [nan] * 4, [nan] * 4]
    np.testing.assert_allclose(probabilities, expected, atol=1e-15)


def test_newton_takes_over_where_choix_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(*_: object, **__: object) -> None:
        raise RuntimeError("Did not converge after 100 iterations")

    expected = fit_half_win(published(CITATIONS)).strengths
    monkeypatch.setattr(choix, "ilsr_pairwise_dense", give_up)
    same_strengths(fit_half_win(published(CITATIONS)).strengths, expected)


def test_an_unfinished_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choix, "ilsr_pairwise_dense", lambda points, tol: np.zeros(len(points)))
    monkeypatch.setattr(newton, "_NEWTON_STEPS", 2)
    with pytest.raises(ConvergenceError, match="did not converge in 2 steps"):
        fit_half_win(published(CITATIONS))


def test_an_estimate_off_the_maximum_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "_NEWTON_STEP", 1.0)
    monkeypatch.setattr(choix, "ilsr_pairwise_dense", lambda points, tol: np.zeros(len(points)))
    with pytest.raises(ConvergenceError, match="still rises"):
        fit_half_win(np.array([[0.0, 6.0], [4.0, 0.0]]))


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.zeros((2, 3)), "square matrix"),
        (np.array([[0, -1], [1, 0]]), "finite and not negative"),
        (np.array([[0, np.nan], [1, 0]]), "finite and not negative"),
        (np.eye(2), "with itself"),
    ],
)
def test_wrong_half_wins_are_refused(points: Floats, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        fit_half_win(points)


def test_groups_are_those_of_the_structure() -> None:
    points = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 2.5], [0, 0, 0, 0]])

    np.testing.assert_array_equal(fit_half_win(points).groups, estimable_groups(points))
