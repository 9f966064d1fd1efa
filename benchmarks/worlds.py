"""Votes of simulated worlds in which raters, and where wanted prompts, have tastes of their own."""

import numpy as np
from scipy.special import expit

from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes


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
