"""A standing leaderboard's life: made, changed, shown to everybody or to colleagues only; who may do so."""

from collections.abc import Sequence
from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from arena.audit import note
from arena.board_contenders import cast_of
from arena.board_joining import Question, Studies, unlinked, why_not
from arena.models import Board, Study
from arena.refusals import Refusal
from arena.researchers import may_design

MOST_STUDIES: Final = 200


class BoardError(Refusal):
    """A board that cannot be made or changed like this."""


def may_create(user: AbstractBaseUser | AnonymousUser) -> bool:
    return may_design(user)


def may_edit(board: Board, user: AbstractBaseUser | AnonymousUser) -> bool:
    """Its owner and superusers; the owner only while every study of it is visible to them."""
    if not user.is_authenticated:
        return False
    is_owner = board.owner_id == user.pk
    return bool(getattr(user, "is_superuser", False)) or (
        is_owner and Board.objects.visible_to(user).filter(pk=board.pk).exists()
    )


def may_publish(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Administrators alone decide what anybody may read."""
    return user.is_authenticated and bool(getattr(user, "is_superuser", False))


def create_board(
    *,
    owner: User | None,
    name: str,
    studies: Sequence[Study],
    criteria: Sequence[str],
    slug: str = "",
    description: str = "",
    reference: str = "",
) -> Board:
    """A board that nobody but those who see all its studies can read. `criteria` are keys, `reference` an identity."""
    slug = slug.strip() or slugify(name)[:100]
    if not slug or slug == "new":
        raise BoardError(
            'Give the board a short name of letters, digits and dashes that is not "new".', code="no_slug", field="slug"
        )
    taken = BoardError(f"The short name {slug!r} is taken: choose another.", code="slug_taken", field="slug")
    if Board.objects.filter(slug=slug).exists():
        raise taken
    board = Board(
        slug=slug,
        name=name.strip(),
        description=description,
        owner=owner,
        criteria=_checked(name, studies, criteria, reference),
        reference=reference,
    )
    with transaction.atomic():
        try:
            with transaction.atomic():
                board.save(force_insert=True)
        except IntegrityError as error:  # somebody else was faster
            raise taken from error
        board.studies.set(studies)
        note(None, owner, "board created", board=slug, studies=[study.slug for study in studies])
        for study in studies:
            note(study, owner, "study joined a board", board=slug)
    return board


def edit_board(
    board: Board,
    *,
    actor: User | None,
    name: str,
    studies: Sequence[Study],
    criteria: Sequence[str],
    description: str = "",
    reference: str = "",
) -> Board:
    """Change what a board pools. What an administrator has published is hidden again when others change what it shows.

    Its fits stay as they are: they say which studies they saw.
    """
    with transaction.atomic():
        board = Board.objects.select_for_update().get(pk=board.pk)
        questions = _checked(name, studies, criteria, reference, kept=board.criteria)
        before, after = {study.pk: study for study in board.studies.all()}, {study.pk: study for study in studies}
        has_new_contents = before.keys() != after.keys() or board.criteria != questions
        # Free text stands on the public page too. Browsers send other line ends than programs: those are no change.
        has_new_contents |= (board.name, board.description.split()) != (name.strip(), description.split())
        board.name, board.description, board.reference = name.strip(), description, reference
        board.criteria = questions
        if has_new_contents and board.is_public and not (actor is None or may_publish(actor)):
            board.is_public = False
            note(None, actor, "board hidden again", board=board.slug, reason="its contents were changed")
        board.save(update_fields=["name", "description", "reference", "criteria", "is_public"])
        board.studies.set(studies)
        note(None, actor, "board changed", board=board.slug, studies=[study.slug for study in studies])
        for pk in after.keys() - before.keys():
            note(after[pk], actor, "study joined a board", board=board.slug)
        for pk in before.keys() - after.keys():
            note(before[pk], actor, "study left a board", board=board.slug)
    return board


def publish(board: Board, *, is_public: bool, actor: User) -> Board:
    """Let everybody read a board without signing in, or nobody."""
    if not may_publish(actor):
        raise BoardError("Only an administrator decides what is public.", code="not_administrator")
    with transaction.atomic():
        board = Board.objects.select_for_update().get(pk=board.pk)
        if board.is_public != is_public:
            board.is_public = is_public
            board.published_at = timezone.now() if is_public else board.published_at
            board.save(update_fields=["is_public", "published_at"])
            act = "board published" if is_public else "board hidden again"
            studies = list(board.studies.values_list("slug", flat=True))
            note(None, actor, act, board=board.slug, studies=studies)
    return board


def _checked(
    name: str, studies: Sequence[Study], criteria: Sequence[str], reference: str, *, kept: Sequence[Question] = ()
) -> list[dict[str, Any]]:
    """The questions word for word. Raises BoardError with the field that is wrong."""
    if not name.strip() or len(name.strip()) > 200:
        raise BoardError("Give the board a name of 1 to 200 characters.", code="no_name", field="name")
    if not studies or len(studies) > MOST_STUDIES:
        raise BoardError(f"Choose 1 to {MOST_STUDIES} studies.", code="no_studies", field="studies")
    if not criteria:
        raise BoardError("Choose at least one question.", code="no_criteria", field="criteria")
    known = Studies.read(studies)
    questions = known.worded(list(dict.fromkeys(criteria)), studies, kept=kept)
    if missing := sorted(set(criteria) - {question["key"] for question in questions}):
        asked = sorted({each.key for own in known.questions.values() for each in own})
        raise BoardError(
            f"None of these studies asks {', '.join(missing)}; they ask {', '.join(asked) or 'nothing'}.",
            code="unknown_criterion",
            field="criteria",
        )
    for study in studies:
        others = [other for other in studies if other.pk != study.pk]
        if reason := why_not(known, study, others, questions):
            raise BoardError(f"{study.name} cannot join. {reason}", code="cannot_join", field="studies")
    if reason := unlinked(studies, questions):
        raise BoardError(reason, code="not_linked", field="studies")
    if reference and reference not in cast_of(studies).by_identity:
        raise BoardError(
            "The reference is no contender of these studies: choose another.", code="bad_reference", field="reference"
        )
    return [dict(question) for question in questions]
