"""How few votes, raters or prompts hold up the first place: a ranking that three raters decide should say so.

Units are removed in the order of their influence on the gap between the first and a rival (Broderick, Giordano & Meager
2020, arXiv 2011.14999), and every claim is checked by fitting again without them. The number found is an upper bound:
another choice might need fewer still.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from arena.ranking.cluster_scores import MANY, ScoredVotes, totals
from arena.ranking.fitted import ModelFit
from arena.ranking.jackknife import Jackknife
from arena.ranking.models import fit_model, refit_without
from arena.ranking.tallies import NOBODY, Votes, tally

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Flags = NDArray[np.bool_]
Unit = Literal["vote", "rater", "prompt"]

# Rivals whose way to the top is followed: those that need the fewest units by the estimate.
_RIVALS: Final = 3
# A contender is ahead by more than this, in log odds; less is rounding.
_AHEAD: Final = 1e-9


@dataclass(frozen=True, eq=False)
class Flip:
    """Without these units another contender is first.

    unit:    what was removed
    removed: (n,) rows of votes, or labels of raters or prompts, the most influential first
    share:   of all units of the kind
    before, after: who is first with them and without
    """

    unit: Unit
    removed: NDArray[np.integer[Any]]
    share: float
    before: int
    after: int

    @property
    def count(self) -> int:
        return len(self.removed)


@dataclass(frozen=True, eq=False)
class _Study:
    """A fit, its votes and their units: of_vote (n,) is the number of each vote's unit, -1 for none; labels (G,)."""

    fit: ModelFit
    votes: Votes
    unit: Unit
    of_vote: Integers
    labels: NDArray[np.integer[Any]]

    @classmethod
    def of(cls, fit: ModelFit, votes: Votes, unit: Unit) -> _Study:
        if unit == "vote":
            # What nobody said is no vote that could be left out.
            labels = np.arange(len(votes)) if votes.rater is None else np.flatnonzero(votes.rater != NOBODY)
            of_vote = np.full(len(votes), -1)
            of_vote[labels] = np.arange(len(labels))
            return cls(fit, votes, unit, of_vote, labels)
        column = votes.rater if unit == "rater" else votes.prompt
        if column is None:
            raise ValueError(f"the votes carry no {unit}s, so there is nothing to leave out")
        labels = np.unique(column[column != NOBODY])
        of_vote = np.where(column == NOBODY, -1, np.searchsorted(labels, column))
        return cls(fit, votes, unit, of_vote, labels)

    def without(self, units: Integers) -> _Study:
        """The same units and their numbers, fitted again without the votes of some."""
        gone = np.zeros(len(self.labels) + 1, dtype=bool)
        gone[units] = True
        kept = ~gone[self.of_vote]
        votes, fit = _rows_of(self.votes, kept), self.fit
        if fit.contenders < MANY:
            again = fit_model(tally(votes), ties=fit.ties, side_bias=fit.problem.side, both_bad=fit.both_bad)
        else:
            again = refit_without(fit, tally(_rows_of(self.votes, ~kept)))
        return _Study(again, votes, self.unit, self.of_vote[kept], self.labels)

    def first(self, before: int) -> int | None:
        """Who is first among those comparable with the one that was; None where that one has no rivals left."""
        strengths = self.fit.strengths
        if np.isnan(strengths[before]):
            return None
        best = int(np.where(self.fit.components == self.fit.components[before], strengths, -np.inf).argmax())
        return best if strengths[best] > strengths[before] + _AHEAD else before

    def influence(self) -> Floats:
        """(G, K) by how much each unit raises the log strengths; 0 for units without counted votes."""
        scored = ScoredVotes(self.fit, self.votes)
        whole = np.zeros((len(self.labels), self.fit.contenders))
        if self.unit == "vote":
            own = self.of_vote >= 0
            whole[self.of_vote[own]] = _by_code(scored)[scored.code[own]] * _weights(scored)[own, None]
            return whole
        partition = scored.partition(self.unit)
        # Clusters are numbered in the order of their labels, as units are.
        present = np.unique(self.of_vote[partition.of_vote < partition.count])
        whole[present] = Jackknife(scored, partition).shifts()[:, : self.fit.contenders]
        return whole

    def lead(self, before: int, rival: int) -> Floats:
        """(G,) by how much each unit raises the gap between two. For single votes no table of all of them is made."""
        if self.unit != "vote":
            return self._lead_of_clusters(before, rival)
        scored = ScoredVotes(self.fit, self.votes)
        by_code = _by_code(scored, np.array([before, rival]))
        own = self.of_vote >= 0
        lead = np.zeros(len(self.labels))
        lead[self.of_vote[own]] = ((by_code[:, 0] - by_code[:, 1])[scored.code] * _weights(scored))[own]
        return lead

    def _lead_of_clusters(self, before: int, rival: int) -> Floats:
        if self.fit.contenders < MANY:
            influence = self.influence()
            lead: Floats = influence[:, before] - influence[:, rival]
            return lead
        # Among many a cluster's own leverage matters less than what it takes to work out for each of these refits.
        scored = ScoredVotes(self.fit, self.votes)
        partition = scored.partition(self.unit)  # type: ignore[arg-type]
        lead = np.zeros(len(self.labels))
        present = np.unique(self.of_vote[partition.of_vote < partition.count])
        along = self.fit.bread[:, before] - self.fit.bread[:, rival]
        problem, known = self.fit.problem, self.fit.contenders
        gap = along[self.votes.left] - along[self.votes.right]
        if problem.side:
            gap += along[known]
        added = scored.weighted(scored.tables.eta) * gap
        if problem.has_ties:
            added += scored.weighted(scored.tables.phi) * along[-1]
        lead[present] = totals(partition.of_vote, added, partition.count + 1)[:-1]
        return lead


