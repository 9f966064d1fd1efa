"""A board as its page shows it: one question at a time, filtered, with the history of its fits."""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from arena.board_contenders import BoardContender, Cast, cast_of
from arena.board_filters import Filters
from arena.board_fitting import current_fits, saw_only
from arena.leaderboard import NOTHING, Estimate, Outcomes, TieModels
from arena.models import Board, BoardFit, Study
from generation.schedules import steps_in_words

NEW_FOR: Final = timedelta(days=14)
"""A contender is called new so long after its first fit."""
MOST_MOMENTS: Final = 120
"""Points of the history: of longer ones the last fit of each day, then of as many days apart as it takes."""
RECENT: Final = 10


@dataclass(frozen=True)
class BoardRow:
    """One contender on one question.

    place:    its line by strength among those it can be compared with
    member:   None where no study of the board has it any more
    outcomes: against the reference; None where nobody tied, in a category, and where it cannot be compared
    group:    number of the contenders that votes link it with
    """

    place: int
    identity: str
    label: str
    member: BoardContender | None
    is_reference: bool
    strength: Estimate
    against: Estimate
    outcomes: Outcomes | None
    rank_low: int | None
    rank_high: int | None
    tier: int | None
    group: int | None
    votes: int
    wins: int
    ties: int
    losses: int
    studies: int
    since: datetime | None
    is_new: bool
    is_penalised: bool

    @property
    def ranks(self) -> str:
        """As a range: "2-4"."""
        if self.rank_low is None or self.rank_high is None:
            return NOTHING
        return str(self.rank_low) if self.rank_low == self.rank_high else f"{self.rank_low}-{self.rank_high}"

    @property
    def is_withdrawn(self) -> bool:
        return self.member is not None and self.member.is_withdrawn

    @property
    def steps(self) -> int | None:
        return self.member.steps if self.member else None

    @property
    def family(self) -> str:
        return self.member.family if self.member else ""


@dataclass(frozen=True)
class StudyLine:
    """How one study stands to the pool. study: None where it was deleted or is not to be named."""

    study: Study | None
    name: str
    votes: int
    raters: int
    prompts: int
    left_share: Estimate
    p: float | None
    differs: bool
    own: Mapping[str, Estimate]


@dataclass(frozen=True)
class Moment:
    """One fit of the history. standing: by identity strength, its ends, ranks, share against the reference."""

    at: datetime
    votes: int
    studies: int
    standing: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class BoardPage:
    """Everything that is shown of one question. `choices` are what each filter may be.

    names_studies: whether it is for colleagues, and not for everybody
    is_withheld:   whether there is a fit, but of a study that has left the board since
    """

    board: Board
    question: Mapping[str, Any]
    fit: BoardFit | None
    filters: Filters
    rows: tuple[BoardRow, ...]
    shown: tuple[BoardRow, ...]
    studies: tuple[StudyLine, ...]
    history: tuple[Moment, ...]
    choices: Mapping[str, Sequence[tuple[str, str]]]
    category: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = field(default=())
    names_studies: bool = True
    is_withheld: bool = False

    @property
    def reference(self) -> BoardRow | None:
        return next((row for row in self.rows if row.is_reference), None)

    @property
    def recent(self) -> tuple[Moment, ...]:
        """The last fits, newest first."""
        return self.history[: -RECENT - 1 : -1]

    @property
    def tie_models(self) -> TieModels | None:
        """What the chances of ties come from; a category has none."""
        stored = self.fit.results.get("ties") if self.fit and self.category is None else None
        return TieModels(stored["model"], stored["log_likelihoods"]) if stored else None

    @property
    def groups(self) -> int:
        return len({row.group for row in self.rows if row.strength.value is not None})

    @property
    def votes(self) -> int:
        return self.category["votes"] if self.category else (self.fit.vote_count if self.fit else 0)

    @property
    def raters(self) -> int:
        return self.category["raters"] if self.category else (self.fit.rater_count if self.fit else 0)

    @property
    def prompts(self) -> int:
        return self.category["prompts"] if self.category else (self.fit.prompt_count if self.fit else 0)

    @property
    def agreement(self) -> str:
        """Whether the studies agree, in a sentence; empty for one study or where it cannot be told."""
        told = self.fit.results["heterogeneity"] if self.fit else None
        if told is None:
            return ""
        p = "p < 0.001" if told["p"] < 0.001 else f"p = {told['p']:.3f}"
        if told["p"] < 0.05:
            return (
                f"The studies do not agree ({p}): {100 * told['share']:.0f} % of the spread between them is more than "
                "chance (I²). Read the pooled order with that in mind."
            )
        return f"No sure sign that the studies disagree ({p}, I² {100 * told['share']:.0f} %)."


