"""What the vote page shows of a ballot: prompt, two opaque image addresses, questions. No contender, no order."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from arena import asked, first_questions
from arena.models import Ballot, Criterion, Vote
from arena.phase_rules import rules_of
from arena.raters import RaterProgress

MEDIUM_PROMPT = 75  # characters that fit two lines on a phone
LONG_PROMPT = 140  # characters that fit two lines on a desk; a longer one opens on hover, focus or touch
FIELD_PREFIX = "answer."


@dataclass(frozen=True)
class PromptPart:
    """A stretch of the prompt; the text that the picture must spell is set off."""

    text: str
    is_target: bool = False


@dataclass(frozen=True)
class Option:
    """One button of a question, with the key that presses it."""

    value: str
    label: str
    key: str
    shortcut: str
    is_chosen: bool
    number: int

    @property
    def key_first(self) -> bool:
        return self.value != Vote.Choice.RIGHT

    @property
    def stacked_label(self) -> str:
        """On a phone the left image stands above the right one."""
        return {Vote.Choice.LEFT.value: _("Upper"), Vote.Choice.RIGHT.value: _("Lower")}.get(self.value, self.label)


@dataclass(frozen=True)
class QuestionRow:
    """A question of the study. One that is not asked (of this prompt, or not yet) keeps its empty row, so that nothing
    moves; one that was answered before the prompt was shown keeps its answer (`is_kept`)."""

    key: str
    name: str
    question: str
    options: tuple[Option, ...]
    is_asked: bool
    is_kept: bool
    is_first: bool

    @property
    def field(self) -> str:
        return FIELD_PREFIX + self.key


@dataclass(frozen=True)
class BallotPage:
    """Everything the template of a ballot reads."""

    token: str
    prompt_parts: tuple[PromptPart, ...]
    left_url: str
    right_url: str
    rows: tuple[QuestionRow, ...]
    is_first_step: bool
    hides_prompt: bool
    is_one_at_a_time: bool
    has_instructions: bool
    prompt_length: str

    @property
    def is_long(self) -> bool:
        return self.prompt_length == "long"


@dataclass(frozen=True)
class ProgressLine:
    """How far a rater is, in words and for the bar."""

    text: str
    answered: int
    wanted: int | None


def page_of(ballot: Ballot, *, criteria: list[Criterion], chosen: Mapping[str, str] | None = None) -> BallotPage:
    """The page of an open ballot; `criteria` are all of the study's, `chosen` what a refused form already said.

    Questions that hide the prompt come first, and while they wait the page holds neither prompt nor other questions.
    """
    prompt, is_first_step = ballot.study_prompt.prompt, first_questions.is_in_first_step(ballot)
    hides_prompt = first_questions.hides_prompt(ballot)
    parts = () if hides_prompt else prompt_parts(prompt.text, prompt.target_text)
    return BallotPage(
        token=ballot.token,
        prompt_parts=parts,
        left_url=reverse("arena:ballot_image", args=[ballot.token, "left"]),
        right_url=reverse("arena:ballot_image", args=[ballot.token, "right"]),
        rows=_rows(ballot, criteria, {**(chosen or {}), **(ballot.first_answers or {})}, is_first_step=is_first_step),
        is_first_step=is_first_step,
        hides_prompt=hides_prompt,
        is_one_at_a_time=bool(ballot.study.rater_rules.get("one_question_at_a_time", False)),
        has_instructions=rules_of(ballot.study).has_instructions,
        prompt_length=_length_of(parts),
    )


def _length_of(parts: tuple[PromptPart, ...]) -> str:
    length = sum(len(part.text) for part in parts)
    return "long" if length > LONG_PROMPT else "medium" if length > MEDIUM_PROMPT else "short"


def _rows(
    ballot: Ballot, criteria: list[Criterion], chosen: Mapping[str, str], *, is_first_step: bool
) -> tuple[QuestionRow, ...]:
    applies = {criterion.pk for criterion in asked.asked_on(ballot)}
    kept = set(ballot.first_answers or {})
    now = [
        criterion.pk
        for criterion in sorted(criteria, key=lambda criterion: criterion.shows_prompt)
        if criterion.pk in applies and criterion.key not in kept and not (is_first_step and criterion.shows_prompt)
    ]
    return tuple(
        QuestionRow(
            key=criterion.key,
            name=criterion.name,
            question=criterion.question,
            options=_options(criterion, chosen=chosen.get(criterion.key, "")),
            is_asked=criterion.pk in now,
            is_kept=criterion.pk in applies and criterion.key in kept,
            is_first=criterion.pk in now[:1],
        )
        for criterion in sorted(criteria, key=lambda criterion: criterion.shows_prompt)
    )


def prompt_parts(text: str, target: str | None) -> tuple[PromptPart, ...]:
    """The prompt with the text to spell set off; where the prompt does not contain it, it follows at the end."""
    if not target:
        return (PromptPart(text),)
    before, found, after = text.partition(target)
    if not found:
        follows = _("{text} Text to show:").format(text=text)
        return PromptPart(f"{follows} "), PromptPart(target, is_target=True)
    parts = PromptPart(before), PromptPart(found, is_target=True), PromptPart(after)
    return tuple(part for part in parts if part.text)


def progress_line(progress: RaterProgress) -> ProgressLine:
    """Like "12 of 40 · about 3 min left"."""
    if progress.quota is None:
        text = _("{answered} answered").format(answered=progress.answered)
        return ProgressLine(text=text, answered=progress.answered, wanted=None)
    text = _("{answered} of {wanted}").format(answered=progress.answered, wanted=progress.quota)
    if progress.minutes_left:
        minutes = max(1, round(progress.minutes_left))
        left = ngettext("about {minutes} min left", "about {minutes} min left", minutes).format(minutes=minutes)
        text = f"{text} · {left}"
    return ProgressLine(text=text, answered=progress.answered, wanted=progress.quota)


def _options(criterion: Criterion, *, chosen: str) -> tuple[Option, ...]:
    """Left at the left, right at the right, what favours neither between them."""
    offered = [(Vote.Choice.LEFT, _("Left"), "←", "ArrowLeft")]
    if criterion.allows_tie:
        offered.append((Vote.Choice.TIE, _("Tie"), "↓", "ArrowDown"))
    if criterion.allows_both_bad:
        offered.append((Vote.Choice.BOTH_BAD, _("Both bad"), "B", "B"))
    offered.append((Vote.Choice.RIGHT, _("Right"), "→", "ArrowRight"))
    return tuple(
        Option(
            value=value, label=label, key=key, shortcut=f"{shortcut} {number}", is_chosen=chosen == value, number=number
        )
        for number, (value, label, key, shortcut) in enumerate(offered, start=1)
    )
