"""How a panel's rater ends, the way back to the panel, and the panel's own messages."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Q

from arena import special_ballots, voting
from arena.admission import Phase, gate
from arena.models import Provider, ProviderEvent, Rater, RaterIdentity
from arena.panel_settings import COMPLETED, FAILED, SCREENED_OUT, PanelError, settings_of
from arena.panel_visits import turk_address

FREES_WORK: Final = frozenset({"RETURNED", "TIMED-OUT", "TIMED_OUT", "REJECTED"})
OLDEST_MESSAGE_SECONDS: Final = 300
LONGEST_TEXT: Final = 200
_OUTCOMES: Final = {Phase.SCREENED_OUT: SCREENED_OUT, Phase.FAILED: FAILED}


@dataclass(frozen=True)
class TurkForm:
    """Where the form goes and the assignment that it names."""

    address: str
    assignment: str


def outcome_of(rater: Rater, *, is_finished: bool) -> str:
    """How it ended for the rater; empty as long as there is something to do."""
    stands = gate(rater)
    if stands in _OUTCOMES:
        return _OUTCOMES[stands]
    if not is_finished or stands != Phase.BALLOTS:
        return ""
    # Only a panel hears of it: to everybody else known answers are never shown to have been any.
    is_panels = rater.kind == Rater.Kind.PANEL
    return FAILED if is_panels and special_ballots.has_failed_gold(rater) else COMPLETED


def way_back(rater: Rater, outcome: str, *, captured: dict[str, str] | None = None) -> tuple[str, str]:
    """The completion code and the address that takes it to the rater's panel; empty where there is none.

    captured: what this visit's link said, where it is not what is kept
    """
    provider = Provider.objects.filter(study=rater.study_id).first()
    identity = RaterIdentity.objects.filter(rater=rater).first()
    if not outcome or provider is None or identity is None or identity.provider != provider.kind:
        return "", ""
    settings = settings_of(provider)
    address = settings.way_back(outcome, worker_id=identity.external_id, captured=_said(identity, captured))
    return settings.codes.get(outcome, ""), address


def turk_form(rater: Rater, outcome: str, *, captured: dict[str, str] | None = None) -> TurkForm | None:
    """How a rater from Mechanical Turk hands the task in, once there is an outcome: the one of this visit."""
    identity = RaterIdentity.objects.filter(rater=rater, provider=Provider.Kind.MTURK).first()
    if not outcome or identity is None:
        return None
    said = _said(identity, captured)
    return TurkForm(address=turk_address(said), assignment=said.get("assignmentId", ""))


def _said(identity: RaterIdentity, captured: dict[str, str] | None) -> dict[str, str]:
    return dict(identity.captured) if captured is None else captured


def take_message(
    provider: Provider, *, body: bytes, timestamp: str, signature: str, event_id: str, now: float | None = None
) -> str:
    """Act on a panel's message, once: work that was given back is freed. Returns what was done, for the answer."""
    _check_message(provider, body=body, timestamp=timestamp, signature=signature, now=now)
    if not event_id or len(event_id) > LONGEST_TEXT:
        raise PanelError("The message has no X-Event-Id.", code="no_event_id")
    status, person, submission = _read_message(body)
    try:
        with transaction.atomic():
            ProviderEvent.objects.create(provider=provider, event_id=event_id)
            return _act(provider, status=status, person=person, submission=submission)
    except IntegrityError:
        return "already received"


def _act(provider: Provider, *, status: str, person: str, submission: str) -> str:
    """Prolific names the submission, which its links call SESSION_ID; others name the person."""
    known = RaterIdentity.objects.filter(study=provider.study_id, provider=provider.kind)
    by_person = Q(external_id=person) if person else Q(pk__in=[])
    by_submission = Q(captured__SESSION_ID=submission) if submission else Q(pk__in=[])
    identity = known.filter(by_person | by_submission).select_related("rater").first()
    if status not in FREES_WORK or identity is None:
        return "nothing to do"
    return f"{voting.release(identity.rater)} freed"


def _check_message(provider: Provider, *, body: bytes, timestamp: str, signature: str, now: float | None) -> None:
    if not provider.webhook_secret:
        raise PanelError("This study takes no messages: set the panel's secret first.", code="no_secret")
    mac = hmac.new(provider.webhook_secret.encode(), timestamp.encode() + body, hashlib.sha256).digest()
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        given = b""
    if not hmac.compare_digest(mac, given):
        raise PanelError("The message's signature is wrong.", code="bad_signature")
    age = (time.time() if now is None else now) - int(timestamp) if timestamp.isdecimal() else None
    if age is None or abs(age) > OLDEST_MESSAGE_SECONDS:
        raise PanelError("The message is too old or from the future.", code="bad_timestamp")


def _read_message(body: bytes) -> tuple[str, str, str]:
    try:
        said = json.loads(body)
    except ValueError as error:
        raise PanelError("The message is not JSON.", code="bad_message") from error
    said = said if isinstance(said, dict) else {}
    status, person, submission = (said.get(name, "") for name in ("status", "participant_id", "resource_id"))
    texts = [text for text in (status, person, submission) if isinstance(text, str) and len(text) <= LONGEST_TEXT]
    if len(texts) < 3 or not status or not (person or submission):
        raise PanelError("The message lacks “status”, or “participant_id” and “resource_id”.", code="bad_message")
    return status.upper(), person, submission
