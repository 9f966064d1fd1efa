"""Who votes: invitations, joining with consent, progress, and taking a rater's votes out of fits and back in."""

import hashlib
import math
import statistics
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from arena.admission import Phase, gate
from arena.audit import note
from arena.kept_queries import KeptQuery, Parameter
from arena.models import Ballot, Consent, Exclusion, Invitation, Rater, Study, Vote
from arena.models.tokens import random_token
from arena.qualification import standing_of
from arena.refusals import Refusal
from arena.stock import known_stock_of
from arena.voting import quota_of
from generation.models import Image

TYPICAL_SECONDS = 10.0  # for "minutes left" before a rater has a pace of their own
PACE_BALLOTS = 30
LONGEST_LOOK_SECONDS = 300.0  # longer means that the rater left the page open and went away

ExclusionTarget = Vote | Ballot | Rater | Image


class InvitationError(Refusal):
    """A link that lets nobody in (any more)."""


class ExclusionError(Refusal):
    """Votes that cannot be taken out or back in like this."""


@dataclass(frozen=True)
class RaterProgress:
    """How far a rater is. Quota and minutes are None where the study sets no limit."""

    answered: int
    quota: int | None
    median_seconds: float | None
    minutes_left: float | None


def invite(
    *,
    study: Study,
    label: str = "",
    most_uses: int | None = None,
    expires_at: datetime | None = None,
    created_by: User | None = None,
    is_public: bool = False,
) -> tuple[Invitation, str]:
    """A new invitation and the token of its link. The token is not stored: this is the only time it can be read."""
    check_invitation(most_uses=most_uses, expires_at=expires_at)
    token = random_token()
    with transaction.atomic():
        invitation = Invitation.objects.create(
            study=study,
            token_sha256=_sha256(token),
            label=label,
            most_uses=most_uses,
            expires_at=expires_at,
            created_by=created_by,
            is_public=is_public,
        )
        note(study, created_by, "invitation made", invitation=invitation.pk, most_uses=most_uses)
    return invitation, token


def check_invitation(*, most_uses: int | None, expires_at: datetime | None) -> None:
    """Whether `invite` would take this; an InvitationError says why not."""
    if most_uses is not None and most_uses < 1:
        raise InvitationError(
            "An invitation lets in at least one person: raise the number of uses.", code="bad_uses", field="most_uses"
        )
    if expires_at is not None and expires_at <= timezone.now():
        raise InvitationError(
            "An invitation must end in the future: choose a later time.", code="bad_expiry", field="expires_at"
        )


def revoke(*, invitation: Invitation, actor: User | None) -> None:
    """Let nobody else in by this link; raters who joined by it stay."""
    with transaction.atomic():
        if Invitation.objects.filter(pk=invitation.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()):
            note(invitation.study, actor, "invitation revoked", invitation=invitation.pk)


def invitation_of(token: str) -> Invitation:
    """The invitation behind a link, if it still lets somebody in."""
    invitation = Invitation.objects.select_related("study").filter(token_sha256=_sha256(token)).first()
    if invitation is None:
        raise InvitationError(
            _("This invitation link is not known: check that you copied all of it."), code="unknown_invitation"
        )
    _check_usable(invitation)
    return invitation


def study_behind(token: str) -> Study | None:
    """The study of an invitation link, whether or not it still lets anybody in."""
    return Study.objects.filter(invitations__token_sha256=_sha256(token)).first()


def check_open_to_raters(study: Study) -> None:
    """Whether the study takes raters now; an InvitationError says why not."""
    if study.state == Study.State.DRAFT:
        raise InvitationError(_("The study has not opened yet: try the link again later."), code="not_open_yet")
    if study.state == Study.State.CLOSED:
        raise InvitationError(_("The study has ended and takes no more votes. Thank you."), code="study_closed")


