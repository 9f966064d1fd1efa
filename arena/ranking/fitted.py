"""A fitted model: strengths, what it expects of every pair, and how well that agrees with the votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, xlogy

from arena.ranking import likelihoods
from arena.ranking.problem import Problem
from arena.ranking.structure import NotComparable, explain

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Ties = Literal["half", "davidson", "rao-kupper", "drop"]
BothBad = Literal["tie", "drop"]
Estimator = Literal["mle", "firth"]
Flag = Literal["alone", "undefeated", "winless", "separated", "firth"]

# A pair whose expectation the fit is bound to meet has a residual of nothing but rounding.
_BOUND = 1e-9


@dataclass(frozen=True, eq=False)
class Goodness:
    """deviance: 2 sum observed log(observed / expected); degrees_of_freedom: free cells minus parameters."""

    deviance: float
    degrees_of_freedom: int


@dataclass(frozen=True, eq=False)
class PairTable:
    """Every pair that met, votes against expectation; ordered pairs where the model has a side bias.

    left, right: intp (P,)
    votes:       (P,) how many, by weight
    observed:    (P, 3) left, tie, right; with ties as half wins these are in left and right
    expected:    (P, 3) the same under the model
    residual:    (P,) points of the left one above expectation in standard errors, votes taken for independent;
                 NaN where the fit is bound to meet the observation
    """

    left: Integers
    right: Integers
    votes: Floats
    observed: Floats
    expected: Floats
    residual: Floats

    @property
    def observed_share(self) -> Floats:
        """(P,) points of the left one per vote, ties halved."""
        share: Floats = (self.observed[:, 0] + self.observed[:, 1] / 2) / self.votes
        return share

    @property
    def predicted_share(self) -> Floats:
        """(P,) the same under the model."""
        share: Floats = (self.expected[:, 0] + self.expected[:, 1] / 2) / self.votes
        return share

    def worst(self, number: int = 10) -> Integers:
        """Rows with the largest residuals, the worst first."""
        order = np.argsort(-np.abs(np.nan_to_num(self.residual)), kind="stable")
        return order[np.isfinite(self.residual[order])][:number]


@dataclass(frozen=True, eq=False)
class ModelFit:
    """What fit_model found for K contenders.

    ties, both_bad: how they were treated
    counts:         float (K, K, 3), the votes for left, tie and right that were fitted
    problem:        the likelihood; without a tie parameter where nobody tied
    parameters:     (p,) its maximum
    penalised:      bool (p,), which of them have Firth's penalty
    strengths:      (K,) log strengths, mean 0 in each component; NaN for a contender that is alone in its own
    components:     (K,) labels: only contenders with one label can be compared
    coefficients:   (q,) of the covariates, NaN where the votes do not determine one; None without covariates
    to_coefficients: (q, m) from the strength parameters, NaN for such; None without covariates
    unidentified_side: a side bias was asked for, and no pair of orders could tell it from the strengths
    slope:          largest derivative at the maximum, per vote: how exactly it is the maximum
    """

    ties: Ties
    both_bad: BothBad
    counts: Floats
    problem: Problem
    parameters: Floats
    penalised: NDArray[np.bool_]
    strengths: Floats
    components: Integers
    coefficients: Floats | None
    to_coefficients: Floats | None
    unidentified_side: bool
    slope: float

    @property
    def contenders(self) -> int:
        return len(self.strengths)

    @property
    def estimator(self) -> Estimator:
        return "firth" if self.penalised.any() else "mle"

    def members(self) -> list[Integers]:
        """The contenders of each component that has two or more."""
        each = [np.flatnonzero(self.components == label) for label in range(self.components.max(initial=-1) + 1)]
        return [members for members in each if len(members) > 1]

    @property
    def side_bias(self) -> float | None:
        """The advantage of the left side, in log odds."""
        return float(self.parameters[self.problem.n_strengths]) if self.problem.side else None

    @property
    def tie_parameter(self) -> float | None:
        """Davidson's nu, Rao and Kupper's tau (the logarithm of their theta); 0 where nobody tied."""
        if self.ties not in likelihoods.TRINOMIAL:
            return None
        if not self.problem.has_ties:
            return 0.0
        return float(np.exp(self.parameters[-1]) if self.ties == "davidson" else self.parameters[-1])

    @cached_property
    def log_likelihood(self) -> float:
        """Natural logarithm; with ties as half wins that of the half wins."""
        return float(self.problem.log_likelihood(self.parameters[:, None])[0])

    @property
    def deviance(self) -> float:
        return self.goodness().deviance

    @property
    def degrees_of_freedom(self) -> int:
        return self.goodness().degrees_of_freedom

    def goodness(self, *, ordered: bool | None = None) -> Goodness:
        """Deviance over the pairs that met: ordered ones with a side bias, unordered ones without, unless said."""
        by_order = self.problem.side if ordered is None else ordered
        table = self._against(by_order)
        ratio = np.divide(table.observed, table.expected, out=np.ones_like(table.observed), where=table.observed > 0)
        # Their sum of differences is zero, and taking it along keeps what is nearly nothing from being below it.
        deviance = 2 * float((xlogy(table.observed, ratio) - table.observed + table.expected).sum())
        cells = (2 if self.problem.has_ties else 1) * len(table.left)
        return Goodness(max(deviance, 0.0), cells - self.free_parameters)

    @cached_property
    def free_parameters(self) -> int:
        problem = self.problem
        strengths = (
            sum(len(members) - 1 for members in self.members()) if problem.basis is None else problem.n_strengths
        )
        return strengths + problem.side + problem.has_ties

    @cached_property
    def pairs(self) -> PairTable:
        return self._against(self.problem.side)

    @cached_property
    def covariance(self) -> Floats:
        """(K [+ 1] [+ 1], same) of strengths, side bias and tie parameter if votes were independent.

        The tie parameter is log nu or tau. Half wins vary less than whole ones, and the inverse information of the
        model that counts them is scaled down accordingly.
        """
        bread = self.bread
        return bread * self.dispersion if self.problem.link == "half" else bread

    @cached_property
    def dispersion(self) -> float:
        """Variance of a vote's points as a share of what it would be without ties (Wedderburn 1974, Biometrika 61:439).

        From squared residuals, and not the share of ties: a tie between unequal contenders takes away more of their
        smaller variance. Were each tie half a win and half a loss, its square would be larger by a quarter. One
        decisive vote between equals is added, so that a few ties do not pass for certainty.
        """
        if self.problem.link != "half":
            return 1.0
        strengths = self.problem.strengths(self.parameters)
        share = expit(strengths[:, None] - strengths[None, :] + (self.side_bias or 0.0))
        left, tie, right = (self.counts[:, :, outcome] for outcome in range(3))
        squares = float((left * (1 - share) ** 2 + tie * (0.5 - share) ** 2 + right * share**2).sum())
        return (squares + 0.25) / (squares + float(tie.sum()) / 4 + 0.25)

    @cached_property
    def bread(self) -> Floats:
        """(K [+ 1] [+ 1], same) inverse information about strengths, side bias and tie parameter."""
        problem = self.problem
        information = problem.information(self.parameters[:, None])[0]
        inverse = problem.expansion @ np.linalg.inv(problem.grounded(information)) @ problem.expansion.T
        centring = self.centring
        covariance: Floats = centring @ inverse @ centring.T
        return covariance

    @cached_property
    def centring(self) -> Floats:
        """(K [+ 1] [+ 1], same) takes the mean of its component from each strength and leaves the rest alone."""
        matrix = np.eye(self.contenders + self.problem.side + self.problem.has_ties)
        same = (self.components[:, None] == self.components[None, :]).astype(np.float64)
        matrix[: self.contenders, : self.contenders] -= same / same.sum(axis=1, keepdims=True)
        return matrix

    @property
    def side_bias_error(self) -> float | None:
        """Standard error of the side bias if votes were independent."""
        place = self.contenders
        return float(np.sqrt(self.covariance[place, place])) if self.problem.side else None

    @property
    def tie_parameter_error(self) -> float | None:
        """Standard error of the tie parameter if votes were independent; None where it has none."""
        if not self.problem.has_ties or self.tie_parameter is None:
            return None
        error = float(np.sqrt(self.covariance[-1, -1]))
        return error * self.tie_parameter if self.ties == "davidson" else error

    def outcome_probabilities(self) -> Floats:
        """(K, K, 3) that the row wins, ties and loses against the column at zero side bias; NaN where not comparable.

        Under "half" and "drop" the chance of a tie is NaN: these models do not say.
        """
        gaps = self.strengths[:, None] - self.strengths[None, :]
        level = np.array(self.parameters[-1] if self.problem.has_ties else 0.0)
        chances = np.stack(likelihoods.chances(self.problem.link, gaps, level), axis=-1)
        if self.ties not in likelihoods.TRINOMIAL:
            chances[:, :, 1] = np.nan
        chances[self.components[:, None] != self.components[None, :]] = np.nan
        chances[np.arange(self.contenders), np.arange(self.contenders)] = np.nan
        return chances

    def win_probabilities(self) -> Floats:
        """(K, K) P(row wins) + P(tie) / 2 against the column at zero side bias; NaN where not comparable."""
        chances = self.outcome_probabilities()
        # (1 + win - loss) / 2 mirrors exactly and needs no tie.
        probabilities: Floats = (1 + chances[:, :, 0] - chances[:, :, 2]) / 2
        return probabilities

    @cached_property
    def reasons(self) -> tuple[NotComparable, ...]:
        """Why contenders have no finite difference of strength, by likelihood alone; empty where all have one."""
        points = self.counts[:, :, 0] + self.counts[:, :, 1] / 2
        points = points + (self.counts[:, :, 2] + self.counts[:, :, 1] / 2).T
        return explain(points)

    @cached_property
    def flags(self) -> tuple[tuple[Flag, ...], ...]:
        """What is special about each contender."""
        flags: list[list[Flag]] = [[] for _ in range(self.contenders)]
        for reason in self.reasons:
            if reason.kind != "unlinked":
                for contender in reason.contenders:
                    flags[contender].append(reason.kind)
        alone = np.bincount(self.components, minlength=1)[self.components] == 1 if self.contenders else []
        touched = (
            self.penalised[: self.contenders]
            if self.problem.basis is None
            else np.full(self.contenders, self.penalised.any())
        )
        for contender in range(self.contenders):
            if alone[contender]:
                flags[contender] = ["alone"]
            elif touched[contender]:
                flags[contender].append("firth")
        return tuple(tuple(own) for own in flags)

    def warnings(self, names: Sequence[str]) -> list[str]:
        """What a reader must know, in sentences; names are those of all K contenders."""
        sentences = [reason.sentence(names) for reason in self.reasons]
        if self.estimator == "firth":
            sentences.append(
                "The maximum-likelihood estimate does not exist, so Firth's penalised likelihood was used: "
                "flagged strengths are finite because of the penalty, and rest on little."
            )
        if self.unidentified_side:
            sentences.append(
                "Pairs were never shown in both orders, so a side bias cannot be told from the strengths: "
                "none was fitted."
            )
        if self.ties in likelihoods.TRINOMIAL and not self.problem.has_ties and self.counts.any():
            sentences.append("Nobody tied, so the tie parameter is at its limit of no ties.")
        return sentences

    def worst_pairs(self, number: int = 10) -> list[tuple[int, int, float]]:
        """(left, right, residual) of the pairs that disagree most with the model, the worst first."""
        table = self.pairs
        return [
            (int(table.left[row]), int(table.right[row]), float(table.residual[row])) for row in table.worst(number)
        ]

    def _against(self, ordered: bool) -> PairTable:
        """The counts by ordered or unordered pairs against this fit."""
        problem, here = self.problem, self.parameters[:, None]
        if ordered != problem.side:
            table = Problem.of(self.counts, link=problem.link, side=ordered, groups=problem.groups, basis=problem.basis)
            # The order is only a way of counting here: an advantage of zero stands for none.
            here = np.insert(here, problem.n_strengths, 0.0, axis=0) if ordered else here
            if not ordered:
                raise ValueError("a fit with a side bias is not one of unordered pairs")
            problem = table
        chance = problem.chances(here)
        expected = np.stack([np.broadcast_to(part, chance.left.shape)[:, 0] for part in chance], axis=1)
        votes = problem.totals[:, 0]
        return PairTable(
            left=problem.left,
            right=problem.right,
            votes=votes,
            observed=problem.masses[:, :, 0].T,
            expected=expected * votes[:, None],
            residual=self._residuals(problem, here),
        )

    def _residuals(self, problem: Problem, here: Floats) -> Floats:
        """(P,) standardised, the part of each pair's variance that the fit takes up taken off."""
        level = problem.tie_levels(here)
        left, tie, right = (part[:, 0] for part in likelihoods.chances(problem.link, problem.log_odds(here), level))
        votes = problem.totals[:, 0]
        share = left + tie / 2
        variance = (left + tie / 4 - share**2) * votes * self.dispersion
        by_eta, by_phi = self._share_slopes(left, tie, right)
        taken = self._taken(problem, by_eta, by_phi) * votes**2
        left_over = variance - taken
        points = problem.masses[0, :, 0] + problem.masses[1, :, 0] / 2 - share * votes
        free = left_over > _BOUND * variance
        return np.divide(points, np.sqrt(np.where(free, left_over, 1.0)), out=np.full_like(points, np.nan), where=free)

    def _taken(self, problem: Problem, by_eta: Floats, by_phi: Floats) -> Floats:
        """(P,) variance of each pair's fitted share: of a contrast of three or four parameters, not of all of them."""
        covariance, left, right = self.covariance, problem.left, problem.right
        own = np.diagonal(covariance)
        variance = own[left] + own[right] - 2 * covariance[left, right]
        with_side = covariance[self.contenders] if self.problem.side else None
        if with_side is not None:
            variance = variance + own[self.contenders] + 2 * (with_side[left] - with_side[right])
        taken: Floats = by_eta**2 * variance
        if self.problem.has_ties:
            cross = covariance[-1, left] - covariance[-1, right]
            if with_side is not None:
                cross = cross + with_side[-1]
            taken = taken + 2 * by_eta * by_phi * cross + by_phi**2 * own[-1]
        return taken

    def _share_slopes(self, left: Floats, tie: Floats, right: Floats) -> tuple[Floats, Floats]:
        """How P(left) + P(tie) / 2 changes with the log odds and with the tie parameter."""
        if self.problem.link == "rao-kupper":
            for_left, for_right = left * (1 - left), right * (1 - right)
            return (for_left + for_right) / 2, (for_right - for_left) / 2
        chance = likelihoods.Chances(left, tie, right)
        bend = likelihoods.expected_bend(self.problem.link, chance, np.zeros(()))
        return bend.eta, bend.cross
