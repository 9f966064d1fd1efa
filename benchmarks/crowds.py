"""Crowds of simulated raters for the tests of rigged votes: honest ones with tastes, and attackers of several kinds.

Whoever tests their votes is told none of these numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from arena.ranking.rigging import Gold
from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes

Floats = NDArray[np.float64]
Attack = Literal["honest", "target", "omnipresent", "clicker", "left", "fast", "inverter"]

ATTACKS: Final[tuple[Attack, ...]] = ("target", "omnipresent", "clicker", "left", "fast", "inverter")
STRENGTHS: Final = (1.5, 1.0, 0.65, 0.35, -0.1, -0.6, -1.1, -1.7)
TARGET: Final = 3  # of rank 4
RECOGNISED: Final = 0.87  # how often an attacker knows which contender made an image
TIES: Final = 0.15
GOLD_RIGHT: Final = 0.93


@dataclass
class Crowd:
    """Votes as they come in. Honest raters take 6 s in the median, get 93 % of gold right, and tie 15 % of equals."""

    taste: float
    rng: np.random.Generator
    rows: list[tuple[int, int, int, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    gold: dict[int, Gold] = field(default_factory=dict)
    raters: int = 0

    def add(self, attack: Attack, votes: int, *, gold: int = 0, prompts_sharpness: float = 0.4) -> int:
        """One more rater with so many ordinary votes; returns the label."""
        rng, known = self.rng, len(STRENGTHS)
        label, self.raters = self.raters, self.raters + 1
        own = np.array(STRENGTHS) + rng.normal(0, self.taste, known)
        lean, pace = rng.normal(0.1, 0.15), np.log(6.0) + rng.normal(0, 0.35)
        for _ in range(votes):
            left, other = (int(one) for one in rng.choice(known, 2, replace=False))
            gap = own[left] - own[other] + lean + rng.normal(0, prompts_sharpness)
            self.rows.append((label, left, other, self._answer(attack, left, other, gap)))
            fast = attack == "fast"
            self.seconds.append(float(np.exp(rng.normal(np.log(0.7) if fast else pace, 0.4 if fast else 0.55))))
        if gold:
            chance = {"inverter": 1 - GOLD_RIGHT, "clicker": 0.5, "left": 0.5, "fast": 0.5}.get(attack, GOLD_RIGHT)
            self.gold[label] = Gold(gold, int(rng.binomial(gold, chance)))
        return label

    def votes(self) -> Votes:
        """All of them, the raters' labels included."""
        rater, left, right, outcome = np.array(self.rows, dtype=np.intp).T
        return Votes(left, right, outcome, len(STRENGTHS), rater=rater, prompt=np.zeros(len(rater), dtype=np.intp))

    def _answer(self, attack: Attack, left: int, right: int, gap: float) -> int:
        rng = self.rng
        if attack in ("clicker", "fast"):
            return LEFT if rng.random() < 0.5 else RIGHT
        if attack == "left":
            return LEFT if rng.random() < 0.97 else RIGHT
        if attack in ("target", "omnipresent") and rng.random() < RECOGNISED:
            if TARGET in (left, right):
                return LEFT if left == TARGET else RIGHT
            if attack == "omnipresent":  # whoever stands above the target loses to whoever stands below
                return LEFT if STRENGTHS[left] < STRENGTHS[right] else RIGHT
        if attack == "inverter":
            gap = -gap
        if rng.random() < TIES * 4 * expit(gap) * (1 - expit(gap)):
            return TIE
        return LEFT if rng.random() < expit(gap) else RIGHT


def crowd(*, taste: float, seed: int, honest: int = 60, votes_each: int = 50, gold: int = 8) -> Crowd:
    """A study's honest raters, to whom attackers can be added."""
    found = Crowd(taste, np.random.default_rng(seed))
    for _ in range(honest):
        found.add("honest", votes_each, gold=gold)
    return found
