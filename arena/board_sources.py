"""Which studies ask a board's questions, and how many votes of each would count now; no vote is read for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from django.core.cache import cache
from django.db.models import OuterRef, Subquery

from arena.board_contenders import Cast, cast_of
from arena.board_joining import is_asked_alike
from arena.counted_votes import counts_by_criterion, selections_of
from arena.models import Board, Criterion, Study, Vote
from generation.provenance import digest_of

KEPT_SECONDS: Final = 600
"""So long a count is taken for that of the same newest vote: a vote of a lower id may be committed after it."""


@dataclass(frozen=True)
class Standing:
    """What one study has for one question: the digest of its selection, and the votes that count under it."""

    study: int
    selection: str
    votes: int


@dataclass(frozen=True, eq=False)
class VoteCounts:
    """The counted votes of studies, each study asked once, however many boards it is on.

    reuses: take the counts of an earlier round where its selection is the same and no vote came since
    """

    reuses: bool = False
    _kept: dict[int, Mapping[int, tuple[str, int]]] = field(default_factory=dict)

    def of(self, study: Study) -> Mapping[int, tuple[str, int]]:
        """By criterion id the digest of the selection, and how many votes count under it."""
        if study.pk not in self._kept:
            selections = {pk: digest_of(selection) for pk, selection in selections_of(study).items()}
            counts = self._counts(study, selections)
            self._kept[study.pk] = {pk: (selection, counts.get(pk, 0)) for pk, selection in selections.items()}
        return self._kept[study.pk]

    def _counts(self, study: Study, selections: Mapping[int, str]) -> Mapping[int, int]:
        if not self.reuses:
            return counts_by_criterion(study)
        seen = [study.pk, study.created_at.isoformat(), sorted(selections.items()), _newest_votes(study)]
        key = f"counted-votes-{digest_of(seen)}"
        counts: Mapping[int, int] | None = cache.get(key)
        if counts is None:
            counts = counts_by_criterion(study)
            cache.set(key, counts, KEPT_SECONDS)
        return counts


@dataclass(frozen=True, eq=False)
class BoardSources:
    """The opened studies of a board as they are now, but for those in which two contenders are one here."""

    board: Board
    studies: tuple[Study, ...]
    cast: Cast
    counts: VoteCounts

    @classmethod
    def of(cls, board: Board, counts: VoteCounts | None = None) -> "BoardSources":
        opened = list(board.studies.exclude(state=Study.State.DRAFT).order_by("pk"))
        cast = cast_of(opened)
        if cast.doubled:
            # A contender can join an open study: what was checked when the study came need not hold any more.
            opened = [study for study in opened if study.pk not in cast.doubled]
            cast = cast_of(opened)
        return cls(board, tuple(opened), cast, counts or VoteCounts())

    def asking(self, question: Mapping[str, Any]) -> list[Criterion]:
        """The studies' own rows of a question that they ask in its very words."""
        return [criterion for criterion in self._criteria if is_asked_alike(criterion, question)]

    def standings(self, question: Mapping[str, Any]) -> list[Standing]:
        """Of each study that has counted votes on a question."""
        found = [Standing(each.study_id, *self._counted[each.pk]) for each in self.asking(question)]
        return [standing for standing in found if standing.votes]

    @cached_property
    def _counted(self) -> Mapping[int, tuple[str, int]]:
        found: dict[int, tuple[str, int]] = {}
        for study in self.studies:
            found |= self.counts.of(study)
        return found

    @cached_property
    def _criteria(self) -> Sequence[Criterion]:
        pks = [study.pk for study in self.studies]
        return list(Criterion.objects.filter(study__in=pks).select_related("study").order_by("study_id", "position"))


def _newest_votes(study: Study) -> list[list[int | None]]:
    """The id of each question's last vote: one look into an index for each, where counting reads all votes."""
    own = Vote.objects.filter(study=OuterRef("study"), criterion=OuterRef("pk")).order_by("-pk")
    newest = Criterion.objects.filter(study=study).annotate(vote=Subquery(own.values("pk")[:1]))
    return [[pk, vote] for pk, vote in newest.order_by("pk").values_list("pk", "vote")]
