"""What the vote page shows of a ballot: prompt, two opaque image addresses, questions. No contender, no order."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.urls import reverse

from arena.models import Ballot, Criterion, Vote
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

    @property
    def key_first(self) -> bool:
        return self.value != Vote.Choice.RIGHT

    @property
    def stacked_label(self) -> str:
        """On a phone the left image stands above the right one."""
        return {Vote.Choice.LEFT.value: "Upper", Vote.Choice.RIGHT.value: "Lower"}.get(self.value, self.label)


@dataclass(frozen=True)
class QuestionRow:
    """A question of the study. One that this prompt is not asked keeps its empty row, so that nothing moves."""

    key: str
    name: str
    question: str
    options: tuple[Option, ...]
    is_asked: bool
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

    @property
    def prompt_length(self) -> str:
        length = sum(len(part.text) for part in self.prompt_parts)
        return "long" if length > LONG_PROMPT else "medium" if length > MEDIUM_PROMPT else "short"

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
    """The page of an open ballot; `criteria` are all of the study's, `chosen` what a refused form already said."""
    prompt = ballot.study_prompt.prompt
    asked = {criterion.pk for criterion in ballot.study_prompt.criteria.all()}
    first = next((criterion.pk for criterion in criteria if criterion.pk in asked), None)
    return BallotPage(
        token=ballot.token,
        prompt_parts=prompt_parts(prompt.text, prompt.target_text),
        left_url=reverse("arena:ballot_image", args=[ballot.token, "left"]),
        right_url=reverse("arena:ballot_image", args=[ballot.token, "right"]),
        rows=tuple(
            QuestionRow(
                key=criterion.key,
                name=criterion.name,
                question=criterion.question,
                options=_options(criterion, chosen=(chosen or {}).get(criterion.key, "")),
                is_asked=criterion.pk in asked,
                is_first=criterion.pk == first,
            )
            for criterion in criteria
        ),
    )


def prompt_parts(text: str, target: str | None) -> tuple[PromptPart, ...]:
    """The prompt with the text to spell set off; where the prompt does not contain it, it follows at the end."""
    if not target:
        return (PromptPart(text),)
    before, found, after = text.partition(target)
    if not found:
        return PromptPart(f"{text} Text to show: "), PromptPart(target, is_target=True)
    parts = PromptPart(before), PromptPart(found, is_target=True), PromptPart(after)
    return tuple(part for part in parts if part.text)


def progress_line(progress: RaterProgress) -> ProgressLine:
    """Like "12 of 40 · about 3 min left"."""
    if progress.quota is None:
        return ProgressLine(text=f"{progress.answered} answered", answered=progress.answered, wanted=None)
    text = f"{progress.answered} of {progress.quota}"
    if progress.minutes_left:
        minutes = max(1, round(progress.minutes_left))
        text += f" · about {minutes} min left"
    return ProgressLine(text=text, answered=progress.answered, wanted=progress.quota)


def _options(criterion: Criterion, *, chosen: str) -> tuple[Option, ...]:
    """Left at the left, right at the right, what favours neither between them."""
    offered = [(Vote.Choice.LEFT, "Left", "←", "ArrowLeft")]
    if criterion.allows_tie:
        offered.append((Vote.Choice.TIE, "Tie", "↓", "ArrowDown"))
    if criterion.allows_both_bad:
        offered.append((Vote.Choice.BOTH_BAD, "Both bad", "B", "B"))
    offered.append((Vote.Choice.RIGHT, "Right", "→", "ArrowRight"))
    return tuple(
        Option(value=value, label=label, key=key, shortcut=shortcut, is_chosen=chosen == value)
        for value, label, key, shortcut in offered
    )
