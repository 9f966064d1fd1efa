"""The way of a rater: consent, instructions, screening, qualification, ballots. What a page shows next."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from arena import consent
from arena.admission import Phase, admission_of, gate
from arena.models import Admission, Ballot, Consent, Rater
from arena.phase_rules import rules_of
from arena.voting import quota_of


def phase_of(rater: Rater, *, now: datetime | None = None) -> Phase:
    """Where the rater is. Whoever was turned away is not asked to read anything again."""
    if rater.kind == Rater.Kind.SIMULATED:
        return Phase.BALLOTS
    if not has_agreed(rater):
        return Phase.CONSENT
    stands = gate(rater)
    if stands in (Phase.SCREENED_OUT, Phase.FAILED):
        return stands
    return Phase.INSTRUCTIONS if are_instructions_due(rater, now=now or timezone.now()) else stands


def has_agreed(rater: Rater) -> bool:
    """Whether the rater agreed to the text as it is now."""
    return rater.consents.filter(version=consent.consent_version(rater.study)).exists()


def agree(rater: Rater) -> None:
    """Keep that the rater agreed to the text as it is now; twice is once."""
    Consent.objects.get_or_create(
        rater=rater,
        version=consent.consent_version(rater.study),
        defaults={"text": consent.consent_text(rater.study)},
    )


def are_instructions_due(rater: Rater, *, now: datetime) -> bool:
    """Whether the rater has not read them, or not for long and has not answered anything meanwhile."""
    rules = rules_of(rater.study)
    if not rules.has_instructions:
        return False
    read_at = admission_of(rater).instructions_read_at
    if read_at is None:
        return True
    answered = Ballot.objects.filter(rater=rater, state=Ballot.State.ANSWERED)
    last = answered.aggregate(last=Max("answered_at"))["last"] or read_at
    is_long_ago = now - max(last, read_at) > timedelta(hours=rules.again_after_hours)
    return is_long_ago and not _has_answered_all(rater)


def note_instructions_read(rater: Rater) -> None:
    """Keep that the rater has read them now."""
    with transaction.atomic():
        Rater.objects.select_for_update().get(pk=rater.pk)
        Admission.objects.update_or_create(rater=rater, defaults={"instructions_read_at": timezone.now()})


def _has_answered_all(rater: Rater) -> bool:
    quota = quota_of(rater.study)
    real = Ballot.objects.filter(rater=rater, state=Ballot.State.ANSWERED).exclude(purpose=Ballot.Purpose.QUALIFICATION)
    return quota is not None and real.count() >= quota
