"""Prompt sets: which there are, and their prompts."""

from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from pydantic import Field

from arena.api.access import person
from arena.api.problems import REFUSALS, Problem
from generation.models import PromptSet

router = Router(tags=["prompt sets"])


class Page(Schema):
    """Which part of a list."""

    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0)


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


@router.get("/{int:prompt_set_id}", response={200: PromptSetOut, REFUSALS: Problem})
def get_prompt_set(request: HttpRequest, prompt_set_id: int) -> PromptSet:
    """One prompt set."""
    return get_object_or_404(visible_sets(request), pk=prompt_set_id)


@router.get("/{int:prompt_set_id}/prompts", response={200: Prompts, REFUSALS: Problem})
def list_prompts(request: HttpRequest, prompt_set_id: int, page: Query[Page]) -> dict[str, Any]:
    """The prompts of a set in their order."""
    prompts = get_object_or_404(visible_sets(request), pk=prompt_set_id).prompts.order_by("position")
    return {"count": prompts.count(), "items": list(prompts[page.offset : page.offset + page.limit])}
