from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking.models import Ties, fit_model
from arena.ranking.rater_quality import _crowd, fit_crowd, rater_quality
from arena.ranking.tallies import LEFT, NOBODY, RIGHT, TIE, Votes, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]
TRUE = np.array([1.2, 0.4, -0.4, -1.2])


def crowd(seed: int = 0, *, honest: int = 24, spammers: int = 6, lefties: int = 0, each: int = 150) -> Votes:
    """Raters who see what is there, then such as toss a coin, then such as always take the left side."""
    rng = np.random.default_rng(seed)
    raters = honest + spammers + lefties
    rater = np.repeat(np.arange(raters), each)
    votes = simulate_votes(rng, TRUE, votes=len(rater), prompts=40, ties=0.1)
    coin = rng.random(len(rater)) < 0.5
    outcome = np.where(rater < honest, votes.outcome, np.where(coin, LEFT, RIGHT))
    return replace(votes, rater=rater, outcome=np.where(rater < honest + spammers, outcome, LEFT))


def test_crowd_gradient_is_that_of_finite_differences() -> None:
    problem, _ = _crowd(crowd(each=20), (10.0, 2.0))
    rng = np.random.default_rng(1)
    strengths, side, reliability = rng.standard_normal(4), 0.2, rng.uniform(0.3, 0.95, size=30)
    by_strength, by_side, by_reliability = problem.gradient(strengths, side, reliability)
    step = 1e-6

    def slope(shift: Floats, tilt: float, trust: Floats) -> float:
        ahead = problem.log_posterior(strengths + shift, side + tilt, reliability + trust)
        behind = problem.log_posterior(strengths - shift, side - tilt, reliability - trust)
        return (ahead - behind) / (2 * step)

    still, nobody = np.zeros(4), np.zeros(30)
    np.testing.assert_allclose(by_strength, [slope(step * own, 0, nobody) for own in np.eye(4)], rtol=1e-4, atol=1e-5)
    assert by_side == pytest.approx(slope(still, step, nobody), rel=1e-4)
    np.testing.assert_allclose(by_reliability, [slope(still, 0, step * own) for own in np.eye(30)], rtol=1e-4)


def test_crowd_fit_is_a_maximum_of_the_posterior() -> None:
    votes = crowd(each=40)
    found = fit_crowd(votes)
    problem, labels = _crowd(votes, (10.0, 1.0))
    side = found.fit.side_bias or 0.0
    by_strength, by_side, by_reliability = problem.gradient(found.fit.strengths, side, found.reliability)

    np.testing.assert_array_equal(found.raters, labels)
    np.testing.assert_allclose(by_strength, 0, atol=0.02)
    assert by_side == pytest.approx(0, abs=0.02)
    inside = found.reliability < 0.999
    np.testing.assert_allclose(by_reliability[inside], 0, atol=0.05)
    assert (by_reliability[~inside] > -0.05).all()
    rng = np.random.default_rng(2)
    for _ in range(20):
        moved = np.clip(found.reliability + 0.02 * rng.standard_normal(30), 0.01, 1 - 1e-9)
        shifted = found.fit.strengths + 0.02 * rng.standard_normal(4)
        assert problem.log_posterior(shifted, side, moved) < found.log_posterior


def test_spammers_are_told_from_honest_raters_and_strengths_recover() -> None:
    votes = crowd()
    found = fit_crowd(votes)
    assert found.reliability[:24].min() > found.reliability[24:].max()
    assert found.reliability[24:].max() < 0.8
    assert np.mean(found.reliability[:24]) > 0.9
    np.testing.assert_allclose(found.reliability[24:].mean(), 0.6, atol=0.1)

    plain = fit_model(tally(votes)).strengths
    honest = replace(votes, weight=np.where(votes.rater < 24, 1.0, 1e-9))  # type: ignore[operator]
    clean = fit_model(tally(honest)).strengths
    assert np.ptp(plain) < 0.85 * np.ptp(clean)
    assert np.ptp(found.fit.strengths) == pytest.approx(np.ptp(clean), rel=0.1)


def test_all_raters_trusted_is_the_plain_model() -> None:
    votes = crowd(spammers=0)
    # A prior so sure that nobody is doubted.
    found = fit_crowd(votes, prior=(1e9, 1.0))
    np.testing.assert_allclose(found.reliability, 1, atol=1e-6)
    np.testing.assert_allclose(found.fit.strengths, fit_model(tally(votes)).strengths, atol=1e-5)
    assert found.fit.side_bias == pytest.approx(fit_model(tally(votes)).side_bias, abs=1e-5)


