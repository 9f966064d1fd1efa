"""Which pair to show next: where a vote is expected to teach most, with the probability of every choice.

What is known so far is a normal belief about the strengths: the half-win likelihood with a normal prior, so that it
exists from the first vote on and for contenders whom nobody has seen yet. A rule turns it into probabilities of pairs,
and a share of uniform choices stays in: half wins are a quasi-likelihood, whose target depends on who met whom if the
model is wrong, and votes / probability (weights) undo that only where every pair has a chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.special import expit, log_expit, roots_hermitenorm

from arena.ranking.newton import ConvergenceError
from arena.ranking.tallies import Tallies

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rule = Literal["uniform", "lmarena", "a-optimal", "information-tree"]

_NODES: Final = 21
_MOST_STEPS: Final = 100
# Largest move of a strength, in log odds, that ends Newton's method.
_STILL: Final = 1e-10
# Information below this is as good as none, and its reciprocal, the length of an edge of the tree, must stay finite.
_LEAST_INFORMATION: Final = 1e-12


@dataclass(frozen=True, eq=False)
class Belief:
    """Normal belief about the log strengths of K contenders.

    mean: (K,); covariance: (K, K)
    """

    mean: Floats
    covariance: Floats

    @property
    def gaps(self) -> Floats:
        """(K, K) expected log strength of the row less that of the column."""
        apart: Floats = self.mean[:, None] - self.mean[None, :]
        return apart

    @property
    def gap_variances(self) -> Floats:
        """(K, K) variances of these differences."""
        own = np.diagonal(self.covariance)
        spread: Floats = np.maximum(own[:, None] + own[None, :] - 2 * self.covariance, 0)
        return spread


class PairChoice(NamedTuple):
    """first, second: contenders, first < second; probability: the chance the rule gave them, stored with the ballot."""

    first: int
    second: int
    probability: float


def believe(tallies: Tallies, *, prior_deviation: float = 1.5, design_effect: float = 1.0) -> Belief:
    """What votes say about strengths that vary by the prior deviation; a design effect above 1 discounts them."""
    if prior_deviation <= 0 or design_effect < 1:
        raise ValueError("a belief needs a prior deviation above 0 and a design effect of 1 or more")
    points: Floats = tallies.half_wins() / design_effect
    votes = points + points.T
    prior: Floats = np.eye(len(points)) / prior_deviation**2
    mean: Floats = np.zeros(len(points))
    for _ in range(_MOST_STEPS):
        win = expit(mean[:, None] - mean[None, :])
        slope = (points - votes * win).sum(axis=1) - prior @ mean
        step = np.linalg.solve(_laplacian(votes * win * win.T) + prior, slope)
        # The curve is convex but flat far out: a full step from there would overshoot.
        step *= min(1.0, 2 / max(float(np.abs(step).max(initial=0)), 1e-300))
        mean += step
        if np.abs(step).max(initial=0) < _STILL:
            win = expit(mean[:, None] - mean[None, :])
            covariance = np.linalg.inv(_laplacian(votes * win * win.T) + prior)
            return Belief(mean, np.asarray(covariance, dtype=np.float64))
    raise ConvergenceError(f"the strengths had not come to rest after {_MOST_STEPS} steps")


def expected_information(belief: Belief) -> Floats:
    """(K, K) what one decisive vote on the pair is expected to say about the strengths, in nats; 0 on the diagonal.

    Mutual information of the vote and the normal difference, by Gauss-Hermite quadrature with 21 nodes.
    """
    nodes, weights = roots_hermitenorm(_NODES)
    weights = weights / weights.sum()
    gaps = belief.gaps[..., None] + np.sqrt(belief.gap_variances)[..., None] * nodes
    win = expit(gaps)
    kept = (weights * (win * log_expit(gaps) + (1 - win) * log_expit(-gaps))).sum(axis=-1)
    average = np.clip((weights * win).sum(axis=-1), 1e-300, 1)
    other = np.clip(average.T, 1e-300, 1)
    information: Floats = np.maximum(kept - average * np.log(average) - other * np.log(other), 0)
    np.fill_diagonal(information, 0)
    return information


def variance_removed(belief: Belief) -> Floats:
    """(K, K) by how much one decisive vote on the pair lowers the summed variance of all differences (A-optimality).

    Closed form: a vote adds w x x' to the inverse covariance, x = e_i - e_j and w = p (1 - p) at the mean.
    """
    win = expit(belief.gaps)
    weight = win * (1 - win)
    known, covariance = len(belief.mean), belief.covariance
    # Column (i, j) of V x is V_i - V_j; the sum over pairs of (a_k - a_l)^2 is K sum a^2 - (sum a)^2.
    products = covariance @ covariance
    own = np.diagonal(products)
    squares = own[:, None] + own[None, :] - 2 * products
    sums = covariance.sum(axis=1)
    total = known * squares - (sums[:, None] - sums[None, :]) ** 2
    removed: Floats = weight * total / (1 + weight * belief.gap_variances)
    np.fill_diagonal(removed, 0)
    return removed


def after_vote(belief: Belief, first: int, second: int) -> Belief:
    """The covariance once this pair has one more decisive vote, whoever wins it; the mean is left as it is."""
    win = float(expit(belief.mean[first] - belief.mean[second]))
    direction = belief.covariance[:, first] - belief.covariance[:, second]
    weight = win * (1 - win)
    drop = weight / (1 + weight * float(direction[first] - direction[second]))
    return Belief(belief.mean, belief.covariance - drop * np.outer(direction, direction))


def pair_probabilities(
    belief: Belief,
    *,
    rule: Rule,
    votes: NDArray[np.integer] | Floats,
    uniform_share: float = 0.2,
    allowed: Flags | None = None,
) -> Floats:
    """(K, K) chance of each pair to be shown next: symmetric, 0 on the diagonal, the upper triangle sums to 1.

    rule:    "uniform" every allowed pair alike
             "lmarena" by how much a vote narrows the pair's own win rate (Chiang et al. 2024, arXiv 2403.04132)
             "a-optimal" K - 1 pairs taken greedily, each that which lowers the summed variance most
             "information-tree" the spanning tree of most expected information (Hybrid-MST, Li et al. 2018, NeurIPS)
    votes:   (K, K) on each unordered pair so far, symmetric; only "lmarena" looks at them
    allowed: (K, K) symmetric, pairs that can be shown at all; None for all
    """
    known = len(belief.mean)
    possible = ~np.eye(known, dtype=bool) if allowed is None else allowed & ~np.eye(known, dtype=bool)
    if not possible.any():
        raise ValueError("there is no pair to choose from")
    if not 0 < uniform_share <= 1:
        raise ValueError(f"the share of uniform choices lies above 0 and is at most 1, not {uniform_share}")
    even: Floats = possible / (possible.sum() / 2)
    if rule == "uniform":
        return even
    if rule == "lmarena":
        wanted = _lmarena(belief, np.asarray(votes, dtype=np.float64)) * possible
    elif rule == "a-optimal":
        wanted = _greedy(belief, possible)
    else:
        wanted = _information_tree(belief, possible)
    total = wanted.sum() / 2
    # Once everything is known no pair teaches anything, and they are all alike.
    chosen = wanted / total if total > 0 else even
    mixed: Floats = (1 - uniform_share) * chosen + uniform_share * even
    return mixed


def choose_pair(probabilities: Floats, rng: np.random.Generator) -> PairChoice:
    """One pair by these probabilities (K, K)."""
    first, second = np.triu_indices(len(probabilities), 1)
    chances = probabilities[first, second]
    place = int(rng.choice(len(chances), p=chances / chances.sum()))
    return PairChoice(int(first[place]), int(second[place]), float(chances[place]))


def _lmarena(belief: Belief, votes: Floats) -> Floats:
    """Standard error of the win rate now less that after one more vote; a pair nobody has seen counts as seen once."""
    seen = np.maximum(votes, 1)
    win = expit(belief.gaps)
    fall: Floats = np.sqrt(win * win.T) * (1 / np.sqrt(seen) - 1 / np.sqrt(seen + 1))
    return fall


def _greedy(belief: Belief, possible: Flags) -> Floats:
    wanted = np.zeros(possible.shape)
    for _ in range(len(belief.mean) - 1):
        gain = np.where(possible, variance_removed(belief), -np.inf)
        first, second = divmod(int(gain.argmax()), len(gain))
        wanted[first, second] += 1
        wanted[second, first] += 1
        belief = after_vote(belief, first, second)
    return wanted


def _information_tree(belief: Belief, possible: Flags) -> Floats:
    information = np.where(possible, np.maximum(expected_information(belief), _LEAST_INFORMATION), np.inf)
    tree = minimum_spanning_tree(sparse.csr_array(np.triu(1 / information, 1))).toarray() > 0
    both: Floats = (tree | tree.T).astype(np.float64)
    return both


def _laplacian(weights: Floats) -> Floats:
    """(K, K) of symmetric weights."""
    matrix: Floats = np.diag(weights.sum(axis=1)) - weights
    return matrix
