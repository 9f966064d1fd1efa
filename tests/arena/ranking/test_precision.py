from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from arena.ranking.cluster_scores import ClusterBy, ScoredVotes
from arena.ranking.fitted import Ties
from arena.ranking.models import fit_model
from arena.ranking.precision import Precision, clipped, cluster_covariance, estimate_precision
from arena.ranking.replicates import replicate
from arena.ranking.tallies import LEFT, NOBODY, RIGHT, TIE, Tallies, Votes, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]
ALL: list[Ties] = ["half", "davidson", "rao-kupper", "drop"]
STRENGTHS = np.array([0.8, 0.3, 0.0, -0.5])


def voting(votes: int = 800, seed: int = 0, **options: float) -> Votes:
    taste = {"rater_taste": 0.5, "prompt_taste": 0.3, **options}
    rng = np.random.default_rng(seed)
    return simulate_votes(rng, STRENGTHS, votes=votes, raters=20, prompts=30, **taste)


def run(votes: Votes, ties: Ties = "half", *, side_bias: bool = True, **options: object) -> Precision:
    return estimate_precision(fit_model(tally(votes), ties=ties, side_bias=side_bias), votes, **options)  # type: ignore[arg-type]


def left_out(votes: Votes, strengths: Floats, labels: np.ndarray) -> Floats:
    """(K, K) CR3 of half wins without side bias, from dense matrices and a loop."""
    contenders = len(strengths)
    design = np.eye(contenders)[votes.left] - np.eye(contenders)[votes.right]
    win = expit(design @ strengths)
    points = np.array([1.0, 0.5, 0.0, 0.5])[votes.outcome]
    shifts = []
    for label in np.unique(labels):
        own = labels == label
        rest = (design[~own].T * (win * (1 - win))[~own]) @ design[~own]
        shifts.append(np.linalg.pinv(rest) @ (design[own].T @ (points - win)[own]))
    covariance: Floats = np.array(shifts).T @ np.array(shifts) * (1 - 1 / len(shifts))
    return covariance


@pytest.mark.parametrize("by", ["rater", "prompt"])
def test_errors_agree_with_the_textbook_written_a_second_time(by: ClusterBy) -> None:
    votes = voting()
    result = run(votes, side_bias=False, by=(by,))

    other = left_out(votes, result.fit.strengths, getattr(votes, by))
    # Light clusters are left out by a series that ends below a thousandth.
    np.testing.assert_allclose(result.covariance, other, rtol=2e-3, atol=1e-6)


def test_raters_of_strong_taste_widen_the_errors_far_beyond_those_of_independent_votes() -> None:
    rng = np.random.default_rng(0)
    votes = simulate_votes(rng, STRENGTHS, votes=1200, raters=10, rater_taste=0.8)

    assert (run(votes, by=("rater",)).standard_errors > 1.7 * run(votes, by=()).standard_errors).all()


def test_prompts_widen_the_errors_too() -> None:
    rng = np.random.default_rng(0)
    votes = simulate_votes(rng, STRENGTHS, votes=1200, prompts=10, prompt_taste=0.8, raters=200)

    assert (run(votes).standard_errors > 1.7 * run(votes, by=("rater",)).standard_errors).all()


def test_without_taste_clustering_costs_little() -> None:
    votes = simulate_votes(np.random.default_rng(0), STRENGTHS, votes=6000, raters=60, prompts=60)

    assert (run(votes).standard_errors < 1.1 * run(votes, by=()).standard_errors).all()


def test_the_order_of_votes_does_not_matter() -> None:
    votes = voting()
    order = np.random.default_rng(3).permutation(len(votes))
    assert votes.rater is not None
    assert votes.prompt is not None
    left, right, outcome = (column[order] for column in (votes.left, votes.right, votes.outcome))
    turned = Votes(left, right, outcome, votes.contenders, votes.rater[order], votes.prompt[order])

    np.testing.assert_allclose(run(turned).covariance, run(votes).covariance, atol=1e-12)


