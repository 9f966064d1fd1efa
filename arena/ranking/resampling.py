"""The Bayesian bootstrap: the strengths again, many times, under random weights of raters, prompts or votes.

Exp(1) weights (Rubin 1981, Ann. Stat. 9:130) leave no vote out, so every replicate stays connected and has an estimate.
Two-way clusters weigh a vote by its rater's weight times its prompt's (Owen & Eckles 2012, Ann. Appl. Stat. 6:895).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from arena.ranking import newton
from arena.ranking.clusters import ClusterBy, Clusters, GroupVotes
from arena.ranking.newton import PairResults
from arena.ranking.tallies import NOBODY

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

# Doubles in the largest temporary array: bounds memory, and keeps a batch near the processor's cache.
_BATCH = 2_000_000


def resample(
    group: GroupVotes, strengths: Floats, *, by: Sequence[ClusterBy], replicates: int, rng: np.random.Generator
) -> Floats:
    """(replicates, k) strengths refitted to reweighted votes; exact maxima, each centred to mean 0.

    by names the clusters that are weighted; none means that every vote is weighted on its own.
    The numbers depend on rng's state alone, not on how the work is cut into batches.
    """
    plan = _plan(group, by)
    out = np.empty((replicates, len(strengths)))
    batch = max(1, _BATCH // plan.width)
    for start in range(0, replicates, batch):
        results = plan.draw(min(batch, replicates - start), rng)
        out[start : start + results.n_sets] = newton.maximise_near(results, group.results, strengths).T
    return out


@dataclass(frozen=True, eq=False)
class _Plan:
    """How drawn weights become points per pair: by sparse products, with no loop over votes nor a votes x B array.

    The points of a row, one (outer cluster, pair), are summed over inner clusters by for_first and for_second
    (rows, inner + 1), weighed by the outer cluster, and summed into pairs by into (P, rows). Votes of nobody use the
    last inner column, which is always 1.
    """

    results: PairResults
    shapes: Floats
    for_first: sparse.csr_array
    for_second: sparse.csr_array
    outer_count: int
    outer_of_row: Integers
    into: sparse.csr_array

    @property
    def width(self) -> int:
        return max(len(self.outer_of_row), len(self.shapes), len(self.results.first))

    def draw(self, size: int, rng: np.random.Generator) -> PairResults:
        # One replicate's weights are drawn together, or the batch size would change the numbers. Gamma(1) is Exp(1).
        weights = rng.standard_gamma(self.shapes, size=(size, len(self.shapes))).T
        inner_count = len(self.shapes) - self.outer_count
        nobody = np.ones((1, size))
        inner = np.concatenate([weights[:inner_count], nobody])
        first, second = self.for_first @ inner, self.for_second @ inner
        if self.outer_count:
            outer = np.concatenate([weights[inner_count:], nobody])[self.outer_of_row]
            first *= outer
            second *= outer
        return replace(self.results, wins=self.into @ first, losses=self.into @ second)


def _plan(group: GroupVotes, by: Sequence[ClusterBy]) -> _Plan:
    if not by:
        cells, sizes = _alike(group)
        return _sparse_plan(cells, Clusters(np.arange(len(sizes)), len(sizes)), None, sizes)
    # The finer partition goes inside: rows then number at most pairs x the coarser one.
    chosen = sorted((group.clusters(name) for name in by), key=lambda clusters: -clusters.count)
    outer = chosen[1] if len(chosen) > 1 else None
    return _sparse_plan(group, chosen[0], outer, np.ones(sum(clusters.count for clusters in chosen)))


def _sparse_plan(group: GroupVotes, inner: Clusters, outer: Clusters | None, shapes: Floats) -> _Plan:
    pairs = len(group.results.first)
    outer_of_vote = np.full(len(group.pair), NOBODY) if outer is None else outer.of_vote
    cells, row = np.unique((outer_of_vote - NOBODY) * pairs + group.pair, return_inverse=True)
    shape = (len(cells), inner.count + 1)
    column = np.where(inner.of_vote == NOBODY, inner.count, inner.of_vote)
    for_first = sparse.csr_array((group.weight * group.share, (row, column)), shape=shape)
    for_second = sparse.csr_array((group.weight * (1 - group.share), (row, column)), shape=shape)
    # A decisive vote stands in both with a zero in one: without them the products cost half as much again.
    for_first.eliminate_zeros()
    for_second.eliminate_zeros()
    return _Plan(
        results=group.results,
        shapes=shapes,
        for_first=for_first,
        for_second=for_second,
        outer_count=0 if outer is None else outer.count,
        outer_of_row=cells // pairs + NOBODY,
        into=sparse.csr_array((np.ones(len(cells)), (cells % pairs, np.arange(len(cells)))), shape=(pairs, len(cells))),
    )


def _alike(group: GroupVotes) -> tuple[GroupVotes, Floats]:
    """One vote for each distinct (pair, share, weight), and how many there are: n Exp(1) sum to one Gamma(n)."""
    heaviness, heavy = np.unique(group.weight, return_inverse=True)
    code = (group.pair * 3 + (2 * group.share).astype(np.intp)) * len(heaviness) + heavy
    _, some, sizes = np.unique(code, return_index=True, return_counts=True)
    alike = replace(group, pair=group.pair[some], share=group.share[some], weight=group.weight[some])
    return alike, sizes.astype(np.float64)
