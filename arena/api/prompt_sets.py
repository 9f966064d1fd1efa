"""Prompt sets: which there are, and their prompts; files looked at before they are saved."""

import json
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import File, Form, Query, Router, Schema, Status
from ninja.files import UploadedFile
from pydantic import Field

from arena.api.access import person, researchers_only
from arena.api.problems import REFUSALS, Problem, ProblemError
from generation.models import PromptSet
from generation.prompt_files import COLUMNS
from generation.prompt_sets import find_prompt_set, save_prompt_set
from generation.prompt_uploads import Reading, look_at_file, read_as

router = Router(tags=["prompt sets"])


class Page(Schema):
    """Which part of a list."""

    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**31 - 1)


class PromptSetOut(Schema):
    """A named version of a list of prompts."""

    id: int
    name: str
    version: int
    licence: str
    source: str
    digest: str
    prompt_count: int
    created_at: datetime


class PromptOut(Schema):
    """One prompt; `position` counts from 0."""

    position: int
    text: str
    category: str
    challenge: str
    target_text: str | None
    tags: list[Any]
    metadata: dict[str, Any]


class ReadingIn(Schema):
    """How the file is to be understood; its format is told from its content."""

    columns: str = Field(
        "",
        max_length=2_000,
        description=f"A JSON object, meaning to column, where names do not tell. Meanings: {', '.join(COLUMNS)}.",
    )
    derive_target_text: bool = Field(True, description="Take quoted words of a prompt as its text to render.")
    drops_duplicates: bool = Field(False, description="Keep the first of equal rows only.")


class ProblemLine(Schema):
    """One thing that is wrong with a file; `line` counts from 1."""

    line: int | None
    sentence: str
    row: str


class Preview(Schema):
    """What was understood of a file, or why nothing was. `columns`: each column of the file and what it means."""

    is_readable: bool
    format: str
    prompt_count: int
    with_text_count: int
    categories: dict[str, int]
    dropped: int
    columns: dict[str, str]
    problems: list[ProblemLine]
    first_prompts: list[str]


class PromptSetIn(ReadingIn):
    """What the file becomes."""

    name: str = Field(min_length=1, max_length=200)
    licence: str = Field("", max_length=200)
    source: str = Field("", max_length=500)


class PromptSets(Schema):
    """A part of the list of sets."""

    count: int
    items: list[PromptSetOut]


class Prompts(Schema):
    """A part of the prompts of a set."""

    count: int
    items: list[PromptOut]


def visible_sets(request: HttpRequest) -> QuerySet[PromptSet]:
    return PromptSet.objects.visible_to(person(request)).annotate(prompt_count=Count("prompts"))


@router.get("", response={200: PromptSets, REFUSALS: Problem})
def list_prompt_sets(request: HttpRequest, page: Query[Page]) -> dict[str, Any]:
    """Your prompt sets and those of the whole site, by name, newest version first."""
    sets = visible_sets(request)
    return {"count": sets.count(), "items": list(sets[page.offset : page.offset + page.limit])}


@router.post("", response={200: PromptSetOut, 201: PromptSetOut, REFUSALS: Problem})
def create_prompt_set(request: HttpRequest, details: Form[PromptSetIn], file: File[UploadedFile]) -> Status[PromptSet]:
    """Save a prompt file of any known format; the same prompts under the same name are the set that is there (200)."""
    researchers_only(request)
    read, _ = read_as(file.read(), file.name or "prompts.txt", _reading(details))
    known = find_prompt_set(name=details.name, rows=read.rows)
    source = details.source or read.file_name
    saved = known or save_prompt_set(
        name=details.name, rows=read.rows, licence=details.licence, source=source[:500], owner=person(request)
    )
    if known is not None and not visible_sets(request).filter(pk=known.pk).exists():
        raise ProblemError(
            409, "Somebody else has a set of this name: choose another.", code="name_taken", field="name"
        )
    return Status(201 if known is None else 200, visible_sets(request).get(pk=saved.pk))


@router.post("/preview", response={200: Preview, REFUSALS: Problem})
def preview_prompt_file(request: HttpRequest, details: Form[ReadingIn], file: File[UploadedFile]) -> dict[str, Any]:
    """What a prompt file would become, with every bad line; nothing is saved."""
    researchers_only(request)
    look = look_at_file(file.read(), file.name or "prompts.txt", _reading(details))
    rows = look.file.rows if look.file else ()
    return {
        "is_readable": look.file is not None,
        "format": look.file.format if look.file else "",
        "prompt_count": len(rows),
        "with_text_count": sum(row.target_text is not None for row in rows),
        "categories": look.file.categories if look.file else {},
        "dropped": look.dropped,
        "columns": look.columns,
        "problems": look.problems,
        "first_prompts": [row.text for row in rows[:20]],
    }


@router.get("/{int:prompt_set_id}", response={200: PromptSetOut, REFUSALS: Problem})
def get_prompt_set(request: HttpRequest, prompt_set_id: int) -> PromptSet:
    """One prompt set."""
    return get_object_or_404(visible_sets(request), pk=prompt_set_id)


@router.get("/{int:prompt_set_id}/prompts", response={200: Prompts, REFUSALS: Problem})
def list_prompts(request: HttpRequest, prompt_set_id: int, page: Query[Page]) -> dict[str, Any]:
    """The prompts of a set in their order."""
    prompts = get_object_or_404(visible_sets(request), pk=prompt_set_id).prompts.order_by("position")
    return {"count": prompts.count(), "items": list(prompts[page.offset : page.offset + page.limit])}


def _reading(details: ReadingIn) -> Reading:
    return Reading(_columns(details.columns), details.derive_target_text, details.drops_duplicates)


def _columns(said: str) -> dict[str, str]:
    """Meaning -> column, as the form's text says it."""
    try:
        found = json.loads(said) if said else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise ProblemError(
            422,
            'columns must be a JSON object, meaning to column, such as {"text": "caption"}.',
            code="bad_columns",
            field="columns",
        )
    return found
