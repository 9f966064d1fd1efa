from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import expit, xlogy
from scipy.stats import norm

from arena.ranking.adaptive import (
    Belief,
    Rule,
    after_vote,
    believe,
    choose_pair,
    expected_information,
    pair_probabilities,
    variance_removed,
)
from arena.ranking.structure import weak_components
from arena.ranking.tallies import LEFT, RIGHT, Tallies, tally
from tests.arena.ranking.tables import CITATIONS, tallies_of
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]
RULES: tuple[Rule, ...] = get_args(Rule)


def some_belief(contenders: int = 5) -> Belief:
    rng = np.random.default_rng(4)
    root = rng.standard_normal((contenders, contenders))
    return Belief(rng.standard_normal(contenders), root @ root.T / contenders)


def summed_variance(covariance: Floats) -> float:
    own = np.diagonal(covariance)
    return float(np.triu(own[:, None] + own[None, :] - 2 * covariance).sum())


def test_belief_is_the_maximum_of_likelihood_and_prior() -> None:
    tallies = tallies_of(CITATIONS)
    belief = believe(tallies, prior_deviation=1.5)
    points = tallies.half_wins()

    def log_posterior(mean: Floats) -> float:
        gaps = mean[:, None] - mean[None, :]
        return float(-(points * np.logaddexp(0, -gaps)).sum() - (mean**2).sum() / 2 / 1.5**2)

    for place in range(4):
        step = 1e-4 * np.eye(4)[place]
        slope = (log_posterior(belief.mean + step) - log_posterior(belief.mean - step)) / 2e-4
        assert slope == pytest.approx(0, abs=1e-3)
        bend = (log_posterior(belief.mean + step) + log_posterior(belief.mean - step)) - 2 * log_posterior(belief.mean)
        assert -bend / 1e-8 == pytest.approx(np.linalg.inv(belief.covariance)[place, place], rel=1e-3)


def test_belief_exists_without_votes_and_for_the_undefeated() -> None:
    none = believe(Tallies.empty(3), prior_deviation=2.0)
    np.testing.assert_allclose(none.mean, 0)
    np.testing.assert_allclose(none.covariance, 4 * np.eye(3))

    one_sided = believe(tally(some_votes([(0, 1, LEFT)] * 500, 3)))
    assert np.isfinite(one_sided.mean).all()
    assert one_sided.mean[0] > 1.5 > one_sided.mean[2] == 0


def test_design_effect_discounts_votes() -> None:
    votes = some_votes([(0, 1, LEFT), (0, 1, RIGHT)] * 30, 2)
    halved = some_votes([(0, 1, LEFT), (0, 1, RIGHT)] * 10, 2)
    np.testing.assert_allclose(
        believe(tally(votes), design_effect=3).covariance, believe(tally(halved)).covariance, rtol=1e-12
    )


def test_expected_information_is_the_mutual_information_of_vote_and_gap() -> None:
    belief = some_belief()
    found = expected_information(belief)

    def entropy(win: float) -> float:
        return float(-xlogy(win, win) - xlogy(1 - win, 1 - win))

    for row, column in ((0, 1), (2, 4)):
        gap, deviation = belief.gaps[row, column], belief.gap_variances[row, column] ** 0.5
        ends = gap - 10 * deviation, gap + 10 * deviation
        win = quad(lambda x, g=gap, d=deviation: expit(x) * norm.pdf(x, g, d), *ends)[0]
        inner = quad(lambda x, g=gap, d=deviation: entropy(expit(x)) * norm.pdf(x, g, d), *ends)[0]
        assert found[row, column] == pytest.approx(entropy(win) - inner, rel=1e-3)


def test_expected_information_is_symmetric_grows_with_doubt_and_vanishes_with_certainty() -> None:
    belief = some_belief()
    found = expected_information(belief)
    np.testing.assert_allclose(found, found.T, atol=1e-15)
    np.testing.assert_array_equal(np.diagonal(found), 0)

    sure = expected_information(Belief(belief.mean, belief.covariance * 1e-12))
    assert sure.max() < 1e-9
    doubtful = expected_information(Belief(belief.mean, belief.covariance * 4))
    assert (doubtful >= found).all()
    assert doubtful.max() < np.log(2)


