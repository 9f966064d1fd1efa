"""Simulated voting with known strengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes

Floats = NDArray[np.float64]


def simulate_votes(
    rng: np.random.Generator,
    strengths: Floats,
    *,
    votes: int,
    raters: int = 20,
    prompts: int = 30,
    rater_taste: float = 0.0,
    prompt_taste: float = 0.0,
    ties: float = 0.2,
) -> Votes:
    """Uniform pairs, raters and prompts; every rater and prompt shifts each contender by a normal taste of its own."""
    contenders = len(strengths)
    left = rng.integers(contenders, size=votes)
    right = (left + rng.integers(1, contenders, size=votes)) % contenders
    rater, prompt = rng.integers(raters, size=votes), rng.integers(prompts, size=votes)
    by_rater = rater_taste * rng.standard_normal((raters, contenders))
    by_prompt = prompt_taste * rng.standard_normal((prompts, contenders))
    liking = strengths + by_rater[rater] + by_prompt[prompt]
    rows = np.arange(votes)
    outcome = np.where(rng.random(votes) < expit(liking[rows, left] - liking[rows, right]), LEFT, RIGHT)
    outcome[rng.random(votes) < ties] = TIE
    return Votes(left, right, outcome, contenders, rater, prompt)


def some_votes(rows: Sequence[tuple[int, ...]], contenders: int, **columns: Any) -> Votes:
    """Votes from (left, right, outcome[, rater[, prompt]]) rows."""
    names = ("left", "right", "outcome", "rater", "prompt")
    table = np.array(rows, dtype=np.int64).reshape(len(rows), len(rows[0]) if rows else 3)
    columns |= zip(names, table.T, strict=False)
    return Votes(contenders=contenders, **columns)
