"""A rater's own data: what is kept about them, and cutting every link from the votes to a person."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import models, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from arena import first_questions, privacy_rules, raters
from arena.audit import note
from arena.models import Admission, Ballot, Exclusion, Invitation, Rater, RaterIdentity, Study
from arena.models.tokens import random_token

# Where a browser's session keeps who it is: study id -> public id, and hash of an invitation's token -> slug.
SESSION_RATERS: Final = "raters"
SESSION_LINKS: Final = "links"
SESSION_UNPROVEN: Final = "unproven"

# What erasing a rater does to each kind of row that names one. A test fails for a kind that is missing here: whoever
# adds one decides, and acts on it in `erase` and `own_data`.
ROWS_OF_A_RATER: Final = {
    "arena.RaterIdentity": "deleted",
    "arena.Admission": "deleted",
    "arena.Consent": "deleted",
    "arena.Ballot": "kept under a new token",
    "arena.Vote": "kept; left out of fits where the study says so",
    "arena.Exclusion": "kept",
    "arena.ImageReport": "kept without its words",
    "arena.Flag": "kept; it names the rater by number only",
}
ERASED_WORDS: Final = "(erased with the rater)"
ON_REQUEST: Final = "The rater was erased, and the study leaves out the votes of erased raters."
DAYS_OF_A_MONTH: Final = 30.44


@dataclass(frozen=True)
class Erasure:
    """What was done: votes that stay as rows, and whether they left the fits."""

    votes: int
    are_excluded: bool


def own_data(rater: Rater) -> dict[str, Any]:
    """All and only what is stored about a rater, ready for JSON; times are ISO 8601 in UTC.

    Left out is what would unblind them: contenders, images, and which ballots were checks.
    """
    study = rater.study
    identity = RaterIdentity.objects.select_related("user").filter(rater=rater).first()
    return {
        "study": {"name": study.name, "address": study.slug},
        "number": rater.public_id,
        "kind": rater.kind,
        "joined_at": rater.created_at.isoformat(),
        "identity": _identity(identity) if identity else None,
        "admission": _admission(Admission.objects.filter(rater=rater).first()),
        "consents": [
            {"version": consent.version, "given_at": consent.given_at.isoformat(), "text": consent.text}
            for consent in rater.consents.order_by("pk")
        ],
        "pairs": [_pair(ballot) for ballot in _ballots(rater)],
        "reports": [
            {"kind": report.kind, "words": report.reason, "at": report.created_at.isoformat()}
            for report in rater.image_reports.order_by("pk")
        ],
        "suspicions": [{"kind": flag.kind, "at": flag.found_at.isoformat()} for flag in rater.flags.order_by("pk")],
        "left_out_of_results_since": [
            exclusion.created_at.isoformat() for exclusion in Exclusion.objects.standing().filter(rater=rater)
        ],
    }


def erase(*, rater: Rater, actor: User | None = None) -> Erasure:
    """Cut every link from this rater's votes to a person, by the study's own policy; once and for all.

    Votes stay as rows and their chain stays whole, because it hashes ids and answers only. Without an actor it was the
    rater. A second call does nothing. Browsers' sessions, which are many, are looked through after the rest is done:
    until then they hold a random number that leads to nothing any more.
    """
    old_id = ""
    with transaction.atomic():
        rater = Rater.objects.select_for_update(of=("self",)).select_related("study").get(pk=rater.pk)
        votes = rater.votes.count()
        excludes = privacy_rules.excludes_erased(rater.study)
        if rater.erased_at is None:
            old_id = _cut(rater)
            if excludes and votes:
                _exclude(rater)
            note(rater.study, actor, "rater erased", rater=rater.pk, votes=votes, are_excluded=excludes)
    if old_id:
        _forget_sessions({old_id}, slug=rater.study.slug)
    return Erasure(votes=votes, are_excluded=excludes and votes > 0)


def erase_after_retention() -> int:
    """Erase the raters of studies that ended longer ago than they promised to keep them; returns how many.

    Their votes stay counted whatever the policy on request is: the study is over, and its results stand.
    """
    erased = 0
    for study in Study.objects.filter(state=Study.State.CLOSED, closed_at__isnull=False):
        months = privacy_rules.retention_months(study)
        if months is None or study.closed_at is None:
            continue
        if study.closed_at + timedelta(days=months * DAYS_OF_A_MONTH) > timezone.now():
            continue
        old_ids = set()
        for rater in study.raters.filter(erased_at__isnull=True).exclude(kind=Rater.Kind.SIMULATED):
            with transaction.atomic():
                old_ids.add(_cut(Rater.objects.select_for_update().get(pk=rater.pk)))
                note(study, None, "rater erased", rater=rater.pk, because="retention")
        if old_ids:
            _forget_sessions(old_ids, slug=study.slug)
        erased += len(old_ids)
    return erased


def _cut(rater: Rater) -> str:
    """Take away all that leads to the person; returns the random number that the rater had."""
    old_id, invitation = rater.public_id, rater.invitation
    rater.public_id, rater.invitation, rater.erased_at = random_token(), None, timezone.now()
    if rater.kind != Rater.Kind.SIMULATED:
        rater.traits = {}
    rater.save(update_fields=["public_id", "invitation", "erased_at", "traits"])
    rater.consents.all().delete()
    Admission.objects.filter(rater=rater).delete()
    rater.image_reports.exclude(reason=ERASED_WORDS).update(reason=ERASED_WORDS)
    _forget_ballots(rater)
    _forget_in_admin_log(rater)
    if invitation is not None:
        _forget_invitation(invitation)
    for identity in RaterIdentity.objects.select_related("user").filter(rater=rater):
        user = identity.user
        identity.delete()
        if user is not None:
            _forget_account(user)
    return old_id


def _exclude(rater: Rater) -> None:
    if not Exclusion.objects.standing().filter(scope=Exclusion.Scope.RATER, rater=rater).exists():
        raters.exclude(study=rater.study, scope=Exclusion.Scope.RATER, target=rater, reason=ON_REQUEST, author=None)


def _forget_ballots(rater: Rater) -> None:
    """Tokens stand in the rater's browser and in the logs of proxies; after this they lead to nothing."""
    rater.ballots.filter(state=Ballot.State.OPEN).update(state=Ballot.State.EXPIRED)
    ballots = list(rater.ballots.only("pk"))
    for ballot in ballots:
        ballot.token = random_token()
    Ballot.objects.bulk_update(ballots, ["token"], batch_size=200)


