"""How many votes a study needs, or what it can tell apart with those it has: by formula, and by simulated studies.

A difference is given as the win rate of the better contender among decisive votes. Votes that go together (of one rater
on one pair, on one prompt) correlate by rho, and count for less (Kish 1965, Survey Sampling): design effect 1 + (m - 1)
rho for m of them. Where all pairs share the same raters or prompts there is a floor that more votes cannot lower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr, ndtri, stdtrit

from arena.ranking.cluster_scores import ClusterBy
from arena.ranking.intervals import difference_intervals
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes, tally

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

_MOST_VOTES = 1e9
_FEWEST_CLUSTERS = 3
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class Plan:
    """How votes will be gathered and judged. Pairs are equally frequent.

    contenders:     K; the two that are compared are any of them
    level:          of the two-sided test of one difference
    all_pairs:      divide the error by the number of pairs (Bonferroni), as when the whole order is to be right
    power:          the chance wanted of seeing the difference
    ties:           share of votes that are ties
    votes_per_cell: m, how many votes each pair gets on each of its prompts; 1 without repeats
    prompts:        how many prompts all pairs share; instead of votes_per_cell
    raters:         how many raters there are; None for so many that it does not matter
    rho:            correlation of decisive votes on one pair and prompt
    rater_rho:      correlation of decisive votes by one rater on one pair
    """

    contenders: int = 2
    level: float = 0.95
    all_pairs: bool = False
    power: float = 0.8
    ties: float = 0.0
    votes_per_cell: float = 1.0
    prompts: int | None = None
    raters: int | None = None
    rho: float = 0.0
    rater_rho: float = 0.0

    def __post_init__(self) -> None:
        _within("the number of contenders", self.contenders, 2, 10_000)
        _within("the level", self.level, 0.5, 0.9999)
        _within("the power", self.power, 0.05, 0.9999)
        _within("the share of ties", self.ties, 0, 0.95)
        _within("the number of votes per cell", self.votes_per_cell, 1, 1e6)
        _within("rho", self.rho, 0, 0.9)
        _within("the rho of raters", self.rater_rho, 0, 0.9)
        if self.rho + self.rater_rho >= 1:
            raise ValueError("the two correlations must add up to less than 1")
        if self.prompts is not None and self.votes_per_cell != 1:
            raise ValueError("give the number of prompts or the votes per cell, not both: one follows from the other")
        for name, number in (("raters", self.raters), ("prompts", self.prompts)):
            if number is not None:
                _within(f"the number of {name}", number, _FEWEST_CLUSTERS, 1e8)

    @property
    def pairs(self) -> int:
        return self.contenders * (self.contenders - 1) // 2

    @property
    def alpha(self) -> float:
        return (1 - self.level) / (self.pairs if self.all_pairs else 1)

    @property
    def design_effect(self) -> float:
        """Of repeated votes on a pair and prompt."""
        return 1 + (self.votes_per_cell - 1) * self.rho

    @property
    def floor(self) -> float:
        """Variance of a decisive win rate that is left with endless votes of these raters on these prompts, times 4."""
        floor = self.rater_rho / self.raters if self.raters is not None else 0.0
        return floor + (self.rho / self.prompts if self.prompts is not None else 0.0)

    @property
    def shared(self) -> float:
        """The part of a vote's variance that the floor holds."""
        return (self.rater_rho if self.raters is not None else 0.0) + (self.rho if self.prompts is not None else 0.0)

    @property
    def quantile(self) -> float:
        """Of the test: Student's t at the fewer of raters and prompts less one where these are counted."""
        numbers = [number for number in (self.raters, self.prompts) if number is not None]
        tail = 1 - self.alpha / 2
        return float(stdtrit(min(numbers) - 1, tail)) if numbers else float(ndtri(tail))

    def variance(self, votes: float) -> float:
        """Of an estimated decisive win rate near one half with so many votes in all, times 4."""
        decisive = votes * (1 - self.ties) / (self.contenders - 1)
        return (1 - self.shared) * self.design_effect / decisive + self.floor


@dataclass(frozen=True)
class SimulatedPower:
    """share: of the worlds in which the difference was seen, the right way round; error: its standard error."""

    worlds: int
    votes: int
    share: float
    error: float


