"""The form of a board: studies that can join with their reasons, questions they share, the reference contender."""

from collections.abc import Sequence
from typing import Any, Final, cast

from django import forms
from django.contrib.auth.models import User
from django.http import QueryDict

from arena.board_contenders import cast_of
from arena.board_joining import Candidate, Studies, candidates
from arena.models import Board, Study

MOST_OFFERED: Final = 500
"""Studies on the form, the newest first; those that are on the board already are there beside them."""


class BoardForm(forms.Form):
    """A new board, or one to be changed. What may be together is for `arena.boards` to say."""

    name = forms.CharField(label="Name", max_length=200)
    slug = forms.SlugField(
        label="Short name",
        max_length=100,
        required=False,
        help_text="Stands in its address; made of the name if left out.",
    )
    description = forms.CharField(
        label="Description", max_length=10_000, required=False, widget=forms.Textarea({"rows": 3})
    )
    criteria = forms.MultipleChoiceField(label="Questions", required=False, widget=forms.CheckboxSelectMultiple)
    reference = forms.CharField(
        label="Compared with",
        max_length=64,
        required=False,
        help_text="All others are shown against this contender. It should be in most of the studies.",
    )

    def __init__(self, user: User, data: QueryDict | None = None, *, board: Board | None = None) -> None:
        initial = None if board is None else _initial(board)
        super().__init__(data, initial=initial)
        self.board = board
        self.offered = _offered(user, board)
        self._known = Studies.read(self.offered)
        if board is not None:
            del self.fields["slug"]
        self._offer_questions()
        self._offer_references()

    @property
    def chosen(self) -> list[Study]:
        """The studies that are ticked, of those that this person may see."""
        if self.is_bound:
            picked = set(self.data.getlist("studies"))  # type: ignore[attr-defined]
            return [study for study in self.offered if study.slug in picked]
        if self.board is None:
            return []
        kept = set(self.board.studies.values_list("pk", flat=True))
        return [study for study in self.offered if study.pk in kept]

    @property
    def wanted_keys(self) -> list[str]:
        if self.is_bound:
            return list(self.data.getlist("criteria"))  # type: ignore[attr-defined]
        return list(self.initial.get("criteria", ()))

    @property
    def candidates(self) -> list[Candidate]:
        """Every study that may be seen, and why it cannot stand beside those that are ticked."""
        kept: Sequence[Any] = self.board.criteria if self.board else ()
        chosen = self.chosen
        questions = self._known.worded(self.wanted_keys, chosen, kept=kept) if chosen else []
        return candidates(self.offered, chosen=chosen, questions=questions)

    def _offer_questions(self) -> None:
        # Drafts too: a question that only they ask is told, and not left out without a word.
        asked = {each.key: each for own in self._known.questions.values() for each in reversed(own)}
        field = cast(forms.MultipleChoiceField, self.fields["criteria"])
        field.choices = [(key, f"{asked[key].name}: {asked[key].question}") for key in sorted(asked)]

    def _offer_references(self) -> None:
        members = sorted(cast_of(self.chosen).members, key=lambda member: (-len(member.studies), member.label))
        choices = [("", "the contender that most studies share")]
        choices += [
            (member.identity, f"{member.label} (in {len(member.studies)})" if len(self.chosen) > 1 else member.label)
            for member in members
        ]
        self.fields["reference"].widget = forms.Select(choices=choices)


def _offered(user: User, board: Board | None) -> list[Study]:
    visible = Study.objects.visible_to(user)
    newest = visible.order_by("-pk").values_list("pk", flat=True)[:MOST_OFFERED]
    # An old study that stays on the board must stand on the form, or saving the form would drop it.
    wanted = {*newest, *(board.studies.values_list("pk", flat=True) if board else ())}
    return list(visible.filter(pk__in=wanted).order_by("-pk"))


def _initial(board: Board) -> dict[str, Any]:
    return {
        "name": board.name,
        "description": board.description,
        "criteria": [question["key"] for question in board.criteria],
        "reference": board.reference,
    }