def leader(fit: ModelFit) -> int | None:
    """The strongest of the largest component; None where nobody met."""
    components = fit.members()
    if not components:
        return None
    largest = max(components, key=len)
    return int(largest[np.argmax(fit.strengths[largest])])


def influences(fit: ModelFit, votes: Votes, *, unit: Unit) -> tuple[NDArray[np.integer[Any]], Floats]:
    """Labels (G,) of units, and (G, K) by how much each raises the contenders' log strengths, to first order.

    For votes the labels are the rows; a vote that the fit does not count has no influence.
    """
    study = _Study.of(fit, votes, unit)
    return study.labels, study.influence()


def fewest_to_flip(fit: ModelFit, votes: Votes, *, unit: Unit, most: float = 0.5) -> Flip | None:
    """The fewest units found whose removal puts another contender first; None if up to this share of them do not.

    Raises ValueError where votes lack the column, or the fit has covariates.
    """
    if fit.problem.basis is not None:
        raise ValueError("influence is worked out for free strengths, not for a fit on covariates")
    study, before = _Study.of(fit, votes, unit), leader(fit)
    if before is None:
        return None
    best: tuple[Integers, int] | None = None
    limit = int(most * len(study.labels))
    for rival in _rivals(study, before):
        found = _greedy(study, before, rival, limit)
        if found is not None:
            best, limit = found, len(found[0]) - 1
    if best is None:
        return None
    units, after = best
    return Flip(unit, study.labels[units], len(units) / len(study.labels), before, after)


def _rivals(study: _Study, before: int) -> list[int]:
    """Those who are nearest to the first."""
    fit = study.fit
    others = np.flatnonzero(fit.components == fit.components[before])
    others = others[others != before]
    return [int(rival) for rival in others[np.argsort(-fit.strengths[others], kind="stable")][:_RIVALS]]


def _greedy(study: _Study, before: int, rival: int, limit: int) -> tuple[Integers, int] | None:
    """Units up to the limit without which another is first, and who that is; None if none are found.

    Influence is worked out afresh on what is left: what a unit adds depends on who else is there.
    """
    taken = np.zeros(0, dtype=np.intp)
    rest, failed, first = study, 0, study.first(before)
    while first == before:
        strengths = rest.fit.strengths
        if len(taken) >= limit or rest.fit.components[rival] != rest.fit.components[before]:
            return None
        added = rest.lead(before, rival)
        order = np.argsort(-added, kind="stable")[: int((added > 0).sum())]
        if not len(order):
            return None
        needed = int(np.searchsorted(added[order].cumsum(), strengths[before] - strengths[rival])) + 1
        number = min(needed, -(-len(order) // 2), limit - len(taken))
        failed, taken = len(taken), np.concatenate([taken, order[:number]])
        rest = study.without(taken)
        first = rest.first(before)
    return None if first is None else _shortest(study, taken, before, first, failed)


def _shortest(study: _Study, order: Integers, before: int, after: int, failed: int) -> tuple[Integers, int]:
    """The shortest beginning of an order that flips, longer than one that fails; by halving."""
    size = len(order)
    while size - failed > 1:
        middle = (size + failed) // 2
        first = study.without(order[:middle]).first(before)
        if first is None or first == before:
            failed = middle
        else:
            size, after = middle, first
    return order[:size], after


def _by_code(scored: ScoredVotes, of: Integers | None = None) -> Floats:
    """(K K 4, K) first-order influence of a vote of each kind: the inverse information times its score.

    of: contenders whose strengths it is about; a table of all is a hundred gigabytes for a thousand contenders
    """
    fit, tables = scored.fit, scored.tables
    known = fit.contenders
    about = np.arange(known) if of is None else of
    bread = fit.bread[:, about]
    along = bread[:known, None] - bread[None, :known]
    if fit.problem.side:
        along = along + bread[known]
    influence: Floats = tables.eta[:, :, :, None] * along[:, :, None, :]
    if fit.problem.has_ties:
        influence = influence + tables.phi[:, :, :, None] * bread[-1]
    return influence.reshape(-1, len(about))


def _weights(scored: ScoredVotes) -> Floats:
    """(n,) of the votes."""
    return np.ones(len(scored.votes)) if scored.votes.weight is None else scored.votes.weight.astype(np.float64)


def _rows_of(votes: Votes, kept: Flags) -> Votes:
    rater = None if votes.rater is None else votes.rater[kept]
    prompt = None if votes.prompt is None else votes.prompt[kept]
    weight = None if votes.weight is None else votes.weight[kept]
    left, right, outcome = votes.left[kept], votes.right[kept], votes.outcome[kept]
    return Votes(left, right, outcome, votes.contenders, rater, prompt, weight)
