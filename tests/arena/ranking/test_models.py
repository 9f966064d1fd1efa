from __future__ import annotations

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.optimize import minimize

from arena.ranking import models, newton
from arena.ranking.fitted import ModelFit, Ties
from arena.ranking.models import ConvergenceError, fit_model, fit_tie_models
from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE, Tallies, tally
from tests.arena.ranking.tables import BASEBALL, CITATIONS, WIKIPEDIA, tallies_of
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

ALL: list[Ties] = ["half", "davidson", "rao-kupper", "drop"]
TRINOMIAL: list[Ties] = ["davidson", "rao-kupper"]


@st.composite
def tables(draw: st.DrawFn, smallest: int = 2, largest: int = 5) -> Counts:
    """Counts that any model has a finite estimate for: every pair met in both orders with every outcome."""
    contenders = draw(st.integers(smallest, largest))
    counts = draw(arrays(np.int64, (contenders, contenders, 4), elements=st.integers(1, 40)))
    counts[np.arange(contenders), np.arange(contenders)] = 0
    return counts


def close(found: Floats, expected: Floats, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def share_of(fit: ModelFit) -> Floats:
    strengths: Floats = np.exp(fit.strengths)
    strengths /= strengths.sum()
    return strengths


# Published tables and closed forms.


def test_the_worked_example_of_wikipedia_comes_out_as_printed() -> None:
    fit = fit_model(tallies_of(WIKIPEDIA), side_bias=False)

    np.testing.assert_array_equal(np.exp(fit.strengths).round(3), [0.640, 1.043, 0.660, 2.270])
    assert fit.estimator == "mle"


def test_citations_come_out_as_published() -> None:
    fit = fit_model(tallies_of(CITATIONS), side_bias=False)

    np.testing.assert_array_equal((fit.strengths - fit.strengths[0]).round(4), [0, -2.9491, -0.4796, 0.2690])
    assert (round(fit.deviance, 2), fit.degrees_of_freedom) == (4.29, 3)


def test_baseball_with_home_advantage_comes_out_as_published() -> None:
    fit = fit_model(tallies_of(BASEBALL))

    np.testing.assert_array_equal(share_of(fit).round(3), [0.220, 0.190, 0.164, 0.157, 0.137, 0.088, 0.044])
    assert fit.side_bias is not None
    assert (round(fit.side_bias, 3), round(fit.side_bias_error or 0, 3)) == (0.302, 0.131)
    assert (round(fit.deviance, 2), fit.degrees_of_freedom) == (38.64, 35)


def test_baseball_without_home_advantage_comes_out_as_published() -> None:
    fit = fit_model(tallies_of(BASEBALL), side_bias=False)
    ordered = fit.goodness(ordered=True)

    assert (round(ordered.deviance, 2), ordered.degrees_of_freedom) == (44.05, 36)
    # Agresti 2002, p. 437: the two orders of a pair counted together.
    assert (round(fit.deviance, 1), fit.degrees_of_freedom) == (15.7, 15)


def test_home_advantage_is_what_the_two_deviances_differ_by() -> None:
    # A likelihood ratio does not depend on what is called saturated.
    free, bound = fit_model(tallies_of(BASEBALL)), fit_model(tallies_of(BASEBALL), side_bias=False)

    ratio = 2 * (free.log_likelihood - bound.log_likelihood)
    assert ratio == pytest.approx(bound.goodness(ordered=True).deviance - free.deviance)


@pytest.mark.parametrize("ties", ALL)
def test_seven_to_three_is_log_seven_thirds(ties: Ties) -> None:
    fit = fit_model(tallies_of([(0, 1, 7, 0, 3)]), ties=ties, side_bias=False)

    close(fit.strengths, np.array([1, -1]) * np.log(7 / 3) / 2)
    assert fit.log_likelihood == pytest.approx(7 * np.log(0.7) + 3 * np.log(0.3))
    assert fit.deviance == pytest.approx(0, abs=1e-12)
    assert fit.degrees_of_freedom == 0
    assert fit.tie_parameter == (0.0 if ties in TRINOMIAL else None)


def test_davidson_on_two_contenders_has_a_closed_form() -> None:
    fit = fit_model(tallies_of([(0, 1, 9, 5, 4)]), ties="davidson", side_bias=False)

    close(fit.strengths, np.array([1, -1]) * np.log(9 / 4) / 2)
    assert fit.tie_parameter == pytest.approx(5 / 6, abs=1e-10)
    assert fit.outcome_probabilities()[0, 1] == pytest.approx(np.array([9, 5, 4]) / 18)


def test_rao_kupper_on_two_contenders_has_a_closed_form() -> None:
    fit = fit_model(tallies_of([(0, 1, 9, 5, 4)]), ties="rao-kupper", side_bias=False)

    # logit P(win) = gap - tau and logit P(loss) = -gap - tau.
    win, loss = np.log(9 / 9), np.log(4 / 14)
    assert fit.strengths[0] - fit.strengths[1] == pytest.approx((win - loss) / 2, abs=1e-10)
    assert fit.tie_parameter == pytest.approx(-(win + loss) / 2, abs=1e-10)
    assert fit.outcome_probabilities()[0, 1] == pytest.approx(np.array([9, 5, 4]) / 18)


@pytest.mark.parametrize("ties", ALL)
def test_two_contenders_in_both_orders_have_a_closed_form_of_the_side_bias(ties: Ties) -> None:
    # The better one wins 6 to 2 on the left and 4 to 4 on the right.
    fit = fit_model(tallies_of([(0, 1, 6, 0, 2), (1, 0, 4, 0, 4)]), ties=ties)

    assert fit.side_bias == pytest.approx(np.log(3) / 2, abs=1e-9)
    assert fit.strengths[0] - fit.strengths[1] == pytest.approx(np.log(3) / 2, abs=1e-9)


def test_the_textbook_standard_error_of_two_contenders() -> None:
    fit = fit_model(tallies_of([(0, 1, 7, 0, 3)]), side_bias=False)

    quarter = (1 / 7 + 1 / 3) / 4
    close(fit.covariance, quarter * np.array([[1, -1], [-1, 1]]))


def test_the_error_of_davidsons_parameter_comes_from_the_multinomial() -> None:
    fit = fit_model(tallies_of([(0, 1, 9, 5, 4)]), ties="davidson", side_bias=False)

    # log nu = log t - (log w + log l) / 2.
    assert fit.tie_parameter_error == pytest.approx(5 / 6 * np.sqrt(1 / 5 + (1 / 9 + 1 / 4) / 4))


# Other implementations.


@pytest.mark.parametrize("seed", range(20))
def test_half_wins_agree_with_choix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    contenders = int(rng.integers(3, 30))
    # A cycle keeps the graph strongly connected however thin the rest is.
    points = np.roll(np.eye(contenders), 1, axis=1) + rng.poisson(rng.uniform(0, 3), size=(contenders, contenders))
    np.fill_diagonal(points, 0)
    counts = np.zeros((contenders, contenders, 4), dtype=np.int64)
    counts[:, :, LEFT] = points
    counts[:, :, TIE] = np.triu(rng.poisson(1, size=points.shape), 1)
    tallies = Tallies(counts)

    close(fit_model(tallies, side_bias=False).strengths, choix.ilsr_pairwise_dense(tallies.half_wins(), tol=1e-12))


@pytest.mark.parametrize("ties", ALL)
def test_a_general_optimiser_finds_nothing_better(ties: Ties) -> None:
    votes = simulate_votes(np.random.default_rng(0), np.array([0.0, 0.4, 1.0, -0.7]), votes=400)
    fit = fit_model(tally(votes), ties=ties)

    def loss(parameters: Floats) -> float:
        return -float(fit.problem.log_likelihood(parameters[:, None])[0])

    # Away from the flat direction, and with a positive tau.
    best = minimize(loss, models.start(fit.problem), method="Nelder-Mead", options={"maxiter": 20000, "fatol": 1e-12})
    assert fit.log_likelihood >= -best.fun - 1e-9
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-3)


