"""Pairs with known answers before the first real one: handing them out, and how an attempt went.

The pairs are tasks of the study's rules and, where these say so, its reviewed known answers. How a rater stands follows
from their answers alone; nothing here is stored twice. These ballots never enter a fit.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Max, QuerySet
from django.utils import timezone

from arena import display, gold
from arena.models import Ballot, BallotCheck, Gold, Rater, Study, Vote
from arena.phase_rules import Qualification, Task, rules_of
from arena.supply import live_contenders
from generation.models import Image

RULE = "qualification"
_OTHER_SIDE = {"left": "right", "right": "left"}
PairKey = int | tuple[int, frozenset[str]]  # a known answer by its id, a task by prompt and contenders
Side = tuple[int, Image]


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
    answered = _named(_ballots(rater).filter(state=Ballot.State.ANSWERED)).prefetch_related("votes__criterion")
    right = [_is_right(ballot, task_of) for ballot in answered.order_by("position")]
    whole = len(right) // rule.ballots
    chunks = (right[index * rule.ballots : (index + 1) * rule.ballots] for index in range(whole))
    return QualificationStanding(
        rule=rule, right_by_attempt=tuple(sum(chunk) for chunk in chunks), answered_now=len(right) % rule.ballots
    )


def lacking_pairs(study: Study) -> int:
    """How many known pairs are still to be reviewed before anybody can begin an attempt."""
    rule = rules_of(study).qualification
    if rule is None or not rule.gold:
        return 0
    return max(0, rule.ballots - len(_tasks(study, rule)) - gold.in_use(study).count())


def issue(*, rater: Rater, most: int, lease: timedelta) -> int:
    """Put up to `most` further known pairs of this attempt before the rater, sides drawn by lot; returns how many.

    The caller holds the rater's row. Pairs that the rater has answered come again only when there are no others.
    """
    standing = standing_of(rater)
    if standing is None:
        return 0
    study = rater.study
    waiting = [_key_of(ballot) for ballot in _named(_ballots(rater).filter(state=Ballot.State.OPEN))]
    before = _named(_ballots(rater).filter(state=Ballot.State.ANSWERED).order_by("position"))
    answered = [_key_of(ballot) for ballot in before]
    now = answered[len(answered) - standing.answered_now :]
    pairs: dict[PairKey, Task | Gold] = {
        _key(task.prompt, task.left, task.right): task for task in _tasks(study, standing.rule)
    }
    if standing.rule.gold:
        pairs |= {one.pk: one for one in gold.in_use(study).select_related("first_image", "second_image")}
    keys = [key for key in pairs if key not in waiting]
    secrets.SystemRandom().shuffle(keys)
    keys.sort(key=lambda key: (key in now, key in answered))
    last = Ballot.objects.filter(rater=rater).aggregate(last=Max("position"))["last"] or 0
    wanted = min(most, standing.rule.ballots - standing.answered_now - len(waiting))
    issued = 0
    for key in keys:
        if issued >= wanted:
            break
        issued += _put(pairs[key], rater=rater, position=last + 1 + issued, lease=lease)
    return issued


def _ballots(rater: Rater) -> QuerySet[Ballot]:
    return Ballot.objects.filter(rater=rater, purpose=Ballot.Purpose.QUALIFICATION)


def _tasks(study: Study, rule: Qualification) -> list[Task]:
    """Tasks whose contenders are both in the study still."""
    labels = set(live_contenders(study).values_list("label", flat=True))
    return [task for task in rule.tasks if {task.left, task.right} <= labels]


def _put(known: Task | Gold, *, rater: Rater, position: int, lease: timedelta) -> bool:
    """One known pair as a ballot, unless one of its images cannot be shown (yet)."""
    found = _sides_of_gold(known) if isinstance(known, Gold) else _sides_of_task(rater.study, known)
    if found is None:
        return False
    study_prompt, sides = found
    left, right = sides if secrets.randbelow(2) else sides[::-1]
    ballot = Ballot.objects.create(
        study=rater.study,
        rater=rater,
        study_prompt_id=study_prompt,
        left_contender_id=left[0],
        right_contender_id=right[0],
        left_image=left[1],
        right_image=right[1],
        stratum=rater.stratum,
        purpose=Ballot.Purpose.QUALIFICATION,
        rule=RULE,
        position=position,
        lease_until=timezone.now() + lease,
    )
    if isinstance(known, Gold):
        BallotCheck.objects.create(ballot=ballot, gold=known)
    return True


def _sides_of_task(study: Study, task: Task) -> tuple[int, list[Side]] | None:
    row = study.study_prompts.select_related("prompt").get(position=task.prompt - 1)
    sides = []
    for label in (task.left, task.right):
        contender = study.contenders.get(label=label)
        image = shown_image(study, recipe=contender.recipe_id, digest=row.prompt.text_digest)
        if image is None:
            return None
        sides.append((contender.pk, image))
    return row.pk, sides


def _sides_of_gold(known: Gold) -> tuple[int, list[Side]] | None:
    sides = [(known.first_contender_id, known.first_image), (known.second_contender_id, known.second_image)]
    shown = display.with_copies(Image.objects.filter(pk__in=[image.pk for _, image in sides]), study=known.study)
    return (known.study_prompt_id, sides) if shown.count() == len(sides) else None


def shown_image(study: Study, *, recipe: int, digest: str) -> Image | None:
    """The first sample of a recipe and prompt that raters can be shown."""
    images = Image.objects.filter(recipe=recipe, prompt_digest=digest, is_quarantined=False)
    return display.with_copies(images, study=study).order_by("sample").first()


def _is_right(ballot: Ballot, task_of: dict[PairKey, Task]) -> bool:
    """Whether every known answer was given. A skip is none."""
    said = {vote.criterion.key: vote.choice for vote in ballot.votes.all()}
    if (known := _gold_of(ballot)) is not None:
        is_first_left = ballot.left_image_id == known.first_image_id
        return all(
            said.get(key, Vote.Choice.SKIP) != Vote.Choice.SKIP
            and gold.answer_said(said[key], is_first_left=is_first_left) == answer
            for key, answer in known.answers.items()
        )
    task = task_of.get(_key_of(ballot))
    if task is None:
        return False
    is_turned = ballot.left_contender.label != task.left
    return all(said.get(key) == _known(answer, is_turned=is_turned) for key, answer in task.answers.items())


def _known(answer: str, *, is_turned: bool) -> str:
    return _OTHER_SIDE.get(answer, answer) if is_turned else answer


def _named(ballots: QuerySet[Ballot]) -> QuerySet[Ballot]:
    return ballots.select_related("study_prompt", "left_contender", "right_contender", "check_against__gold")


def _gold_of(ballot: Ballot) -> Gold | None:
    check: BallotCheck | None = getattr(ballot, "check_against", None)
    return check.gold if check is not None else None


def _key(prompt: int, *labels: str) -> PairKey:
    return prompt, frozenset(labels)


def _key_of(ballot: Ballot) -> PairKey:
    if (known := _gold_of(ballot)) is not None:
        return known.pk
    return _key(ballot.study_prompt.position + 1, ballot.left_contender.label, ballot.right_contender.label)