def question_of(board: Board, key: str) -> Mapping[str, Any] | None:
    """The question of this key; the first one for none; None for an unknown one."""
    if not key:
        return next(iter(board.criteria), None)
    return next((question for question in board.criteria if question["key"] == key), None)


def board_page(board: Board, question: Mapping[str, Any], filters: Filters, *, names_studies: bool = True) -> BoardPage:
    """What a board says on one question.

    Without `names_studies` it is for everybody: no study can be told by its name or address, and filters only pick
    from what is offered. Nothing is shown of a study that has left the board, to nobody.
    """
    here = {study.pk: study for study in board.studies.all()}
    studies = here if names_studies else {}
    newest = current_fits(board).get(question["key"])
    fit = newest if newest and saw_only(newest.sources, here) else None
    cast = cast_of(here.values())
    results = fit.results if fit else {"contenders": [], "categories": [], "studies": [], "reference": None}
    kinds = results["categories"] if len(results["categories"]) > 1 else []
    category = next((entry for entry in kinds if entry["name"] == filters.category), None)
    known = {entry["id"]: entry for entry in results["contenders"]}
    entries = (
        [{**known[one["id"]], **one} for one in category["contenders"]] if category else list(results["contenders"])
    )
    rows = _rows(entries, results["reference"], cast)
    choices = _choices(rows, results, studies)
    if not names_studies:
        filters = filters.among(choices)
    lines = tuple(_study_line(entry, studies, number) for number, entry in enumerate(results["studies"], start=1))
    return BoardPage(
        board=board,
        question=question,
        fit=fit,
        filters=filters,
        rows=rows,
        shown=tuple(row for row in rows if _is_shown(row, filters, known, studies)),
        studies=lines,
        history=_history(board, question["key"], here),
        choices=choices,
        category=category,
        warnings=(*_warnings(results, lines), *_left_out(cast, studies)),
        names_studies=names_studies,
        is_withheld=newest is not None and fit is None,
    )


def _rows(entries: Iterable[Mapping[str, Any]], reference: str | None, cast: Cast) -> tuple[BoardRow, ...]:
    def weight(entry: Mapping[str, Any]) -> tuple[bool, int, int, float, str]:
        strength = entry["log_strength"]
        group = entry["board"] if strength is not None else -1
        return strength is None, -sizes.get(group, 0), group, -(strength or 0.0), entry["id"]

    entries = list(entries)
    sizes: dict[int, int] = {}
    for entry in entries:
        if entry["log_strength"] is not None:
            sizes[entry["board"]] = sizes.get(entry["board"], 0) + 1
    rows: list[BoardRow] = []
    # Who was there from the beginning is not new, however young the board is.
    begin = min((entry["since"] for entry in entries if entry["since"]), default="")
    placed: dict[int | None, int] = {}
    for entry in sorted(entries, key=weight):
        group = entry["board"] if entry["log_strength"] is not None else None
        placed[group] = placed.get(group, 0) + 1
        rows.append(_row(entry, placed[group], group, reference=reference, cast=cast, begin=begin))
    return tuple(rows)


def _row(
    entry: Mapping[str, Any], place: int, group: int | None, *, reference: str | None, cast: Cast, begin: str
) -> BoardRow:
    member = cast.by_identity.get(entry["id"])
    since = parse_datetime(entry["since"]) if entry["since"] else None
    against = entry["against"]
    return BoardRow(
        place=place,
        identity=entry["id"],
        label=member.label if member else entry["label"],
        member=member,
        is_reference=entry["id"] == reference,
        strength=Estimate(entry["log_strength"], entry["low"], entry["high"]),
        against=Estimate(against["estimate"], against["low"], against["high"]),
        outcomes=_outcomes(against.get("outcomes")),
        rank_low=entry["rank_low"],
        rank_high=entry["rank_high"],
        tier=entry["tier"],
        group=group,
        votes=entry["votes"],
        wins=entry["wins"],
        ties=entry["ties"],
        losses=entry["losses"],
        studies=len(entry["studies"]),
        since=since,
        is_new=since is not None and entry["since"] > begin and since > timezone.now() - NEW_FOR,
        is_penalised="firth" in entry["flags"],
    )