def test_both_models_of_ties_are_offered_for_comparison() -> None:
    tallies = tally(simulate_votes(np.random.default_rng(0), np.array([0.0, 0.4, 1.0]), votes=500))
    both = fit_tie_models(tallies, side_bias=False)

    assert {name: fit.log_likelihood for name, fit in both.items()} == {
        name: fit_model(tallies, ties=name, side_bias=False).log_likelihood for name in ("davidson", "rao-kupper")
    }


# What the models promise.


@given(tables())
@settings(deadline=None, max_examples=40)
def test_under_davidson_predicted_points_and_ties_are_the_observed_ones(counts: Counts) -> None:
    fit = fit_model(Tallies(counts), ties="davidson")
    table = fit.pairs

    points = np.zeros((2, fit.contenders))
    for row, cells in enumerate((table.observed, table.expected)):
        np.add.at(points[row], table.left, cells[:, 0] + cells[:, 1] / 2)
        np.add.at(points[row], table.right, cells[:, 2] + cells[:, 1] / 2)
    np.testing.assert_allclose(points[1], points[0], rtol=1e-9)
    np.testing.assert_allclose(table.expected.sum(axis=0), table.observed.sum(axis=0), rtol=1e-9)


@given(tables(), st.sampled_from(ALL))
@settings(deadline=None, max_examples=60)
def test_swapping_all_sides_turns_the_side_bias_and_nothing_else(counts: Counts, ties: Ties) -> None:
    swapped = counts.transpose(1, 0, 2)[:, :, [RIGHT, TIE, LEFT, BOTH_BAD]].copy()
    one, other = fit_model(Tallies(counts), ties=ties), fit_model(Tallies(swapped), ties=ties)

    close(other.strengths, one.strengths)
    assert other.side_bias == pytest.approx(-(one.side_bias or 0), abs=1e-9)
    assert other.log_likelihood == pytest.approx(one.log_likelihood)