def join(
    *, invitation: Invitation, consent_text: str, consent_version: str = "", kind: str = Rater.Kind.INVITED
) -> Rater:
    """Make a rater of whoever accepted the text under this invitation; one use of it is spent.

    By a public link everybody is anonymous. Without a version the text as shown is its own.
    """
    kind = Rater.Kind.ANONYMOUS if invitation.is_public and kind == Rater.Kind.INVITED else kind
    with transaction.atomic():
        usable = Invitation.objects.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()),
            Q(most_uses__isnull=True) | Q(uses__lt=F("most_uses")),
            pk=invitation.pk,
            revoked_at__isnull=True,
            study__in=Study.objects.filter(state__in=_JOINABLE),
        )
        if usable.update(uses=F("uses") + 1):
            rater = Rater.objects.create(study_id=invitation.study_id, kind=kind, invitation=invitation)
            version = consent_version or _sha256(consent_text)
            Consent.objects.create(rater=rater, version=version, text=consent_text)
            return rater
    _check_usable(Invitation.objects.select_related("study").get(pk=invitation.pk))
    raise InvitationError(_("This invitation could not be used just now: try again."), code="invitation_busy")


def progress_of(rater: Rater) -> RaterProgress:
    """Ballots answered, of how many, at what pace, and about how long it will still take.

    While the rater qualifies, it is about that attempt; afterwards its ballots do not count.
    """
    if gate(rater) == Phase.QUALIFICATION and (standing := standing_of(rater)) is not None:
        quota: int | None = standing.rule.ballots
        answered, recent = standing.answered_now, _RECENT_KNOWN.rows(rater=rater.pk)
    else:
        recent = _RECENT.rows(rater=rater.pk)
        answered = recent[0][0] if recent else 0
        quota = most_ballots(rater.study, answered=answered)
    looks = [seconds for _each, *times in recent if (seconds := _seconds(*times)) is not None]
    median = statistics.median(looks) if looks else None
    left = None if quota is None else max(0, quota - answered) * (TYPICAL_SECONDS if median is None else median) / 60
    return RaterProgress(answered=answered, quota=quota, median_seconds=median, minutes_left=left)


def most_ballots(study: Study, *, answered: int = 0) -> int | None:
    """How many ballots a rater is told of: the quota, or fewer where the study has no more pairs for one person."""
    quota = quota_of(study)
    if quota is None or not (most := known_stock_of(study).most_looks):
        return quota
    # A share of the ballots repeats a pair, so that there are more ballots than pairs.
    with_repeats = math.floor(most / (1 - float(study.rater_rules.get("repeat_share", 0))) + 1e-9)
    return min(quota, max(answered, with_repeats))


def exclude(*, study: Study, scope: str, target: ExclusionTarget, reason: str, author: User | None) -> Exclusion:
    """Take votes out of fits, with a reason. The votes stay where they are; `readmit` takes them back in."""
    with transaction.atomic():
        _hold(study)  # two clicks must not exclude twice
        check_exclusion(study=study, scope=scope, target=target, reason=reason)
        exclusion = Exclusion.objects.create(
            study=study, scope=scope, reason=reason.strip(), author=author, **{scope: target}
        )
        note(
            *(study, author, "votes excluded"),
            exclusion=exclusion.pk,
            scope=scope,
            target=target.pk,
            reason=reason.strip(),
        )
    return exclusion


def check_exclusion(*, study: Study, scope: str, target: ExclusionTarget | None, reason: str) -> None:
    """Whether `exclude` would take this; an ExclusionError says why not."""
    if not reason.strip():
        raise ExclusionError("Say why these votes are taken out.", code="no_reason", field="reason")
    if target is None or scope not in _TARGETS or not isinstance(target, _TARGETS[scope]):
        raise ExclusionError(
            f"The scope {scope!r} does not fit what is named: choose one of {', '.join(_TARGETS)} and name such a row.",
            code="bad_scope",
            field="scope",
        )
    if not _belongs(target, study):
        raise ExclusionError(f"This {scope} does not belong to {study.name!r}.", code="other_study", field=scope)
    if Exclusion.objects.standing().filter(study=study, scope=scope, **{scope: target}).exists():
        raise ExclusionError(f"This {scope} is excluded already.", code="already_excluded", field=scope)


