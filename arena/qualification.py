"""Pairs with known answers before the first real one: handing them out, and how an attempt went.

How a rater stands follows from their answers alone; nothing here is stored twice. These ballots never enter a fit.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Max, QuerySet
from django.utils import timezone

from arena import display
from arena.models import Ballot, Rater, Study
from arena.phase_rules import Qualification, Task, rules_of
from generation.models import Image

RULE = "qualification"
_OTHER_SIDE = {"left": "right", "right": "left"}
PairKey = tuple[int, frozenset[str]]


@dataclass(frozen=True)
class QualificationStanding:
    """Where a rater is: complete attempts, each with its number of right answers, and answers in the one under way."""

    rule: Qualification
    right_by_attempt: tuple[int, ...]
    answered_now: int

    @property
    def is_passed(self) -> bool:
        return any(right >= self.rule.needed for right in self.right_by_attempt)

    @property
    def is_failed(self) -> bool:
        return not self.is_passed and len(self.right_by_attempt) >= self.rule.attempts

    @property
    def attempts_left(self) -> int:
        return max(0, self.rule.attempts - len(self.right_by_attempt))


def standing_of(rater: Rater) -> QualificationStanding | None:
    """How the rater's attempts went; None where the study asks for no qualification."""
    rule = rules_of(rater.study).qualification
    if rule is None:
        return None
    task_of = {_key(task.prompt, task.left, task.right): task for task in rule.tasks}
    ballots = (
        Ballot.objects.filter(rater=rater, purpose=Ballot.Purpose.QUALIFICATION, state=Ballot.State.ANSWERED)
        .select_related("study_prompt", "left_contender", "right_contender")
        .prefetch_related("votes__criterion")
        .order_by("position")
    )
    right = [_is_right(ballot, task_of.get(_key_of(ballot))) for ballot in ballots]
    whole = len(right) // rule.ballots
    chunks = (right[index * rule.ballots : (index + 1) * rule.ballots] for index in range(whole))
    return QualificationStanding(
        rule=rule, right_by_attempt=tuple(sum(chunk) for chunk in chunks), answered_now=len(right) % rule.ballots
    )


def issue(*, rater: Rater, most: int, lease: timedelta) -> int:
    """Put up to `most` further known pairs of this attempt before the rater, sides drawn by lot; returns how many.

    The caller holds the rater's row. Pairs of earlier attempts come again only when there are no others.
    """
    standing = standing_of(rater)
    if standing is None:
        return 0
    ballots = Ballot.objects.filter(rater=rater, purpose=Ballot.Purpose.QUALIFICATION)
    waiting = [_key_of(ballot) for ballot in _named(ballots.filter(state=Ballot.State.OPEN))]
    answered = [_key_of(ballot) for ballot in _named(ballots.filter(state=Ballot.State.ANSWERED).order_by("position"))]
    now = set(waiting) | set(answered[len(answered) - standing.answered_now :])
    tasks = [task for task in standing.rule.tasks if _key(task.prompt, task.left, task.right) not in now]
    secrets.SystemRandom().shuffle(tasks)
    tasks.sort(key=lambda task: _key(task.prompt, task.left, task.right) in answered)
    last = Ballot.objects.filter(rater=rater).aggregate(last=Max("position"))["last"] or 0
    wanted = min(most, standing.rule.ballots - standing.answered_now - len(waiting))
    issued = 0
    for task in tasks:
        if issued >= wanted:
            break
        issued += _put(task, rater=rater, position=last + 1 + issued, lease=lease)
    return issued


def _put(task: Task, *, rater: Rater, position: int, lease: timedelta) -> bool:
    """One known pair as a ballot, unless one of its images cannot be shown (yet)."""
    study = rater.study
    row = study.study_prompts.select_related("prompt").get(position=task.prompt - 1)
    sides = [task.left, task.right] if secrets.randbelow(2) else [task.right, task.left]
    contenders = [study.contenders.get(label=label) for label in sides]
    images = [shown_image(study, recipe=contender.recipe_id, digest=row.prompt.text_digest) for contender in contenders]
    if images[0] is None or images[1] is None:
        return False
    Ballot.objects.create(
        study=study,
        rater=rater,
        study_prompt=row,
        left_contender=contenders[0],
        right_contender=contenders[1],
        left_image=images[0],
        right_image=images[1],
        stratum=rater.stratum,
        purpose=Ballot.Purpose.QUALIFICATION,
        rule=RULE,
        position=position,
        lease_until=timezone.now() + lease,
    )
    return True


def shown_image(study: Study, *, recipe: int, digest: str) -> Image | None:
    """The first sample of a recipe and prompt that raters can be shown."""
    images = Image.objects.filter(recipe=recipe, prompt_digest=digest, is_quarantined=False)
    return display.with_copies(images, study=study).order_by("sample").first()


def _is_right(ballot: Ballot, task: Task | None) -> bool:
    """Whether every known answer was given. A skip is none."""
    if task is None:
        return False
    is_turned = ballot.left_contender.label != task.left
    known = {key: _known(answer, is_turned=is_turned) for key, answer in task.answers.items()}
    said = {vote.criterion.key: vote.choice for vote in ballot.votes.all()}
    return all(said.get(key) == answer for key, answer in known.items())


def _known(answer: str, *, is_turned: bool) -> str:
    return _OTHER_SIDE.get(answer, answer) if is_turned else answer


def _named(ballots: QuerySet[Ballot]) -> QuerySet[Ballot]:
    return ballots.select_related("study_prompt", "left_contender", "right_contender")


def _key(prompt: int, *labels: str) -> PairKey:
    return prompt, frozenset(labels)


def _key_of(ballot: Ballot) -> PairKey:
    return _key(ballot.study_prompt.position + 1, ballot.left_contender.label, ballot.right_contender.label)
