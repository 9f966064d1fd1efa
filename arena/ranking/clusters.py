"""Votes grouped by who gave them and on which prompt: what each rater and prompt contributes to the strengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from arena.ranking import newton
from arena.ranking.newton import PairResults
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, Votes

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
ClusterBy = Literal["rater", "prompt"]

# Doubles in the largest temporary array.
_CHUNK = 2_000_000
# A cluster that alone holds the graph together leaves a singular matrix behind, so this share of each cluster stays.
# The scores have no part in the singular direction: nothing large comes of it.
_KEPT_OF_THE_REMOVED = 1e-6


@dataclass(frozen=True, eq=False)
class Clusters:
    """A partition of n votes.

    of_vote: intp (n,), 0 .. count-1, or NOBODY for a vote that belongs to no cluster
    """

    of_vote: Integers
    count: int


@dataclass(frozen=True, eq=False)
class GroupVotes:
    """The n votes among the k contenders of one estimable group.

    results: the same votes summed over the P pairs that met, as one data set
    pair:    intp (n,), index into results
    share:   float64 (n,), 1, 1/2 or 0: what the first contender of the pair got
    weight:  float64 (n,)
    raters, prompts: how the votes cluster; None where the votes do not say
    """

    results: PairResults
    pair: Integers
    share: Floats
    weight: Floats
    raters: Clusters | None
    prompts: Clusters | None

    def clusters(self, by: ClusterBy) -> Clusters:
        found = self.raters if by == "rater" else self.prompts
        if found is None:
            raise ValueError(f"the votes carry no {by}s, so there is nothing to cluster by {by}")
        return found

    def cells(self) -> Clusters:
        """Votes of one rater on one prompt."""
        raters, prompts = self.clusters("rater"), self.clusters("prompt")
        code = np.where(raters.of_vote == NOBODY, NOBODY, raters.of_vote * prompts.count + prompts.of_vote)
        return _numbered(code)


def group_votes(votes: Votes, members: Integers, half_wins: Floats, *, drop_both_bad: bool) -> GroupVotes:
    """The votes among members (k,), whose half wins against one another are half_wins (k, k)."""
    results = PairResults.of(half_wins)
    place = np.full(votes.contenders, -1)
    place[members] = np.arange(len(members))
    counted = (place[votes.left] >= 0) & (place[votes.right] >= 0)
    if drop_both_bad:
        counted &= votes.outcome != BOTH_BAD
    rows = np.flatnonzero(counted)
    left, right, outcome = place[votes.left[rows]], place[votes.right[rows]], votes.outcome[rows]

    pair_of = np.full(half_wins.shape, -1)
    pair_of[results.first, results.second] = np.arange(len(results.first))
    share = np.full(len(rows), 0.5)
    share[outcome == LEFT] = 1.0
    share[outcome == RIGHT] = 0.0
    return GroupVotes(
        results=results,
        pair=pair_of[np.minimum(left, right), np.maximum(left, right)],
        share=np.where(left < right, share, 1 - share),
        weight=np.ones(len(rows)) if votes.weight is None else votes.weight[rows].astype(np.float64),
        raters=None if votes.rater is None else _numbered(votes.rater[rows]),
        prompts=None if votes.prompt is None else _numbered(votes.prompt[rows]),
    )


def effective_clusters(group: GroupVotes, clusters: Clusters) -> float:
    """How many clusters of equal size would be as uneven: (sum n_g)^2 / sum n_g^2. NaN without any."""
    sizes = np.bincount(clusters.of_vote + 1, weights=group.weight, minlength=clusters.count + 1)[1:]
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if clusters.count else float("nan")


def clusters_per_contender(group: GroupVotes, clusters: Clusters) -> Integers:
    """(k,) in how many clusters each contender was seen."""
    inside = clusters.of_vote != NOBODY
    seen = np.zeros((group.results.contenders, clusters.count), dtype=bool)
    for contender in (group.results.first, group.results.second):
        seen[contender[group.pair[inside]], clusters.of_vote[inside]] = True
    counts: Integers = np.count_nonzero(seen, axis=1)
    return counts


def sandwich(group: GroupVotes, strengths: Floats, clusters: Clusters) -> Floats:
    """(k, k) covariance of the strengths from the summed scores of clusters (Liang & Zeger 1986, Biometrika 73:13)."""
    residuals = _residuals(group, strengths, clusters)
    incidence = group.results.incidence
    meat = incidence @ (residuals.T @ residuals) @ incidence.T
    bread = model_covariance(group.results, strengths)
    covariance: Floats = bread @ meat.toarray() @ bread
    return covariance


def jackknife(group: GroupVotes, strengths: Floats, clusters: Clusters) -> Floats:
    """(k, k) covariance of the strengths from how far one Newton step without each cluster moves them.

    CR3: Bell & McCaffrey 2002, Survey Methodology 28:169; MacKinnon, Nielsen & Webb 2023, J. Econometrics 232:272.
    """
    scores = _residuals(group, strengths, clusters) @ group.results.incidence.T
    curvature = _curvatures(group, strengths, clusters)
    whole = newton.grounded(newton.information(strengths[:, None], group.results))[0]
    contenders = group.results.contenders
    covariance = np.zeros((contenders, contenders))
    step = max(1, _CHUNK // contenders**2)
    for start in range(0, clusters.count, step):
        own = group.results.laplacians(curvature[start : start + step].toarray().T)
        score = scores[start : start + step].toarray()
        shifts = np.linalg.solve(whole - (1 - _KEPT_OF_THE_REMOVED) * own, score[..., None])[..., 0]
        covariance += shifts.T @ shifts
    return covariance * (1 - 1 / max(clusters.count, 1))


def model_covariance(results: PairResults, strengths: Floats) -> Floats:
    """(k, k) inverse information of centred strengths: their covariance if votes were independent and never tied."""
    information = newton.information(strengths[:, None], results)[0]
    # The lift that makes the inverse exist also puts a constant into it; centring takes that out again.
    centring = np.eye(results.contenders) - 1 / results.contenders
    covariance: Floats = centring @ np.linalg.inv(newton.grounded(information)) @ centring
    return covariance


def _residuals(group: GroupVotes, strengths: Floats, clusters: Clusters) -> sparse.csr_array:
    """(count, P) points won by the first contender of each pair above what was expected, summed in each cluster."""
    win, _ = newton.probabilities(strengths[:, None], group.results)
    return _summed(group, clusters, group.weight * (group.share - win[group.pair, 0]))


def _curvatures(group: GroupVotes, strengths: Floats, clusters: Clusters) -> sparse.csr_array:
    """(count, P) weight of each pair in each cluster's part of the information."""
    win, loss = newton.probabilities(strengths[:, None], group.results)
    return _summed(group, clusters, group.weight * (win * loss)[group.pair, 0])


def _summed(group: GroupVotes, clusters: Clusters, values: Floats) -> sparse.csr_array:
    inside = clusters.of_vote != NOBODY
    places = (clusters.of_vote[inside], group.pair[inside])
    return sparse.csr_array((values[inside], places), shape=(clusters.count, len(group.results.first)))


def _numbered(labels: NDArray[np.integer[Any]]) -> Clusters:
    found, numbers = np.unique(labels, return_inverse=True)
    if len(found) and found[0] == NOBODY:
        return Clusters(numbers - 1, len(found) - 1)
    return Clusters(numbers, len(found))
