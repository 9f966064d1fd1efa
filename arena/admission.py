"""Who may be asked what: screening and qualification decide, before any pair that counts is handed out."""

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext

from arena.models import Admission, Rater, RaterIdentity
from arena.phase_rules import Question, rules_of
from arena.qualification import QualificationStanding, lacking_pairs, standing_of
from arena.refusals import Refusal


class AdmissionError(Refusal):
    """An answer on the way to the first ballot that cannot be taken."""


class Phase(models.TextChoices):
    """Where a rater is on the way from the invitation to the last ballot."""

    CONSENT = "consent"
    INSTRUCTIONS = "instructions"
    SCREENING = "screening"
    BRIEFING = "briefing", "before a qualification attempt"
    QUALIFICATION = "qualification"
    BALLOTS = "ballots"
    SCREENED_OUT = "screened_out", "screened out"
    FAILED = "failed", "not qualified"


def admission_of(rater: Rater) -> Admission:
    """The rater's row, or a fresh one that is not stored."""
    return Admission.objects.filter(rater=rater).first() or Admission(rater=rater)


def gate(rater: Rater) -> Phase:
    """What a rater may be asked: BALLOTS, or what still stands before them. Programs pass every gate."""
    rules = rules_of(rater.study)
    if rater.kind == Rater.Kind.SIMULATED or not (rules.screening or rules.qualification):
        return Phase.BALLOTS
    admission = admission_of(rater)
    if admission.is_screened_out:
        return Phase.SCREENED_OUT
    if rules.screening and admission.screened_at is None:
        return Phase.SCREENING
    standing = standing_of(rater)
    return Phase.BALLOTS if standing is None else _qualification_gate(standing, admission)


def answer_screening(rater: Rater, answers: dict[str, str]) -> bool:
    """Keep the answers, once, and say whether the rater may go on. All or none are kept."""
    questions = rules_of(rater.study).screening
    checked = {question.key: _checked(question, answers.get(question.key, "")) for question in questions}
    is_out = any(checked[question.key] not in question.allowed for question in questions)
    with transaction.atomic():
        Rater.objects.select_for_update().get(pk=rater.pk)
        admission, _ = Admission.objects.get_or_create(rater=rater)
        if admission.screened_at is None:  # a second try with other answers changes nothing
            identity, _ = RaterIdentity.objects.get_or_create(rater=rater, defaults={"study_id": rater.study_id})
            identity.screening = checked
            identity.save(update_fields=["screening"])
            admission.screened_at, admission.is_screened_out = timezone.now(), is_out
            admission.save(update_fields=["screened_at", "is_screened_out"])
    return not admission.is_screened_out


def begin_attempt(rater: Rater) -> None:
    """Note that the rater began the next qualification attempt; twice is once."""
    with transaction.atomic():
        Rater.objects.select_for_update().get(pk=rater.pk)
        standing = standing_of(rater)
        if lacking_pairs(rater.study):
            raise AdmissionError(gettext("The pairs for this are not ready yet: come back later."), code="not_ready")
        admission, _ = Admission.objects.get_or_create(rater=rater)
        if standing is not None and _qualification_gate(standing, admission) == Phase.BRIEFING:
            admission.attempts_begun = len(standing.right_by_attempt) + 1
            admission.save(update_fields=["attempts_begun"])


def _qualification_gate(standing: QualificationStanding, admission: Admission) -> Phase:
    if standing.is_passed:
        return Phase.BALLOTS
    if standing.is_failed:
        return Phase.FAILED
    is_begun = admission.attempts_begun > len(standing.right_by_attempt)
    return Phase.QUALIFICATION if is_begun else Phase.BRIEFING


def _checked(question: Question, answer: str) -> str:
    if answer not in question.choices:
        raise AdmissionError(
            gettext("“%(question)s” has no answer yet: choose one.") % {"question": question.text},
            code="missing_answer",
            field=question.key,
        )
    return answer
