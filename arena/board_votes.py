"""The counted votes of a board's studies under one numbering: contenders by identity, prompts by their own rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from arena.board_contenders import Cast
from arena.board_sources import BoardSources
from arena.counted_votes import CountedVotes, read_votes, row_tallies
from arena.fitted_votes import headline_fit
from arena.models import Criterion, Study, StudyPrompt
from arena.ranking.cluster_scores import ClusterBy
from arena.ranking.models import ConvergenceError
from arena.ranking.pooled import Stratum
from arena.ranking.tallies import Votes
from arena.vote_snapshot import StudyVotes, study_votes
from generation.provenance import digest_of

_CLUSTERS: Final[tuple[ClusterBy, ...]] = ("rater", "prompt")


@dataclass(frozen=True, eq=False)
class Part:
    """What one study gives to one question of a board. prompts: id of the prompt itself by study prompt id."""

    study: Study
    criterion: Criterion
    counted: CountedVotes
    prompts: Mapping[int, int]
    categories: Mapping[int, str]

    def votes(self, cast: Cast) -> Votes:
        """In the board's numbers. Raters belong to one study each, a prompt is the same wherever it is asked."""
        own = self.counted.to_ranking()
        place = np.array([cast.place_of[pk] for pk in self.counted.contenders], dtype=np.intp)
        ties = self.counted.rule_ties["prompt"]
        asked = np.unique(np.concatenate([self.counted.rows["prompt"], ties]))
        raters = np.unique(self.counted.rows["rater"])
        if own.rater is None or own.prompt is None:
            raise ValueError("votes of a study name their rater and prompt")
        prompt = np.array([self.prompts[pk] for pk in asked.tolist()], dtype=np.int64)
        rater = own.rater if not len(raters) else np.where(own.rater < 0, own.rater, raters[np.maximum(own.rater, 0)])
        return replace(
            own,
            left=place[own.left],
            right=place[own.right],
            contenders=len(cast.members),
            rater=rater,
            prompt=prompt[own.prompt],
        )

    @property
    def has_sides(self) -> bool:
        """Whether this study estimates a side bias in its own fit."""
        try:
            return len(self.counted) > 0 and headline_fit(self.counted).problem.side
        except ConvergenceError:
            return False

    @property
    def may_tie(self) -> bool:
        """Whether a tie can be called, or comes by rule: else its votes say nothing of how probable one is."""
        asked = self.criterion.allows_tie or self.criterion.allows_both_bad
        return asked or len(self.counted.rule_ties) > 0

    @property
    def source(self) -> dict[str, Any]:
        """Which votes these are."""
        return {
            "study": self.study.pk,
            "slug": self.study.slug,
            "criterion": self.criterion.pk,
            "selection": digest_of(self.counted.selection),
            "votes_digest": self.counted.digest,
            "votes": len(self.counted),
            "raters": self.counted.raters,
            "prompts": self.counted.prompts,
        }

    def only(self, category: str) -> "Part":
        """The votes on prompts of one category."""
        pks = [pk for pk, name in self.categories.items() if name == category]
        rows = self.counted.rows[np.isin(self.counted.rows["prompt"], pks)]
        ties = self.counted.rule_ties[np.isin(self.counted.rule_ties["prompt"], pks)]
        said = row_tallies(rows, self.counted.contenders)
        return replace(self, counted=replace(self.counted, rows=rows, rule_ties=ties, said=said))


@dataclass(frozen=True, eq=False)
class PooledVotes:
    """All parts of one question, studies without counted votes left out."""

    cast: Cast
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(len(part.counted) for part in self.parts)

    @cached_property
    def strata(self) -> tuple[Stratum, ...]:
        return tuple(Stratum(part.votes(self.cast), has_sides=part.has_sides) for part in self.parts)

    @property
    def with_ties(self) -> "PooledVotes":
        """Of the studies in which a tie can be called."""
        return replace(self, parts=tuple(part for part in self.parts if part.may_tie))

    @property
    def raters(self) -> int:
        return sum(part.counted.raters for part in self.parts)

    @property
    def prompts(self) -> int:
        """A prompt of two studies is one."""
        asked = {part.prompts[pk] for part in self.parts for pk in np.unique(part.counted.rows["prompt"]).tolist()}
        return len(asked)

    @property
    def by(self) -> tuple[ClusterBy, ...]:
        """What the votes of every study name, so that intervals can be clustered by it."""
        unknown = {name for part in self.parts for name in part.counted.unknown}
        return tuple(name for name in _CLUSTERS if f"{name}s" not in unknown)

    def categories(self) -> Iterator[tuple[str, "PooledVotes"]]:
        """By category of the prompts; nothing where all are of one."""
        names = sorted({name for part in self.parts for name in part.categories.values()} - {""})
        for name in names if len(names) > 1 else ():
            parts = tuple(own for part in self.parts if len((own := part.only(name)).counted))
            if parts:
                yield name, PooledVotes(self.cast, parts)


@dataclass(frozen=True, eq=False)
class BoardReader:
    """Reads the votes of a board's studies, each study's file once for all questions."""

    sources: BoardSources
    _kept: dict[int, StudyVotes] = field(default_factory=dict)

    def read(self, question: Mapping[str, Any]) -> PooledVotes:
        """The counted votes of all studies on one question."""
        parts = []
        for criterion in self.sources.asking(question):
            counted = read_votes(criterion, self._votes(criterion.study))
            if len(counted):
                parts.append(_part(criterion, counted))
        return PooledVotes(self.sources.cast, tuple(parts))

    def _votes(self, study: Study) -> StudyVotes:
        if study.pk not in self._kept:
            self._kept[study.pk] = study_votes(study)
        return self._kept[study.pk]


def _part(criterion: Criterion, counted: CountedVotes) -> Part:
    rows = list(
        StudyPrompt.objects.filter(study=criterion.study_id)
        .order_by()
        .values_list("pk", "prompt_id", "prompt__category")
    )
    prompts = {pk: prompt for pk, prompt, _ in rows}
    return Part(criterion.study, criterion, counted, prompts, {pk: category for pk, _, category in rows})
