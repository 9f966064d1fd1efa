"""Bootstrap replicates of any fit, as a check on its standard errors: by vote, rater, prompt, or rater and prompt.

Bayesian ones weigh each by Exp(1) (Rubin 1981, Ann. Stat. 9:130), which leaves nothing out, so that every replicate has
an estimate where the votes have one. Multinomial ones draw with replacement (Efron 1979, Ann. Stat. 7:1). Two-way
clusters weigh a vote by its rater's weight times its prompt's (Owen & Eckles 2012, Ann. Appl. Stat. 6:895), which
counts the noise of single votes three times over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from arena.ranking.cluster_scores import ClusterBy, ScoredVotes
from arena.ranking.existence import unbounded
from arena.ranking.firth import Penalised
from arena.ranking.fitted import ModelFit
from arena.ranking.models import penalised_parameters
from arena.ranking.newton import maximise_near
from arena.ranking.problem import CACHED, Problem
from arena.ranking.tallies import BOTH_BAD, LEFT, OUTCOMES, RIGHT, TIE, Tallies, Votes, tally

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.intp]
Kind = Literal["bayesian", "multinomial"]

# Numbers in the largest array of one batch: memory stays small, and the cost of a step of Python is spread thin.
_BATCH = 1_000_000
# Replicates weighed together by a sparse product: so many single-precision numbers fill a cache line.
_WIDE = 64


@dataclass(frozen=True, eq=False)
class Replicates:
    """B refits of resampled votes.

    parameters: (B, p) as in the fit's problem
    strengths:  (B, K), mean 0 in each component; NaN for a contender that is alone in its own
    side_bias, tie_parameter: (B,) or None
    penalised:  how many replicates have no maximum-likelihood estimate and took Firth's
    """

    parameters: Floats
    strengths: Floats
    side_bias: Floats | None
    tie_parameter: Floats | None
    penalised: int

    def standard_errors(self) -> Floats:
        """(K,) spread of the strengths."""
        spread: Floats = self.strengths.std(axis=0, ddof=1)
        return spread

    def difference_errors(self) -> Floats:
        """(K, K) spread of the differences of strength."""
        covariance = np.cov(self.strengths, rowvar=False).reshape(self.strengths.shape[1], -1)
        own = np.diagonal(covariance)
        errors: Floats = np.sqrt(np.maximum(own[:, None] + own[None, :] - 2 * covariance, 0))
        return errors


def replicate(
    fit: ModelFit,
    data: Votes | Tallies,
    *,
    rng: np.random.Generator,
    by: Sequence[ClusterBy] = (),
    kind: Kind = "bayesian",
    replicates: int = 1000,
) -> Replicates:
    """Resample what was fitted, and fit again. Clusters need votes; single votes can be drawn from tallies.

    Weighted votes that are drawn singly are taken to weigh alike within a cell of the tallies.
    Raises ConvergenceError where a replicate's maximum is not reached.
    """
    if replicates < 1:
        raise ValueError(f"at least one replicate is needed, not {replicates}")
    if not set(by) <= {"rater", "prompt"} or len(set(by)) < len(by):
        raise ValueError(f"votes cluster by rater, prompt, both or neither, not by {', '.join(by)}")
    if isinstance(data, Tallies) and by:
        raise ValueError("tallies do not say who voted on what: clusters are drawn from votes")
    if not len(fit.problem.left):
        return _named(fit, np.tile(fit.parameters, (replicates, 1)), 0)
    plan = _by_vote(fit, data, kind) if not by else _by_cluster(fit, data, by, kind)  # type: ignore[arg-type]
    parameters = np.empty((replicates, fit.problem.size))
    penalised = 0
    step = max(1, min(_BATCH // max(1, plan.width), replicates))
    for start in range(0, replicates, step):
        size = min(step, replicates - start)
        problem = _weighed(fit.problem, plan.draw(size, rng))
        parameters[start : start + size], without = _refitted(fit, problem)
        penalised += without
    return _named(fit, parameters, penalised)


class _ByVote:
    """Single votes: the number in each kind of cell is all that is drawn."""

    def __init__(self, counts: Floats, masses: Floats, kind: Kind) -> None:
        self.width = counts.size
        self.kind = kind
        self.shape = masses.shape
        self.cells = np.flatnonzero(counts)
        self.counts = counts.ravel()[self.cells]
        self.scale = (masses.ravel()[self.cells] / self.counts)[:, None]

    def draw(self, size: int, rng: np.random.Generator) -> Floats:
        """(3, P, size) masses."""
        if self.kind == "bayesian":
            # n Exp(1) sum to one Gamma(n).
            drawn: NDArray[Any] = gamma_draws(self.counts.astype(np.float32), size, rng)
        else:
            drawn = rng.multinomial(int(self.counts.sum()), self.counts / self.counts.sum(), size=size).T
        whole = np.zeros((int(np.prod(self.shape)), size))
        # Most cells are filled and most votes weigh 1, and then nothing is gathered or multiplied.
        place = slice(None) if len(self.cells) == len(whole) else self.cells
        whole[place] = drawn if (self.scale == 1).all() else drawn * self.scale
        return whole.reshape(*self.shape, size)


def gamma_draws(shapes: Singles, size: int, rng: np.random.Generator) -> Singles:
    """(n, size) of Gamma(shape), shapes (n,) from 1 on.

    By rejection from a cube of normal draws (Marsaglia & Tsang 2000, ACM TOMS 26:363), as NumPy does it one by one: all
    at once takes two thirds of the time, most of that of replicates of many contenders.
    """
    drawn = rng.standard_normal((len(shapes), size), dtype=np.float32)
    chance = rng.random((len(shapes), size), dtype=np.float32)
    centre = shapes - np.float32(1 / 3)
    places = [np.zeros(0, dtype=np.intp)]
    rows = max(1, CACHED // max(1, size))
    for first in range(0, len(shapes), rows):
        part = slice(first, first + rows)
        places.append(_cubed(drawn[part], chance[part], centre[part, None]) + first * size)
    refused = np.concatenate(places)
    drawn.ravel()[refused] = rng.standard_gamma(shapes[refused // max(1, size)], dtype=np.float32)
    return drawn


def _cubed(normal: Singles, chance: Singles, centre: Singles) -> Integers:
    """Put cubes in the place of the normal draws (n, size); returns the places, flattened, that are to be refused."""
    square = normal * normal
    root = normal / np.sqrt(9 * centre)
    root += 1
    cube = root * root
    cube *= root
    sure = square * square
    sure *= np.float32(-0.0331)
    sure += 1
    unsure = np.flatnonzero((chance >= sure).ravel())
    own, middle = cube.ravel()[unsure], centre.ravel()[unsure // normal.shape[1]]
    # A cube that is not positive has no logarithm, and is compared as false: refused.
    with np.errstate(invalid="ignore", divide="ignore"):
        limit = square.ravel()[unsure] / 2 + middle * (1 - own + np.log(own))
        refused: Integers = unsure[~(np.log(chance.ravel()[unsure]) < limit)]
    np.multiply(cube, centre, out=normal)
    return refused


@dataclass(frozen=True, eq=False)
class _ByCluster:
    """Clusters: weights are summed into cells by sparse products, with no loop over votes nor a votes x B array.

    rows:  float32 (n, inner + 1), the weight of the votes of one (outer cluster, cell) by inner cluster; the last
           column is that of nobody, whose weight is always 1
    outer: (n,) outer cluster of each row, and into: (cells, n) sums rows into cells; None with one partition
    """

    kind: Kind
    shape: tuple[int, int]
    rows: sparse.csr_array
    inner: int
    outer: Integers | None
    outers: int
    into: sparse.csr_array | None

    @property
    def width(self) -> int:
        return max(1, int(np.prod(self.shape)), int(self.rows.shape[0]) // 8)

    def draw(self, size: int, rng: np.random.Generator) -> Floats:
        """(3, P, size) masses."""
        masses = np.empty((int(np.prod(self.shape)), size))
        for start in range(0, size, _WIDE):
            wide = min(_WIDE, size - start)
            summed = self.rows @ self._weights(self.inner, wide, rng)
            if self.outer is not None and self.into is not None:
                summed *= self._weights(self.outers, wide, rng)[self.outer]
                summed = self.into @ summed
            masses[:, start : start + wide] = summed
        return masses.reshape(*self.shape, size)

    def _weights(self, count: int, size: int, rng: np.random.Generator) -> Singles:
        weights = np.ones((count + 1, size), dtype=np.float32)
        if self.kind == "bayesian":
            weights[:count] = rng.standard_exponential((count, size), dtype=np.float32)
        elif count:
            drawn = rng.integers(count, size=(size, count)) + np.arange(size)[:, None] * count
            weights[:count] = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).T
        return weights


def _by_vote(fit: ModelFit, data: Votes | Tallies, kind: Kind) -> _ByVote:
    tallies = data if isinstance(data, Tallies) else tally(data)
    counted = Tallies(tallies.counts).outcomes(drop_both_bad=fit.both_bad == "drop")
    weighed = tallies.outcomes(drop_both_bad=fit.both_bad == "drop")
    each = []
    for counts in (counted, weighed):
        if fit.ties == "drop":
            counts[:, :, 1] = 0
        each.append(_in_pairs(fit.problem, counts))
    return _ByVote(each[0], each[1], kind)


def _in_pairs(problem: Problem, counts: Floats) -> Floats:
    """(3, P) of counts (K, K, 3), ties whole."""
    if not problem.side:
        counts = counts + counts.transpose(1, 0, 2)[:, :, ::-1]
    return counts[problem.left, problem.right].T.copy()


def _by_cluster(fit: ModelFit, votes: Votes, by: Sequence[ClusterBy], kind: Kind) -> _ByCluster:
    scored = ScoredVotes(fit, votes)
    # The finer partition goes inside: rows then number at most cells x the coarser one.
    chosen = sorted((scored.partition(name) for name in by), key=lambda partition: -partition.count)
    pairs = len(fit.problem.left)
    counted = np.arange(len(votes)) if scored.counted is None else np.flatnonzero(scored.counted)
    cell = _cells(fit.problem, votes.contenders).ravel()[scored.code[counted]]
    weight = np.ones(len(counted)) if votes.weight is None else votes.weight[counted]
    inner = chosen[0].of_vote[counted]
    shape = (3, pairs)
    if len(chosen) == 1:
        rows = sparse.csr_array((weight.astype(np.float32), (cell, inner)), shape=(3 * pairs, chosen[0].count + 1))
        rows.sum_duplicates()
        return _ByCluster(kind, shape, rows, chosen[0].count, None, 0, None)
    outer = chosen[1].of_vote[counted]
    found, row = np.unique(outer * (3 * pairs) + cell, return_inverse=True)
    rows = sparse.csr_array((weight.astype(np.float32), (row, inner)), shape=(len(found), chosen[0].count + 1))
    places = (found % (3 * pairs), np.arange(len(found)))
    into = sparse.csr_array((np.ones(len(found), dtype=np.float32), places), shape=(3 * pairs, len(found)))
    return _ByCluster(kind, shape, rows, chosen[0].count, found // (3 * pairs), chosen[1].count, into)


def _cells(problem: Problem, contenders: int) -> Integers:
    """(K, K, 4) place of each outcome of each ordered pair in masses (3, P), flattened."""
    pairs = len(problem.left)
    cells = np.zeros((contenders, contenders, OUTCOMES), dtype=np.intp)
    number = np.arange(pairs)
    for outcome, place in ((LEFT, 0), (TIE, 1), (BOTH_BAD, 1), (RIGHT, 2)):
        if not problem.side:
            cells[problem.right, problem.left, outcome] = (2 - place) * pairs + number
        cells[problem.left, problem.right, outcome] = place * pairs + number
    return cells


def _weighed(problem: Problem, masses: Floats) -> Problem:
    if problem.link == "half":
        # As halved, but in place: the masses are of no further use as they were.
        masses[1] /= 2
        masses[0] += masses[1]
        masses[2] += masses[1]
        masses[1] = 0
    return problem.with_masses(masses)


def _refitted(fit: ModelFit, problem: Problem) -> tuple[Floats, int]:
    """(B, p) parameters, and how many of them are penalised."""
    sets = np.arange(problem.n_sets)
    parameters = np.empty((problem.n_sets, problem.size))
    hard = sets if fit.estimator == "firth" else _without_maximum(fit, problem)
    easy = np.setdiff1d(sets, hard)
    if len(easy):
        part = problem if not len(hard) else problem.select(easy)
        parameters[easy] = maximise_near(part, fit.problem, fit.parameters).T
    for one in hard:
        single = problem.select(np.array([one]))
        flags = fit.penalised if fit.estimator == "firth" else penalised_parameters(single, unbounded(single))
        parameters[one] = Penalised(single, flags).maximise(fit.parameters)
    return parameters, len(hard)


def _without_maximum(fit: ModelFit, problem: Problem) -> Integers:
    """Which data sets have none: only where a kind of vote that was there is not drawn at all can that be."""
    lacking = np.zeros(problem.n_sets, dtype=bool)
    for drawn, given in zip(problem.masses, fit.problem.masses, strict=True):
        there = np.flatnonzero(given[:, 0] > 0)
        if len(there):
            lacking |= (drawn if len(there) == len(drawn) else drawn[there]).min(axis=0) == 0
    suspects = np.flatnonzero(lacking)
    return np.array([one for one in suspects if unbounded(problem.select(np.array([one]))).any()], dtype=np.intp)


def _named(fit: ModelFit, parameters: Floats, penalised: int) -> Replicates:
    problem = fit.problem
    strengths = problem.strengths(parameters.T)
    strengths = (fit.centring[: fit.contenders, : fit.contenders] @ strengths).T
    strengths[:, np.isnan(fit.strengths)] = np.nan
    tie = parameters[:, -1] if problem.has_ties else None
    return Replicates(
        parameters=parameters,
        strengths=strengths,
        side_bias=parameters[:, problem.n_strengths].copy() if problem.side else None,
        tie_parameter=np.exp(tie) if tie is not None and fit.ties == "davidson" else tie,
        penalised=penalised,
    )
