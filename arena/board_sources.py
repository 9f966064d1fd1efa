"""Which studies ask a board's questions, and how many votes of each would count now; no vote is read for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from arena.board_contenders import Cast, cast_of
from arena.board_joining import is_asked_alike
from arena.counted_votes import counts_by_criterion, selections_of
from arena.models import Board, Criterion, Study
from generation.provenance import digest_of


@dataclass(frozen=True)
class Standing:
    """What one study has for one question: the digest of its selection, and the votes that count under it."""

    study: int
    selection: str
    votes: int


@dataclass(frozen=True, eq=False)
class BoardSources:
    """The opened studies of a board as they are now."""

    board: Board
    studies: tuple[Study, ...]

    @classmethod
    def of(cls, board: Board) -> "BoardSources":
        return cls(board, tuple(board.studies.exclude(state=Study.State.DRAFT).order_by("pk")))

    @cached_property
    def cast(self) -> Cast:
        return cast_of(self.studies)

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
            counts = counts_by_criterion(study)
            for pk, selection in selections_of(study).items():
                found[pk] = digest_of(selection), counts.get(pk, 0)
        return found

    @cached_property
    def _criteria(self) -> Sequence[Criterion]:
        pks = [study.pk for study in self.studies]
        return list(Criterion.objects.filter(study__in=pks).select_related("study").order_by("study_id", "position"))
