from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import gamma, kstest

from arena.ranking.cluster_scores import ClusterBy
from arena.ranking.fitted import ModelFit, Ties
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.replicates import Kind, Replicates, gamma_draws, replicate
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, TIE, Tallies, Votes, tally
from tests.arena.ranking.tables import CITATIONS, tallies_of
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]
ALL: list[Ties] = ["half", "davidson", "rao-kupper", "drop"]
KINDS: list[Kind] = ["bayesian", "multinomial"]


def voting(votes: int = 500, **options: Any) -> Votes:
    rng = np.random.default_rng(0)
    return simulate_votes(rng, np.array([0.8, 0.3, 0.0, -0.5]), votes=votes, raters=15, prompts=12, **options)


def draw(fit: ModelFit, data: Votes | Tallies, **options: Any) -> Replicates:
    return replicate(fit, data, **{"rng": np.random.default_rng(1), "replicates": 50, **options})


@pytest.mark.parametrize("ties", ALL)
@pytest.mark.parametrize("side_bias", [True, False])
@pytest.mark.parametrize("by", [("rater",), ("prompt",), ("rater", "prompt")])
def test_each_replicate_is_the_fit_of_the_weighed_votes(ties: Ties, side_bias: bool, by: tuple[ClusterBy, ...]) -> None:
    votes = voting()
    fit = fit_model(tally(votes), ties=ties, side_bias=side_bias)
    found = draw(fit, votes, by=by, replicates=3)

    # The same draws: the finer partition first, in single precision.
    rng = np.random.default_rng(1)
    weights = {}
    for name in sorted(by, key=lambda name: name != "rater"):
        weights[name] = rng.standard_exponential((15 if name == "rater" else 12, 3), dtype=np.float32)
    for number in range(3):
        weight = np.ones(len(votes))
        for name in by:
            weight = weight * weights[name][getattr(votes, name), number].astype(float)
        again = fit_model(tally(replace(votes, weight=weight)), ties=ties, side_bias=side_bias)
        np.testing.assert_allclose(found.strengths[number], again.strengths, atol=1e-5)
        if side_bias:
            assert found.side_bias is not None
            assert found.side_bias[number] == pytest.approx(again.side_bias, abs=1e-5)
        if found.tie_parameter is not None:
            assert found.tie_parameter[number] == pytest.approx(again.tie_parameter, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ties", ALL)
def test_single_votes_spread_as_independence_says(kind: Kind, ties: Ties) -> None:
    tallies = tally(voting(votes=3000))
    fit = fit_model(tallies, ties=ties)
    found = draw(fit, tallies, kind=kind, replicates=2000)

    np.testing.assert_allclose(found.standard_errors(), estimate_precision(fit, by=()).standard_errors, rtol=0.1)
    # The votes are from a model of their own, and no rater or prompt is like itself.
    np.testing.assert_allclose(found.strengths.mean(axis=0), fit.strengths, atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", [("rater",), ("prompt",)])
def test_clusters_spread_as_the_sandwich_says(kind: Kind, by: tuple[ClusterBy, ...]) -> None:
    votes = simulate_votes(
        np.random.default_rng(0), np.array([0.4, 0.0, -0.4]), votes=4000, raters=150, prompts=150, rater_taste=0.6
    )
    fit = fit_model(tally(votes))
    found = draw(fit, votes, by=by, kind=kind, replicates=1500)
    sandwich = estimate_precision(fit, votes, by=by, method="cr0").covariance

    np.testing.assert_allclose(found.standard_errors(), np.sqrt(np.diagonal(sandwich)[:3]), rtol=0.1)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    votes = voting()
    fit = fit_model(tally(votes))

    for by in ((), ("rater",), ("rater", "prompt")):
        once, again = draw(fit, votes, by=by), draw(fit, votes, by=by)
        np.testing.assert_array_equal(once.parameters, again.parameters)
        assert np.abs(once.parameters - draw(fit, votes, by=by, rng=np.random.default_rng(2)).parameters).max() > 0.01


def test_drawing_with_replacement_may_lose_the_estimate_and_says_how_often() -> None:
    rows = [(0, 1, 6, 0, 1), (1, 2, 4, 0, 3), (2, 0, 2, 0, 5)]
    tallies = tallies_of(rows)
    found = draw(fit_model(tallies), tallies, kind="multinomial", replicates=400)

    assert 0 < found.penalised < 400
    assert np.isfinite(found.parameters).all()
    assert draw(fit_model(tallies), tallies, replicates=400).penalised == 0


def test_a_penalised_fit_is_resampled_by_penalised_fits() -> None:
    tallies = tallies_of([(0, 1, 8, 0, 0), (1, 2, 4, 0, 3), (2, 0, 0, 0, 5)])
    fit = fit_model(tallies, side_bias=False)
    found = draw(fit, tallies, replicates=30)

    assert found.penalised == 30
    assert np.isfinite(found.strengths).all()
    assert np.abs(found.strengths).max() < 8


def test_covariates_are_resampled_too() -> None:
    votes = voting(votes=2000)
    x = np.column_stack([np.arange(4.0)])
    fit = fit_model(tally(votes), covariates=x)
    found = draw(fit, votes, by=("rater",), replicates=20)

    line = found.strengths - found.strengths[:, [0]]
    np.testing.assert_allclose(line, line[:, [1]] * np.arange(4), atol=1e-9)


def test_what_the_fit_leaves_out_is_not_drawn() -> None:
    votes = voting()
    outcome = np.where(np.arange(500) % 5 == 0, BOTH_BAD, votes.outcome)
    marked = replace(votes, outcome=outcome)
    left_out = outcome == BOTH_BAD
    without = Votes(
        **{name: getattr(votes, name)[~left_out] for name in ("left", "right", "outcome", "rater", "prompt")},
        contenders=4,
    )
    one, other = fit_model(tally(marked), both_bad="drop"), fit_model(tally(without))

    for by in ((), ("rater",)):
        np.testing.assert_allclose(
            draw(one, marked, by=by).parameters, draw(other, without, by=by).parameters, atol=1e-6
        )


def test_votes_of_nobody_always_weigh_one() -> None:
    rows = [(0, 1, LEFT, NOBODY), (1, 0, LEFT, NOBODY), (0, 1, TIE, NOBODY), (0, 1, RIGHT, NOBODY)]
    votes = some_votes(rows, 2)
    fit = fit_model(tally(votes), side_bias=False)

    np.testing.assert_allclose(draw(fit, votes, by=("rater",)).strengths, np.tile(fit.strengths, (50, 1)), atol=1e-9)


def test_a_contender_alone_has_no_replicates() -> None:
    tallies = tallies_of(CITATIONS, contenders=5)
    found = draw(fit_model(tallies, side_bias=False), tallies)

    assert np.isnan(found.strengths[:, 4]).all()
    np.testing.assert_allclose(found.strengths[:, :4].sum(axis=1), 0, atol=1e-9)
    assert np.isfinite(found.difference_errors()[:4, :4]).all()


def test_no_votes_give_no_numbers_and_no_error() -> None:
    nothing = some_votes([], 3, rater=np.array([], dtype=int))

    for by in ((), ("rater",)):
        found = draw(fit_model(tally(nothing)), nothing, by=by)
        np.testing.assert_array_equal(found.strengths, np.full((50, 3), np.nan))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"replicates": 0}, "at least one replicate"),
        ({"by": ("colour",)}, "not by colour"),
        ({"by": ("rater",)}, "tallies do not say who voted"),
    ],
)
def test_what_cannot_be_done_is_refused(options: dict[str, Any], reason: str) -> None:
    tallies = tallies_of(CITATIONS)
    with pytest.raises(ValueError, match=reason):
        draw(fit_model(tallies), tallies, **options)


@pytest.mark.parametrize("shape", [1, 2, 9, 400])
def test_gamma_draws_are_gamma(shape: int) -> None:
    drawn = gamma_draws(np.full(40, shape, dtype=np.float32), 2_000, np.random.default_rng(shape))

    assert drawn.shape == (40, 2_000)
    assert (drawn > 0).all()
    assert kstest(drawn.ravel().astype(np.float64), gamma(shape).cdf).pvalue > 0.001
    assert abs(np.cov(drawn)[0, 1]) < 0.1 * shape


def test_gamma_draws_have_a_shape_of_their_own_in_each_row() -> None:
    shapes = np.array([1, 5, 60], dtype=np.float32)
    drawn = gamma_draws(shapes, 40_000, np.random.default_rng(0))

    np.testing.assert_allclose(drawn.mean(axis=1), shapes, rtol=0.02)
    np.testing.assert_allclose(drawn.var(axis=1), shapes, rtol=0.04)