def readmit(*, exclusion: Exclusion, reason: str, author: User | None) -> Exclusion:
    """Take excluded votes back into fits by a second row that revokes the first; both stay on record."""
    study = exclusion.study
    with transaction.atomic():
        _hold(study)
        check_readmission(exclusion, study=study, reason=reason)
        reversal = Exclusion.objects.create(
            study=study,
            scope=exclusion.scope,
            vote_id=exclusion.vote_id,
            ballot_id=exclusion.ballot_id,
            rater_id=exclusion.rater_id,
            image_id=exclusion.image_id,
            reason=reason.strip(),
            author=author,
            revokes=exclusion,
        )
        note(study, author, "votes readmitted", exclusion=exclusion.pk, reason=reason.strip())
    return reversal


def check_readmission(exclusion: Exclusion, *, study: Study, reason: str) -> None:
    """Whether `readmit` would take this; an ExclusionError says why not."""
    if not reason.strip():
        raise ExclusionError("Say why these votes are taken back in.", code="no_reason", field="reason")
    if exclusion.study_id != study.pk:
        raise ExclusionError(f"This exclusion is not one of {study.name!r}.", code="other_study", field="revokes")
    if not Exclusion.objects.standing().filter(pk=exclusion.pk).exists():
        raise ExclusionError("This exclusion does not stand any more.", code="not_standing", field="revokes")


def _hold(study: Study) -> None:
    """One exclusion of a study at a time. Without the key, so that nobody who writes rows of the study waits for it."""
    Study.objects.select_for_update(no_key=True).get(pk=study.pk)


def _check_usable(invitation: Invitation) -> None:
    study, now = invitation.study, timezone.now()
    if invitation.revoked_at is not None:
        raise InvitationError(_("This invitation was withdrawn: ask whoever sent it for a new one."), code="revoked")
    if invitation.expires_at is not None and invitation.expires_at <= now:
        raise InvitationError(_("This invitation has expired: ask whoever sent it for a new one."), code="expired")
    if invitation.most_uses is not None and invitation.uses >= invitation.most_uses:
        raise InvitationError(_("This invitation has been used up: ask whoever sent it for a new one."), code="used_up")
    check_open_to_raters(study)


def _belongs(target: ExclusionTarget, study: Study) -> bool:
    """Images are shared between studies; one belongs to each in which its recipe is a contender."""
    if isinstance(target, Image):
        return study.contenders.filter(recipe=target.recipe_id).exists()
    return target.study_id == study.pk


def _seconds(shown_at: datetime | None, answered_at: datetime | None, page_milliseconds: int | None) -> float | None:
    """How long the rater looked: by the page's clock where it sent one, else between page and answer by ours."""
    if page_milliseconds is not None:
        seconds = page_milliseconds / 1000
    elif shown_at is not None and answered_at is not None:
        seconds = (answered_at - shown_at).total_seconds()
    else:
        return None
    return seconds if 0 <= seconds <= LONGEST_LOOK_SECONDS else None


def _answered_by_rater(*, is_known: bool) -> QuerySet[Ballot]:
    """Of pairs with known answers before the first real one, or of all others."""
    answered = Ballot.objects.filter(rater=Parameter("rater"), state=Ballot.State.ANSWERED, origin=Ballot.Origin.ISSUED)
    known = Q(purpose=Ballot.Purpose.QUALIFICATION)
    return answered.filter(known if is_known else ~known).order_by()


def _recent(*, is_known: bool) -> QuerySet[Ballot, tuple[Any, ...]]:
    """The last ones: how many there are in all, and of each the times of page and answer, by our clock and its own."""
    answered = _answered_by_rater(is_known=is_known)
    number = answered.values("rater").annotate(number=Count("pk")).values("number")
    page = Vote.objects.filter(ballot=OuterRef("pk")).order_by().values("page_milliseconds")[:1]  # the same in all
    counted = answered.annotate(number=Subquery(number), page=Subquery(page))
    return counted.order_by("-position").values_list("number", "shown_at", "answered_at", "page")[:PACE_BALLOTS]


_RECENT = KeptQuery(lambda: _recent(is_known=False))
_RECENT_KNOWN = KeptQuery(lambda: _recent(is_known=True))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_JOINABLE = (Study.State.OPEN, Study.State.PAUSED)
_TARGETS: dict[str, type[ExclusionTarget]] = {
    Exclusion.Scope.VOTE.value: Vote,
    Exclusion.Scope.BALLOT.value: Ballot,
    Exclusion.Scope.RATER.value: Rater,
    Exclusion.Scope.IMAGE.value: Image,
}
