"""The engine against slow programs written from the formulas alone: plain loops, general optimisers, real refits."""

from __future__ import annotations

import math
from collections.abc import Iterator

import choix
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize, root
from scipy.stats import t

from arena.ranking.cluster_scores import ClusterBy, ScoredVotes
from arena.ranking.fitted import BothBad, ModelFit, Ties
from arena.ranking.intervals import difference_intervals, win_probability_intervals
from arena.ranking.jackknife import Jackknife
from arena.ranking.models import fit_model
from arena.ranking.precision import cluster_covariance, estimate_precision
from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE, Votes, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]
ALL: list[Ties] = ["half", "davidson", "rao-kupper", "drop"]
STRENGTHS = np.array([0.9, 0.2, 0.0, -0.6])


def voting(seed: int = 0, votes: int = 300, *, weighted: bool = False) -> Votes:
    rng = np.random.default_rng(seed)
    made = simulate_votes(rng, STRENGTHS, votes=votes, raters=8, prompts=11, rater_taste=0.6, prompt_taste=0.4)
    outcome = np.where((made.outcome == TIE) & (rng.random(votes) < 0.3), BOTH_BAD, made.outcome)
    weight = rng.uniform(0.3, 2.5, votes) if weighted else None
    return Votes(made.left, made.right, outcome, made.contenders, made.rater, made.prompt, weight)


# The likelihood, one vote at a time, from the published probabilities. Parameters: strengths but the last, which is
# minus their sum; then the side bias if there is one; then log nu or tau if the model has ties.


def chance(ties: Ties, eta: float, level: float) -> tuple[float, float, float]:
    one, other = math.exp(eta), 1.0
    if ties == "davidson":
        tied = math.exp(level) * math.sqrt(one * other)
        total = one + other + tied
        return one / total, tied / total, other / total
    theta = math.exp(level) if ties == "rao-kupper" else 1.0
    left, right = one / (one + theta * other), other / (other + theta * one)
    return left, 1 - left - right, right


def log_chance(ties: Ties, outcome: int, eta: float, level: float) -> float:
    """Of one vote; 0 for one that does not count."""
    left, tied, right = chance(ties, eta, level)
    if outcome in (TIE, BOTH_BAD):
        if ties == "drop":
            return 0.0
        return (math.log(left) + math.log(right)) / 2 if ties == "half" else math.log(tied)
    return math.log(left if outcome == LEFT else right)


def each_vote(votes: Votes, both_bad: BothBad = "tie") -> Iterator[tuple[int, int, int, int, float]]:
    for row in range(len(votes)):
        if votes.outcome[row] == BOTH_BAD and both_bad == "drop":
            continue
        weight = 1.0 if votes.weight is None else float(votes.weight[row])
        yield row, int(votes.left[row]), int(votes.right[row]), int(votes.outcome[row]), weight


