"""Rank what a votes file says: every criterion fitted, with its precision, and the document of `manage.py rank`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from arena.ranking import checks, intervals
from arena.ranking.cluster_scores import ClusterBy
from arena.ranking.fitted import BothBad, ModelFit, Ties
from arena.ranking.intervals import Intervals, RankRanges
from arena.ranking.models import ConvergenceError, fit_model, fit_tie_models
from arena.ranking.precision import Precision, estimate_precision
from arena.ranking.replicates import Replicates, replicate
from arena.vote_files.shapes import CriterionVotes, VoteFile

Floats = NDArray[np.float64]

FORMAT_VERSION: Final = 1
_SEED: Final = 0
_ALIKE: Final[dict[ClusterBy, str]] = {"rater": "of one rater", "prompt": "on one prompt"}


class RankError(ValueError):
    """Votes that cannot be ranked as asked; the message says why."""


@dataclass(frozen=True)
class RankOptions:
    """side_bias None: on for votes, off for counts and scores. by None: by what the file names."""

    criterion: str | None = None
    ties: Ties = "half"
    side_bias: bool | None = None
    by: tuple[ClusterBy, ...] | None = None
    both_bad: BothBad = "tie"
    baseline: str | None = None
    bootstrap: int = 0


@dataclass(frozen=True, eq=False)
class Ranking:
    """One criterion, fitted."""

    data: CriterionVotes
    fit: ModelFit
    precision: Precision
    replicates: Replicates | None
    replicates_failure: str | None
    unknown_clusters: tuple[ClusterBy, ...]
    baseline: str | None

    @cached_property
    def boards(self) -> list[list[int]]:
        """Contenders of each component, the strongest first, and equal ones by name; the largest component first."""
        fit = self.fit
        members: dict[int, list[int]] = {}
        for contender, label in enumerate(fit.components.tolist()):
            members.setdefault(label, []).append(contender)
        boards = [sorted(own, key=lambda one: -np.nan_to_num(fit.strengths[one])) for own in members.values()]
        return sorted(boards, key=len, reverse=True)

    @cached_property
    def strengths(self) -> Intervals:
        return intervals.strength_intervals(self.precision)

    @cached_property
    def win_probabilities(self) -> Intervals:
        return intervals.win_probability_intervals(self.precision)

    @cached_property
    def ranks(self) -> RankRanges:
        return intervals.rank_ranges(self.precision)

    @cached_property
    def tiers(self) -> NDArray[np.intp]:
        return intervals.tiers(self.precision)

    @property
    def effective(self) -> float | None:
        """Effective clusters of the component that has the fewest; without clusters, its votes."""
        known = [float(self.precision.effective[board[0]]) for board in self.boards if len(board) > 1]
        finite = [number for number in known if np.isfinite(number)]
        return min(finite) if finite else None

    @cached_property
    def warnings(self) -> list[str]:
        """Sentences that a reader must know before believing the numbers."""
        if not self.fit.counts.any():
            return [*self.data.notes, "No vote counts towards this criterion, so nothing can be compared."]
        sentences = [*self.data.notes, *self.fit.warnings(self.data.names)]
        sentences += [*self._without_intervals(), *self._without_bounds()]
        if self.unknown_clusters:
            unknown = " and no ".join(f"{name}s" for name in self.unknown_clusters)
            alike = " or ".join(_ALIKE[name] for name in self.unknown_clusters)
            sentences.append(
                f"The file names no {unknown}: votes {alike} are taken for independent, "
                "and intervals may be too narrow."
            )
        if self.replicates_failure is not None:
            sentences.append(self.replicates_failure)
        return sentences + checks.contradictions(
            self.fit, self.data.tallies, self.data.names, design_effect=self.precision.design_effect
        )

    @cached_property
    def tie_models(self) -> Mapping[Literal["davidson", "rao-kupper"], ModelFit]:
        """Davidson's and Rao and Kupper's models, to compare; nothing where nobody tied or they have no fit."""
        ties = self.data.tallies.outcomes(drop_both_bad=self.fit.both_bad == "drop")[:, :, 1]
        if not ties.any():
            return {}
        try:
            return fit_tie_models(self.data.tallies, side_bias=self.fit.problem.side, both_bad=self.fit.both_bad)
        except ConvergenceError:
            return {}

    def _without_intervals(self) -> list[str]:
        sentences = []
        for reason, cluster in (("too_few_raters", "rater"), ("too_few_prompts", "prompt")):
            names = [
                name for name, own in zip(self.data.names, self.precision.no_interval, strict=True) if own == reason
            ]
            if names:
                sentences.append(
                    f"Too few {cluster}s stand behind {', '.join(names)} to tell how they differ, so no interval is "
                    "given (--cluster chooses what is taken for alike)."
                )
        return sentences

    def _without_bounds(self) -> list[str]:
        sentences = []
        for ends, direction in ((self.strengths.low, "below"), (self.strengths.high, "above")):
            names = [name for name, end in zip(self.data.names, ends, strict=True) if np.isinf(end)]
            if names:
                sentences.append(
                    f"The votes exclude no strength {direction} for {', '.join(names)}: the interval has no end there."
                )
        return sentences


def rank_file(file: VoteFile, options: RankOptions) -> list[Ranking]:
    """Fit every criterion of a file, or the one asked for. Raises RankError."""
    if options.side_bias and file.shape == "scores":
        raise RankError(f"{file.name}: scores have no sides, so they have no side bias.")
    chosen = [data for data in file.criteria if options.criterion in (None, data.criterion)]
    if not chosen:
        known = ", ".join(data.criterion for data in file.criteria)
        raise RankError(f"{file.name}: has no criterion {options.criterion!r}; it has {known}.")
    if options.baseline is not None and not any(options.baseline in data.names for data in chosen):
        known = ", ".join(sorted({name for data in chosen for name in data.names}))
        raise RankError(f"{file.name}: has no contender {options.baseline!r}; it has {known}.")
    side = file.shape == "votes" if options.side_bias is None else options.side_bias
    return [_ranked(file, data, options, side) for data in chosen]


def document(rankings: Sequence[Ranking]) -> dict[str, Any]:
    """What `rank --json` prints; undefined numbers are None."""
    return {"version": FORMAT_VERSION, "criteria": [_criterion(ranking) for ranking in rankings]}


def _ranked(file: VoteFile, data: CriterionVotes, options: RankOptions, side: bool) -> Ranking:
    place = f"{file.name}, criterion {data.criterion}"
    by, unknown = _clusters(data, options, place)
    try:
        fit = fit_model(data.tallies, ties=options.ties, side_bias=side, both_bad=options.both_bad)
        # Votes come in narrow columns or as weights; without clusters the tallies say all there is to know.
        counted = bool(fit.counts.any())
        precision = estimate_precision(fit, data.votes if counted else None, by=by if counted else ())
    except ConvergenceError as error:
        raise RankError(f"{place}: {error}.") from error
    replicates, failure = _bootstrapped(data, fit, by, options.bootstrap) if counted else (None, None)
    return Ranking(data, fit, precision, replicates, failure, unknown, options.baseline)


def _bootstrapped(
    data: CriterionVotes, fit: ModelFit, by: tuple[ClusterBy, ...], number: int
) -> tuple[Replicates | None, str | None]:
    """Replicates, or why there are none: they are a check, without which the board stands."""
    if not number:
        return None, None
    votes = data.votes if by and data.votes is not None else data.tallies
    try:
        return replicate(fit, votes, rng=np.random.default_rng(_SEED), by=by, replicates=number), None
    except ConvergenceError as error:
        return None, f"The bootstrap is left out, because in one of its replicates {error}."


def _clusters(
    data: CriterionVotes, options: RankOptions, place: str
) -> tuple[tuple[ClusterBy, ...], tuple[ClusterBy, ...]]:
    """What to cluster by, and what cannot be because the file does not name it."""
    named: dict[ClusterBy, bool] = {"rater": data.raters > 0, "prompt": data.prompts > 0}
    if options.by is None:
        return tuple(by for by in named if named[by]), tuple(by for by in named if not named[by])
    if data.number and (missing := [by for by in options.by if not named[by]]):
        raise RankError(f"{place}: names no {' and no '.join(f'{by}s' for by in missing)} to cluster by.")
    return options.by, ()


def _criterion(ranking: Ranking) -> dict[str, Any]:
    data, fit = ranking.data, ranking.fit
    trinomial = fit.ties in ("davidson", "rao-kupper")
    bias = None
    if fit.side_bias is not None:
        bias = {"estimate": fit.side_bias, "standard_error": _number(ranking.precision.side_bias_error)}
    found = {
        "criterion": data.criterion,
        "votes": data.number,
        "raters": data.raters,
        "prompts": data.prompts,
        "ties": {
            "model": fit.ties,
            "parameter": _number(fit.tie_parameter),
            "log_likelihood": fit.log_likelihood if trinomial else None,
        },
        "side_bias": bias,
        "estimator": fit.estimator,
        "cluster": {"by": list(ranking.precision.by), "effective": _number(ranking.effective)},
        "skips": data.skips,
        "both_bad": data.both_bad,
        "log_likelihood": fit.log_likelihood,
        "deviance": fit.deviance,
        "degrees_of_freedom": fit.degrees_of_freedom,
        "warnings": ranking.warnings,
        "components": [_component(ranking, board) for board in ranking.boards],
    }
    if ranking.replicates is not None:
        found["bootstrap"] = _bootstrap(ranking, ranking.replicates)
    return found


def _component(ranking: Ranking, board: list[int]) -> dict[str, Any]:
    fit, strengths = ranking.fit, ranking.strengths
    contenders = [
        {
            "name": ranking.data.names[one],
            # Who is alone is the mean of its component.
            "log_strength": float(fit.strengths[one]) if len(board) > 1 else 0.0,
            "standard_error": _number(ranking.precision.standard_errors[one]),
            "low": _number(strengths.low[one]),
            "high": _number(strengths.high[one]),
            "rank_low": int(ranking.ranks.best[one]),
            "rank_high": int(ranking.ranks.worst[one]),
            "tier": int(ranking.tiers[one]),
            "flags": list(fit.flags[one]),
        }
        for one in board
    ]
    win, place = ranking.win_probabilities, np.ix_(board, board)
    matrices = {"estimate": win.estimate, "low": win.low, "high": win.high}
    return {
        "contenders": contenders,
        "win_probability": {name: _rows(matrix[place]) for name, matrix in matrices.items()},
    }


def _bootstrap(ranking: Ranking, replicates: Replicates) -> dict[str, Any]:
    errors = replicates.standard_errors() if len(replicates.strengths) > 1 else np.full(len(ranking.data.names), np.nan)
    low, high = np.quantile(replicates.strengths, [0.025, 0.975], axis=0)
    return {
        "replicates": len(replicates.strengths),
        "penalised": replicates.penalised,
        "contenders": [
            {
                "name": ranking.data.names[one],
                "standard_error": _number(errors[one]),
                "low": _number(low[one]),
                "high": _number(high[one]),
            }
            for board in ranking.boards
            for one in board
        ],
    }


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def _rows(matrix: Floats) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in matrix.tolist()]
