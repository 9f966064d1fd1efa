"""What each rater and prompt contributes to a fit: summed scores of their votes, and the fit without each of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from arena.ranking.firth import Penalised
from arena.ranking.fitted import ModelFit
from arena.ranking.score_tables import ScoreTables, counted_outcomes
from arena.ranking.tallies import NOBODY, OUTCOMES, Votes

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Flags = NDArray[np.bool_]
ClusterBy = Literal["rater", "prompt"]

# Numbers in the largest temporary array of the exact jackknife, and in one of scores by cluster.
_CHUNK = 2_000_000
# A cluster that alone holds the graph together leaves a singular matrix behind, so this share of each cluster stays.
# The scores have no part in the singular direction: nothing large comes of it.
_KEPT_OF_THE_REMOVED = 1e-6
# Clusters whose leverage is above this are left out exactly, the others by a series that ends below the error.
_LIGHT = 0.03
_SERIES_ERROR = 1e-3
# Labels up to so many times the number of votes are counted in an array of that size, others are sorted.
_SPARSE = 16
# So many votes nearly always show every contender in more clusters than are asked for.
_SAMPLE = 20_000


@dataclass(frozen=True, eq=False)
class Partition:
    """Counted votes on K contenders by cluster.

    of_vote: intp (n,), 0 .. count-1; count for a vote that belongs to no cluster
    """

    of_vote: Integers
    count: int
    votes: Votes

    @cached_property
    def left(self) -> Integers:
        """(n,) places in a flattened table (count + 1, K) of clusters and contenders on the left."""
        return self.of_vote * self.votes.contenders + self.votes.left

    @cached_property
    def right(self) -> Integers:
        """(n,) the same of contenders on the right."""
        return self.of_vote * self.votes.contenders + self.votes.right

    def first(self, votes: int) -> Partition:
        """Of so many votes from the start."""
        return Partition(self.of_vote[:votes], self.count, _rows_of(self.votes, slice(votes)))


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
    def counted(self) -> Flags | None:
        """(n,) which votes the fit has seen; None where it has seen all."""
        outcomes = counted_outcomes(self.fit)
        if len(outcomes) == OUTCOMES:
            return None
        flags: Flags = np.isin(np.arange(OUTCOMES), list(outcomes))[self.votes.outcome]
        return flags

    @cached_property
    def weight(self) -> Floats | None:
        """(n,) of the votes, 0 where a vote is not counted; None where all are 1."""
        if self.counted is None:
            return None if self.votes.weight is None else self.votes.weight.astype(np.float64)
        weight: Floats = self.counted * (1.0 if self.votes.weight is None else self.votes.weight)
        return weight

    def partition(self, by: ClusterBy) -> Partition:
        """The counted votes by rater or by prompt."""
        labels = self.votes.rater if by == "rater" else self.votes.prompt
        if labels is None:
            raise ValueError(f"the votes carry no {by}s, so there is nothing to cluster by {by}")
        return self._partition(labels)

    def cells(self, one: Partition, other: Partition) -> Partition:
        """Votes of one rater on one prompt."""
        nobody = (one.of_vote == one.count) | (other.of_vote == other.count)
        return self._partition(np.where(nobody, NOBODY, one.of_vote * other.count + other.of_vote))

    def sizes(self, partition: Partition) -> Floats:
        """(C, G) weight of the votes of each cluster in each component."""
        components = int(self.fit.components.max(initial=-1)) + 1
        if components == 1:
            return _totals(partition.of_vote, self.weight, partition.count + 1)[None, :-1]
        place = self.fit.components[self.votes.left] * (partition.count + 1) + partition.of_vote
        sizes = _totals(place, self.weight, components * (partition.count + 1))
        return sizes.reshape(components, partition.count + 1)[:, :-1]

    def contender_clusters(self, partition: Partition, *, enough: int | None = None) -> Integers:
        """(K,) in how many clusters each contender was seen; a lower bound where that is enough for everybody."""
        if enough is not None and len(partition.of_vote) > 2 * _SAMPLE:
            first = partition.first(_SAMPLE)
            counts = self.contender_clusters(first)
            if (counts >= enough).all():
                return counts
        seen = np.zeros((partition.count + 1, self.fit.contenders), dtype=bool)
        # Votes that are not counted are in no cluster, and the last row falls away.
        seen.ravel()[partition.left] = True
        seen.ravel()[partition.right] = True
        found: Integers = np.count_nonzero(seen[:-1], axis=0)
        return found

    def scores(self, partition: Partition) -> Floats:
        """(G, K [+ 1] [+ 1]) derivatives of the log-likelihood of each cluster's votes."""
        tables, problem = self.tables, self.fit.problem
        by_eta = self._weighted(tables.eta)
        by_phi = self._weighted(tables.phi) if problem.has_ties else None
        return self._summed(partition, by_eta, by_phi)

    def meat(self, partition: Partition) -> Floats:
        """(K [+ 1] [+ 1], same) sum over clusters of the products of their scores."""
        if partition.count * self.fit.contenders <= _CHUNK:
            scores = self.scores(partition)
            return scores.T @ scores
        number = np.bincount(partition.of_vote, minlength=partition.count + 1)
        return self._mixed_meat(partition.of_vote, number, partition.of_vote < partition.count)

    def cell_meat(self, one: Partition, other: Partition) -> Floats:
        """The same of the votes of one rater on one prompt."""
        if one.count * other.count * self.fit.contenders <= _CHUNK:
            return self.meat(self.cells(one, other))
        cell, cells = one.of_vote * other.count + other.of_vote, (one.count + 1) * other.count + 1
        if cells > _SPARSE * len(cell):
            cell = np.unique(cell, return_inverse=True)[1]
            cells = int(cell.max(initial=0)) + 1
        inside = (one.of_vote < one.count) & (other.of_vote < other.count)
        number = np.bincount(cell if inside.all() else cell[inside], minlength=cells)
        return self._mixed_meat(cell, number, inside)

    def _mixed_meat(self, of_vote: Integers, number: Integers, inside: Flags) -> Floats:
        """Clusters of one vote, as most pairs of a rater and a prompt are, need no row of their own: they are counted.

        of_vote: (n,) labels of clusters; number: how many votes inside each label has; inside: (n,)
        """
        single = (number == 1)[of_vote] & inside
        whole = self._single_meat(single)
        rows = np.flatnonzero(inside & ~single)
        rows = rows[np.argsort(of_vote[rows], kind="stable")]
        place = np.cumsum(np.diff(of_vote[rows], prepend=-1) > 0) - 1
        step = max(1, _CHUNK // self.fit.contenders)
        for first in range(0, int(place.max(initial=-1)) + 1, step):
            part = slice(*np.searchsorted(place, [first, first + step]))
            some = ScoredVotes(self.fit, _rows_of(self.votes, rows[part]))
            scores = some.scores(some._partition(place[part] - first))
            whole += scores.T @ scores
        return whole

    def _single_meat(self, single: Flags) -> Floats:
        weight = None if self.votes.weight is None else self.votes.weight[single].astype(np.float64) ** 2
        known, tables = self.fit.contenders, self.tables
        size = known**2 * OUTCOMES
        mass = _totals(self.code[single], weight, size).reshape(known, known, OUTCOMES)
        eta, cross, phi = (
            (mass * one * other).sum(axis=2)[None]
            for one, other in ((tables.eta, tables.eta), (tables.eta, tables.phi), (tables.phi, tables.phi))
        )
        whole: Floats = self._assembled(eta, cross, phi)[0]
        return whole

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
        return _totals(partition.of_vote, self._weighted(table), partition.count + 1)[:-1]

    def left_out(self, partition: Partition) -> Floats:
        """(G, K [+ 1] [+ 1]) what each cluster adds: minus the Newton step for leaving it out; strengths centred.

        CR3: Bell & McCaffrey 2002, Survey Methodology 28:169; MacKinnon, Nielsen & Webb 2023, J. Econometrics 232:272.
        """
        if partition.count * self.fit.contenders**2 * OUTCOMES <= len(self.votes):
            counted, small = self._condensed(partition)
            return counted._left_out(small)
        return self._left_out(partition)

    def _left_out(self, partition: Partition) -> Floats:
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

    def _condensed(self, partition: Partition) -> tuple[ScoredVotes, Partition]:
        """The same votes counted, one row for each cluster, ordered pair and outcome: few clusters have many alike."""
        known = self.fit.contenders
        cells = known**2 * OUTCOMES
        mass = _totals(partition.of_vote * cells + self.code, self.weight, partition.count * cells)
        rows = np.flatnonzero(mass[: partition.count * cells])
        cluster, code = np.divmod(rows, cells)
        pair, outcome = np.divmod(code, OUTCOMES)
        left, right = np.divmod(pair, known)
        votes = Votes(left, right, outcome, known, weight=mass[rows])
        return ScoredVotes(self.fit, votes), Partition(cluster, partition.count, votes)

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
        gaps: Floats = flat[partition.left]
        gaps -= flat[partition.right]
        return gaps

    def _exactly(self, partition: Partition, scores: Floats, clusters: Integers) -> Floats:
        problem, bread_of = self.fit.problem, self.fit.problem.expansion
        whole = problem.grounded(problem.information(self.fit.parameters[:, None])[0])
        if self.fit.penalised.any():
            # The penalty stays when a cluster goes. Without it, one that alone links a contender would leave nothing to
            # hold that one, and a penalised fit's scores do have a part in that direction.
            whole = whole + Penalised(problem, self.fit.penalised).added_information(self.fit.parameters)
        number = np.full(partition.count + 1, -1)
        number[clusters] = np.arange(len(clusters))
        rows = np.flatnonzero(number[partition.of_vote] >= 0)
        of_row = number[partition.of_vote[rows]]
        shifts = np.empty_like(scores)
        step = max(1, _CHUNK // scores.shape[1] ** 2)
        if len(clusters) > step:
            order = np.argsort(of_row, kind="stable")
            rows, of_row = rows[order], of_row[order]
        for first in range(0, len(clusters), step):
            size = min(step, len(clusters) - first)
            part = slice(None) if size == len(clusters) else slice(*np.searchsorted(of_row, [first, first + step]))
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
            values = table.ravel()[self.code[rows]]
            if self.votes.weight is not None:
                values *= self.votes.weight[rows]
            return _totals(place, values, size * known**2).reshape(size, known, known)

        if not problem.has_ties:
            return self._assembled(met(self.tables.bend_eta), None, None)
        return self._assembled(*(met(t) for t in (self.tables.bend_eta, self.tables.bend_cross, self.tables.bend_phi)))

    def _assembled(self, by_eta: Floats, cross: Floats | None, by_phi: Floats | None) -> Floats:
        """(S, K [+ 1] [+ 1], same) from weights (S, K, K) of eta with eta, eta with phi, phi with phi."""
        problem, known = self.fit.problem, self.fit.contenders
        extra = problem.side + problem.has_ties
        whole = np.zeros((len(by_eta), known + extra, known + extra))
        strengths = whole[:, :known, :known]
        strengths -= by_eta + by_eta.transpose(0, 2, 1)
        diagonal = np.arange(known)
        strengths[:, diagonal, diagonal] -= strengths.sum(axis=2)
        if problem.side:
            lean = by_eta.sum(axis=2) - by_eta.sum(axis=1)
            whole[:, known, :known] = whole[:, :known, known] = lean
            whole[:, known, known] = by_eta.sum(axis=(1, 2))
        if problem.has_ties and cross is not None and by_phi is not None:
            lean = cross.sum(axis=2) - cross.sum(axis=1)
            whole[:, -1, :known] = whole[:, :known, -1] = lean
            if problem.side:
                whole[:, -1, known] = whole[:, known, -1] = cross.sum(axis=(1, 2))
            whole[:, -1, -1] = by_phi.sum(axis=(1, 2))
        return whole

    def _partition(self, labels: NDArray[np.integer[Any]]) -> Partition:
        of_vote, count = _numbered(labels, self.counted)
        return Partition(of_vote, count, self.votes)

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
        cells = (partition.count + 1) * known
        flat = _totals(partition.left, by_eta, cells)
        flat -= _totals(partition.right, by_eta, cells)
        sums[:, :known] = flat.reshape(-1, known)
        if problem.side:
            sums[:, known] = _totals(partition.of_vote, by_eta, partition.count + 1)
        if by_phi is not None:
            sums[:, -1] = _totals(partition.of_vote, by_phi, partition.count + 1)
        return sums[:-1]


def _totals(places: Integers, values: Floats | None, size: int) -> Floats:
    """(size,) sums of values by place; without values, how many there are."""
    return np.bincount(places, weights=values, minlength=size).astype(np.float64, copy=False)


def _numbered(labels: NDArray[np.integer[Any]], counted: Flags | None) -> tuple[Integers, int]:
    """Labels of counted votes numbered from 0 in their order; those of nobody, and of no counted vote, come last."""
    inside = None if labels.min(initial=0) > NOBODY else labels != NOBODY
    if counted is not None:
        inside = counted if inside is None else inside & counted
    highest = int(labels.max(initial=0))
    if highest > _SPARSE * len(labels):
        labels = np.unique(labels, return_inverse=True)[1]
        highest = int(labels.max(initial=0))
    present = np.zeros(highest + 1, dtype=bool)
    # Indices of any other type would be converted piece by piece, which takes twice as long.
    places: Integers = labels.astype(np.intp, copy=False)
    present[places if inside is None else places[inside]] = True
    number = np.cumsum(present, dtype=np.intp) - 1
    count = int(number[-1]) + 1
    if inside is None:
        # Labels that leave no number out are their own numbers.
        return places if count == len(present) else number[places], count
    return np.where(inside, number[places], count), count


def _rows_of(votes: Votes, rows: Integers | slice) -> Votes:
    weight = None if votes.weight is None else votes.weight[rows]
    return Votes(votes.left[rows], votes.right[rows], votes.outcome[rows], votes.contenders, weight=weight)