class Plain:
    """One vote's log-likelihood as a function of all parameters, and its derivatives by differences."""

    def __init__(self, votes: Votes, ties: Ties, *, side: bool, both_bad: BothBad = "tie") -> None:
        self.votes, self.ties, self.side, self.both_bad = votes, ties, side, both_bad
        self.has_level = ties in ("davidson", "rao-kupper")
        self.size = votes.contenders - 1 + side + self.has_level

    def parts(self, parameters: Floats) -> tuple[Floats, float, float]:
        free = self.votes.contenders - 1
        strengths = np.append(parameters[:free], -parameters[:free].sum())
        side = float(parameters[free]) if self.side else 0.0
        return strengths, side, float(parameters[-1]) if self.has_level else 0.0

    def of_vote(self, parameters: Floats, left: int, right: int, outcome: int) -> float:
        strengths, side, level = self.parts(parameters)
        return log_chance(self.ties, outcome, float(strengths[left] - strengths[right]) + side, level)

    def total(self, parameters: Floats) -> float:
        votes = each_vote(self.votes, self.both_bad)
        return sum(weight * self.of_vote(parameters, *kind) for _, *kind, weight in votes)

    def kinds(self) -> dict[tuple[int, int, int], float]:
        """Weight of each kind of vote: derivatives of all votes of a kind are alike."""
        found: dict[tuple[int, int, int], float] = {}
        for _, left, right, outcome, weight in each_vote(self.votes, self.both_bad):
            found[left, right, outcome] = found.get((left, right, outcome), 0.0) + weight
        return found

    def score(self, parameters: Floats, kind: tuple[int, int, int]) -> Floats:
        """By complex-step-free central differences of the fourth order."""
        found = np.empty(self.size)
        for place, step in enumerate(1e-3 * np.eye(self.size)):
            f = [self.of_vote(parameters + times * step, *kind) for times in (-2, -1, 1, 2)]
            found[place] = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * 1e-3)
        return found

    def information(self, parameters: Floats, kind: tuple[int, int, int]) -> Floats:
        columns = []
        for step in 1e-3 * np.eye(self.size):
            f = [self.score(parameters + times * step, kind) for times in (-2, -1, 1, 2)]
            columns.append(-(f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * 1e-3))
        return np.array(columns)

    def maximise(self) -> Floats:
        kinds = self.kinds()

        def loss(parameters: Floats) -> float:
            if self.ties == "rao-kupper" and parameters[-1] <= 0:
                return float("inf")
            return -sum(weight * self.of_vote(parameters, *kind) for kind, weight in kinds.items())

        start = np.full(self.size, 0.1)
        found = minimize(loss, start, method="BFGS", options={"gtol": 1e-7}).x
        polished = root(lambda here: sum(w * self.score(here, kind) for kind, w in kinds.items()), found, tol=1e-13)
        return np.asarray(polished.x)

    def everything(self) -> Floats:
        """(K + side + level, size): strengths, side bias and tie parameter from the free parameters."""
        known = self.votes.contenders
        matrix = np.zeros((known + self.side + self.has_level, self.size))
        matrix[: known - 1, : known - 1] = np.eye(known - 1)
        matrix[known - 1, : known - 1] = -1
        matrix[known:, known - 1 :] = np.eye(self.side + self.has_level)
        return matrix


def free_parameters(fit: ModelFit) -> Floats:
    extra = fit.parameters[fit.problem.n_strengths :]
    return np.concatenate([fit.strengths[:-1], extra])


@pytest.mark.parametrize("ties", ALL)
@pytest.mark.parametrize("side", [True, False])
@pytest.mark.parametrize(("both_bad", "weighted"), [("tie", False), ("drop", True)])
def test_estimates_and_likelihood_are_those_of_a_general_optimiser_on_single_votes(
    ties: Ties, side: bool, both_bad: BothBad, weighted: bool
) -> None:
    votes = voting(seed=1, votes=150, weighted=weighted)
    plain = Plain(votes, ties, side=side, both_bad=both_bad)
    fit = fit_model(tally(votes), ties=ties, side_bias=side, both_bad=both_bad)
    found = plain.maximise()

    np.testing.assert_allclose(free_parameters(fit), found, atol=1e-8)
    assert fit.log_likelihood == pytest.approx(plain.total(found), abs=1e-9)


@pytest.mark.parametrize("ties", ALL)
def test_deviance_is_that_of_the_cells_added_up_by_hand(ties: Ties) -> None:
    votes = voting(seed=2, votes=250)
    fit = fit_model(tally(votes), ties=ties)
    plain = Plain(votes, ties, side=True)
    strengths, side, level = plain.parts(free_parameters(fit))
    cells: dict[tuple[int, int], list[float]] = {}
    for _, left, right, outcome, weight in each_vote(votes):
        if outcome in (TIE, BOTH_BAD) and ties == "drop":
            continue
        own = cells.setdefault((left, right), [0.0, 0.0, 0.0])
        shares = {LEFT: (1, 0, 0), RIGHT: (0, 0, 1)}.get(outcome, (0.5, 0, 0.5) if ties == "half" else (0, 1, 0))
        for place, share in enumerate(shares):
            own[place] += weight * share
    deviance = 0.0
    for (left, right), observed in cells.items():
        expected = chance(ties, float(strengths[left] - strengths[right]) + side, level)
        for one, probability in zip(observed, expected, strict=True):
            deviance += 2 * one * math.log(one / (probability * sum(observed))) if one else 0.0

    assert fit.deviance == pytest.approx(deviance, abs=1e-9)
    assert fit.degrees_of_freedom == len(cells) * (2 if plain.has_level else 1) - plain.size


