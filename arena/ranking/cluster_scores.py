"""What each rater and prompt contributes to a fit: summed scores of their votes (without each of them: jackknife)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from arena.ranking.fitted import ModelFit
from arena.ranking.score_tables import ScoreTables, counted_outcomes
from arena.ranking.tallies import NOBODY, OUTCOMES, Votes

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Flags = NDArray[np.bool_]
ClusterBy = Literal["rater", "prompt"]

# Numbers in the largest temporary array of the exact jackknife, and in one of scores by cluster.
CHUNK: Final = 2_000_000
# From so many contenders on a cell of few votes touches so few of them that its row of scores is kept sparse.
MANY: Final = 200
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
        return Partition(self.of_vote[:votes], self.count, rows_of(self.votes, slice(votes)))


@dataclass(frozen=True, eq=False)
class ScoredVotes:
    """The votes behind a fit, ready to be summed by cluster. Sums are over strengths, side bias and tie parameter."""

    fit: ModelFit
    votes: Votes
    # By clusters and method, as far as asked for: intervals by rater and by both share most of their work.
    covariances: dict[tuple[ClusterBy, str], Floats] = field(init=False, repr=False, default_factory=dict)

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

    def part(self, rows: Integers) -> ScoredVotes:
        """Some of the votes; what a vote says of each kind is not worked out again."""
        some = ScoredVotes(self.fit, rows_of(self.votes, rows))
        some.__dict__["tables"] = self.tables
        return some

    def sizes(self, partition: Partition) -> Floats:
        """(C, G) weight of the votes of each cluster in each component."""
        components = int(self.fit.components.max(initial=-1)) + 1
        if components == 1:
            return totals(partition.of_vote, self.weight, partition.count + 1)[None, :-1]
        place = self.fit.components[self.votes.left] * (partition.count + 1) + partition.of_vote
        sizes = totals(place, self.weight, components * (partition.count + 1))
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
        by_eta = self.weighted(tables.eta)
        by_phi = self.weighted(tables.phi) if problem.has_ties else None
        return self.summed(partition, by_eta, by_phi)

    def meat(self, partition: Partition) -> Floats:
        """(K [+ 1] [+ 1], same) sum over clusters of the products of their scores."""
        if partition.count * self.fit.contenders <= CHUNK:
            scores = self.scores(partition)
            return scores.T @ scores
        if self.fit.contenders >= MANY:
            inside = np.flatnonzero(partition.of_vote < partition.count)
            return self._sparse_meat(partition.of_vote[inside], inside, partition.count)
        number = np.bincount(partition.of_vote, minlength=partition.count + 1)
        return self._mixed_meat(partition.of_vote, number, partition.of_vote < partition.count)

    def cell_meat(self, one: Partition, other: Partition) -> Floats:
        """The same of the votes of one rater on one prompt."""
        if one.count * other.count * self.fit.contenders <= CHUNK:
            return self.meat(self.cells(one, other))
        cell, cells = one.of_vote * other.count + other.of_vote, (one.count + 1) * other.count + 1
        if cells > _SPARSE * len(cell):
            cell = np.unique(cell, return_inverse=True)[1]
            cells = int(cell.max(initial=0)) + 1
        inside = (one.of_vote < one.count) & (other.of_vote < other.count)
        if self.fit.contenders >= MANY:
            rows = np.flatnonzero(inside)
            return self._sparse_meat(cell[rows], rows, cells)
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
        step = max(1, CHUNK // self.fit.contenders)
        for first in range(0, int(place.max(initial=-1)) + 1, step):
            part = slice(*np.searchsorted(place, [first, first + step]))
            some = self.part(rows[part])
            scores = some.scores(some._partition(place[part] - first))
            whole += scores.T @ scores
        return whole

    def _sparse_meat(self, of_row: Integers, rows: Integers, count: int) -> Floats:
        """Among many contenders a cell of few votes touches few of them."""
        scores = self.sparse_scores(rows, of_row, count)
        meat: Floats = (scores.T @ scores).toarray()
        return meat

    def sparse_scores(self, rows: Integers, of_row: Integers, count: int) -> sparse.csr_array:
        """(count, K [+ 1] [+ 1]) summed scores of some votes, of_row (n,) naming the row that each goes into."""
        problem, known, votes = self.fit.problem, self.fit.contenders, self.votes
        weight = np.ones(len(rows)) if votes.weight is None else votes.weight[rows].astype(np.float64)
        by_eta = self.tables.eta.ravel()[self.code[rows]] * weight
        columns = [votes.left[rows].astype(np.intp), votes.right[rows].astype(np.intp)]
        values = [by_eta, -by_eta]
        if problem.side:
            columns.append(np.full(len(rows), known))
            values.append(by_eta)
        if problem.has_ties:
            columns.append(np.full(len(rows), known + problem.side))
            values.append(self.tables.phi.ravel()[self.code[rows]] * weight)
        places = np.tile(of_row, len(columns)), np.concatenate(columns)
        return sparse.csr_array(
            (np.concatenate(values), places), shape=(count, known + problem.side + problem.has_ties)
        )

    def _single_meat(self, single: Flags) -> Floats:
        weight = None if self.votes.weight is None else self.votes.weight[single].astype(np.float64) ** 2
        known, tables = self.fit.contenders, self.tables
        size = known**2 * OUTCOMES
        mass = totals(self.code[single], weight, size).reshape(known, known, OUTCOMES)
        eta, cross, phi = (
            (mass * one * other).sum(axis=2)[None]
            for one, other in ((tables.eta, tables.eta), (tables.eta, tables.phi), (tables.phi, tables.phi))
        )
        whole: Floats = self.assembled(eta, cross, phi)[0]
        return whole

    def assembled(self, by_eta: Floats, cross: Floats | None, by_phi: Floats | None) -> Floats:
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

    def weighted(self, table: Floats) -> Floats:
        """(n,) the value of each vote, by its weight."""
        values: Floats = table.ravel()[self.code]
        if self.votes.weight is not None:
            values *= self.votes.weight
        return values

    def summed(self, partition: Partition, by_eta: Floats, by_phi: Floats | None) -> Floats:
        """(G, K [+ 1] [+ 1]) sums over clusters of slopes in the parameters, from those in eta and phi of each vote."""
        known, problem = self.fit.contenders, self.fit.problem
        sums = np.empty((partition.count + 1, known + problem.side + problem.has_ties))
        cells = (partition.count + 1) * known
        flat = totals(partition.left, by_eta, cells)
        flat -= totals(partition.right, by_eta, cells)
        sums[:, :known] = flat.reshape(-1, known)
        if problem.side:
            sums[:, known] = totals(partition.of_vote, by_eta, partition.count + 1)
        if by_phi is not None:
            sums[:, -1] = totals(partition.of_vote, by_phi, partition.count + 1)
        return sums[:-1]


def totals(places: Integers, values: Floats | None, size: int) -> Floats:
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


def rows_of(votes: Votes, rows: Integers | slice) -> Votes:
    weight = None if votes.weight is None else votes.weight[rows]
    return Votes(votes.left[rows], votes.right[rows], votes.outcome[rows], votes.contenders, weight=weight)