@given(tables(), st.sampled_from(ALL), st.randoms(use_true_random=False), st.booleans())
@settings(deadline=None, max_examples=60)
def test_the_order_of_contenders_does_not_matter(counts: Counts, ties: Ties, random: object, side: bool) -> None:
    order = np.arange(len(counts))
    random.shuffle(order)  # type: ignore[attr-defined]
    one = fit_model(Tallies(counts), ties=ties, side_bias=side)
    other = fit_model(Tallies(counts[np.ix_(order, order)]), ties=ties, side_bias=side)

    close(other.strengths, one.strengths[order])
    assert other.deviance == pytest.approx(one.deviance)


@given(tables(), st.sampled_from(ALL), st.sampled_from([2, 10, 1000]))
@settings(deadline=None, max_examples=60)
def test_the_same_votes_several_times_give_the_same_estimates_and_smaller_errors(
    counts: Counts, ties: Ties, times: int
) -> None:
    one, many = fit_model(Tallies(counts), ties=ties), fit_model(Tallies(counts * times), ties=ties)

    close(many.strengths, one.strengths)
    close(many.bread * times, one.bread, atol=1e-7 * float(np.abs(one.bread).max()))


@given(tables(largest=3), tables(largest=3), st.sampled_from(["half", "drop"]))
@settings(deadline=None, max_examples=40)
def test_boards_without_a_common_vote_are_fitted_as_if_alone(one: Counts, other: Counts, ties: Ties) -> None:
    size = len(one) + len(other)
    counts = np.zeros((size, size, 4), dtype=np.int64)
    counts[: len(one), : len(one)], counts[len(one) :, len(one) :] = one, other
    union = fit_model(Tallies(counts), ties=ties, side_bias=False)
    alone = [fit_model(Tallies(part), ties=ties, side_bias=False) for part in (one, other)]

    close(union.strengths, np.concatenate([fit.strengths for fit in alone]))
    assert union.components.tolist() == [0] * len(one) + [1] * len(other)
    assert union.deviance == pytest.approx(sum(fit.deviance for fit in alone), abs=1e-9)
    assert union.degrees_of_freedom == sum(fit.degrees_of_freedom for fit in alone)
    assert np.isnan(union.win_probabilities()[: len(one), len(one) :]).all()


