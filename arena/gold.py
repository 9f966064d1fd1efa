"""Known answers: proposed by a person or by a fit, reviewed by a person, retired when they prove wrong."""

from collections.abc import Mapping

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from arena.audit import note
from arena.models import Contender, Gold, Study, StudyPrompt
from arena.refusals import Refusal
from arena.supply import samples_of
from generation.models import Image


class GoldError(Refusal):
    """A known answer that cannot be taken like this."""


def propose(
    *,
    study: Study,
    study_prompt: StudyPrompt,
    first: Contender,
    second: Contender,
    answers: Mapping[str, str],
    proposer: User | None,
    sample: int = 0,
) -> Gold:
    """Keep a pair of images with the answers that any careful rater would give. It counts once it is reviewed.

    answers: criterion key -> "first", "second" or "tie"; questions without a sure answer are left out
    """
    check_proposal(study=study, study_prompt=study_prompt, first=first, second=second, answers=answers)
    if not 0 <= sample < samples_of(study):
        raise GoldError(f"The study has no sample {sample}.", code="no_such_sample", field="sample")
    images = [_image(contender, study_prompt, sample) for contender in (first, second)]
    if images[0].pixels_sha256 == images[1].pixels_sha256:
        raise GoldError("Both images are the same: no rater could tell them apart.", code="same_image")
    with transaction.atomic():
        gold, is_new = Gold.objects.get_or_create(
            study_prompt=study_prompt,
            first_image=images[0],
            second_image=images[1],
            defaults={
                "study": study,
                "first_contender": first,
                "second_contender": second,
                "answers": dict(answers),
                "proposer": proposer,
            },
        )
        if not is_new:
            raise GoldError("This pair is proposed already.", code="proposed_already")
        note(study, proposer, "gold proposed", gold=gold.pk, answers=dict(answers))
    return gold


def check_proposal(
    *, study: Study, study_prompt: StudyPrompt, first: Contender, second: Contender, answers: Mapping[str, str]
) -> None:
    """Whether `propose` would take this, images aside; a GoldError says why not."""
    if first.pk == second.pk:
        raise GoldError("Choose two different contenders.", code="same_contender", field="second_contender")
    for part, field in ((study_prompt, "study_prompt"), (first, "first_contender"), (second, "second_contender")):
        if part.study_id != study.pk:
            raise GoldError(f"{part} does not belong to {study.name!r}.", code="other_study", field=field)
    asked = {criterion.key: criterion for criterion in study_prompt.criteria.all()}
    if not answers:
        raise GoldError("Give the answer to at least one question.", code="no_answers", field="answers")
    for key, answer in answers.items():
        if key not in asked:
            raise GoldError(f"The question {key!r} is not asked on this prompt.", code="not_asked", field="answers")
        if answer not in Gold.Answer.values or (answer == Gold.Answer.TIE and not asked[key].allows_tie):
            raise GoldError(
                f"The answer to {key!r} must be one of first and second, or tie where a tie can be said.",
                code="no_such_answer",
                field="answers",
            )


def in_use(study: Study) -> QuerySet[Gold]:
    """Known answers that raters may be shown: reviewed, not retired, of contenders that are in the study."""
    reviewed = Gold.objects.filter(study=study, reviewed_at__isnull=False, retired_at__isnull=True)
    return reviewed.filter(first_contender__withdrawn_at__isnull=True, second_contender__withdrawn_at__isnull=True)


def answer_said(choice: str, *, is_first_left: bool) -> str:
    """A rater's choice in the words of a known answer: the first image, the second, or neither."""
    if choice not in ("left", "right"):
        return Gold.Answer.TIE
    return Gold.Answer.FIRST if (choice == "left") == is_first_left else Gold.Answer.SECOND


def review(gold: Gold, *, reviewer: User) -> Gold:
    """A person has looked at both images and agrees with the answers: from now on raters may be shown them."""
    with transaction.atomic():
        waiting = Gold.objects.filter(pk=gold.pk, reviewed_at__isnull=True, retired_at__isnull=True)
        if not waiting.update(reviewer=reviewer, reviewed_at=timezone.now()):
            raise GoldError("This gold is reviewed or retired already.", code="not_waiting")
        note(gold.study, reviewer, "gold reviewed", gold=gold.pk)
    gold.refresh_from_db()
    return gold


def retire(gold: Gold, *, actor: User | None) -> None:
    """Show this pair to nobody any more; answers given to it stay."""
    with transaction.atomic():
        if Gold.objects.filter(pk=gold.pk, retired_at__isnull=True).update(retired_at=timezone.now()):
            note(gold.study, actor, "gold retired", gold=gold.pk)


def _image(contender: Contender, study_prompt: StudyPrompt, sample: int) -> Image:
    image = Image.objects.filter(
        recipe=contender.recipe_id, prompt_digest=study_prompt.prompt.text_digest, sample=sample, is_quarantined=False
    ).first()
    if image is None:
        raise GoldError(f"{contender} has no image of this prompt yet.", code="no_image")
    return image