def test_errors_stay_finite_where_one_rater_alone_links_a_contender() -> None:
    rows = [(0, 1, LEFT, rater) for rater in range(6)] + [(1, 0, LEFT, rater) for rater in range(4)]
    votes = some_votes([*rows, (1, 2, LEFT, 9), (2, 1, LEFT, 9)], 3)

    assert np.abs(run(votes, side_bias=False, by=("rater",)).covariance).max() < 10


def test_two_contenders_without_clusters_have_the_textbook_error() -> None:
    fit = fit_model(tally(some_votes([(0, 1, LEFT)] * 7 + [(1, 0, LEFT)] * 3, 2)), side_bias=False)
    result = estimate_precision(fit, by=())

    assert result.difference_errors[0, 1] == pytest.approx(np.sqrt(1 / 7 + 1 / 3))
    assert result.standard_errors[0] == pytest.approx(np.sqrt(1 / 7 + 1 / 3) / 2)
    assert result.degrees_of_freedom.tolist() == [np.inf, np.inf]
    assert (result.design_effect, result.by) == (1.0, ())


def test_a_vote_each_makes_the_plain_sandwich_the_binomial_one() -> None:
    rows = [(0, 1, LEFT, number) for number in range(7)] + [(1, 0, LEFT, 7 + number) for number in range(3)]
    votes = some_votes(rows, 2)
    fit = fit_model(tally(votes), side_bias=False)
    scored = ScoredVotes(fit, votes)
    partition = scored.partition("rater")
    quarter = (1 / 7 + 1 / 3) / 4 * np.array([[1, -1], [-1, 1]])

    np.testing.assert_allclose(cluster_covariance(scored, partition, method="cr0"), quarter, atol=1e-12)
    np.testing.assert_allclose(cluster_covariance(scored, partition, method="cr1"), quarter * 10 / 9, atol=1e-12)


@pytest.mark.parametrize("ties", ALL)
def test_a_rater_who_says_everything_twice_changes_no_error(ties: Ties) -> None:
    votes = voting()
    assert votes.rater is not None
    left, right, outcome, rater = (np.tile(c, 2) for c in (votes.left, votes.right, votes.outcome, votes.rater))
    twice = Votes(left, right, outcome, 4, rater)
    once = run(votes, ties, by=("rater",), method="cr0")
    double = run(twice, ties, by=("rater",), method="cr0")

    np.testing.assert_allclose(double.covariance, once.covariance, atol=1e-10)


@pytest.mark.parametrize("ties", ALL)
def test_weights_of_two_are_two_votes_of_the_same_person(ties: Ties) -> None:
    votes = voting()
    weighted = replace(votes, weight=np.full(len(votes), 2.0))
    heavy, light = run(weighted, ties), run(votes, ties)

    np.testing.assert_allclose(heavy.fit.parameters, light.fit.parameters, atol=1e-9)
    np.testing.assert_allclose(heavy.covariance, light.covariance, atol=1e-10)


@pytest.mark.parametrize("ties", ALL)
def test_clusters_know_no_more_than_independent_votes(ties: Ties) -> None:
    votes = voting()
    alone = run(votes, ties, by=())

    for by in (("rater",), ("prompt",), ("rater", "prompt")):
        result = run(votes, ties, by=by)
        assert (result.standard_errors >= alone.standard_errors - 1e-12).all()
        assert (result.side_bias_error or 0) >= (alone.side_bias_error or 0) - 1e-12
    both = run(votes, ties)
    assert both.effective[0] == min(run(votes, ties, by=(by,)).effective[0] for by in ("rater", "prompt"))