def votes_needed(win_rate: float, plan: Plan) -> float:
    """Votes in all, of which a share are ties; infinite where these raters and prompts can never tell.

    Raises ValueError for a win rate that is not between one half and one.
    """
    short = _allowed_variance(win_rate, plan) - plan.floor
    if short <= 0:
        return math.inf
    decisive = (1 - plan.shared) * plan.design_effect / short
    return decisive * (plan.contenders - 1) / (1 - plan.ties)


def smallest_difference(votes: float, plan: Plan) -> float | None:
    """The smallest decisive win rate above one half that so many votes show with the power wanted; None if none."""
    _within("the number of votes", votes, 2, _MOST_VOTES)
    variance = plan.variance(votes)

    def excess(win_rate: float) -> float:
        return _allowed_variance(win_rate, plan) - variance

    lowest, highest = 0.5 + 1e-9, 1 - 1e-9
    return float(brentq(excess, lowest, highest, xtol=1e-10)) if excess(highest) > 0 else None


def power_of(win_rate: float, votes: float, plan: Plan) -> float:
    """The chance that so many votes show the difference, the right way round."""
    _require_difference(win_rate)
    _within("the number of votes", votes, 2, _MOST_VOTES)
    error = math.sqrt(plan.variance(votes)) / 2
    spread = 2 * math.sqrt(win_rate * (1 - win_rate))
    return float(ndtr(((win_rate - 0.5) / error - plan.quantile) / spread))


def half_width(votes: float, plan: Plan) -> float:
    """Of the interval of a decisive win rate near one half."""
    return plan.quantile * math.sqrt(plan.variance(votes)) / 2


def fewest_clusters(win_rate: float, plan: Plan, *, of: ClusterBy) -> int | None:
    """How many raters or prompts there must be at least, the other number as planned; None if that cannot help."""

    def suffices(number: int) -> bool:
        enough = replace(plan, raters=number) if of == "rater" else replace(plan, prompts=number)
        return math.isfinite(votes_needed(win_rate, enough))

    low, high = _FEWEST_CLUSTERS - 1, _FEWEST_CLUSTERS
    while not suffices(high):
        low, high = high, high * 2
        if high > 1e7:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def halved(win_rate: float, ties: float) -> float:
    """The win probability with ties as half wins that goes with a decisive win rate."""
    return 0.5 + (win_rate - 0.5) * (1 - ties)


def simulate_power(win_rate: float, votes: int, plan: Plan, *, worlds: int, seed: int = 0) -> SimulatedPower:
    """Make whole studies, fit each, and count in how many the interval of the difference excludes zero the right way.

    Tastes of raters and prompts are normal deviations of every contender's strength, as large as the correlations ask.
    """
    _require_difference(win_rate)
    world = _World.of(win_rate, votes, plan)
    rng = np.random.default_rng(seed)
    seen = sum(world.shows_the_difference(rng) for _ in range(worlds))
    share = seen / worlds
    return SimulatedPower(worlds, votes, share, math.sqrt(max(share * (1 - share), 1 / worlds) / worlds))


