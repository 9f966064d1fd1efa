"""Ballots for front ends of your own: enrol a rater, fetch what to ask, show the images, bring the answers."""

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status
from pydantic import Field

from arena import consent, display, front_ends, stored_pictures, voting
from arena.admission import gate
from arena.api.access import person
from arena.api.problems import REFUSALS, Problem, ProblemError, file_of
from arena.api.studies import CriterionOut
from arena.models import Ballot, Rater, Study

router = Router(tags=["ballots"])
OUT_OF_TURN = ("ballot_expired", "ballot_undone", "study_paused", "study_closed")


class ConsentOut(Schema):
    """What raters must have read and agreed to, and the name of this wording."""

    version: str
    text: str


class RaterIn(Schema):
    """That the rater agreed to this version of the text."""

    consent_version: str = Field(min_length=1, max_length=64)


class RaterOut(Schema):
    """A rater under a random id, which your front end keeps; keep whom it belongs to apart from it."""

    rater: str = Field(validation_alias="public_id")


class BallotOut(Schema):
    """One pair. Ask `criteria` in their order; those that hide the prompt come before it is shown."""

    token: str
    prompt: str
    criteria: list[CriterionOut]
    left: str
    right: str


class BallotsOut(Schema):
    """Up to three open ballots, the one to answer first in front. Empty: nothing to do now; `phase` may say why."""

    phase: str
    items: list[BallotOut]


class AnswersIn(Schema):
    """Answers by criterion key (left, right, tie, both_bad), or one reason for skipping all of them."""

    answers: dict[str, str] = {}
    skip_reason: str = Field("", max_length=50)
    page_milliseconds: int | None = Field(None, ge=0, lt=2**31)


class ReceiptOut(Schema):
    """The votes are stored. `already`: they were before this request, and the first answers stand."""

    ballot: str = Field(validation_alias="ballot_token")
    already: bool
    answered_at: datetime


@router.get("/{slug:slug}/consent", response={200: ConsentOut, REFUSALS: Problem})
def get_consent(request: HttpRequest, slug: str) -> dict[str, str]:
    """The text that a rater must agree to before the first ballot."""
    study = _recruited(request, slug)
    return {"version": consent.consent_version(study), "text": consent.consent_text(study)}


@router.post("/{slug:slug}/raters", response={201: RaterOut, REFUSALS: Problem})
def enrol_rater(request: HttpRequest, slug: str, payload: RaterIn) -> Status[Rater]:
    """A new rater of an open study, for those who may invite raters."""
    study = _recruited(request, slug)
    return Status(201, front_ends.enrol(study, consent_version=payload.consent_version, actor=person(request)))


@router.post("/{slug:slug}/raters/{str:rater_id}/ballots", response={200: BallotsOut, REFUSALS: Problem})
def fetch_ballots(request: HttpRequest, slug: str, rater_id: str) -> dict[str, Any]:
    """What this rater is to be asked now; the first of them counts as shown."""
    rater = _rater(request, slug, rater_id)
    ballots = voting.open_ballots(rater=rater)
    if ballots:
        voting.mark_shown(ballots[0])
    return {"phase": str(gate(rater)), "items": [_ballot(slug, rater_id, ballot) for ballot in ballots]}


@router.post("/{slug:slug}/raters/{str:rater_id}/ballots/{str:token}", response={200: ReceiptOut, REFUSALS: Problem})
def cast_votes(request: HttpRequest, slug: str, rater_id: str, token: str, payload: AnswersIn) -> voting.Receipt:
    """Store the answers to a ballot, all or none; sending them again is no error."""
    try:
        return voting.cast_votes(
            rater=_rater(request, slug, rater_id),
            ballot_token=token,
            answers=payload.answers,
            skip_reason=payload.skip_reason,
            page_milliseconds=payload.page_milliseconds,
        )
    except voting.VotingError as refusal:
        if refusal.code in OUT_OF_TURN:
            raise ProblemError(409, refusal.sentence, code=refusal.code, field=refusal.field) from refusal
        raise


@router.get(
    "/{slug:slug}/raters/{str:rater_id}/ballots/{str:token}/{str:side}",
    response={REFUSALS: Problem},
    openapi_extra=file_of("image/webp"),
)
def get_ballot_image(request: HttpRequest, slug: str, rater_id: str, token: str, side: str) -> HttpResponse:
    """The rater's copy of the left or right image of an open ballot: pixels alone, all of one size and format."""
    rater = _rater(request, slug, rater_id)
    if side not in ("left", "right"):
        raise Http404
    opened = Ballot.objects.filter(rater=rater, state=Ballot.State.OPEN).exclude(voting.withdrawn())
    ballot = get_object_or_404(opened.select_related("study", f"{side}_image"), token=token)
    image = ballot.left_image if side == "left" else ballot.right_image
    copy = display.copy_of(image, study=ballot.study) if image else None
    if copy is None:
        raise Http404
    headers = {"Cache-Control": "private, no-store"}
    return stored_pictures.answer_with(
        copy.file_sha256, suffix=".webp", content_type=copy.content_type, headers=headers
    )


def _recruited(request: HttpRequest, slug: str) -> Study:
    """A study for which this person may invite raters; else a 404."""
    return get_object_or_404(Study.objects.managed_by(person(request)), slug=slug)


def _rater(request: HttpRequest, slug: str, rater_id: str) -> Rater:
    """A rater whom a front end enrolled: others belong to their own browsers, and nobody may answer for them."""
    return get_object_or_404(
        Rater.objects.select_related("study"),
        study=_recruited(request, slug),
        public_id=rater_id,
        invitation__label=front_ends.LABEL,
        erased_at__isnull=True,
    )


def _ballot(slug: str, rater_id: str, ballot: Ballot) -> dict[str, Any]:
    here = f"/api/v1/studies/{slug}/raters/{rater_id}/ballots/{ballot.token}"
    return {
        "token": ballot.token,
        "prompt": ballot.study_prompt.prompt.text,
        "criteria": list(ballot.study_prompt.criteria.order_by("position")),
        "left": f"{here}/left",
        "right": f"{here}/right",
    }