def _forget_sessions(public_ids: Set[str], *, slug: str) -> None:
    """Sessions cannot be searched by content, so all are looked through, once for any number of raters."""
    for session in Session.objects.iterator():
        said = session.get_decoded()
        known = said.get(SESSION_RATERS, {})
        if not public_ids & set(known.values()):
            continue
        said[SESSION_RATERS] = {study: rater for study, rater in known.items() if rater not in public_ids}
        said[SESSION_UNPROVEN] = {
            study: visit for study, visit in said.get(SESSION_UNPROVEN, {}).items() if study in said[SESSION_RATERS]
        }
        said[SESSION_LINKS] = {link: study for link, study in said.get(SESSION_LINKS, {}).items() if study != slug}
        session.session_data = SessionStore().encode(said)
        session.save(update_fields=["session_data"])


def _forget_in_admin_log(row: models.Model) -> None:
    """Django's admin writes down the names of rows that people worked on."""
    entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(row), object_id=str(row.pk))
    entries.update(object_repr=f"{row._meta.verbose_name} {row.pk}", change_message="")


def _forget_invitation(invitation: Invitation) -> None:
    """The label of a link for one person often says whom. Links for several stay as they are."""
    if invitation.most_uses == 1:
        Invitation.objects.filter(pk=invitation.pk).update(label="", revoked_at=timezone.now())
        _forget_in_admin_log(invitation)


def _forget_account(user: User) -> None:
    """An account that served nothing but rating goes too."""
    is_needed = (
        user.is_staff
        or user.is_superuser
        or RaterIdentity.objects.filter(user=user).exists()
        or Study.objects.filter(models.Q(owner=user) | models.Q(members__user=user)).exists()
    )
    if is_needed:
        return
    try:
        with transaction.atomic():
            user.delete()
    except ProtectedError:  # it did something that is on record: the record keeps an account without a name
        user.username, user.email, user.first_name, user.last_name = f"erased-{user.pk}", "", "", ""
        user.is_active = False
        user.set_unusable_password()
        user.save()


def _ballots(rater: Rater) -> models.QuerySet[Ballot]:
    return (
        rater.ballots.select_related("study_prompt__prompt")
        .prefetch_related("study_prompt__criteria")
        .prefetch_related(models.Prefetch("votes", rater.votes.select_related("criterion").order_by("sequence")))
        .order_by("position")
    )


def _identity(identity: RaterIdentity) -> dict[str, Any]:
    user = identity.user
    account = None if user is None else {"name": user.get_username(), "email": user.email}
    return {
        "account": account,
        "panel": identity.provider,
        "external_id": identity.external_id,
        "said_by_the_panel": identity.captured,
        "answers_about_you": identity.screening,
    }


def _admission(admission: Admission | None) -> dict[str, Any] | None:
    if admission is None:
        return None
    read_at, screened_at = admission.instructions_read_at, admission.screened_at
    return {
        "instructions_read_at": read_at.isoformat() if read_at else None,
        "questions_answered_at": screened_at.isoformat() if screened_at else None,
        "is_screened_out": admission.is_screened_out,
        "qualification_attempts": admission.attempts_begun,
    }


def _pair(ballot: Ballot) -> dict[str, Any]:
    # Who asks for their data before they answered must not read in it what the page hides until they have.
    is_hidden = ballot.state != Ballot.State.ANSWERED and first_questions.hides_prompt(ballot)
    first_answers = ballot.first_answers or {}
    return {
        "text": None if is_hidden else ballot.study_prompt.prompt.text,
        "shown_at": ballot.shown_at.isoformat() if ballot.shown_at else None,
        "answered_at": ballot.answered_at.isoformat() if ballot.answered_at else None,
        "first_answers": [
            {"question": criterion.question, "answer": first_answers[criterion.key]}
            for criterion in ballot.study_prompt.criteria.all()
            if criterion.key in first_answers
        ],
        "answers": [
            {
                "question": vote.criterion.question,
                "answer": vote.choice,
                "reason": vote.skip_reason,
                "at": vote.cast_at.isoformat(),
                "milliseconds": vote.page_milliseconds,
            }
            for vote in ballot.votes.all()
        ],
    }