@pytest.mark.parametrize("ties", ALL)
def test_a_board_that_needs_the_penalty_leaves_the_others_alone(ties: Ties) -> None:
    fine = [(0, 1, 5, 0, 3), (1, 2, 4, 0, 2), (2, 0, 2, 0, 2)]
    swept = [(3, 4, 5, 0, 0)]
    both = fit_model(tallies_of([*fine, *swept]), ties=ties, side_bias=False)

    close(both.strengths[:3], fit_model(tallies_of(fine), ties=ties, side_bias=False).strengths)
    close(both.strengths[3:], np.array([1, -1]) * np.log(11) / 2)
    assert both.flags == ((), (), (), ("undefeated", "firth"), ("winless", "firth"))


@given(tables(smallest=3), st.sampled_from(["half", "davidson", "rao-kupper"]), st.data())
@settings(deadline=None, max_examples=60)
def test_one_more_win_never_makes_the_winner_weaker(counts: Counts, ties: Ties, data: st.DataObject) -> None:
    winner, loser = data.draw(st.permutations(range(len(counts))))[:2]
    more = counts.copy()
    more[winner, loser, LEFT] += 1
    one = fit_model(Tallies(counts), ties=ties, side_bias=False).strengths
    other = fit_model(Tallies(more), ties=ties, side_bias=False).strengths

    assert other[winner] - other[loser] > one[winner] - one[loser]


def test_one_bridging_tie_joins_two_boards() -> None:
    apart = [(0, 1, 7, 0, 3), (2, 3, 7, 0, 3)]
    joined = fit_model(tallies_of([*apart, (1, 2, 0, 1, 0)]), side_bias=False)

    gap = np.log(7 / 3)
    close(fit_model(tallies_of(apart), side_bias=False).strengths, np.array([gap, -gap, gap, -gap]) / 2)
    close(joined.strengths, np.array([gap, 0, 0, -gap]))
    assert joined.components.tolist() == [0] * 4


# Ties, both bad, sides.


def test_both_bad_is_a_tie_unless_it_is_dropped() -> None:
    rows = [(0, 1, LEFT)] * 5 + [(1, 0, LEFT)] * 2 + [(0, 1, BOTH_BAD)] * 3
    as_tie = [(0, 1, LEFT)] * 5 + [(1, 0, LEFT)] * 2 + [(0, 1, TIE)] * 3
    votes = tally(some_votes(rows, 2))

    for ties in ("half", "davidson", "rao-kupper"):
        kept, plain = fit_model(votes, ties=ties), fit_model(tally(some_votes(as_tie, 2)), ties=ties)
        close(kept.parameters, plain.parameters)
    dropped = fit_model(votes, ties="davidson", both_bad="drop")
    assert dropped.tie_parameter == 0
    close(dropped.parameters, fit_model(tally(some_votes(rows[:7], 2))).parameters)


def test_dropping_ties_leaves_only_decisive_votes() -> None:
    rows = [(0, 1, 7, 20, 3)]

    close(fit_model(tallies_of(rows), ties="drop", side_bias=False).strengths, np.array([1, -1]) * np.log(7 / 3) / 2)


def test_nothing_but_ties_gives_equals_in_every_model() -> None:
    for ties in ("half", "davidson", "rao-kupper"):
        fit = fit_model(tallies_of([(0, 1, 0, 4, 0)]), ties=ties, side_bias=False)
        close(fit.strengths, np.zeros(2))
        assert fit.estimator == ("mle" if ties == "half" else "firth")
    dropped = fit_model(tallies_of([(0, 1, 0, 4, 0)]), ties="drop")
    assert dropped.flags == (("alone",), ("alone",))


