from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from arena.ranking import influence
from arena.ranking.fitted import Ties
from arena.ranking.influence import Unit, fewest_to_flip, influences, leader
from arena.ranking.models import fit_model, refit_without
from arena.ranking.tallies import LEFT, NOBODY, RIGHT, Votes, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes


def kept(votes: Votes, rows: np.ndarray) -> Votes:
    assert votes.rater is not None and votes.prompt is not None
    columns = (votes.left, votes.right, votes.outcome, votes.rater, votes.prompt)
    left, right, outcome, rater, prompt = (column[rows] for column in columns)
    return Votes(left, right, outcome, votes.contenders, rater, prompt)


def test_a_lead_of_seven_to_three_falls_with_five_votes() -> None:
    votes = some_votes([(0, 1, LEFT)] * 7 + [(0, 1, RIGHT)] * 3, 2)
    found = fewest_to_flip(fit_model(tally(votes), side_bias=False), votes, unit="vote", most=0.9)
    assert found is not None
    assert (found.count, found.before, found.after, found.share) == (5, 0, 1, 0.5)
    assert set(found.removed.tolist()) < set(range(7))
    assert fewest_to_flip(fit_model(tally(votes), side_bias=False), votes, unit="vote", most=0.4) is None


@pytest.mark.parametrize("seed", range(4))
def test_what_is_found_flips_and_no_fewer_raters_would(seed: int) -> None:
    votes = simulate_votes(np.random.default_rng(seed), np.array([0.35, 0.0, -0.3]), votes=240, raters=10)
    fit = fit_model(tally(votes))
    found = fewest_to_flip(fit, votes, unit="rater", most=0.9)

    assert found is not None
    assert leader(fit) == found.before
    without = kept(votes, ~np.isin(votes.rater, found.removed))  # type: ignore[arg-type]
    assert leader(fit_model(tally(without))) == found.after != found.before
    assert found.share == found.count / 10
    # Every smaller choice of raters, by trying them all.
    for size in range(1, min(found.count, 4)):
        for some in combinations(range(10), size):
            rest = kept(votes, ~np.isin(votes.rater, some))  # type: ignore[arg-type]
            assert leader(fit_model(tally(rest))) == found.before


def test_the_rater_and_the_prompt_that_decide_are_named() -> None:
    rng = np.random.default_rng(5)
    votes = simulate_votes(rng, np.zeros(3), votes=600, raters=30, prompts=20)
    # One rater who always sees the same winner, and everybody on one prompt.
    alone = (votes.rater == 3) | (votes.prompt == 7)
    outcome = np.where(alone & (votes.left == 1), LEFT, np.where(alone & (votes.right == 1), RIGHT, votes.outcome))
    votes = replace(votes, outcome=outcome)
    fit = fit_model(tally(votes))
    for unit, culprit in (("rater", 3), ("prompt", 7)):
        labels, influence = influences(fit, votes, unit=unit)  # type: ignore[arg-type]
        assert labels[influence[:, 1].argmax()] == culprit


@pytest.mark.parametrize("ties", ["half", "davidson", "rao-kupper"])
def test_influence_is_what_leaving_out_changes(ties: str) -> None:
    votes = simulate_votes(np.random.default_rng(6), np.array([0.8, 0.0, -0.8]), votes=3000, raters=60)
    fit = fit_model(tally(votes), ties=ties)  # type: ignore[arg-type]
    labels, by_rater = influences(fit, votes, unit="rater")
    rows, by_vote = influences(fit, votes, unit="vote")
    for rater in (0, 17):
        again = fit_model(tally(kept(votes, votes.rater != labels[rater])), ties=ties)  # type: ignore[arg-type]
        np.testing.assert_allclose(by_rater[rater], fit.strengths - again.strengths, atol=0.003)
    again = fit_model(tally(kept(votes, rows != 12)), ties=ties)  # type: ignore[arg-type]
    np.testing.assert_allclose(by_vote[12], fit.strengths - again.strengths, atol=1e-5)


def test_votes_of_nobody_stay() -> None:
    rows = [(0, 1, LEFT, NOBODY)] * 10 + [(0, 1, LEFT, 1)] * 3 + [(0, 1, RIGHT, 2)] * 5
    votes = some_votes(rows, 2)
    fit = fit_model(tally(votes), side_bias=False)
    assert influences(fit, votes, unit="rater")[0].tolist() == [1, 2]
    assert fewest_to_flip(fit, votes, unit="rater", most=1.0) is None


def test_a_board_without_votes_has_no_first_place_to_flip() -> None:
    votes = some_votes([], 3)
    assert fewest_to_flip(fit_model(tally(votes)), votes, unit="vote") is None
    one = some_votes([(0, 1, LEFT)], 2)
    with pytest.raises(ValueError, match="no raters"):
        fewest_to_flip(fit_model(tally(one)), one, unit="rater")
    with pytest.raises(ValueError, match="covariates"):
        fewest_to_flip(fit_model(tally(one), covariates=np.array([[1.0], [0.0]])), one, unit="vote")


def test_what_nobody_said_is_no_vote_to_leave_out() -> None:
    rows = [(0, 1, LEFT, NOBODY)] * 4 + [(0, 1, LEFT, 1)] * 4 + [(0, 1, RIGHT, 2)] * 3
    votes = some_votes(rows, 2)
    fit = fit_model(tally(votes), side_bias=False)
    assert influences(fit, votes, unit="vote")[0].tolist() == list(range(4, 11))
    # 8 : 3, of which only four can go: it stays 4 : 3.
    assert fewest_to_flip(fit, votes, unit="vote", most=1.0) is None


@pytest.mark.parametrize("unit", ["vote", "rater", "prompt"])
def test_among_many_contenders_quicker_refits_find_as_few(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    votes = simulate_votes(np.random.default_rng(2), np.array([0.3, 0.1, 0.0, -0.3]), votes=900, raters=45, prompts=30)
    fit = fit_model(tally(votes))
    slow = fewest_to_flip(fit, votes, unit=unit, most=0.9)
    monkeypatch.setattr(influence, "MANY", 4)
    quick = fewest_to_flip(fit, votes, unit=unit, most=0.9)
    assert slow is not None and quick is not None
    assert (quick.before, quick.after) == (slow.before, slow.after)
    assert abs(quick.count - slow.count) <= 1


@pytest.mark.parametrize("ties", ["half", "davidson", "rao-kupper", "drop"])
def test_a_fit_without_some_votes_is_that_of_the_others(ties: Ties) -> None:
    votes = simulate_votes(np.random.default_rng(3), np.array([0.8, 0.2, 0.0, -0.8]), votes=300, raters=20)
    fit = fit_model(tally(votes), ties=ties)
    some = np.zeros(len(votes), dtype=bool)
    some[::9] = True
    # All votes on the last contender but one: nothing bounds its strength any more.
    hers = (votes.left == 3) | (votes.right == 3)
    hers[np.flatnonzero(hers)[0]] = False
    for gone in (some, hers):
        again = refit_without(fit, tally(kept(votes, gone)))
        whole = fit_model(tally(kept(votes, ~gone)), ties=ties)
        assert again.estimator == whole.estimator
        np.testing.assert_allclose(again.strengths, whole.strengths, atol=1e-8)
        assert again.counts.tolist() == whole.counts.tolist()
