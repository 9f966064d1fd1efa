"""Which comparison to ask for next: a choice among candidates, with the exact probability it had."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Choice(NamedTuple):
    """candidate: index of the one chosen; probability: the chance the rule gave it, to be stored with the ballot."""

    candidate: int
    probability: float


def choose_uniform(candidates: int, rng: np.random.Generator) -> Choice:
    """Any of so many candidates, each alike."""
    if candidates < 1:
        raise ValueError("there is no candidate to choose from")
    return Choice(int(rng.integers(candidates)), 1 / candidates)


def choose_balanced(counts: NDArray[np.integer[Any]], rng: np.random.Generator) -> Choice:
    """One of the candidates shown least often so far, each of those alike; counts (n,) are their exposures."""
    if len(counts) == 0:
        raise ValueError("there is no candidate to choose from")
    least = np.flatnonzero(counts == np.min(counts))
    return Choice(int(least[rng.integers(len(least))]), 1 / len(least))
