"""Standing leaderboards: made of studies that one may see, and read with their newest fits."""

from datetime import datetime
from typing import Annotated, Any

from django.http import FileResponse, HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import Field

from arena import board_fitting, boards
from arena.api.access import person, researchers_only
from arena.api.problems import REFUSALS, Problem, ProblemError, file_of
from arena.api.prompt_sets import Page
from arena.board_exports import export_board
from arena.models import Board, Study
from arena.views.kept_files import content_type_of, file_to_keep

router = Router(tags=["boards"])


Key = Annotated[str, Field(min_length=1, max_length=100)]


class BoardIn(Schema):
    """Which studies, and the keys of the questions that they share. `reference` is a contender's id on the board."""

    slug: str = Field("", pattern=r"^[-a-zA-Z0-9_]{0,100}$", description="Made of the name if left out.")
    name: str = Field(min_length=1, max_length=200)
    description: str = Field("", max_length=10_000)
    studies: list[Key] = Field(min_length=1, max_length=boards.MOST_STUDIES, description="Short names.")
    criteria: list[Key] = Field(min_length=1, max_length=20)
    reference: str = Field("", max_length=64)


class BoardLine(Schema):
    """A board in a list."""

    slug: str
    name: str
    is_public: bool
    created_at: datetime


class Boards(Schema):
    """A part of the list of boards."""

    count: int
    items: list[BoardLine]


class BoardQuestion(Schema):
    """A question of a board, word for word."""

    key: str
    name: str
    question: str
    shows_prompt: bool


class BoardFitOut(Schema):
    """The newest fit of one question; `results` is as documented in docs/boards.md, `sources` says what it saw."""

    criterion: str = Field(validation_alias="criterion_key")
    number: int
    vote_count: int
    rater_count: int
    prompt_count: int
    sources: list[dict[str, Any]]
    options: dict[str, Any]
    code_version: str
    created_at: datetime
    results: dict[str, Any]


class BoardOut(BoardLine):
    """A board with its newest fits."""

    description: str
    reference: str
    criteria: list[BoardQuestion]
    studies: list[str]
    fits: list[BoardFitOut]

    @staticmethod
    def resolve_studies(board: Board) -> list[str]:
        return list(board.studies.order_by("slug").values_list("slug", flat=True))

    @staticmethod
    def resolve_fits(board: Board) -> list[Any]:
        found = board_fitting.shown_fits(board)
        return [found[question["key"]] for question in board.criteria if question["key"] in found]


@router.get("", response={200: Boards, REFUSALS: Problem})
def list_boards(request: HttpRequest, page: Query[Page]) -> dict[str, Any]:
    """The boards all of whose studies you may see, newest first."""
    found = Board.objects.visible_to(person(request)).order_by("-pk")
    return {"count": found.count(), "items": list(found[page.offset : page.offset + page.limit])}


@router.post("", response={201: BoardOut, REFUSALS: Problem})
def create_board(request: HttpRequest, payload: BoardIn) -> Status[Board]:
    """A board of studies that you may see. A worker fits it within a minute or so; an administrator may publish it."""
    researchers_only(request)
    studies = _studies(request, payload.studies)
    made = boards.create_board(owner=person(request), **{**payload.dict(), "studies": studies})
    return Status(201, made)


@router.get("/{slug:slug}", response={200: BoardOut, REFUSALS: Problem})
def get_board(request: HttpRequest, slug: str) -> Board:
    """A board with the newest fit of each question."""
    return _visible(request, slug)


@router.post("/{slug:slug}/publish", response={200: BoardOut, REFUSALS: Problem})
def publish_board(request: HttpRequest, slug: str) -> Board:
    """Let everybody read the board without signing in; for administrators."""
    return _published(request, slug, is_public=True)


@router.post("/{slug:slug}/unpublish", response={200: BoardOut, REFUSALS: Problem})
def unpublish_board(request: HttpRequest, slug: str) -> Board:
    """Let nobody read it but those who may see all its studies; for administrators."""
    return _published(request, slug, is_public=False)


@router.get("/{slug:slug}/export", response={REFUSALS: Problem}, openapi_extra=file_of(content_type_of(".zip")))
def download_board(request: HttpRequest, slug: str) -> FileResponse:
    """Tables, fits and the votes behind them, as `manage.py board check` fits them again. It is noted down."""
    found, user = _visible(request, slug), person(request)
    return file_to_keep(f"{slug}-board.zip", lambda path: export_board(found, path, actor=user))


def _published(request: HttpRequest, slug: str, *, is_public: bool) -> Board:
    found, user = _visible(request, slug), person(request)
    if not boards.may_publish(user):
        raise ProblemError(403, "Only an administrator decides what is public.", code="not_administrator")
    return boards.publish(found, is_public=is_public, actor=user)


def _visible(request: HttpRequest, slug: str) -> Board:
    return get_object_or_404(Board.objects.visible_to(person(request)), slug=slug)


def _studies(request: HttpRequest, slugs: list[str]) -> list[Study]:
    found = {study.slug: study for study in Study.objects.visible_to(person(request)).filter(slug__in=slugs)}
    if missing := [slug for slug in slugs if slug not in found]:
        raise ProblemError(422, f"There is no study {missing[0]!r} of yours.", code="unknown_study", field="studies")
    return [found[slug] for slug in dict.fromkeys(slugs)]
