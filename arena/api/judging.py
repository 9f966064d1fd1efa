"""Raters and their numbers, exclusions with a reason, and known answers: who judges the judges, by calls."""

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import Field

from arena import gold, raters
from arena.api.access import person
from arena.api.problems import REFUSALS, Problem, ProblemError
from arena.api.prompt_sets import Page
from arena.api.studies import visible_study
from arena.judge_table import JudgeRow, judge_table
from arena.models import Exclusion, Gold, Study
from arena.raters import ExclusionTarget
from generation.models import Image

router = Router(tags=["raters and known answers"])


class FlagOut(Schema):
    """A suspicion that stands against a rater; `p` is how likely it would be for an honest one."""

    id: int
    kind: str
    p: float


class RaterOut(Schema):
    """What is known of a rater who answered. Shares are from 0 to 1, None where there is nothing to tell yet."""

    rater: str
    votes: int
    median_seconds: float | None
    left_share: float | None
    tie_share: float | None
    gold_asked: int
    gold_right: int
    self_agreement: float | None
    agreement: float | None
    infit: float | None
    flags: list[FlagOut]
    exclusion: int | None

    @classmethod
    def of(cls, row: JudgeRow) -> "RaterOut":
        flags = [FlagOut(id=flag.pk, kind=flag.kind, p=flag.p) for flag in row.flags]
        named = {"rater": row.rater.public_id, "flags": flags, "exclusion": row.exclusion.pk if row.exclusion else None}
        counted = {name: getattr(row, name) for name in cls.model_fields if name not in named}
        return cls.model_validate(counted | named)


class Raters(Schema):
    """A part of the judge table, and when it was counted (None: not yet)."""

    count: int
    counted_at: datetime | None
    items: list[RaterOut]


class ExclusionIn(Schema):
    """What is taken out of fits: a rater by name, or a ballot by token, or a vote or image by number; and why."""

    scope: Literal["rater", "ballot", "vote", "image"]
    target: str = Field(min_length=1, max_length=64)
    reason: str = Field(max_length=2_000)


class ExclusionOut(Schema):
    """An exclusion; `revokes` names the one that this takes back."""

    id: int
    scope: str
    target: str
    reason: str
    author: str
    revokes: int | None = Field(validation_alias="revokes_id")
    stands: bool
    created_at: datetime

    @staticmethod
    def resolve_target(row: Exclusion) -> str:
        if row.scope == Exclusion.Scope.RATER:
            return row.rater.public_id if row.rater else ""
        if row.scope == Exclusion.Scope.BALLOT:
            return row.ballot.token if row.ballot else ""
        return str(row.vote_id or row.image_id)

    @staticmethod
    def resolve_author(row: Exclusion) -> str:
        return row.author.get_username() if row.author else ""

    @staticmethod
    def resolve_stands(row: Exclusion) -> bool:
        return row.revokes_id is None and not hasattr(row, "revoked_by")


class Exclusions(Schema):
    """A part of the list of exclusions, oldest first."""

    count: int
    items: list[ExclusionOut]


class ReasonIn(Schema):
    """Why."""

    reason: str = Field(max_length=2_000)


class GoldIn(Schema):
    """Two contenders' images of one prompt with the answers that any careful rater would give.

    `answers`: criterion key to first, second or tie; leave out what has no sure answer.
    """

    prompt: int = Field(ge=0, lt=2**31, description="The prompt's position in the study.")
    first: int = Field(ge=0, lt=2**31, description="The contender's position in the study.")
    second: int = Field(ge=0, lt=2**31)
    sample: int = Field(0, ge=0, lt=2**31)
    answers: dict[str, str] = Field(max_length=50)


class GoldOut(Schema):
    """A known answer: proposed, reviewed (raters may be shown it), or retired."""

    id: int
    prompt: str = Field(validation_alias="study_prompt.prompt.text")
    first: str = Field(validation_alias="first_contender.label")
    second: str = Field(validation_alias="second_contender.label")
    answers: dict[str, str]
    reviewed_at: datetime | None
    retired_at: datetime | None


class Golds(Schema):
    """A part of the known answers, oldest first."""

    count: int
    items: list[GoldOut]


@router.get("/{slug:slug}/rater-table", response={200: Raters, REFUSALS: Problem})
def list_raters(request: HttpRequest, slug: str, page: Query[Page]) -> dict[str, Any]:
    """Everybody who answered, those under suspicion first. A worker counts this as votes come in."""
    table = judge_table(visible_study(request, slug))
    rows = table.rows[page.offset : page.offset + page.limit]
    return {"count": len(table.rows), "counted_at": table.counted_at, "items": [RaterOut.of(row) for row in rows]}


