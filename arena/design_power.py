"""What a design can tell apart: votes of each question, the smallest difference they show, ballots for given ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from arena.pair_designs import ONE_FACTOR
from arena.planning_assumptions import Assumptions

FEWEST: Final = 3  # clusters from which a spread can be judged
ASKED_FOR: Final = (0.55, 0.6, 0.65, 0.7)


@dataclass(frozen=True)
class Question:
    """One criterion as the power sees it. votes: planned on it, in all."""

    name: str
    prompts: int
    votes: float


@dataclass(frozen=True)
class Power:
    """What the votes of one question resolve. Where they resolve nothing, `why` says what is missing.

    win_rate:        smallest decisive win rate above one half that is seen with the power wanted
    win_probability: the same with ties as half wins
    half_width:      of the interval of a decisive win rate near one half
    """

    question: Question
    design_effect: float
    win_rate: float | None = None
    win_probability: float | None = None
    half_width: float | None = None
    why: str = ""

    @property
    def percent(self) -> str:
        """The win probability for people, to a tenth."""
        return "" if self.win_probability is None else f"{round(100 * self.win_probability, 1):g}"

    def to_json(self) -> dict[str, Any]:
        return {
            "question": self.question.name,
            "prompts": self.question.prompts,
            "votes": round(self.question.votes),
            "design_effect": self.design_effect,
            "win_rate": self.win_rate,
            "win_probability": self.win_probability,
            "half_width": self.half_width,
            "why": self.why,
        }


@dataclass(frozen=True)
class Needed:
    """Ballots that it takes to see a decisive win rate; None where no number of them would do."""

    win_rate: float
    ballots: int | None

    @property
    def percent(self) -> str:
        return f"{round(100 * self.win_rate, 1):g}"


@dataclass(frozen=True)
class Field:
    """Who is compared with whom: the pair design, how many contenders and pairs it has, and what is assumed."""

    design: str
    contenders: int
    pairs: int
    assumptions: Assumptions


def power_of(questions: Sequence[Question], field: Field) -> list[Power]:
    """For each question: what two contenders must differ by to be told apart."""
    return [_power(one, field) for one in questions]


def ballots_needed(question: Question, field: Field, *, ballots: float) -> list[Needed]:
    """Ballots of the whole study for a few differences, given how many of them ask this question."""
    if not question.votes or not ballots or question.prompts < FEWEST or field.contenders < 2:
        return []
    from arena.ranking import power

    share = question.votes / ballots
    found = []
    plan, factor = _plan(question, field)
    for win_rate in ASKED_FOR:
        votes = power.votes_needed(win_rate, plan) * factor / share
        found.append(Needed(win_rate, math.ceil(votes) if math.isfinite(votes) else None))
    return found


def _power(question: Question, field: Field) -> Power:
    pairs, assumptions = field.pairs, field.assumptions
    per_cell = question.votes / (pairs * question.prompts) if pairs and question.prompts else 0.0
    effect = 1 + max(0.0, per_cell - 1) * assumptions.rho
    if question.prompts < FEWEST:
        return Power(question, effect, why=f"needs at least {FEWEST} prompts")
    if field.contenders < 2 or question.votes < 2 * max(1, pairs):
        return Power(question, effect, why="needs more votes")
    # SciPy takes a second to load: only who plans a study should wait for it, no web process at its start.
    from arena.ranking import power

    plan, factor = _plan(question, field)
    votes = question.votes / factor
    win_rate = power.smallest_difference(votes, plan)
    half_width = power.half_width(votes, plan)
    if win_rate is None:
        return Power(question, effect, half_width=half_width, why="no difference is large enough for so few votes")
    return Power(question, effect, win_rate, power.halved(win_rate, assumptions.ties), half_width)


def _plan(question: Question, field: Field) -> tuple[Any, float]:
    """A plan of the ranking, and by which factor our votes are more than its own.

    A star around the baseline and a round robin know the difference of two contenders equally well from equal votes.
    Pairs one factor apart are judged by their direct votes alone, which is less than the fit will know.
    """
    from arena.ranking import power

    is_direct, assumptions = field.design == ONE_FACTOR, field.assumptions
    plan = power.Plan(
        contenders=2 if is_direct else field.contenders,
        level=assumptions.level,
        power=assumptions.power,
        ties=assumptions.ties,
        prompts=question.prompts,
        raters=assumptions.raters,
        rho=assumptions.rho,
        rater_rho=assumptions.rater_rho,
    )
    return plan, float(field.pairs) if is_direct else 1.0
