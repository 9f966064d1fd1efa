"""What a study may say about the way to its first ballot: instructions, questions, qualification, sign-in.

The rules are part of the study's rater rules. An entry that is left out takes its default when it is read, so that
studies opened before there was such an entry keep their frozen design. Instructions are on by default, but a study that
was opened without them goes on without: the default is written into the rules of every study that is made or opened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeGuard, TypeVar

from arena.models import Study, Vote
from arena.refusals import StudyError

PHASE_RULES: Final = frozenset(
    {"instructions", "instructions_again_after_hours", "examples", "screening", "qualification", "requires_login"}
)
AGAIN_AFTER_HOURS: Final = 24.0
BAR: Final = 0.75
BALLOTS: Final = 10
ATTEMPTS: Final = 2
MOST_ATTEMPTS: Final = 5
Row = TypeVar("Row")
CHOICES: Final = tuple(choice.value for choice in Vote.Choice if choice != Vote.Choice.SKIP)


@dataclass(frozen=True)
class Example:
    """Two images of one prompt of the study, with the answer that its owner holds right and why.

    prompt: place of the prompt in the study, from 1; left, right: labels of contenders
    """

    criterion: str
    prompt: int
    left: str
    right: str
    answer: str
    why: str


@dataclass(frozen=True)
class Question:
    """A screening question; who answers outside `allowed` is not asked further."""

    key: str
    text: str
    choices: tuple[str, ...]
    allowed: frozenset[str]


@dataclass(frozen=True)
class Task:
    """A pair with known answers (criterion key -> choice), as left and right stand here."""

    prompt: int
    left: str
    right: str
    answers: dict[str, str]


@dataclass(frozen=True)
class Qualification:
    """How many of `ballots` known pairs must be right: the share `bar`; how often one may try.

    gold: whether reviewed known answers of the study are among the pairs, beside `tasks` or without any
    """

    tasks: tuple[Task, ...]
    ballots: int = BALLOTS
    bar: float = BAR
    attempts: int = ATTEMPTS
    gold: bool = False

    @property
    def needed(self) -> int:
        """How many right answers pass."""
        return next(right for right in range(self.ballots + 1) if right >= self.bar * self.ballots - 1e-9)


@dataclass(frozen=True)
class PhaseRules:
    """The rules of a study, defaults filled in."""

    has_instructions: bool = False
    again_after_hours: float = AGAIN_AFTER_HOURS
    examples: tuple[Example, ...] = ()
    screening: tuple[Question, ...] = ()
    qualification: Qualification | None = None
    requires_login: bool = False


def rules_of(study: Study) -> PhaseRules:
    """The phase rules of a study. They were checked when they were written."""
    return _read(study.rater_rules)


def check_phase_rules(rules: dict[str, Any]) -> None:
    """Whether `rules_of` can read these; a StudyError names the entry that it cannot."""
    _read(rules)


def check_against_study(study: Study) -> None:
    """Whether the examples and tasks name prompts, contenders and criteria of the study, answered as it allows."""
    rules = rules_of(study)
    prompts = study.study_prompts.count()
    asked = {
        (position + 1, key) for position, key in study.study_prompts.values_list("position", "criteria__key") if key
    }
    labels = set(study.contenders.filter(withdrawn_at__isnull=True).values_list("label", flat=True))
    offered = {criterion.key: _offered(criterion) for criterion in study.criteria.all()}
    for number, example in enumerate(rules.examples, start=1):
        place = f"Example {number} (rater_rules.examples)"
        _check_pair(place, example, prompts=prompts, labels=labels)
        _check_answer(place, example.criterion, example.answer, offered=offered)
        _check_asked(place, example.prompt, example.criterion, asked=asked)
    for number, task in enumerate(rules.qualification.tasks if rules.qualification else (), start=1):
        place = f"Task {number} (rater_rules.qualification.tasks)"
        _check_pair(place, task, prompts=prompts, labels=labels)
        for key, answer in task.answers.items():
            _check_answer(place, key, answer, offered=offered)
            _check_asked(place, task.prompt, key, asked=asked)


def _offered(criterion: Any) -> set[str]:
    offered = {"left", "right"}
    if criterion.allows_tie:
        offered.add("tie")
    if criterion.allows_both_bad:
        offered.add("both_bad")
    return offered


def _check_pair(place: str, pair: Example | Task, *, prompts: int, labels: set[str]) -> None:
    if pair.prompt > prompts:
        raise _refusal(f"{place} names prompt {pair.prompt}, but the study has {prompts}.", "unknown_prompt")
    for label in (pair.left, pair.right):
        if label not in labels:
            known = ", ".join(sorted(labels))
            raise _refusal(f"{place} names the contender {label!r}; the study has {known}.", "unknown_contender")


def _check_answer(place: str, key: str, answer: str, *, offered: dict[str, set[str]]) -> None:
    if key not in offered:
        raise _refusal(f"{place} names the criterion {key!r}; known are {', '.join(offered)}.", "unknown_criterion")
    if answer not in offered[key]:
        raise _refusal(
            f"{place} answers {key!r} with {answer!r}, which it does not offer: choose one of "
            f"{', '.join(sorted(offered[key]))}.",
            "unknown_answer",
        )


def _check_asked(place: str, prompt: int, key: str, *, asked: set[tuple[int, str]]) -> None:
    if (prompt, key) not in asked:
        raise _refusal(f"{place}: {key!r} is not asked of prompt {prompt}: choose another prompt.", "not_asked")


def _read(rules: dict[str, Any]) -> PhaseRules:
    hours = rules.get("instructions_again_after_hours", AGAIN_AFTER_HOURS)
    if not _is_number(hours) or hours <= 0:
        raise _refusal("“instructions_again_after_hours” must be a number of hours above 0.", "bad_hours")
    return PhaseRules(
        has_instructions=_flag(rules, "instructions", default=False),
        again_after_hours=float(hours),
        examples=_rows(rules, "examples", _example),
        screening=_questions(rules),
        qualification=_qualification(rules.get("qualification")),
        requires_login=_flag(rules, "requires_login", default=False),
    )


def _example(row: dict[str, Any], place: str) -> Example:
    _only(row, {"criterion", "prompt", "left", "right", "answer", "why"}, place)
    return Example(
        criterion=_text(row, "criterion", place),
        prompt=_count(row, "prompt", place),
        left=_text(row, "left", place),
        right=_other(row, place),
        answer=_choice(row.get("answer"), place),
        why=_text(row, "why", place),
    )


def _questions(rules: dict[str, Any]) -> tuple[Question, ...]:
    questions = _rows(rules, "screening", _question)
    keys = [question.key for question in questions]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise _refusal(f"Two questions in “screening” have the key {twice!r}: rename one.", "twice")
    return questions


def _question(row: dict[str, Any], place: str) -> Question:
    _only(row, {"key", "question", "choices", "allowed"}, place)
    choices, allowed = row.get("choices"), row.get("allowed")
    if not _is_texts(choices) or len(choices) < 2 or len(set(choices)) < len(choices):
        raise _refusal(f"{place}: “choices” must be a list of at least two different answers.", "bad_choices")
    if not _is_texts(allowed) or not allowed or not set(allowed) <= set(choices):
        raise _refusal(f"{place}: “allowed” must name at least one of its choices, and nothing else.", "bad_allowed")
    return Question(
        key=_text(row, "key", place),
        text=_text(row, "question", place),
        choices=tuple(choices),
        allowed=frozenset(allowed),
    )


def _qualification(said: object) -> Qualification | None:
    if said is None:
        return None
    if not isinstance(said, dict):
        raise _refusal("“qualification” must be an object with “tasks”, or null for none.", "bad_qualification")
    place = "“qualification”"
    _only(said, {"tasks", "gold", "ballots", "bar", "attempts"}, place)
    tasks = _rows(said, "tasks", _task)
    gold = said.get("gold", False)
    if not isinstance(gold, bool):
        raise _refusal("“qualification.gold” must be true or false.", "bad_flag")
    usual = BALLOTS if gold else min(BALLOTS, max(1, len(tasks)))
    ballots = _count(said, "ballots", place) if "ballots" in said else usual
    if len(tasks) < ballots and not gold:
        raise _refusal(
            f"“qualification” asks {ballots} pairs but names {len(tasks)} in “tasks”: add tasks, lower “ballots”, or "
            "set “gold” to true to draw on the study's known answers.",
            "too_few_tasks",
        )
    bar, attempts = said.get("bar", BAR), said.get("attempts", ATTEMPTS)
    if not _is_number(bar) or not 0 < bar <= 1:
        raise _refusal("“qualification.bar” must be a share above 0 and up to 1, like 0.75.", "bad_bar")
    if not _is_whole(attempts) or not 1 <= attempts <= MOST_ATTEMPTS:
        raise _refusal(f"“qualification.attempts” must be a whole number from 1 to {MOST_ATTEMPTS}.", "bad_attempts")
    return Qualification(tasks=tasks, ballots=ballots, bar=float(bar), attempts=attempts, gold=gold)


def _task(row: dict[str, Any], place: str) -> Task:
    _only(row, {"prompt", "left", "right", "answers"}, place)
    answers = row.get("answers")
    if not isinstance(answers, dict) or not answers:
        raise _refusal(f"{place}: “answers” must map at least one criterion to its right answer.", "bad_answers")
    return Task(
        prompt=_count(row, "prompt", place),
        left=_text(row, "left", place),
        right=_other(row, place),
        answers={str(key): _choice(choice, place) for key, choice in answers.items()},
    )


def _rows(rules: dict[str, Any], name: str, read: Callable[[dict[str, Any], str], Row]) -> tuple[Row, ...]:
    rows = rules.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _refusal(f"“{name}” must be a list of objects.", "bad_list")
    return tuple(read(row, f"Entry {number} of “{name}”") for number, row in enumerate(rows, start=1))


def _only(row: dict[str, Any], known: set[str], place: str) -> None:
    if unknown := sorted(set(row) - known):
        raise _refusal(f"{place} has an unknown entry {unknown[0]!r}; known are {', '.join(sorted(known))}.", "unknown")


def _flag(rules: dict[str, Any], name: str, *, default: bool) -> bool:
    said = rules.get(name, default)
    if not isinstance(said, bool):
        raise _refusal(f"“{name}” must be true or false.", "bad_flag")
    return said


def _text(row: dict[str, Any], name: str, place: str) -> str:
    said = row.get(name)
    if not isinstance(said, str) or not said.strip():
        raise _refusal(f"{place}: “{name}” must be a text.", "bad_text")
    return said


def _other(row: dict[str, Any], place: str) -> str:
    right = _text(row, "right", place)
    if right == row.get("left"):
        raise _refusal(f"{place} puts {right!r} beside itself: name two contenders.", "same_contender")
    return right


def _count(row: dict[str, Any], name: str, place: str) -> int:
    said = row.get(name)
    if not isinstance(said, int) or isinstance(said, bool) or said < 1:
        raise _refusal(f"{place}: “{name}” must be a whole number above 0.", "bad_number")
    return said


def _choice(said: object, place: str) -> str:
    if said not in CHOICES:
        raise _refusal(f"{place}: an answer must be one of {', '.join(CHOICES)}.", "bad_answer")
    return str(said)


def _is_number(said: object) -> bool:
    return isinstance(said, int | float) and not isinstance(said, bool)


def _is_whole(said: object) -> bool:
    return isinstance(said, int) and not isinstance(said, bool)


def _is_texts(said: object) -> TypeGuard[list[str]]:
    return isinstance(said, list) and all(isinstance(text, str) and text.strip() for text in said)


def _refusal(sentence: str, code: str) -> StudyError:
    return StudyError(sentence, code=code, field="rater_rules")