def test_quality_names_the_coin_tossers_and_those_who_take_one_side() -> None:
    votes = crowd(3, honest=24, spammers=4, lefties=2)
    found = rater_quality(fit_model(tally(votes)), votes)
    honest, spam, lefties = slice(0, 24), slice(24, 28), slice(28, 30)

    assert found.agreement[honest].mean() > 0.68
    np.testing.assert_allclose(found.agreement[spam].mean(), 0.5, atol=0.06)
    assert (found.better_than_coin[spam] < found.better_than_coin[honest].min()).all()
    np.testing.assert_array_equal(found.left_share[lefties], 1)
    assert (found.left_p[lefties] < 1e-10).all()
    flags = found.flagged()
    assert flags[24:].sum() >= 5
    assert flags[lefties].all()
    assert flags[honest].sum() <= 2


def test_infit_of_raters_who_vote_as_the_model_says_is_one() -> None:
    votes = crowd(4, spammers=0)
    for ties in get_args(Ties):
        found = rater_quality(fit_model(tally(votes), ties=ties), votes)
        assert found.infit.mean() == pytest.approx(1, abs=0.04), ties
    noisy = rater_quality(fit_model(tally(crowd(4))), crowd(4))
    assert noisy.infit[24:].min() > noisy.infit[:24].mean()


def test_flags_are_false_no_more_often_than_stated() -> None:
    some = [rater_quality(fit_model(tally(v)), v).flagged().any() for v in (crowd(s, spammers=0) for s in range(50))]
    assert np.mean(some) <= 0.12


def test_prediction_for_a_rater_leaves_their_votes_out() -> None:
    # Two raters and one pair: each is judged by the other alone.
    rows = [(0, 1, LEFT, 1)] * 30 + [(0, 1, RIGHT, 1)] * 10 + [(0, 1, RIGHT, 2)] * 25 + [(0, 1, LEFT, 2)] * 15
    votes = some_votes(rows, 2)
    found = rater_quality(fit_model(tally(votes), side_bias=False), votes)
    # The first, by the other's majority for the right one, is wrong in 30 of 40 votes.
    np.testing.assert_allclose(found.agreement, [0.25, 0.375])


def test_self_agreement_counts_repeats_whichever_side_was_left() -> None:
    votes = some_votes(
        [
            (0, 1, LEFT, 4, 1),
            (1, 0, RIGHT, 4, 1),
            (1, 0, LEFT, 4, 1),
            (0, 1, TIE, 4, 2),
            (0, 1, LEFT, 7, 1),
            (1, 0, RIGHT, 7, 2),
            (0, 1, RIGHT, NOBODY, 1),
        ],
        2,
    )
    found = rater_quality(fit_model(tally(votes)), votes)
    assert found.raters.tolist() == [4, 7]
    assert found.votes.tolist() == [4, 2]
    assert found.repeats.tolist() == [3, 0]
    np.testing.assert_allclose(found.self_agreement, [1 / 3, np.nan])


def test_weighted_votes_and_labels_do_not_need_to_be_neat() -> None:
    votes = crowd(honest=10, spammers=2, each=30)
    odd = replace(votes, rater=np.repeat(np.arange(12) * 1000 + 5, 30))
    plain = fit_crowd(odd)
    np.testing.assert_array_equal(plain.raters, np.arange(12) * 1000 + 5)
    np.testing.assert_array_equal(rater_quality(fit_model(tally(odd)), odd).raters, np.arange(12) * 1000 + 5)
    heavy = replace(votes, weight=np.full(len(votes), 2.0))
    # Twice the votes against the same prior: reliabilities leave it further.
    assert fit_crowd(heavy).reliability.min() < plain.reliability.min()


def test_votes_without_raters_are_refused() -> None:
    votes = some_votes([(0, 1, LEFT), (1, 0, LEFT)], 2)
    with pytest.raises(ValueError, match="raters"):
        fit_crowd(votes)
    with pytest.raises(ValueError, match="raters"):
        rater_quality(fit_model(tally(votes)), votes)
    with pytest.raises(ValueError, match="no votes"):
        fit_crowd(some_votes([(0, 1, LEFT, NOBODY)], 2))
    with pytest.raises(ValueError, match="favour 1"):
        fit_crowd(crowd(each=2), prior=(1.0, 1.0))