def _outcomes(stored: Mapping[str, Any] | None) -> Outcomes | None:
    return Outcomes(*(Estimate(*stored[name]) for name in ("win", "tie", "loss"))) if stored else None


def _is_shown(row: BoardRow, filters: Filters, known: Mapping[str, Any], studies: Mapping[int, Study]) -> bool:
    if filters.family and row.family != filters.family:
        return False
    if filters.steps and str(row.steps) != filters.steps:
        return False
    if filters.study:
        chosen = {study.pk for study in studies.values() if study.slug == filters.study}
        if chosen and not chosen & set(known[row.identity]["studies"]):
            return False
    if filters.name:
        words = f"{row.label} {row.member.checkpoint if row.member else ''}".lower()
        if filters.name.lower() not in words:
            return False
    return row.is_new or not filters.only_new


def _study_line(entry: Mapping[str, Any], studies: Mapping[int, Study], number: int) -> StudyLine:
    study = studies.get(entry["study"])
    bias = entry["side_bias"]
    return StudyLine(
        study=study,
        name=study.name if study else f"study {number}",
        votes=entry["votes"],
        raters=entry["raters"],
        prompts=entry["prompts"],
        left_share=Estimate(None if bias is None else _expit(bias)),
        p=entry["disagreement"]["p"] if entry["disagreement"] else None,
        differs=entry["differs"],
        own={identity: Estimate(*ends) for identity, ends in entry["strengths"].items()},
    )


def _history(board: Board, key: str, here: Container[int]) -> tuple[Moment, ...]:
    """The fits that saw only studies of this board, thinned out evenly by day; never without the newest one."""
    fits = board.fits.filter(criterion_key=key).order_by("number")
    known = list(fits.values_list("pk", "created_at"))
    if len(known) > MOST_MOMENTS:
        days = {moment.date(): pk for pk, moment in known}
        kept = list(days.values())
        kept = kept[:: -(-len(kept) // MOST_MOMENTS)] if len(kept) > MOST_MOMENTS else kept
        known = [each for each in known if each[0] in {*kept, known[-1][0]}]
    rows = fits.filter(pk__in=[pk for pk, _ in known]).values_list("created_at", "vote_count", "sources", "standing")
    return tuple(
        Moment(at, votes, len(sources), standing) for at, votes, sources, standing in rows if saw_only(sources, here)
    )


def _choices(
    rows: Sequence[BoardRow], results: Mapping[str, Any], studies: Mapping[int, Study]
) -> dict[str, list[tuple[str, str]]]:
    """What each filter may be; a filter of one value is none."""
    families = sorted({row.family for row in rows if row.family})
    steps = sorted({row.steps for row in rows if row.steps is not None})
    slugs = sorted((study.name, study.slug) for study in studies.values())
    found = {
        "category": [(entry["name"], entry["name"]) for entry in results["categories"]],
        "family": [(family, family) for family in families],
        "steps": [(str(number), steps_in_words(number)) for number in steps],
        "study": [(slug, name) for name, slug in slugs],
    }
    return {name: values for name, values in found.items() if len(values) > 1}


def _warnings(results: Mapping[str, Any], lines: Sequence[StudyLine]) -> tuple[str, ...]:
    told = [*results.get("not_comparable", ()), *results.get("warnings", ())]
    differing = [line for line in lines if line.differs]
    if len(differing) == 1:
        told.append(
            f"{differing[0].name} orders its contenders otherwise than the other studies do (p {_p(differing[0].p)})."
        )
    elif differing:
        told.append(f"{' and '.join(line.name for line in differing)} order the contenders that they share otherwise.")
    return tuple(told)


def _left_out(cast: Cast, studies: Mapping[int, Study]) -> list[str]:
    """What is said of studies in which two contenders are one here; everybody is told of no name."""
    return [
        f"{studies[pk].name} is left out: two of its contenders would be one here, {label!r}."
        if pk in studies
        else "A study is left out, because two of its contenders would be one here."
        for pk, label in sorted(cast.doubled.items())
    ]


def _p(value: float | None) -> str:
    return "unknown" if value is None else "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _expit(value: float) -> float:
    return 1 / (1 + math.exp(-value))