@router.get("/{slug:slug}/exclusions", response={200: Exclusions, REFUSALS: Problem})
def list_exclusions(request: HttpRequest, slug: str, page: Query[Page]) -> dict[str, Any]:
    """What was ever taken out of the study's fits or back in, by whom and why."""
    found = visible_study(request, slug).exclusions.select_related("rater", "ballot", "author", "revoked_by")
    return {"count": found.count(), "items": list(found.order_by("pk")[page.offset : page.offset + page.limit])}


@router.post("/{slug:slug}/exclusions", response={201: ExclusionOut, REFUSALS: Problem})
def exclude_votes(request: HttpRequest, slug: str, payload: ExclusionIn) -> Status[Exclusion]:
    """Take votes out of fits, with a reason; the votes stay where they are. Fits follow within seconds."""
    study = judged_study(request, slug)
    target = _target(study, payload)
    done = raters.exclude(
        study=study, scope=payload.scope, target=target, reason=payload.reason, author=person(request)
    )
    return Status(201, done)


@router.post("/{slug:slug}/exclusions/{int:exclusion_id}/readmit", response={201: ExclusionOut, REFUSALS: Problem})
def readmit_votes(request: HttpRequest, slug: str, exclusion_id: int, payload: ReasonIn) -> Status[Exclusion]:
    """Take excluded votes back in, by a second row."""
    study = judged_study(request, slug)
    exclusion = get_object_or_404(study.exclusions, pk=exclusion_id)
    return Status(201, raters.readmit(exclusion=exclusion, reason=payload.reason, author=person(request)))


@router.get("/{slug:slug}/gold", response={200: Golds, REFUSALS: Problem})
def list_gold(request: HttpRequest, slug: str, page: Query[Page]) -> dict[str, Any]:
    """The study's known answers."""
    found = visible_study(request, slug).golds.select_related(*GOLD_PARTS).order_by("pk")
    return {"count": found.count(), "items": list(found[page.offset : page.offset + page.limit])}


@router.post("/{slug:slug}/gold", response={201: GoldOut, REFUSALS: Problem})
def propose_gold(request: HttpRequest, slug: str, payload: GoldIn) -> Status[Gold]:
    """Propose a known answer. Raters are shown it once somebody has looked at both images and reviewed it."""
    study = judged_study(request, slug)
    made = gold.propose(
        study=study,
        study_prompt=get_object_or_404(study.study_prompts, position=payload.prompt),
        first=get_object_or_404(study.contenders, position=payload.first),
        second=get_object_or_404(study.contenders, position=payload.second),
        sample=payload.sample,
        answers=payload.answers,
        proposer=person(request),
    )
    return Status(201, made)


@router.post("/{slug:slug}/gold/{int:gold_id}/review", response={200: GoldOut, REFUSALS: Problem})
def review_gold(request: HttpRequest, slug: str, gold_id: int) -> Gold:
    """Say that you have looked at both images and agree with the answers: raters may be shown the pair."""
    found = get_object_or_404(judged_study(request, slug).golds.select_related(*GOLD_PARTS), pk=gold_id)
    return gold.review(found, reviewer=person(request))


@router.post("/{slug:slug}/gold/{int:gold_id}/retire", response={200: GoldOut, REFUSALS: Problem})
def retire_gold(request: HttpRequest, slug: str, gold_id: int) -> Gold:
    """Show this pair to nobody any more; answers given to it stay."""
    found = get_object_or_404(judged_study(request, slug).golds.select_related(*GOLD_PARTS), pk=gold_id)
    gold.retire(found, actor=person(request))
    found.refresh_from_db()
    return found


GOLD_PARTS = ("study_prompt__prompt", "first_contender", "second_contender")


def judged_study(request: HttpRequest, slug: str) -> Study:
    """A study whose raters this person decides about; one that is only shared is a 403."""
    study = visible_study(request, slug)
    if not study.is_managed_by(person(request)):
        raise ProblemError(403, "Only the study's owners and rater managers decide about raters.", code="not_yours")
    return study


def _target(study: Study, payload: ExclusionIn) -> ExclusionTarget:
    """The row that is meant; raises Http404 where the study has none."""
    if payload.scope == "rater":
        return get_object_or_404(study.raters, public_id=payload.target)
    if payload.scope == "ballot":
        return get_object_or_404(study.ballots, token=payload.target)
    said = payload.target
    if not (said.isascii() and said.isdigit() and len(said) < 19):  # more digits than the database takes
        raise ProblemError(422, f"A {payload.scope} is named by its number.", code="bad_target", field="target")
    if payload.scope == "vote":
        return get_object_or_404(study.votes, pk=int(said))
    return get_object_or_404(Image, pk=int(said), recipe__in=study.contenders.values("recipe"))