def test_closed_form_of_the_variance_removed_is_that_of_one_more_vote() -> None:
    belief = some_belief()
    found = variance_removed(belief)
    for row, column in ((0, 1), (3, 2)):
        contrast = np.eye(5)[row] - np.eye(5)[column]
        win = expit(belief.gaps[row, column])
        more = np.linalg.inv(np.linalg.inv(belief.covariance) + win * (1 - win) * np.outer(contrast, contrast))
        np.testing.assert_allclose(after_vote(belief, row, column).covariance, more, rtol=1e-9)
        removed = summed_variance(belief.covariance) - summed_variance(more)
        assert found[row, column] == pytest.approx(removed, rel=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_probabilities_sum_to_one_and_leave_every_pair_a_chance(rule: Rule) -> None:
    votes = simulate_votes(np.random.default_rng(5), np.linspace(1, -1, 6), votes=300)
    tallies = tally(votes)
    points = tallies.half_wins()
    found = pair_probabilities(believe(tallies), rule=rule, votes=points + points.T)

    np.testing.assert_allclose(found, found.T)
    np.testing.assert_array_equal(np.diagonal(found), 0)
    assert np.triu(found).sum() == pytest.approx(1)
    assert found[np.triu_indices(6, 1)].min() >= 0.2 / 15 * (1 - 1e-12)
    assert (rule == "uniform") == (np.ptp(found[np.triu_indices(6, 1)]) < 1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_pairs_that_cannot_be_shown_have_no_chance(rule: Rule) -> None:
    allowed = np.ones((5, 5), dtype=bool)
    allowed[0, 1] = allowed[1, 0] = allowed[2, 4] = allowed[4, 2] = False
    found = pair_probabilities(some_belief(), rule=rule, votes=np.zeros((5, 5)), allowed=allowed)

    np.testing.assert_array_equal(found > 0, allowed & ~np.eye(5, dtype=bool))
    assert np.triu(found).sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="no pair"):
        pair_probabilities(some_belief(), rule=rule, votes=np.zeros((5, 5)), allowed=np.eye(5, dtype=bool))


def test_information_tree_links_all_contenders_by_its_most_telling_pairs() -> None:
    belief = some_belief(7)
    even = 0.2 / 21
    tree = pair_probabilities(belief, rule="information-tree", votes=np.zeros((7, 7))) > even * 1.01

    assert np.triu(tree).sum() == 6
    assert set(weak_components(tree.astype(np.float64))) == {0}
    information = expected_information(belief)
    assert tree[divmod(int(information.argmax()), 7)]


def test_rules_ask_about_the_pair_nobody_has_seen() -> None:
    rows = [(left, right, side) for left, right in ((0, 1), (1, 2), (2, 3)) for side in (LEFT, RIGHT)] * 100
    tallies = tally(some_votes([*rows, (0, 4, LEFT), (4, 0, LEFT)], 5))
    points = tallies.half_wins()
    votes = points + points.T
    for rule in ("a-optimal", "information-tree", "lmarena"):
        found = pair_probabilities(believe(tallies), rule=rule, votes=votes)
        assert found[4].sum() > 2 / 5, rule
    unseen = pair_probabilities(believe(tallies), rule="lmarena", votes=votes)
    assert unseen[1, 4] > unseen[0, 1]


def test_lmarena_rule_is_the_fall_of_the_standard_error() -> None:
    belief = Belief(np.zeros(3), np.eye(3))
    votes = np.array([[0, 4, 9], [4, 0, 16], [9, 16, 0]])
    found = pair_probabilities(belief, rule="lmarena", votes=votes, uniform_share=1e-12)
    fall = 1 / np.sqrt([4, 9, 16]) - 1 / np.sqrt([5, 10, 17])
    np.testing.assert_allclose(found[[0, 0, 1], [1, 2, 2]], fall / fall.sum(), rtol=1e-9)


def test_choices_come_as_often_as_their_stated_probability() -> None:
    probabilities = np.array([[0, 0.5, 0.3], [0.5, 0, 0.2], [0.3, 0.2, 0]])
    rng = np.random.default_rng(6)
    chosen = [choose_pair(probabilities, rng) for _ in range(3000)]
    times = Counter((choice.first, choice.second) for choice in chosen)

    assert {(*choice[:2], choice.probability) for choice in chosen} == {(0, 1, 0.5), (0, 2, 0.3), (1, 2, 0.2)}
    for (first, second), count in times.items():
        assert count / 3000 == pytest.approx(probabilities[first, second], abs=0.03)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="share of uniform"):
        pair_probabilities(some_belief(), rule="a-optimal", votes=np.zeros((5, 5)), uniform_share=0)
    with pytest.raises(ValueError, match="prior deviation"):
        believe(Tallies.empty(2), prior_deviation=0)


def test_information_tree_leaves_smaller_errors_between_neighbours_than_uniform_pairs() -> None:
    true = np.linspace(2, -2, 12)
    left, right = np.triu_indices(12, 1)
    errors = {}
    for rule in ("uniform", "information-tree"):
        rng = np.random.default_rng(7)
        counts = np.zeros((12, 12, 4), dtype=np.int64)
        for _ in range(24):
            probabilities = pair_probabilities(believe(Tallies(counts.copy())), rule=rule, votes=counts.sum(axis=2))
            pairs = rng.choice(len(left), size=50, p=probabilities[left, right])
            won = rng.random(50) < expit(true[left[pairs]] - true[right[pairs]])
            np.add.at(counts, (left[pairs], right[pairs], np.where(won, LEFT, RIGHT)), 1)
        neighbours = believe(Tallies(counts)).gap_variances[np.arange(11), np.arange(1, 12)]
        errors[rule] = np.sqrt(neighbours.mean())
    assert errors["information-tree"] < 0.92 * errors["uniform"]
