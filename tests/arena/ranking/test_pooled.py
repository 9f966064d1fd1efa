"""Several studies as strata of one fit: against Newton's method by hand, the single fit, and simulated worlds."""

from dataclasses import replace

import numpy as np
import pytest

from arena.ranking import pooled
from arena.ranking.models import fit_model
from arena.ranking.pooled import Stratum, disagreements, heterogeneity, pool, together
from arena.ranking.precision import estimate_precision
from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes, tally
from tests.arena.ranking.worlds import simulate_votes

TRUE = np.array([0.9, 0.5, 0.1, -0.2, -0.5, -0.8])


def study(seed: int, members: list[int], *, votes: int = 900, shift: float = 0.0, side: float = 0.0) -> Stratum:
    """Votes on some contenders by people of its own on prompts of its own.

    shift: makes the last one stronger here; side: share of the votes for one side that go to the other
    """
    rng = np.random.default_rng(seed)
    worth = TRUE[members].copy()
    worth[-1] += shift
    own = simulate_votes(rng, worth, votes=votes, rater_taste=0.3, prompt_taste=0.2)
    turned = rng.random(votes) < abs(side)
    there, here = (RIGHT, LEFT) if side > 0 else (LEFT, RIGHT)
    outcome = np.where(turned & (own.outcome == there), here, own.outcome)
    place = np.array(members)
    assert own.rater is not None and own.prompt is not None
    return Stratum(
        replace(
            own,
            left=place[own.left],
            right=place[own.right],
            outcome=outcome,
            contenders=len(TRUE),
            rater=own.rater + 1000 * seed,
            prompt=own.prompt + 1000 * seed,
        )
    )


def three_studies() -> list[Stratum]:
    """The second and the third have no contender in common; only the first links them."""
    return [study(1, [0, 2, 4], side=0.2), study(2, [0, 1], side=-0.15), study(3, [3, 4, 5])]


def by_newton(strata: list[Stratum]) -> tuple[np.ndarray, np.ndarray]:
    """Shared strengths, and a side bias for each study, from a plain logistic regression on the rows."""
    votes, known = together(strata), len(TRUE)
    of_study = np.concatenate([np.full(len(each.votes), number) for number, each in enumerate(strata)])
    design, rows = np.zeros((len(votes), known + len(strata))), np.arange(len(votes))
    design[rows, votes.left] += 1
    design[rows, votes.right] -= 1
    design[rows, known + of_study] = 1
    points = np.choose(votes.outcome, [1.0, 0.5, 0.0, 0.5])
    design, found = design[:, 1:], np.zeros(known + len(strata) - 1)
    for _ in range(30):
        share = 1 / (1 + np.exp(-design @ found))
        information = design.T @ (design * (share * (1 - share))[:, None])
        found += np.linalg.solve(information, design.T @ (points - share))
    strengths = np.concatenate([[0.0], found[: known - 1]])
    return strengths - strengths.mean(), found[known - 1 :]


def test_strengths_and_side_biases_are_those_of_the_regression() -> None:
    strata = three_studies()
    found, (strengths, sides) = pool(strata), by_newton(strata)
    assert found.is_by_study
    assert found.fit.strengths == pytest.approx(strengths, abs=1e-10)
    assert found.side_biases == pytest.approx(sides, abs=1e-10)


def test_one_study_alone_is_the_single_fit_with_its_errors() -> None:
    (only,) = three_studies()[:1]
    found = pool([only])
    own = fit_model(tally(only.votes))
    precision = estimate_precision(own, only.votes)
    np.testing.assert_array_equal(found.fit.strengths, own.strengths)
    np.testing.assert_array_equal(found.precision.standard_errors, precision.standard_errors)
    assert found.side_biases == (own.side_bias,)


def test_without_side_biases_it_is_the_fit_of_all_votes_together() -> None:
    strata = [replace(each, has_sides=False) for each in three_studies()]
    whole = together(strata)
    precision = estimate_precision(fit_model(tally(whole), side_bias=False), whole)
    found = pool(strata)
    np.testing.assert_array_equal(found.fit.strengths, precision.fit.strengths)
    np.testing.assert_array_equal(found.precision.covariance, precision.covariance)


def test_errors_with_side_biases_are_nearly_those_without_where_there_is_no_bias() -> None:
    """Sides are drawn at random, so that a study's side bias takes little from what is known of strengths."""
    strata = [study(number, [0, 1, 2, 3, 4, 5]) for number in (1, 2)]
    with_sides, without = pool(strata), pool([replace(each, has_sides=False) for each in strata])
    assert with_sides.precision.standard_errors == pytest.approx(without.precision.standard_errors, rel=0.06)