@pytest.mark.parametrize("ties", ALL)
def test_two_ways_are_raters_and_prompts_less_what_they_share(ties: Ties) -> None:
    votes = voting(votes=2000)
    assert votes.rater is not None and votes.prompt is not None
    cells = replace(votes, rater=votes.rater * 1000 + votes.prompt)
    whole = run(votes, ties, by=("rater",)).covariance + run(votes, ties, by=("prompt",)).covariance
    whole = whole - run(cells, ties, by=("rater",), method="cr0").covariance

    # No variance of this study is negative, so that nothing is cut off.
    np.testing.assert_allclose(run(votes, ties).covariance, whole, atol=1e-10)


@pytest.mark.parametrize("ties", ALL)
@pytest.mark.parametrize("by", [("rater",), ("prompt",), ()])
def test_errors_agree_with_the_bootstrap(ties: Ties, by: tuple[ClusterBy, ...]) -> None:
    votes = simulate_votes(
        np.random.default_rng(1), STRENGTHS, votes=4000, raters=150, prompts=150, rater_taste=0.4, prompt_taste=0.4
    )
    result = run(votes, ties, by=by)
    drawn = replicate(result.fit, votes, rng=np.random.default_rng(0), by=by, replicates=1500)

    np.testing.assert_allclose(result.standard_errors, drawn.standard_errors(), rtol=0.12)
    assert drawn.side_bias is not None
    assert result.side_bias_error == pytest.approx(drawn.side_bias.std(), rel=0.15)
    if drawn.tie_parameter is not None:
        assert result.tie_parameter_error == pytest.approx(drawn.tie_parameter.std(), rel=0.12)


def test_swapping_all_sides_changes_no_error() -> None:
    votes = voting()
    swapped = replace(votes, left=votes.right, right=votes.left, outcome=np.array([RIGHT, TIE, LEFT])[votes.outcome])

    for ties in ALL:
        one, other = run(votes, ties), run(swapped, ties)
        np.testing.assert_allclose(other.difference_errors, one.difference_errors, atol=1e-9)


def test_effective_clusters_are_fewer_where_sizes_differ() -> None:
    rows = [(0, 1, LEFT, 0), (1, 0, LEFT, 0), (0, 1, TIE, 0), (0, 1, TIE, 1)]

    assert run(some_votes(rows, 2), side_bias=False, by=("rater",)).effective.tolist() == [1.6, 1.6]


@pytest.mark.parametrize(
    ("rater", "prompt", "by", "reason"),
    [
        (0, None, ("rater", "prompt"), "too_few_raters"),
        (NOBODY, None, ("rater",), "too_few_raters"),
        (None, 0, ("rater", "prompt"), "too_few_prompts"),
        (0, 0, ("rater", "prompt"), "too_few_raters"),
        (None, 0, ("rater",), None),
    ],
)
def test_one_rater_or_one_prompt_gives_estimates_but_no_errors(
    rater: int | None, prompt: int | None, by: tuple[ClusterBy, ...], reason: str | None
) -> None:
    votes = voting(votes=300)
    of_rater = votes.rater if rater is None else np.full(300, rater)
    of_prompt = votes.prompt if prompt is None else np.full(300, prompt)
    result = run(replace(votes, rater=of_rater, prompt=of_prompt), by=by)

    assert result.no_interval == (reason,) * 4
    assert np.isnan(result.standard_errors).all() == (reason is not None)
    assert (result.side_bias_error is None) == (reason is not None)
    assert np.isfinite(result.fit.strengths).all()


def test_a_contender_seen_by_one_rater_has_no_error_and_the_others_keep_theirs() -> None:
    votes = voting(votes=400)
    assert votes.rater is not None
    meets_last = (votes.left == 3) | (votes.right == 3)
    result = run(replace(votes, rater=np.where(meets_last, 0, votes.rater)), by=("rater",))

    assert result.no_interval == (None, None, None, "too_few_raters")
    known = ~np.isnan(result.difference_errors)
    np.testing.assert_array_equal(known, [[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]])