def test_a_side_bias_that_the_strengths_could_be_is_left_out_with_a_sentence() -> None:
    fit = fit_model(tallies_of([(0, 1, 7, 0, 3), (2, 1, 4, 0, 3)]))

    assert fit.side_bias is None
    assert fit.unidentified_side
    assert any("never shown in both orders" in sentence for sentence in fit.warnings(["a", "b", "c"]))


def test_a_cycle_of_pairs_in_one_order_tells_a_side_bias() -> None:
    fit = fit_model(tallies_of([(0, 1, 6, 0, 2), (1, 2, 6, 0, 2), (2, 0, 6, 0, 2)]))

    close(fit.strengths, np.zeros(3))
    assert fit.side_bias == pytest.approx(np.log(3))
    assert not fit.unidentified_side


def test_a_side_that_always_wins_is_finite_by_the_penalty() -> None:
    fit = fit_model(tallies_of([(0, 1, 3, 0, 0), (1, 0, 3, 0, 0)]))

    close(fit.strengths, np.zeros(2), atol=1e-8)
    assert fit.side_bias is not None
    assert 1 < fit.side_bias < 5
    assert fit.estimator == "firth"


def test_a_left_advantage_is_found_and_does_not_leak_into_who_is_shown_left_often() -> None:
    rng = np.random.default_rng(0)
    counts = np.zeros((2, 2, 4), dtype=np.int64)
    # Equal contenders, the first shown left nine times in ten, left wins with log odds 0.3.
    for left, right, shown in ((0, 1, 90_000), (1, 0, 10_000)):
        wins = rng.binomial(shown, 1 / (1 + np.exp(-0.3)))
        counts[left, right, [LEFT, RIGHT]] = wins, shown - wins
    fit, blind = fit_model(Tallies(counts)), fit_model(Tallies(counts), side_bias=False)

    assert abs(fit.strengths[0] - fit.strengths[1]) < 0.05
    assert fit.side_bias == pytest.approx(0.3, abs=0.05)
    assert blind.strengths[0] - blind.strengths[1] > 0.19


def some_tallies() -> Tallies:
    return tally(simulate_votes(np.random.default_rng(3), np.array([0.0, 0.3, 0.7, 0.9, 1.4]), votes=1500))


# Nothing is hidden.


def test_an_estimate_that_does_not_exist_is_refused_when_the_likelihood_alone_is_asked_for() -> None:
    with pytest.raises(ConvergenceError, match="has no maximum"):
        fit_model(tallies_of([(0, 1, 5, 0, 0)]), side_bias=False, estimator="mle")


def test_an_unknown_treatment_of_ties_is_refused() -> None:
    with pytest.raises(ValueError, match="one of half, davidson, rao-kupper, drop"):
        fit_model(some_tallies(), ties="bradley")  # type: ignore[arg-type]


def test_an_unfinished_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "_NEWTON_STEPS", 2)
    with pytest.raises(ConvergenceError, match="did not converge in 2 steps"):
        fit_model(some_tallies())


def test_an_estimate_off_the_maximum_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "_NEWTON_STEP", 10.0)
    with pytest.raises(ConvergenceError, match="still rises"):
        fit_model(some_tallies())


def test_no_votes_give_no_strengths_and_no_error() -> None:
    for ties in ALL:
        fit = fit_model(Tallies.empty(3), ties=ties)
        np.testing.assert_array_equal(fit.strengths, np.full(3, np.nan))
        assert fit.flags == (("alone",),) * 3
        assert (fit.log_likelihood, fit.deviance, fit.degrees_of_freedom) == (0.0, 0.0, 0)
        assert fit.members() == []


def test_a_long_chain_of_neighbours_is_solved_exactly() -> None:
    fit = fit_model(tallies_of([(i, i + 1, 3, 0, 1) for i in range(29)]), side_bias=False)

    close(-np.diff(fit.strengths), np.full(29, np.log(3)))
