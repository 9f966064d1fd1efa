"""Votes of simulated worlds in which raters, and where wanted prompts, have tastes of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from arena.ranking import likelihoods
from arena.ranking.models import fit_model
from arena.ranking.tallies import LEFT, OUTCOMES, RIGHT, TIE, Tallies, Votes

Floats = NDArray[np.float64]

_NODES = 61


@dataclass(frozen=True)
class World:
    """A study of uniform pairs whose votes follow Davidson's model around each rater's and prompt's own strengths.

    strengths:    (K,) what raters and prompts agree on
    rater_taste, prompt_taste: standard deviation, over raters and over prompts, of each contender's strength
    activity:     standard deviation of the logarithm of how often a rater votes
    nu:           Davidson's tie parameter; 0.6 makes 23 % ties between equals
    left_bias:    advantage of the left side in log odds
    """

    strengths: tuple[float, ...]
    votes: int
    raters: int
    prompts: int
    rater_taste: float = 0.5
    prompt_taste: float = 0.0
    activity: float = 1.0
    nu: float = 0.6
    left_bias: float = 0.12

    @property
    def contenders(self) -> int:
        return len(self.strengths)

    def draw(self, seed: int) -> Votes:
        """One study."""
        rng = np.random.default_rng(seed)
        often = rng.lognormal(0, self.activity, self.raters)
        rater = rng.choice(self.raters, self.votes, p=often / often.sum()).astype(np.int32)
        prompt = rng.integers(0, self.prompts, self.votes, dtype=np.int32)
        left = rng.integers(0, self.contenders, self.votes)
        right = (left + rng.integers(1, self.contenders, self.votes)) % self.contenders
        by_rater = self.strengths + rng.normal(0, self.rater_taste, (self.raters, self.contenders))
        by_prompt = rng.normal(0, self.prompt_taste, (self.prompts, self.contenders))
        gap = by_rater[rater, left] - by_rater[rater, right] + self.left_bias
        gap += by_prompt[prompt, left] - by_prompt[prompt, right]
        chance = likelihoods.chances("davidson", gap, np.log(np.array(self.nu)))
        dice = rng.random(self.votes)
        outcome = np.where(dice < chance.left, LEFT, np.where(dice < chance.left + chance.tie, TIE, RIGHT))
        return Votes(left, right, outcome.astype(np.uint8), self.contenders, rater=rater, prompt=prompt)

    def truth(self) -> Floats:
        """(K,) the strengths that half-win fits of ever more raters and prompts tend to.

        Averaged over tastes, chances lie nearer to even than those of the agreed strengths, so they are not these.
        """
        mean = np.subtract.outer(self.strengths, self.strengths) + self.left_bias
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        spread = np.sqrt(2 * (self.rater_taste**2 + self.prompt_taste**2))
        chance = likelihoods.chances("davidson", mean[:, :, None] + spread * nodes, np.log(np.array(self.nu)))
        mass = np.zeros((*mean.shape, OUTCOMES))
        for outcome, part in ((LEFT, chance.left), (TIE, chance.tie), (RIGHT, chance.right)):
            mass[:, :, outcome] = part @ weights / weights.sum()
        mass[np.arange(len(mean)), np.arange(len(mean))] = 0
        return fit_model(Tallies((mass > 0).astype(np.int64), 1e6 * mass)).strengths


def world(
    seed: int,
    *,
    contenders: int,
    votes: int,
    raters: int,
    prompts: int,
    spread: float = 0.0,
    rater_taste: float = 0.5,
    prompt_taste: float = 0.0,
    ties: float = 0.25,
    left_bias: float = 0.0,
) -> Votes:
    """Columns of `votes` votes: strengths N(0, spread), log-normal activity, tastes N(0, taste) for every contender."""
    rng = np.random.default_rng(seed)
    strengths = rng.normal(0, spread, contenders)
    activity = rng.lognormal(0, 1, raters)
    rater = rng.choice(raters, votes, p=activity / activity.sum()).astype(np.int32)
    prompt = rng.integers(0, prompts, votes, dtype=np.int32)
    left = rng.integers(0, contenders, votes)
    right = (left + rng.integers(1, contenders, votes)) % contenders
    by_rater = rng.normal(0, rater_taste, (raters, contenders))
    by_prompt = rng.normal(0, prompt_taste, (prompts, contenders))
    gap = strengths[left] - strengths[right] + left_bias
    gap += by_rater[rater, left] - by_rater[rater, right] + by_prompt[prompt, left] - by_prompt[prompt, right]
    decided = np.where(rng.random(votes) < expit(gap), LEFT, RIGHT)
    outcome = np.where(rng.random(votes) < ties, TIE, decided).astype(np.uint8)
    narrow = np.uint8 if contenders < 256 else np.uint16
    return Votes(left.astype(narrow), right.astype(narrow), outcome, contenders, rater=rater, prompt=prompt)