def naive_cluster_covariance(plain: Plain, here: Floats, labels: Floats, method: str) -> Floats:
    """Scores and information added up vote by vote in double loops; CR3 by solving without each cluster in turn."""
    derivatives = {kind: (plain.score(here, kind), plain.information(here, kind)) for kind in plain.kinds()}
    scores: dict[float, Floats] = {}
    bends: dict[float, Floats] = {}
    whole = np.zeros((plain.size, plain.size))
    for row, left, right, outcome, weight in each_vote(plain.votes, plain.both_bad):
        score, bend = derivatives[left, right, outcome]
        if plain.ties == "drop" and outcome in (TIE, BOTH_BAD):
            continue
        label = float(labels[row])
        scores[label] = scores.get(label, np.zeros(plain.size)) + weight * score
        bends[label] = bends.get(label, np.zeros_like(whole)) + weight * bend
        whole += weight * bend
    number, bread = len(scores), np.linalg.inv(whole)
    found = np.zeros_like(whole)
    for label, score in scores.items():
        # A millionth stays, so that a cluster which alone links a contender leaves no singular matrix.
        shift = np.linalg.solve(whole - (1 - 1e-6) * bends[label], score) if method == "cr3" else bread @ score
        found += np.outer(shift, shift)
    scale = {"cr0": 1.0, "cr1": number / (number - 1), "cr3": (number - 1) / number}[method]
    expand = plain.everything()
    return np.asarray(expand @ found @ expand.T * scale)


