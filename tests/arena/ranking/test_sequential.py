from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from arena.ranking.intervals import Intervals
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.sequential import (
    FEWEST_CLUSTERS,
    bet,
    clusters_to_tell,
    confidence_sequence,
    difference_sequences,
    discoveries,
    mixture_scale,
    rater_results,
    reach,
    settled,
)
from arena.ranking.tallies import LEFT, NOBODY, RIGHT, TIE, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]


def results_of_raters(
    rng: np.random.Generator, *, paths: int, raters: int, gap: float = 0.0, votes: int = 5, ties: float = 0.2
) -> Floats:
    """(paths, raters) mean result of each rater's votes on one pair: tastes differ by a standard deviation of 0.5."""
    win = expit(gap + 0.5 * rng.standard_normal((paths, raters)))
    decided = rng.binomial(votes, 1 - ties, size=(paths, raters))
    results: Floats = (2.0 * rng.binomial(decided, win) - decided) / votes
    return results


def running(results: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, its standard error and the number of raters, after each rater."""
    number = np.arange(1, results.shape[1] + 1) * 1.0
    mean = results.cumsum(axis=1) / number
    spread = (results**2).cumsum(axis=1) / number - mean**2
    return mean, np.sqrt(np.maximum(spread, 0) / np.maximum(number - 1, 1)), number


def test_reach_is_the_published_formula() -> None:
    clusters, alpha, error = np.array([20.0, 100.0, 1000.0]), 0.05, 0.3
    rho = mixture_scale(100)
    published = (
        error
        * np.sqrt(clusters)
        * np.sqrt(2 * (clusters * rho**2 + 1) / (clusters**2 * rho**2) * np.log(np.sqrt(clusters * rho**2 + 1) / alpha))
    )
    found = confidence_sequence(np.zeros(3), np.full(3, error), clusters, planned=100)

    np.testing.assert_allclose(found.high, published, rtol=1e-12)
    np.testing.assert_allclose(found.low, -published, rtol=1e-12)


@pytest.mark.parametrize("planned", [30.0, 5000.0])
def test_width_is_least_for_its_tuning_at_the_planned_number(planned: float) -> None:
    tuned = reach(np.array(planned), planned=planned)
    assert tuned == pytest.approx(3.03, abs=0.01)
    for other in (0.5, 0.9, 1.1, 2.0):
        assert reach(np.array(planned), planned=planned * other) > tuned


def test_sequence_says_nothing_about_a_handful_of_raters() -> None:
    found = confidence_sequence(np.zeros(3), np.ones(3), np.array([2.0, 19.0, 20.0]), planned=100)
    np.testing.assert_array_equal(np.isnan(found.low), [True, True, False])


def test_peeking_after_every_rater_names_a_false_winner_in_at_most_one_study_in_twenty() -> None:
    # A fixed-size interval that is looked at as often is wrong in over a third of the same studies.
    results = results_of_raters(np.random.default_rng(1), paths=4000, raters=1000)
    mean, error, number = running(results)
    late = number >= 20
    sequence = confidence_sequence(mean, error, number, planned=300)
    sequence_errs = ((sequence.low > 0) | (sequence.high < 0)).any(axis=1).mean()
    betting_errs = np.mean([bet(path).stops_at() is not None for path in results[:2000]])
    naive_errs = (np.abs(mean) > 1.96 * error)[:, late].any(axis=1).mean()

    assert sequence_errs <= 0.05
    assert betting_errs <= 0.05
    assert naive_errs > 0.33


def test_both_stop_for_a_real_difference_and_name_the_right_one() -> None:
    results = results_of_raters(np.random.default_rng(2), paths=200, raters=2000, gap=0.3)
    mean, error, number = running(results)
    sequence = confidence_sequence(mean, error, number, planned=300)
    crossed = (sequence.low > 0) | (sequence.high < 0)
    first = crossed.argmax(axis=1)
    bets = [bet(path) for path in results]
    stops = [own.stops_at() for own in bets]

    assert crossed.any(axis=1).all()
    assert (mean[np.arange(200), first] > 0).all()
    assert None not in stops
    assert {int(own.ahead[stop - 1]) for own, stop in zip(bets, stops, strict=True) if stop} == {1}
    assert np.mean(first) < 250
    assert np.mean([stop for stop in stops if stop]) < 350


def test_wealth_is_the_mixture_of_what_each_stake_earns() -> None:
    results = np.array([1.0, 0.0, -0.5, 1.0])
    paths = [np.prod(1 + sign * stake * results) for stake in (0.1, 0.4) for sign in (1, -1)]
    process = bet(results, stakes=(0.1, 0.4))

    assert process.e_value == pytest.approx(np.mean(paths), rel=1e-12)
    assert process.ahead.tolist() == [1, 1, 1, 1]
    mirrored = bet(-results, stakes=(0.1, 0.4))
    np.testing.assert_allclose(mirrored.log_wealth, process.log_wealth, rtol=1e-12, atol=1e-14)
    assert mirrored.ahead.tolist() == [-1, -1, -1, -1]


def test_expected_wealth_of_a_fair_bet_is_one() -> None:
    # All 3^4 orders of a coin with ties, weighed by their chances.
    chances = {1.0: 0.4, 0.0: 0.2, -1.0: 0.4}
    outcomes = np.array(np.meshgrid(*[list(chances)] * 4)).reshape(4, -1).T
    expected = sum(np.prod([chances[x] for x in row]) * bet(row).e_value for row in outcomes)
    assert expected == pytest.approx(1, rel=1e-12)


def test_ties_neither_win_nor_lose_money() -> None:
    assert bet(np.zeros(50)).e_value == pytest.approx(1)
    assert bet(np.zeros(0)).e_value == 1
    assert bet(np.zeros(0)).p_value == 1


def test_p_value_keeps_the_best_moment() -> None:
    process = bet(np.concatenate([np.ones(12), -np.ones(12)]))
    assert process.p_value == pytest.approx(np.exp(-process.log_wealth[11]))
    assert process.e_value < 1


def test_results_beyond_one_vote_and_stakes_beyond_all_money_are_refused() -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        bet(np.array([1.5]))
    with pytest.raises(ValueError, match="share"):
        bet(np.array([1.0]), stakes=(1.0,))


def test_each_rater_is_one_bet_in_the_order_of_their_coming() -> None:
    votes = some_votes(
        [
            (0, 1, LEFT, 7),
            (1, 0, LEFT, 3),
            (0, 1, LEFT, 3),
            (0, 2, LEFT, 5),
            (1, 0, TIE, 7),
            (1, 0, RIGHT, NOBODY),
            (1, 0, RIGHT, 1),
        ],
        3,
    )
    np.testing.assert_array_equal(rater_results(votes, 0, 1), [1, -1, 1])
    np.testing.assert_array_equal(rater_results(votes, 0, 1, settle="mean"), [0.5, 0, 1])
    np.testing.assert_array_equal(rater_results(votes, 1, 0), [-1, 1, -1])
    assert len(rater_results(votes, 1, 2)) == 0


def test_sequences_of_differences_share_the_risk_among_pairs() -> None:
    votes = simulate_votes(np.random.default_rng(3), np.array([1.0, 0.0, -1.0]), votes=3000, raters=40)
    precision = estimate_precision(fit_model(tally(votes)), votes, by=("rater",))
    found = difference_sequences(precision, planned=40)
    factor = reach(precision.effective[:1], planned=40, level=1 - 0.05 / 3)
    gap = precision.fit.strengths[0] - precision.fit.strengths[1]

    assert found.low[0, 1] == pytest.approx(gap - factor[0] * precision.difference_errors[0, 1])
    np.testing.assert_allclose(found.low, -found.high.T)
    assert settled(found) == 0


def test_nobody_has_won_while_one_rival_is_within_reach() -> None:
    low = np.array([[np.nan, 0.1, -0.1], [-1, np.nan, 0.2], [-1, -1, np.nan]])
    assert settled(Intervals(low, low, low)) is None
    low[0, 2] = 0.01
    assert settled(Intervals(low, low, low)) == 0
    assert settled(Intervals(low[:1, :1], low[:1, :1], low[:1, :1])) is None


def test_e_bh_rejects_as_many_as_their_evidence_bears() -> None:
    # The k largest must each reach n / (k rate): 100 / 1, 50 / 2, 33 for five pairs at 5 percent.
    found = discoveries(np.array([60.0, 1.0, 49.0, 90.0, 20.0]), rate=0.05)
    np.testing.assert_array_equal(found, [True, False, True, True, False])
    assert not discoveries(np.array([99.0, 1.0, 1.0, 1.0, 1.0])).any()
    assert len(discoveries(np.zeros(0))) == 0


def test_a_projection_ends_where_the_sequence_first_leaves_out_zero() -> None:
    gap, error, clusters, planned = 0.3, 0.2, 40.0, 100.0
    count = clusters_to_tell(gap, error, clusters, planned=planned)
    later = confidence_sequence(
        np.array(gap), np.array(error * np.sqrt(clusters / count)), np.array(count), planned=planned
    )
    assert float(later.low) == pytest.approx(0.0, abs=1e-9)
    assert clusters_to_tell(5.0, error, clusters, planned=planned) == FEWEST_CLUSTERS
    assert clusters_to_tell(0.0, error, clusters, planned=planned) == np.inf
    assert clusters_to_tell(1e-9, error, clusters, planned=planned) == np.inf
