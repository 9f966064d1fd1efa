"""What each rater and prompt contributes to a fit: summed scores of their votes, and the fit without each of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from arena.ranking import likelihoods
from arena.ranking.fitted import ModelFit
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, OUTCOMES, RIGHT, TIE, Votes

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
ClusterBy = Literal["rater", "prompt"]

# Doubles in the largest temporary array of the exact jackknife.
_CHUNK = 2_000_000
# A cluster that alone holds the graph together leaves a singular matrix behind, so this share of each cluster stays.
# The scores have no part in the singular direction: nothing large comes of it.
_KEPT_OF_THE_REMOVED = 1e-6
# Clusters whose leverage is above this are left out exactly, the others by a series that ends below the error.
_LIGHT = 0.05
_SERIES_ERROR = 1e-4


@dataclass(frozen=True, eq=False)
class Partition:
    """Votes by cluster.

    of_vote: intp (n,), 0 .. count-1; count for a vote that belongs to no cluster
    """

    of_vote: Integers
    count: int


@dataclass(frozen=True, eq=False)
class ScoreTables:
    """What a vote with each outcome in each ordered pair says, float (K, K, 4): zero where it is not counted.

    eta, phi: slopes of its log-likelihood; bend_eta, bend_cross, bend_phi: its negative second derivatives
    """

    eta: Floats
    phi: Floats
    bend_eta: Floats
    bend_cross: Floats
    bend_phi: Floats

    @classmethod
    def of(cls, fit: ModelFit) -> ScoreTables:
        problem = fit.problem
        strengths = problem.strengths(fit.parameters)
        eta = strengths[:, None] - strengths[None, :] + (fit.side_bias or 0.0)
        level = np.array(fit.parameters[-1] if problem.has_ties else 0.0)
        chance = likelihoods.chances(problem.link, eta, level)
        slope = likelihoods.slopes(problem.link, chance, level)
        bend = likelihoods.bends(problem.link, chance, level)
        counted = _counted_outcomes(fit)

        def table(parts: tuple[Floats, Floats, Floats]) -> Floats:
            whole = np.zeros((*eta.shape, OUTCOMES))
            for outcome, part in zip((LEFT, TIE, RIGHT, BOTH_BAD), (*parts, parts[1]), strict=True):
                if outcome in counted:
                    whole[:, :, outcome] = part
            return whole

        return cls(
            eta=table((slope[0].eta, slope[1].eta, slope[2].eta)),
            phi=table((slope[0].phi, slope[1].phi, slope[2].phi)),
            bend_eta=table((bend[0].eta, bend[1].eta, bend[2].eta)),
            bend_cross=table((bend[0].cross, bend[1].cross, bend[2].cross)),
            bend_phi=table((bend[0].phi, bend[1].phi, bend[2].phi)),
        )


@dataclass(frozen=True, eq=False)
class ScoredVotes:
    """The votes behind a fit, ready to be summed by cluster. Sums are over strengths, side bias and tie parameter."""

    fit: ModelFit
    votes: Votes

    @cached_property
    def tables(self) -> ScoreTables:
        return ScoreTables.of(self.fit)

    @cached_property
    def code(self) -> Integers:
        """(n,) places in the tables, flattened."""
        votes = self.votes
        code = votes.left.astype(np.intp)
        code *= votes.contenders
        code += votes.right
        code *= OUTCOMES
        code += votes.outcome
        return code

    @cached_property
    def weight(self) -> Floats:
        """(n,) of the votes, 0 where a vote is not counted."""
        counted = np.zeros(OUTCOMES)
        counted[list(_counted_outcomes(self.fit))] = 1
        weight = counted[self.votes.outcome]
        return weight if self.votes.weight is None else weight * self.votes.weight

    def partition(self, by: ClusterBy) -> Partition:
        """The counted votes by rater or by prompt."""
        labels = self.votes.rater if by == "rater" else self.votes.prompt
        if labels is None:
            raise ValueError(f"the votes carry no {by}s, so there is nothing to cluster by {by}")
        return _numbered(labels, self.weight > 0)

    def cells(self, one: Partition, other: Partition) -> Partition:
        """Votes of one rater on one prompt."""
        nobody = (one.of_vote == one.count) | (other.of_vote == other.count)
        return _numbered(np.where(nobody, NOBODY, one.of_vote * other.count + other.of_vote), self.weight > 0)

    def sizes(self, partition: Partition) -> Floats:
        """(C, G) weight of the votes of each cluster in each component."""
        component = self.fit.components[self.votes.left]
        components = int(self.fit.components.max(initial=-1)) + 1
        place = component * (partition.count + 1) + partition.of_vote
        sizes = np.bincount(place, weights=self.weight, minlength=components * (partition.count + 1))
        return sizes.reshape(components, partition.count + 1)[:, :-1]

    def contender_clusters(self, partition: Partition) -> Integers:
        """(K,) in how many clusters each contender was seen."""
        seen = np.zeros((partition.count + 1) * self.fit.contenders, dtype=bool)
        counted = self.weight > 0
        for side in (self.votes.left, self.votes.right):
            seen[(partition.of_vote * self.fit.contenders + side)[counted]] = True
        counts: Integers = np.count_nonzero(seen.reshape(-1, self.fit.contenders)[:-1], axis=0)
        return counts

    def scores(self, partition: Partition) -> Floats:
        """(G, K [+ 1] [+ 1]) derivatives of the log-likelihood of each cluster's votes."""
        tables, problem = self.tables, self.fit.problem
        by_eta = self._weighted(tables.eta)
        by_phi = self._weighted(tables.phi) if problem.has_ties else None
        return self._summed(partition, by_eta, by_phi)

    def leverages(self, partition: Partition) -> Floats:
        """(G,) trace of the inverse information times each cluster's own: above its largest eigenvalue."""
        bread, known = self.fit.bread, self.fit.contenders
        rows = bread[:known, :known]
        spread = np.diagonal(rows)[:, None] + np.diagonal(rows)[None, :] - 2 * rows
        tables, problem = self.tables, self.fit.problem
        if problem.side:
            flat = bread[known, :known]
            spread = spread + 2 * (flat[:, None] - flat[None, :]) + bread[known, known]
        table = tables.bend_eta * spread[:, :, None]
        if problem.has_ties:
            last = bread[-1]
            cross = last[:known, None] - last[None, :known] + (last[known] if problem.side else 0.0)
            table = table + 2 * tables.bend_cross * cross[:, :, None] + tables.bend_phi * last[-1]
        sums = np.bincount(partition.of_vote, weights=self._weighted(table), minlength=partition.count + 1)
        return sums[:-1]

    def left_out(self, partition: Partition) -> Floats:
        """(G, K [+ 1] [+ 1]) how far one Newton step without each cluster moves the parameters, strengths centred.

        CR3: Bell & McCaffrey 2002, Survey Methodology 28:169; MacKinnon, Nielsen & Webb 2023, J. Econometrics 232:272.
        """
        scores = self.scores(partition)
        leverage = self.leverages(partition)
        shifts = np.empty_like(scores)
        light = leverage <= _LIGHT
        heavy = np.flatnonzero(~light)
        if light.any():
            self._by_series(partition, scores, float(leverage[light].max()), out=shifts)
        if len(heavy):
            shifts[heavy] = self._exactly(partition, scores[heavy], heavy)
        return shifts @ self.fit.centring.T

    def _by_series(self, partition: Partition, scores: Floats, leverage: float, *, out: Floats) -> None:
        """(I - V H)^-1 V u = V u + V H V u + ..., as far as it matters at this leverage."""
        bread = self.fit.bread
        first = scores @ bread
        out[:] = first
        reached = leverage
        while reached > _SERIES_ERROR:
            out[:] = first + self._bent(partition, out) @ bread
            reached *= leverage

    def _bent(self, partition: Partition, shifts: Floats) -> Floats:
        """(G, K [+ 1] [+ 1]) each cluster's information times its row of shifts."""
        known, problem, tables = self.fit.contenders, self.fit.problem, self.tables
        padded = np.concatenate([shifts, np.zeros((1, shifts.shape[1]))])
        gaps = self._gaps(partition, padded[:, :known])
        if problem.side:
            gaps += padded[:, known][partition.of_vote]
        by_eta = self._weighted(tables.bend_eta) * gaps
        if not problem.has_ties:
            return self._summed(partition, by_eta, None)
        levels = padded[:, -1][partition.of_vote]
        cross = self._weighted(tables.bend_cross)
        by_phi = cross * gaps + self._weighted(tables.bend_phi) * levels
        return self._summed(partition, by_eta + cross * levels, by_phi)

    def _gaps(self, partition: Partition, values: Floats) -> Floats:
        """(n,) of the left contender less of the right one, from values (G + 1, K)."""
        flat = np.ascontiguousarray(values).ravel()
        place = partition.of_vote * self.fit.contenders
        gaps: Floats = flat[place + self.votes.left] - flat[place + self.votes.right]
        return gaps

    def _exactly(self, partition: Partition, scores: Floats, clusters: Integers) -> Floats:
        problem, bread_of = self.fit.problem, self.fit.problem.expansion
        whole = problem.grounded(problem.information(self.fit.parameters[:, None])[0])
        number = np.full(partition.count + 1, -1)
        number[clusters] = np.arange(len(clusters))
        rows = np.flatnonzero(number[partition.of_vote] >= 0)
        of_row = number[partition.of_vote[rows]]
        order = np.argsort(of_row, kind="stable")
        rows, of_row = rows[order], of_row[order]
        shifts = np.empty_like(scores)
        step = max(1, _CHUNK // scores.shape[1] ** 2)
        for first in range(0, len(clusters), step):
            part = slice(*np.searchsorted(of_row, [first, first + step]))
            size = min(step, len(clusters) - first)
            own = self._information(rows[part], of_row[part] - first, size)
            left = whole - (1 - _KEPT_OF_THE_REMOVED) * problem.reduced(own)
            moved = np.linalg.solve(left, (scores[first : first + size] @ bread_of)[..., None])[..., 0]
            shifts[first : first + size] = moved @ bread_of.T
        return shifts

    def _information(self, rows: Integers, of_row: Integers, size: int) -> Floats:
        """(size, K [+ 1] [+ 1], same) information of the votes of each of some clusters."""
        problem, known = self.fit.problem, self.fit.contenders
        left, right = self.votes.left[rows].astype(np.intp), self.votes.right[rows].astype(np.intp)
        place = (of_row * known + left) * known + right

        def met(table: Floats) -> Floats:
            values = table.ravel()[self.code[rows]] * self.weight[rows]
            return np.bincount(place, weights=values, minlength=size * known**2).reshape(size, known, known)

        extra = problem.side + problem.has_ties
        whole = np.zeros((size, known + extra, known + extra))
        by_eta = met(self.tables.bend_eta)
        strengths = whole[:, :known, :known]
        strengths -= by_eta + by_eta.transpose(0, 2, 1)
        diagonal = np.arange(known)
        strengths[:, diagonal, diagonal] -= strengths.sum(axis=2)
        if problem.side:
            lean = by_eta.sum(axis=2) - by_eta.sum(axis=1)
            whole[:, known, :known] = whole[:, :known, known] = lean
            whole[:, known, known] = by_eta.sum(axis=(1, 2))
        if problem.has_ties:
            cross = met(self.tables.bend_cross)
            lean = cross.sum(axis=2) - cross.sum(axis=1)
            whole[:, -1, :known] = whole[:, :known, -1] = lean
            if problem.side:
                whole[:, -1, known] = whole[:, known, -1] = cross.sum(axis=(1, 2))
            whole[:, -1, -1] = met(self.tables.bend_phi).sum(axis=(1, 2))
        return whole

    def _weighted(self, table: Floats) -> Floats:
        """(n,) the value of each vote, by its weight."""
        values: Floats = table.ravel()[self.code]
        if self.votes.weight is not None:
            values *= self.votes.weight
        return values

    def _summed(self, partition: Partition, by_eta: Floats, by_phi: Floats | None) -> Floats:
        """(G, K [+ 1] [+ 1]) sums over clusters of slopes in the parameters, from those in eta and phi of each vote."""
        known, problem = self.fit.contenders, self.fit.problem
        sums = np.empty((partition.count + 1, known + problem.side + problem.has_ties))
        place = partition.of_vote * known
        cells = (partition.count + 1) * known
        flat = np.bincount(place + self.votes.left, weights=by_eta, minlength=cells)
        flat -= np.bincount(place + self.votes.right, weights=by_eta, minlength=cells)
        sums[:, :known] = flat.reshape(-1, known)
        if problem.side:
            sums[:, known] = np.bincount(partition.of_vote, weights=by_eta, minlength=partition.count + 1)
        if by_phi is not None:
            sums[:, -1] = np.bincount(partition.of_vote, weights=by_phi, minlength=partition.count + 1)
        return sums[:-1]


def _counted_outcomes(fit: ModelFit) -> set[int]:
    counted = {LEFT, TIE, RIGHT, BOTH_BAD}
    if fit.both_bad == "drop":
        counted -= {BOTH_BAD}
    return counted - {TIE, BOTH_BAD} if fit.ties == "drop" else counted


def _numbered(labels: NDArray[np.integer[Any]], counted: NDArray[np.bool_]) -> Partition:
    """Labels of counted votes numbered from 0 in their order; those of nobody, and of no counted vote, come last."""
    inside = counted & (labels != NOBODY)
    highest = int(labels.max(initial=0))
    if highest > 4 * len(labels) + 1_000_000:
        found, number = np.unique(labels, return_inverse=True)
        labels, highest = number, len(found)
    present = np.zeros(highest + 1, dtype=bool)
    present[labels[inside]] = True
    number = np.cumsum(present) - 1
    count = int(number[-1]) + 1
    return Partition(np.where(inside, number[labels], count), count)