@dataclass(frozen=True, eq=False)
class _World:
    """Studies of one kind. The first contender is better than the second, the others lie between."""

    plan: Plan
    votes: int
    strengths: Floats
    nu: float
    rater_spread: float
    prompt_spread: float

    @classmethod
    def of(cls, win_rate: float, votes: int, plan: Plan) -> _World:
        rater_rho = plan.rater_rho if plan.raters is not None else 0.0
        cells = plan.prompts is not None or plan.votes_per_cell > 1
        prompt_rho = plan.rho if cells else 0.0
        total = _spread_of(rater_rho + prompt_rho)
        parts = [total * math.sqrt(rho / (rater_rho + prompt_rho)) if rho else 0.0 for rho in (rater_rho, prompt_rho)]
        strengths = np.zeros(plan.contenders)
        strengths[:2] = np.array([0.5, -0.5]) * _gap_of(win_rate, total)
        return cls(plan, votes, strengths, _nu_of(plan.ties, total), parts[0], parts[1])

    def shows_the_difference(self, rng: np.random.Generator) -> bool:
        votes = self.draw(rng)
        by: tuple[ClusterBy, ...] = ()
        by += ("rater",) if self.plan.raters is not None else ()
        by += ("prompt",) if votes.prompt is not None else ()
        fit = fit_model(tally(votes), ties="half", side_bias=False)
        gaps = difference_intervals(estimate_precision(fit, votes, by=by), level=1 - self.plan.alpha)
        return bool(gaps.low[0, 1] > 0)

    def draw(self, rng: np.random.Generator) -> Votes:
        plan, number = self.plan, self.votes
        first, second = np.triu_indices(plan.contenders, 1)
        pair = rng.permutation(np.arange(number) % plan.pairs)
        swapped = rng.random(number) < 0.5
        left = np.where(swapped, second[pair], first[pair])
        right = np.where(swapped, first[pair], second[pair])
        eta = self.strengths[left] - self.strengths[right]
        rater = prompt = None
        if plan.raters is not None:
            rater = rng.permutation(np.arange(number) % plan.raters)
            taste = rng.normal(0, self.rater_spread / math.sqrt(2), (plan.raters, plan.contenders))
            eta += taste[rater, left] - taste[rater, right]
        if plan.prompts is not None:
            prompt = rng.permutation(np.arange(number) % plan.prompts)
            taste = rng.normal(0, self.prompt_spread / math.sqrt(2), (plan.prompts, plan.contenders))
            eta += taste[prompt, left] - taste[prompt, right]
        elif plan.votes_per_cell > 1:
            prompt = self._cells(pair)
            taste = rng.normal(0, self.prompt_spread, int(prompt.max()) + 1)
            eta += np.where(swapped, -taste[prompt], taste[prompt])
        win, lose = np.exp(eta / 2), np.exp(-eta / 2)
        place = rng.random(number) * (win + lose + self.nu)
        outcome = np.where(place < win, LEFT, np.where(place < win + lose, RIGHT, TIE))
        return Votes(left, right, outcome, plan.contenders, rater, prompt)

    def _cells(self, pair: Integers) -> Integers:
        """Prompts of their own for every pair, each with so many votes as planned."""
        order = np.argsort(pair, kind="stable")
        within = np.empty(len(pair), dtype=np.intp)
        starts = np.searchsorted(pair[order], np.arange(self.plan.pairs))
        within[order] = np.arange(len(pair)) - starts[pair[order]]
        number = (within / self.plan.votes_per_cell).astype(np.intp)
        return number * self.plan.pairs + pair


def _allowed_variance(win_rate: float, plan: Plan) -> float:
    """Variance of a decisive win rate, times 4, at which the difference is seen with the power wanted."""
    _require_difference(win_rate)
    reach = plan.quantile + float(ndtri(plan.power)) * 2 * math.sqrt(win_rate * (1 - win_rate))
    if reach <= 0:
        raise ValueError("the power wanted is less than the chance of seeing a difference that is not there")
    return (2 * (win_rate - 0.5) / reach) ** 2


def _mean_rate(gap: float, spread: float) -> float:
    return float(_WEIGHTS @ expit(gap + spread * _NODES))


def _spread_of(rho: float) -> float:
    """Standard deviation of log odds that makes two votes of a cluster on equal contenders correlate by rho."""
    if rho == 0:
        return 0.0

    def excess(spread: float) -> float:
        return 4 * float(_WEIGHTS @ (expit(spread * _NODES) - 0.5) ** 2) - rho

    return float(brentq(excess, 0.0, 200.0))


def _gap_of(win_rate: float, spread: float) -> float:
    """Log odds around which tastes of this spread give the win rate on average."""
    widest = float(logit(win_rate)) * (1 + spread) + 1
    return float(brentq(lambda gap: _mean_rate(gap, spread) - win_rate, 0.0, 4 * widest))


def _nu_of(ties: float, spread: float) -> float:
    """Davidson's nu at which equal contenders tie so often; ties are rarer where tastes pull apart."""
    if ties == 0:
        return 0.0

    def excess(log_nu: float) -> float:
        nu = math.exp(log_nu)
        return float(_WEIGHTS @ (nu / (nu + 2 * np.cosh(spread * _NODES / 2)))) - ties

    return math.exp(float(brentq(excess, -20.0, 200.0)))


def _require_difference(win_rate: float) -> None:
    if not 0.5 < win_rate < 1:
        raise ValueError(f"the win rate of the better contender lies between 0.5 and 1, not at {win_rate}")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low:g} and {high:g}, not {value:g}")