def test_a_side_bias_that_differs_by_study_is_no_strength() -> None:
    """In one study a contender is always on the left, in the other never: one common bias would count as its worth."""
    rng, strata = np.random.default_rng(5), []
    for number, side in enumerate((1.0, -1.0)):
        other = rng.integers(1, 3, size=4000)
        left = np.where(rng.random(4000) < 0.8, 0, other)
        right = np.where(left == 0, other, 0)
        chance = 1 / (1 + np.exp(-side))
        outcome = np.where(rng.random(4000) < chance, LEFT, RIGHT)
        strata.append(
            Stratum(Votes(left, right, outcome, 3, rater=rng.integers(40, size=4000) + 40 * number, prompt=other * 0))
        )
    assert np.abs(pool(strata, by=("rater",)).fit.strengths).max() < 0.1
    common = fit_model(tally(together(strata[:1])), side_bias=False)
    assert np.abs(common.strengths).max() > 0.3


def test_the_order_of_studies_changes_nothing() -> None:
    strata = three_studies()
    one, other = pool(strata), pool(strata[::-1])
    assert one.fit.strengths == pytest.approx(other.fit.strengths, abs=1e-12)
    assert one.precision.standard_errors == pytest.approx(other.precision.standard_errors, rel=1e-9)


def test_somebody_who_never_lost_makes_all_studies_share_one_side_bias() -> None:
    strata = three_studies()
    votes = strata[2].votes
    wins = replace(votes, outcome=np.where(votes.left == 5, RIGHT, np.where(votes.right == 5, LEFT, TIE)))
    found = pool([*strata[:2], Stratum(wins)])
    assert not found.is_by_study and "never" in found.one_bias
    assert np.isfinite(found.fit.strengths).all() and found.fit.estimator == "firth"
    assert heterogeneity(strata, found) is None and disagreements(strata, found) == [None] * 3


def test_too_many_seats_make_all_studies_share_one_side_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooled, "MOST_SEATS", 5)
    found = pool(three_studies())
    assert not found.is_by_study and "too many" in found.one_bias and np.isfinite(found.fit.strengths).all()


def test_contenders_that_no_study_links_stand_in_groups_of_their_own() -> None:
    found = pool([study(1, [0, 1, 2]), study(2, [3, 4])])
    assert found.fit.components[:5].tolist() == [0, 0, 0, 1, 1]
    assert np.isnan(found.fit.strengths[5]) and abs(found.fit.strengths[3:5].sum()) < 1e-9


def test_studies_that_agree_are_rarely_said_to_disagree_and_one_that_does_not_is_found() -> None:
    everybody = [0, 1, 2, 3, 4, 5]

    def smallest(seed: int, shift: float) -> tuple[list[float], float]:
        strata = [study(seed + number, everybody) for number in (1, 2)]
        strata.append(study(seed + 3, everybody, shift=shift))
        found = pool(strata)
        told, whole = disagreements(strata, found), heterogeneity(strata, found)
        assert whole is not None
        return [each.p_value for each in told if each], whole.share

    agreeing = [smallest(seed, 0.0)[0] for seed in range(10, 130, 10)]
    assert np.mean(np.array(agreeing) < 0.05) <= 0.11  # 36 tests, of which 5 % are 1.8
    for seed in (10, 20, 30):
        values, share = smallest(seed, 2.0)
        assert len(values) == 3 and values[2] < 0.01 and share > 0.5


def test_a_study_without_which_side_biases_cannot_be_told_is_not_said_to_agree() -> None:
    """Only the first tells the sixth contender's strength from the side bias of the second: without it all share one.

    That is no part of the whole model, so that there is no likelihood ratio; it came out as p = 1.
    """
    first = study(1, [0, 1, 2, 3, 4, 5], shift=3.0)
    pair = replace(study(2, [0, 5], votes=200).votes, left=np.zeros(200, int), right=np.full(200, 5))
    strata = [first, Stratum(pair), study(3, [0, 1, 2, 3, 4], side=0.6), study(4, [0, 1, 2, 3, 4], side=-0.6)]
    found = pool(strata)
    assert found.is_by_study
    told = disagreements(strata, found)
    assert told[0] is None
    assert told[2] is not None and told[3] is not None


def test_nothing_to_pool_is_refused() -> None:
    with pytest.raises(ValueError, match="one stratum or more"):
        pool([])
