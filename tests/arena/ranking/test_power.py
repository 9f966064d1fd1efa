"""Sample sizes: textbook figures, inverses of one another, and studies that are really simulated."""

import math

import numpy as np
import pytest

from arena.ranking import power
from arena.ranking.power import Plan
from arena.ranking.tallies import TIE


@pytest.mark.parametrize(
    ("win_rate", "votes"), [(0.52, 4904), (0.55, 783), (0.60, 194), (0.65, 85), (0.70, 47)]
)  # fmt: skip
def test_votes_for_one_pair_are_those_of_the_one_sample_test_of_a_proportion(win_rate: float, votes: int) -> None:
    assert math.ceil(power.votes_needed(win_rate, Plan())) == votes


def test_repeated_votes_on_a_prompt_widen_the_interval() -> None:
    votes = 128 * 3
    assert round(100 * power.half_width(votes, Plan(votes_per_cell=3)), 1) == 5.0
    assert round(100 * power.half_width(votes, Plan(votes_per_cell=3, rho=0.45)), 1) == 6.9


@pytest.mark.parametrize(("contenders", "votes"), [(2, 1022), (4, 3066), (8, 7154)])
def test_votes_for_many_contenders_are_those_of_the_difference_of_strengths(contenders: int, votes: int) -> None:
    # A gap of 0.2 on Davidson's scale with 23 % ties; 4 (K - 1) (1 - ties) (z + z)^2 / gap^2 with the half-win gap.
    win_rate = 1 / (1 + math.exp(-0.2))
    assert power.votes_needed(win_rate, Plan(contenders=contenders, ties=0.23)) == pytest.approx(votes, rel=0.003)


def test_ties_inflate_by_the_decisive_share() -> None:
    plain, tied = (power.votes_needed(0.6, Plan(ties=ties)) for ties in (0, 0.25))
    assert tied == pytest.approx(plain / 0.75)
    assert power.halved(0.6, 0.25) == pytest.approx(0.575)


PLANS = [
    Plan(),
    Plan(contenders=5, ties=0.3, all_pairs=True, power=0.9),
    Plan(votes_per_cell=4, rho=0.3),
    Plan(prompts=300, rho=0.3, raters=100, rater_rho=0.05, contenders=3),
]


@pytest.mark.parametrize("plan", PLANS)
def test_votes_difference_and_power_are_inverses(plan: Plan) -> None:
    votes = power.votes_needed(0.6, plan)
    assert power.smallest_difference(votes, plan) == pytest.approx(0.6, abs=1e-8)
    assert power.power_of(0.6, votes, plan) == pytest.approx(plan.power)


def test_shared_prompts_are_repeated_votes_when_there_is_one_pair() -> None:
    # Kish's design effect, but for the t quantile: 3 votes on each of many prompts.
    votes = 3 * 100_000
    shared, repeated = Plan(prompts=100_000, rho=0.45), Plan(votes_per_cell=3, rho=0.45)
    assert shared.variance(votes) == pytest.approx(repeated.variance(votes))


def test_no_number_of_votes_makes_up_for_too_few_raters() -> None:
    plan = Plan(raters=20, rater_rho=0.2)
    assert power.votes_needed(0.55, plan) == math.inf
    fewest = power.fewest_clusters(0.55, plan, of="rater")
    assert fewest is not None
    enough, short = Plan(raters=fewest, rater_rho=0.2), Plan(raters=fewest - 1, rater_rho=0.2)
    assert math.isfinite(power.votes_needed(0.55, enough)) and power.votes_needed(0.55, short) == math.inf
    assert power.smallest_difference(10**6, Plan(raters=3, rater_rho=0.9)) is None


@pytest.mark.parametrize(
    "plan",
    [
        Plan(),
        Plan(contenders=4, ties=0.25),
        Plan(votes_per_cell=3, rho=0.45),
        Plan(contenders=4, raters=60, rater_rho=0.1),
        Plan(prompts=200, rho=0.2),
    ],
)
def test_simulated_studies_have_the_power_that_was_planned(plan: Plan) -> None:
    found = power.simulate_power(0.6, round(power.votes_needed(0.6, plan)), plan, worlds=300)
    # Four standard errors of the simulation, and what is left of a formula for near ties.
    assert abs(found.share - 0.8) < 4 * found.error + 0.02


def test_simulated_studies_are_as_described() -> None:
    plan = Plan(contenders=3, ties=0.3, raters=50, rater_rho=0.2)
    world = power._World.of(0.6, 60_000, plan)
    votes = world.draw(np.random.default_rng(0))
    assert votes.rater is not None and votes.prompt is None
    first = np.minimum(votes.left, votes.right)
    second = np.maximum(votes.left, votes.right)
    assert np.unique(first * 3 + second, return_counts=True)[1].tolist() == [20_000] * 3
    assert (votes.outcome == TIE).mean() == pytest.approx(0.3, abs=0.02)
    cells = power._World.of(0.6, 600, Plan(contenders=3, votes_per_cell=4, rho=0.4)).draw(np.random.default_rng(0))
    assert cells.prompt is not None
    assert set(np.unique(cells.prompt, return_counts=True)[1].tolist()) == {4}


@pytest.mark.parametrize("rho", [0.05, 0.2, 0.45])
def test_tastes_correlate_votes_as_asked_and_leave_the_win_rate(rho: float) -> None:
    spread = power._spread_of(rho)
    gap = power._gap_of(0.6, spread)
    draws = np.random.default_rng(0).normal(0, spread, 400_000)
    assert 4 * np.var(1 / (1 + np.exp(-draws))) == pytest.approx(rho, abs=0.005)
    assert np.mean(1 / (1 + np.exp(-gap - draws))) == pytest.approx(0.6, abs=0.003)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"contenders": 1}, "the number of contenders must be between 2"),
        ({"ties": 1.0}, "the share of ties must be between 0 and 0.95"),
        ({"rho": 0.6, "rater_rho": 0.5}, "must add up to less than 1"),
        ({"prompts": 10, "votes_per_cell": 3}, "not both"),
        ({"raters": 2}, "the number of raters must be between 3"),
    ],
)
def test_plans_that_make_no_sense_are_refused(changes: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Plan(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("win_rate", [0.5, 0.4, 1.0, math.nan])
def test_a_difference_is_one_of_the_better_contender(win_rate: float) -> None:
    with pytest.raises(ValueError, match="lies between 0.5 and 1"):
        power.votes_needed(win_rate, Plan())
