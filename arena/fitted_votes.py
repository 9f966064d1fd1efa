"""Counted votes under the headline model, fitted when first asked for: what a fit tells is worked out from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from arena.counted_votes import CountedVotes
from arena.ranking.cluster_scores import ClusterBy, ScoredVotes
from arena.ranking.models import ConvergenceError, ModelFit, fit_model, fit_tie_models
from arena.ranking.precision import Precision, estimate_precision
from arena.ranking.tallies import TIE, Votes

TieModel = Literal["davidson", "rao-kupper"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """The counted votes under the headline model, ready to be told."""

    counted: CountedVotes
    labels: Sequence[str]
    options: dict[str, Any]

    @cached_property
    def votes(self) -> Votes:
        return self.counted.to_ranking()

    @cached_property
    def fit(self) -> ModelFit:
        return headline_fit(self.counted)

    @cached_property
    def scored(self) -> ScoredVotes:
        return ScoredVotes(self.fit, self.votes)

    @cached_property
    def precision(self) -> Precision:
        return estimate_precision(
            self.fit, self.votes, by=self.clusters, method=self.options["covariance"], scored=self.scored
        )

    @cached_property
    def precision_by_rater(self) -> Precision:
        """About other people on these prompts."""
        return estimate_precision(
            self.fit, self.votes, by=("rater",), method=self.options["covariance"], scored=self.scored
        )

    def precision_of(self, fit: ModelFit, votes: Votes | None = None) -> Precision:
        """Of a fit to these votes, or to all of them."""
        votes = self.votes if votes is None else votes
        return estimate_precision(fit, votes, by=self.clusters, method=self.options["covariance"])

    @property
    def clusters(self) -> tuple[ClusterBy, ...]:
        return tuple(name for name in self.options["clusters"] if f"{name}s" not in self.counted.unknown)

    @property
    def level(self) -> float:
        return float(self.options["level"])

    @cached_property
    def boards(self) -> list[list[int]]:
        """Contenders of each weak component, the strongest first; the largest component first."""
        members: dict[int, list[int]] = {}
        for contender, label in enumerate(self.fit.components.tolist()):
            members.setdefault(label, []).append(contender)
        boards = [sorted(own, key=lambda one: -np.nan_to_num(self.fit.strengths[one])) for own in members.values()]
        return sorted(boards, key=len, reverse=True)

    @cached_property
    def tie_models(self) -> dict[TieModel, ModelFit]:
        """Both models of ties; nothing where nobody tied, or where one of them has no fit."""
        if not self.fit.counts[:, :, TIE].any():
            return {}
        try:
            return fit_tie_models(self.counted.tallies, side_bias=self.fit.problem.side)
        except ConvergenceError:
            return {}

    def tie_precision(self, name: TieModel) -> Precision:
        """Of one of both models of ties, worked out once: its chances and the comparison of policies ask for it."""
        if name not in self._tie_precisions:
            self._tie_precisions[name] = self.precision_of(self.tie_models[name])
        return self._tie_precisions[name]

    @cached_property
    def _tie_precisions(self) -> dict[TieModel, Precision]:
        return {}


def headline_fit(counted: CountedVotes) -> ModelFit:
    """The fit whose strengths are shown."""
    tallies, said = counted.tallies, counted.said
    if "sides" in counted.unknown:
        # Which one is written on the left says nothing about where it was seen.
        return fit_model(tallies, side_bias=False)
    if len(counted.rule_ties) and fit_model(said).unidentified_side:
        # What nobody has seen cannot tell which side people favour.
        return replace(fit_model(tallies, side_bias=False), unidentified_side=True)
    return fit_model(tallies)


def number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def plain(values: NDArray[Any]) -> list[Any]:
    """Nested lists in which what is not a finite number is None, because JSON has no NaN."""
    told = values.astype(object)
    told[~np.isfinite(values)] = None
    return list(told.tolist())