@pytest.mark.parametrize("ties", ALL)
@pytest.mark.parametrize("side", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_sandwiches_are_those_of_loops_over_votes_and_clusters(ties: Ties, side: bool, weighted: bool) -> None:
    votes = voting(seed=3, weighted=weighted)
    plain = Plain(votes, ties, side=side)
    fit = fit_model(tally(votes), ties=ties, side_bias=side)
    here, scored = free_parameters(fit), ScoredVotes(fit, votes)
    assert votes.rater is not None and votes.prompt is not None
    for name, labels in (("rater", votes.rater), ("prompt", votes.prompt)):
        for method in ("cr0", "cr1", "cr3"):
            found = cluster_covariance(scored, scored.partition(name), method=method)  # type: ignore[arg-type]
            naive = naive_cluster_covariance(plain, here, labels.astype(float), method)
            np.testing.assert_allclose(found, naive, rtol=0, atol=1e-10)


@pytest.mark.parametrize("ties", ALL)
def test_two_ways_are_raters_and_prompts_less_both(ties: Ties) -> None:
    votes = voting(seed=4)
    plain = Plain(votes, ties, side=True)
    fit = fit_model(tally(votes), ties=ties)
    here = free_parameters(fit)
    assert votes.rater is not None and votes.prompt is not None
    cells = votes.rater.astype(float) * 1000 + votes.prompt
    by_rater = naive_cluster_covariance(plain, here, votes.rater.astype(float), "cr3")
    by_prompt = naive_cluster_covariance(plain, here, votes.prompt.astype(float), "cr3")
    both = by_rater + by_prompt - naive_cluster_covariance(plain, here, cells, "cr0")
    values, vectors = np.linalg.eigh(both)
    both = vectors @ np.diag(np.clip(values, 0, None)) @ vectors.T
    precision = estimate_precision(fit, votes)

    np.testing.assert_allclose(precision.covariance, both, rtol=0, atol=1e-9)
    for one in range(4):
        for other in range(4):
            if one != other:
                contrast = np.zeros(len(both))
                contrast[one], contrast[other] = 1, -1
                each = [contrast @ matrix @ contrast for matrix in (both, fit.covariance)]
                assert precision.difference_errors[one, other] == pytest.approx(math.sqrt(max(each)), rel=1e-9)


@pytest.mark.parametrize("by", ["rater", "prompt"])
def test_the_jackknife_is_near_what_real_refits_without_each_cluster_give(by: ClusterBy) -> None:
    votes = voting(seed=5, votes=2000)
    fit = fit_model(tally(votes))
    labels = votes.rater if by == "rater" else votes.prompt
    assert labels is not None
    shifts = []
    for label in np.unique(labels):
        kept = labels != label
        rest = Votes(votes.left[kept], votes.right[kept], votes.outcome[kept], votes.contenders)
        shifts.append(fit_model(tally(rest)).strengths - fit.strengths)
    whole = np.array(shifts)
    refitted = whole.T @ whole * (1 - 1 / len(whole))
    found = estimate_precision(fit, votes, by=(by,)).covariance[:4, :4]

    # One Newton step each instead of a whole fit: of second order in what a cluster moves.
    np.testing.assert_allclose(found, refitted, atol=0.03 * float(np.abs(refitted).max()))


@pytest.mark.parametrize("seed", range(6))
def test_half_wins_are_those_of_choix(seed: int) -> None:
    votes = voting(seed=seed)
    fit = fit_model(tally(votes), side_bias=False)
    points = np.zeros((4, 4))
    for _, left, right, outcome, _ in each_vote(votes):
        points[left, right] += {LEFT: 1.0, RIGHT: 0.0}.get(outcome, 0.5)
        points[right, left] += {LEFT: 0.0, RIGHT: 1.0}.get(outcome, 0.5)

    np.testing.assert_allclose(fit.strengths, choix.ilsr_pairwise_dense(points, tol=1e-13), atol=1e-9)


@pytest.mark.parametrize("ties", ALL)
@pytest.mark.parametrize("side", [True, False])
def test_covariates_give_the_maximum_over_their_coefficients(ties: Ties, side: bool) -> None:
    votes = voting(seed=6)
    covariates = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [4.0, 0.0]])
    fit = fit_model(tally(votes), ties=ties, side_bias=side, covariates=covariates)
    plain = Plain(votes, ties, side=side)
    kinds = plain.kinds()

    def loss(parameters: Floats) -> float:
        strengths = covariates @ parameters[:2]
        here = np.concatenate([(strengths - strengths.mean())[:-1], parameters[2:]])
        if ties == "rao-kupper" and parameters[-1] <= 0:
            return float("inf")
        return -sum(weight * plain.of_vote(here, *kind) for kind, weight in kinds.items())

    start = np.full(2 + side + plain.has_level, 0.1)
    best = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 20_000})
    assert fit.coefficients is not None
    np.testing.assert_allclose(fit.coefficients, best.x[:2], atol=2e-6)
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-9)


@pytest.mark.parametrize(
    "rows", [[(0, 1, 4, 0), (1, 2, 3, 0), (0, 2, 2, 0)], [(0, 1, 6, 0), (1, 2, 2, 3), (0, 2, 1, 0)]]
)
def test_firth_is_the_maximum_of_likelihood_and_half_the_log_determinant(rows: list[tuple[int, int, int, int]]) -> None:
    each = [(a, b, LEFT) for a, b, won, _ in rows for _ in range(won)]
    votes = some_votes(each + [(a, b, RIGHT) for a, b, _, lost in rows for _ in range(lost)], 3)
    fit = fit_model(tally(votes), side_bias=False)

    def loss(free: Floats) -> float:
        strengths = np.append(free, 0.0)
        value, information = 0.0, np.zeros((3, 3))
        for one, other, won, lost in rows:
            win = 1 / (1 + math.exp(strengths[other] - strengths[one]))
            value += won * math.log(win) + lost * math.log(1 - win)
            apart = np.eye(3)[one] - np.eye(3)[other]
            information += (won + lost) * win * (1 - win) * np.outer(apart, apart)
        return -value - math.log(np.linalg.det(information[:2, :2])) / 2

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-14})
    assert fit.estimator == "firth"
    np.testing.assert_allclose(fit.strengths[:2] - fit.strengths[2], best.x, atol=1e-6)


