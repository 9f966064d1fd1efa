"""A fit without each rater or prompt: what every cluster adds to it, and the sum of the squares, which is CR3.

CR3: Bell & McCaffrey 2002, Survey Methodology 28:169; MacKinnon, Nielsen & Webb 2023, J. Econometrics 232:272.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from arena.ranking.cluster_scores import CHUNK, MANY, Partition, ScoredVotes, totals
from arena.ranking.firth import Penalised
from arena.ranking.tallies import OUTCOMES, Votes

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

# A cluster that alone holds the graph together leaves a singular matrix behind, so this share of each cluster stays.
# The scores have no part in the singular direction: nothing large comes of it.
_KEPT_OF_THE_REMOVED = 1e-6
# Clusters whose leverage is above this are left out exactly, the others by a series that ends below the error.
_LIGHT = 0.03
_SERIES_ERROR = 1e-3
# Among many contenders a matrix for each heavy cluster takes an hour. There the series goes on for every cluster whose
# steps shrink at least so fast, until they are so small a share of its shift; the others have their matrix.
_SHRINKS = 0.7
_STILL = 1e-6
_MOST_STEPS = 40
# Numbers in a table of all clusters' shifts above which clusters are worked on by parts.
_LARGE = 10_000_000


@dataclass(frozen=True, eq=False)
class Jackknife:
    """Votes behind a fit, by clusters that are each to be left out."""

    scored: ScoredVotes
    partition: Partition

    def shifts(self) -> Floats:
        """(G, K [+ 1] [+ 1]) what each cluster adds: minus the Newton step for leaving it out; strengths centred."""
        if self.partition.count * self.scored.fit.contenders**2 * OUTCOMES <= len(self.scored.votes):
            return self._condensed()._shifts()
        return self._shifts()

    def squares(self) -> Floats:
        """(K [+ 1] [+ 1], same) sum over clusters of the products of their shifts; of many, no table is kept."""
        if self.partition.count * self.scored.fit.contenders <= _LARGE:
            shifts = self.shifts()
            return shifts.T @ shifts
        whole = np.zeros_like(self.scored.fit.bread)
        for part in self._parts(max(1, _LARGE // self.scored.fit.contenders)):
            shifts = part.shifts()
            whole += shifts.T @ shifts
        return whole

    def leverages(self) -> Floats:
        """(G,) trace of the inverse information times each cluster's own: above its largest eigenvalue."""
        scored, partition = self.scored, self.partition
        bread, known = scored.fit.bread, scored.fit.contenders
        rows = bread[:known, :known]
        spread = np.diagonal(rows)[:, None] + np.diagonal(rows)[None, :] - 2 * rows
        tables, problem = scored.tables, scored.fit.problem
        if problem.side:
            flat = bread[known, :known]
            spread = spread + 2 * (flat[:, None] - flat[None, :]) + bread[known, known]
        table = tables.bend_eta * spread[:, :, None]
        if problem.has_ties:
            last = bread[-1]
            cross = last[:known, None] - last[None, :known] + (last[known] if problem.side else 0.0)
            table = table + 2 * tables.bend_cross * cross[:, :, None] + tables.bend_phi * last[-1]
        return totals(partition.of_vote, scored.weighted(table), partition.count + 1)[:-1]

    def _parts(self, size: int) -> Iterator[Jackknife]:
        """So many clusters at a time."""
        scored, partition = self.scored, self.partition
        order = np.argsort(partition.of_vote, kind="stable")
        # Votes of no cluster come last, and are in no part.
        firsts = np.arange(0, partition.count, size)
        ends = np.searchsorted(partition.of_vote[order], [*firsts, partition.count])
        for first, start, end in zip(firsts, ends[:-1], ends[1:], strict=True):
            rows = order[start:end]
            own = scored.part(rows)
            count = min(size, partition.count - int(first))
            yield Jackknife(own, Partition(partition.of_vote[rows] - first, count, own.votes))

    def _shifts(self) -> Floats:
        fit = self.scored.fit
        scores = self.scored.scores(self.partition)
        if fit.contenders >= MANY and fit.problem.basis is None:
            return self._settled(scores) @ fit.centring.T
        leverage = self.leverages()
        shifts = np.empty_like(scores)
        light = leverage <= _LIGHT
        heavy = np.flatnonzero(~light)
        if light.any():
            self._by_series(scores, float(leverage[light].max()), out=shifts)
        if len(heavy):
            shifts[heavy] = self._exactly(scores[heavy], heavy)
        return shifts @ fit.centring.T

    def _condensed(self) -> Jackknife:
        """The same votes counted, one row for each cluster, ordered pair and outcome: few clusters have many alike."""
        scored, partition, known = self.scored, self.partition, self.scored.fit.contenders
        cells = known**2 * OUTCOMES
        mass = totals(partition.of_vote * cells + scored.code, scored.weight, partition.count * cells)
        rows = np.flatnonzero(mass[: partition.count * cells])
        cluster, code = np.divmod(rows, cells)
        pair, outcome = np.divmod(code, OUTCOMES)
        left, right = np.divmod(pair, known)
        votes = Votes(left, right, outcome, known, weight=mass[rows])
        return Jackknife(ScoredVotes(scored.fit, votes), Partition(cluster, partition.count, votes))

    def _by_series(self, scores: Floats, leverage: float, *, out: Floats) -> None:
        """(I - V H)^-1 V u = V u + V H V u + ..., as far as it matters at this leverage."""
        bread = self.scored.fit.bread
        first = scores @ bread
        out[:] = first
        reached = leverage
        while reached > _SERIES_ERROR:
            out[:] = first + self._bent(out) @ bread
            reached *= leverage

    def _settled(self, scores: Floats) -> Floats:
        """The same series until it stands still: the leverage of a cluster may be large while each eigenvalue is not.

        A prompt has a share of the votes on every contender, so that its leverage is that share times their number.
        """
        fit = self.scored.fit
        inverse = np.linalg.inv(self._whole) if fit.penalised.any() else fit.bread
        first = scores @ inverse
        shifts = first.copy()
        size = before = np.abs(first).max(axis=1, initial=0)
        going = size > 0
        for _ in range(_MOST_STEPS):
            if not going.any():
                break
            fresh = self._bent(shifts) @ inverse
            fresh *= 1 - _KEPT_OF_THE_REMOVED
            fresh += first
            shifts -= fresh
            step = np.abs(shifts).max(axis=1, initial=0)
            shifts = fresh
            size = np.abs(shifts).max(axis=1, initial=0)
            # Written so that what is no number does not count as settled.
            settled = step <= _STILL * size
            going &= ~settled & (step <= _SHRINKS * before)
            before = step
        rest = np.flatnonzero(~(before <= _STILL * size))
        if len(rest):
            shifts[rest] = self._exactly(scores[rest], rest)
        return shifts

    def _bent(self, shifts: Floats) -> Floats:
        """(G, K [+ 1] [+ 1]) each cluster's information times its row of shifts."""
        scored, partition = self.scored, self.partition
        known, problem, tables = scored.fit.contenders, scored.fit.problem, scored.tables
        padded = np.concatenate([shifts, np.zeros((1, shifts.shape[1]))])
        gaps = self._gaps(padded[:, :known])
        if problem.side:
            gaps += padded[:, known][partition.of_vote]
        by_eta = scored.weighted(tables.bend_eta) * gaps
        if not problem.has_ties:
            return scored.summed(partition, by_eta, None)
        levels = padded[:, -1][partition.of_vote]
        cross = scored.weighted(tables.bend_cross)
        by_phi = cross * gaps + scored.weighted(tables.bend_phi) * levels
        return scored.summed(partition, by_eta + cross * levels, by_phi)

    def _gaps(self, values: Floats) -> Floats:
        """(n,) of the left contender less of the right one, from values (G + 1, K)."""
        flat = np.ascontiguousarray(values).ravel()
        gaps: Floats = flat[self.partition.left]
        gaps -= flat[self.partition.right]
        return gaps

    def _exactly(self, scores: Floats, clusters: Integers) -> Floats:
        problem, bread_of, whole = self.scored.fit.problem, self.scored.fit.problem.expansion, self._whole
        partition = self.partition
        number = np.full(partition.count + 1, -1)
        number[clusters] = np.arange(len(clusters))
        rows = np.flatnonzero(number[partition.of_vote] >= 0)
        of_row = number[partition.of_vote[rows]]
        shifts = np.empty_like(scores)
        step = max(1, CHUNK // scores.shape[1] ** 2)
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

    @cached_property
    def _whole(self) -> Floats:
        """(p, p) information of all votes, made invertible."""
        fit = self.scored.fit
        whole = fit.problem.grounded(fit.problem.information(fit.parameters[:, None])[0])
        if fit.penalised.any():
            # The penalty stays when a cluster goes. Without it, one that alone links a contender would leave nothing to
            # hold that one, and a penalised fit's scores do have a part in that direction.
            whole = whole + Penalised(fit.problem, fit.penalised).added_information(fit.parameters)
        return whole

    def _information(self, rows: Integers, of_row: Integers, size: int) -> Floats:
        """(size, K [+ 1] [+ 1], same) information of the votes of each of some clusters."""
        scored, votes = self.scored, self.scored.votes
        problem, known = scored.fit.problem, scored.fit.contenders
        left, right = votes.left[rows].astype(np.intp), votes.right[rows].astype(np.intp)
        place = (of_row * known + left) * known + right

        def met(table: Floats) -> Floats:
            values = table.ravel()[scored.code[rows]]
            if votes.weight is not None:
                values *= votes.weight[rows]
            return totals(place, values, size * known**2).reshape(size, known, known)

        tables = scored.tables
        if not problem.has_ties:
            return scored.assembled(met(tables.bend_eta), None, None)
        return scored.assembled(*(met(table) for table in (tables.bend_eta, tables.bend_cross, tables.bend_phi)))