def test_boards_apart_have_errors_of_their_own() -> None:
    votes = voting(votes=400)
    double = Votes(
        np.concatenate([votes.left, votes.left + 4]),
        np.concatenate([votes.right, votes.right + 4]),
        np.tile(votes.outcome, 2),
        9,
        np.concatenate([votes.rater, votes.rater + 20]),  # type: ignore[operator]
    )
    alone, joined = run(votes, side_bias=False, by=("rater",)), run(double, side_bias=False, by=("rater",))

    # Forty clusters instead of twenty share the factor (G - 1) / G.
    ratio = np.sqrt(39 / 40 / (19 / 20))
    np.testing.assert_allclose(joined.standard_errors[:4], alone.standard_errors * ratio, rtol=1e-9)
    np.testing.assert_allclose(joined.standard_errors[4:8], joined.standard_errors[:4])
    assert joined.no_interval[8] == "alone"
    assert np.isnan(joined.difference_errors[:4, 4:]).all()
    np.testing.assert_allclose(joined.effective[:8], alone.effective[0])


def test_coefficients_have_errors_and_an_identity_of_covariates_gives_the_free_ones() -> None:
    votes = voting()
    x = np.column_stack([np.arange(4.0), np.array([0.0, 1, 0, 1])])
    fit = fit_model(tally(votes), covariates=x)
    result = estimate_precision(fit, votes)
    drawn = replicate(fit, votes, rng=np.random.default_rng(0), by=("rater",), replicates=1500)
    assert fit.to_coefficients is not None
    by_rater = estimate_precision(fit, votes, by=("rater",), method="cr0").coefficient_errors
    assert by_rater is not None

    coefficients = drawn.parameters[:, :2] @ fit.to_coefficients.T
    np.testing.assert_allclose(by_rater, coefficients.std(axis=0), rtol=0.15)
    alone = estimate_precision(fit, votes, by=()).coefficient_errors
    assert (result.coefficient_errors >= alone).all()  # type: ignore[operator]
    free, dummies = run(votes), estimate_precision(fit_model(tally(votes), covariates=np.eye(4)), votes)
    np.testing.assert_allclose(dummies.difference_errors, free.difference_errors, atol=1e-9)
    assert np.isnan(dummies.coefficient_errors).all()  # type: ignore[arg-type]


def test_clipping_takes_out_negative_variances_and_nothing_else() -> None:
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    whole = vectors @ np.diag([2.0, 1.0, -0.5]) @ vectors.T

    np.testing.assert_allclose(clipped(whole), vectors @ np.diag([2.0, 1.0, 0.0]) @ vectors.T, atol=1e-12)


def test_a_few_ties_are_not_certainty() -> None:
    result = run(some_votes([(0, 1, TIE, rater, rater) for rater in range(5)], 2), side_bias=False)

    assert result.difference_errors[0, 1] > 0.3


def test_no_votes_give_no_numbers_and_no_error() -> None:
    nobody = np.array([], dtype=int)
    nothing = some_votes([], 3, rater=nobody, prompt=nobody)

    for result in (estimate_precision(fit_model(Tallies.empty(3)), by=()), run(nothing)):
        assert result.no_interval == ("alone",) * 3
        np.testing.assert_array_equal(result.standard_errors, np.full(3, np.nan))


@pytest.mark.parametrize(
    ("by", "reason"),
    [(("rater",), "carry no raters"), (("rater", "rater"), "not by rater, rater"), (("colour",), "not by colour")],
)
def test_what_cannot_be_done_is_refused(by: tuple[ClusterBy, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        run(some_votes([(0, 1, LEFT), (1, 0, LEFT)], 2), by=by, side_bias=False)


def test_votes_of_other_contenders_are_refused() -> None:
    with pytest.raises(ValueError, match="are not those of a fit of 4"):
        estimate_precision(fit_model(tally(voting())), some_votes([(0, 1, LEFT, 0, 0)], 2))