def test_a_profile_end_is_where_the_penalised_likelihood_has_fallen_by_half_the_chi_square() -> None:
    # Five of five: the penalised likelihood of the gap x is 5.5 log s(x) + 0.5 log s(-x).
    fit = fit_model(tally(some_votes([(0, 1, LEFT)] * 5, 2)), side_bias=False)
    found = difference_intervals(estimate_precision(fit, by=()))

    def value(gap: float) -> float:
        return -5.5 * math.log1p(math.exp(-gap)) - 0.5 * math.log1p(math.exp(gap))

    top = value(math.log(11))
    for end in (found.low[0, 1], found.high[0, 1]):
        assert 2 * (top - value(float(end))) == pytest.approx(1.959964**2, abs=1e-3)


def test_ends_out_of_sight_are_infinite_each_on_its_own_side_and_their_chances_are_certain() -> None:
    rows = [(0, 1, LEFT, rater) for rater, number in enumerate((12, 6, 4)) for _ in range(number)]
    for ties in ALL:
        votes = some_votes([*rows, (2, 3, TIE, 0), (2, 3, LEFT, 1), (3, 2, LEFT, 2)], 4)
        precision = estimate_precision(fit_model(tally(votes), ties=ties, side_bias=False), votes, by=("rater",))
        gaps, wins = difference_intervals(precision), win_probability_intervals(precision)
        assert np.isinf(gaps.high[0, 1]) or gaps.high[0, 1] > 15
        assert -5 < gaps.low[0, 1] < gaps.estimate[0, 1]
        assert wins.high[0, 1] == pytest.approx(1, abs=1e-6) and 0 < wins.low[0, 1] < 1
        assert wins.low[1, 0] == pytest.approx(1 - wins.high[0, 1], abs=1e-9)


@pytest.mark.parametrize("votes", [4, 8, 30])
def test_the_jackknife_of_a_penalised_fit_is_near_penalised_refits(votes: int) -> None:
    # n of n: a gap of log(2 n + 1), and of log(2 n - 1) without one of them.
    swept = some_votes([(0, 1, LEFT, number) for number in range(votes)], 2)
    fit = fit_model(tally(swept), side_bias=False)
    left_out = Jackknife(ScoredVotes(fit, swept), ScoredVotes(fit, swept).partition("rater")).shifts()

    exact = math.log((2 * votes + 1) / (2 * votes - 1))
    np.testing.assert_allclose(left_out[:, 0] - left_out[:, 1], exact, rtol=0.6 / votes)


def test_one_prompt_that_alone_links_contenders_leaves_errors_of_a_sane_size() -> None:
    votes = some_votes([(0, 1, LEFT, 0, 1), (0, 1, TIE, 1, 1), (0, 2, TIE, 2, 2), (2, 3, LEFT, 3, 0)], 4)
    fit = fit_model(tally(votes), side_bias=False)
    covariance = estimate_precision(fit, votes, by=("prompt",)).covariance

    assert fit.estimator == "firth"
    assert 0.1 < np.sqrt(np.diagonal(covariance)).max() < 5


@pytest.mark.parametrize("ties", ["davidson", "rao-kupper"])
def test_win_probability_intervals_are_the_delta_method_by_differences(ties: Ties) -> None:
    votes = voting(seed=7, votes=600)
    fit = fit_model(tally(votes), ties=ties)
    precision = estimate_precision(fit, votes, by=("rater",))
    found = win_probability_intervals(precision)

    def logit_win(parameters: Floats) -> float:
        left, tied, _ = chance(ties, float(parameters[0] - parameters[1]), float(parameters[-1]))
        win = left + tied / 2
        return math.log(win / (1 - win))

    here = np.concatenate([fit.strengths, fit.parameters[fit.problem.n_strengths :]])
    steps = 1e-5 * np.eye(len(here))
    slope = np.array([(logit_win(here + step) - logit_win(here - step)) / 2e-5 for step in steps])
    error = math.sqrt(max(slope @ matrix @ slope for matrix in (precision.covariance, *precision.floors)))
    reach = float(t.ppf(0.975, precision.degrees_of_freedom[0])) * error
    for end, sign in ((found.low, -1), (found.high, 1)):
        middle = logit_win(here) + sign * reach
        assert end[0, 1] == pytest.approx(1 / (1 + math.exp(-middle)), abs=1e-7)
