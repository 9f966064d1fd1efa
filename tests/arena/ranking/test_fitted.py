from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking.fitted import Ties
from arena.ranking.models import fit_model
from arena.ranking.tallies import tally
from tests.arena.ranking.tables import BASEBALL, CITATIONS, tallies_of
from tests.arena.ranking.worlds import simulate_votes

Floats = NDArray[np.float64]
ALL: list[Ties] = ["half", "davidson", "rao-kupper", "drop"]


def test_the_deviance_is_twice_the_distance_from_the_saturated_likelihood() -> None:
    rows = [(0, 1, 9, 5, 4), (1, 2, 7, 1, 5), (2, 0, 3, 3, 6), (1, 0, 2, 2, 2)]
    fit = fit_model(tallies_of(rows), ties="rao-kupper")

    counts = np.array([row[2:] for row in rows], dtype=float)
    saturated = (counts * np.log(counts / counts.sum(axis=1, keepdims=True))).sum()
    assert fit.deviance == pytest.approx(2 * (saturated - fit.log_likelihood))
    # Two free cells for each of four ordered pairs; two strengths, a side and a tie parameter.
    assert fit.degrees_of_freedom == 8 - 4


def test_every_pair_stands_in_the_table_with_what_was_expected_of_it() -> None:
    fit = fit_model(tallies_of([(0, 1, 6, 2, 2), (1, 0, 4, 0, 4)]), ties="half")
    table = fit.pairs

    assert (table.left.tolist(), table.right.tolist(), table.votes.tolist()) == ([0, 1], [1, 0], [10, 8])
    np.testing.assert_array_equal(table.observed, [[7, 0, 3], [4, 0, 4]])
    # Two pairs, a strength and a side: it fits exactly, and no residual is left to speak of.
    np.testing.assert_allclose(table.expected, table.observed, atol=1e-9)
    np.testing.assert_allclose(table.predicted_share, table.observed_share)
    assert np.isnan(table.residual).all()
    assert fit.worst_pairs() == []


def test_standardised_residuals_square_to_the_score_test_of_one_pair() -> None:
    # What a single free parameter for the pair would gain to second order: the score test.
    fit = fit_model(tallies_of(CITATIONS), side_bias=False)
    worst = fit.worst_pairs(1)[0]

    assert worst[:2] == (1, 3)
    problem = fit.problem
    row = int(np.flatnonzero((fit.pairs.left == 1) & (fit.pairs.right == 3))[0])
    x = np.zeros(4)
    x[[1, 3]] = 1, -1
    p = fit.pairs.predicted_share[row]
    weight = problem.totals[row, 0] * p * (1 - p)
    score = fit.pairs.observed[row, 0] - fit.pairs.expected[row, 0]
    information = weight - weight**2 * (x @ fit.bread @ x)
    assert worst[2] ** 2 == pytest.approx(score**2 / information)


@pytest.mark.parametrize("ties", ALL)
def test_residuals_of_votes_from_the_model_are_standard_normal(ties: Ties) -> None:
    squares = []
    for seed in range(30):
        votes = simulate_votes(np.random.default_rng(seed), np.array([0.0, 0.3, 0.6, 0.9, 1.2]), votes=1500, ties=0.0)
        if ties in ("davidson", "rao-kupper"):
            votes = simulate_votes(np.random.default_rng(seed), np.zeros(5), votes=1500, ties=0.3)
        residual = fit_model(tally(votes), ties=ties, side_bias=False).pairs.residual
        squares.append(residual[np.isfinite(residual)] ** 2)
    assert np.concatenate(squares).mean() == pytest.approx(1, abs=0.2)


def test_win_probabilities_mirror_each_other_and_hold_at_zero_side_bias() -> None:
    fit = fit_model(tallies_of(BASEBALL))
    win = fit.win_probabilities()

    np.testing.assert_allclose(win + win.T, np.where(np.eye(7) == 1, np.nan, 1), atol=1e-15)
    gap = fit.strengths[0] - fit.strengths[6]
    assert win[0, 6] == pytest.approx(1 / (1 + np.exp(-gap)))
    assert np.isnan(fit.outcome_probabilities()[0, 1, 1])


@pytest.mark.parametrize("ties", ["davidson", "rao-kupper"])
def test_three_outcomes_add_up_and_give_the_win_probability(ties: Ties) -> None:
    votes = simulate_votes(np.random.default_rng(0), np.array([0.0, 0.5, 1.0]), votes=600)
    fit = fit_model(tally(votes), ties=ties)
    chances = fit.outcome_probabilities()
    off = ~np.eye(3, dtype=bool)

    np.testing.assert_allclose(chances[off].sum(axis=1), 1)
    np.testing.assert_allclose(chances[:, :, 0], chances[:, :, 2].T)
    np.testing.assert_allclose((chances[:, :, 0] + chances[:, :, 1] / 2)[off], fit.win_probabilities()[off])


def test_a_reader_is_told_what_is_unusual() -> None:
    names = ["a", "b", "c"]
    swept = fit_model(tallies_of([(0, 1, 5, 0, 0)], contenders=3), ties="davidson", side_bias=False)

    assert swept.warnings(names) == [
        "No chain of votes links a and b with c.",
        "No chain of votes links c with a and b.",
        "a never lost to or tied with b: how much stronger is still unbounded.",
        "b never beat or tied with a: how much weaker is still unbounded.",
        "The maximum-likelihood estimate does not exist, so Firth's penalised likelihood was used: flagged strengths "
        "are finite because of the penalty, and rest on little.",
        "Nobody tied, so the tie parameter is at its limit of no ties.",
    ]
    assert swept.flags == (("undefeated", "firth"), ("winless", "firth"), ("alone",))
    assert fit_model(tallies_of(BASEBALL)).warnings(["x"] * 7) == []


def test_half_wins_vary_less_than_whole_ones() -> None:
    decisive, tied = (
        fit_model(tallies_of([(0, 1, w, t, w)]), side_bias=False).covariance[0, 0] for w, t in ((50, 0), (25, 50))
    )

    assert tied == pytest.approx(decisive * 51 / 101)


def test_ties_between_unequal_contenders_take_away_more_of_the_variance() -> None:
    # 80 wins, 20 ties: points of mean .9 vary by .8 * .01 + .2 * .16 = .04; whole wins would by .09.
    unequal = fit_model(tallies_of([(0, 1, 80_000, 20_000, 0)]), side_bias=False)
    equal = fit_model(tallies_of([(0, 1, 40_000, 20_000, 40_000)]), side_bias=False)
    decided = fit_model(tallies_of([(0, 1, 80, 0, 20)]), side_bias=False)

    assert unequal.dispersion == pytest.approx(4 / 9, abs=1e-4)
    assert equal.dispersion == pytest.approx(0.8, abs=1e-4)
    assert decided.dispersion == 1.0
