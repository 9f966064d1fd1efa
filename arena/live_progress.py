"""How a study is doing right now: votes an hour, who is shown where how often, which pairs lack votes, when it ends."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import combinations
from typing import Any, Final

from django.db.models import Sum
from django.utils import timezone

from arena import judging, leaderboard, studies, targets
from arena.leaderboard import CriterionResults
from arena.models import Contender, PairExposure, Study, Vote
from arena.studies import Readiness
from arena.supply import asked_prompts, live_contenders
from arena.targets import TargetProgress
from arena.trust_panel import StopRule, trust_panel
from arena.vote_snapshot import PEOPLE
from generation import planning
from generation.planning import RunProgress

HOURS: Final = 24
NEWEST: Final = 20_000
"""Votes read for the hours: more than a day of most studies, and no more work for those of millions."""
MOST_CELLS: Final = 4_000
FARTHEST: Final = timedelta(days=365)
_LEAN: Final = 3.0
# A rate is taken over so many hours at least: over all votes of a day, and over the newest where they were too many.
_LEAST_HOURS: Final = 1.0
_LEAST_HOURS_OF_NEWEST: Final = 1 / 60


@dataclass(frozen=True)
class Hour:
    """One hour and the votes in it, by people and by others."""

    begins: datetime
    people: int
    others: int

    @property
    def votes(self) -> int:
        return self.people + self.others


@dataclass(frozen=True)
class Pace:
    """The last hours, oldest first; an_hour is the rate since the first vote among them, None without votes.

    is_cut: there were more votes than the newest that are read, so that the first hour is told in part only
    """

    hours: tuple[Hour, ...]
    an_hour: float | None
    raters_last_hour: int
    last_vote: datetime | None
    is_cut: bool = False


@dataclass(frozen=True)
class SideCount:
    """How often a contender was seen on each side, by the votes of a fit."""

    contender: Contender
    left: int
    right: int

    @property
    def votes(self) -> int:
        return self.left + self.right

    @property
    def left_share(self) -> float | None:
        return self.left / self.votes if self.votes else None

    @property
    def leans(self) -> bool:
        """Whether a fair coin would hardly ever come out like this."""
        return bool(self.votes) and abs(self.left - self.right) > _LEAN * math.sqrt(self.votes)


@dataclass(frozen=True)
class CoverageRow:
    """A pair of contenders and its ballots by people on each prompt, in the order of the prompts; or in all."""

    one: Contender
    other: Contender
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)

    @property
    def label(self) -> str:
        return f"{self.one.label} · {self.other.label}"


@dataclass(frozen=True)
class Coverage:
    """Ballots issued here to people, open or answered.

    by_prompt: whether counts are by prompt or of the pair alone
    unlisted:  counts of the pairs that are too many to have rows
    """

    rows: tuple[CoverageRow, ...]
    prompts: int
    by_prompt: bool
    unlisted: tuple[int, ...] = ()

    @cached_property
    def counts(self) -> tuple[int, ...]:
        return self.unlisted or tuple(count for row in self.rows for count in row.counts)

    @property
    def empty(self) -> int:
        """Pairs on a prompt, or pairs, that nobody has seen yet."""
        return self.counts.count(0)

    @property
    def cells(self) -> int:
        return len(self.counts)

    @property
    def fewest(self) -> int:
        return min(self.counts, default=0)

    @property
    def most(self) -> int:
        return max(self.counts, default=0)


@dataclass(frozen=True)
class Forecast:
    """When something is to be expected; at is None where that is so far off that no date means anything."""

    at: datetime | None


@dataclass(frozen=True)
class CriterionStop:
    """The rule that says whether voting on a question may stop, and when that is to be expected at this pace."""

    results: CriterionResults
    stop: StopRule
    expected: Forecast | None


@dataclass(frozen=True)
class LiveProgress:
    """Everything the page shows."""

    study: Study
    images: Readiness
    run: RunProgress | None
    pace: Pace
    target: TargetProgress | None
    finish: Forecast | None
    stops: tuple[CriterionStop, ...]
    sides: tuple[SideCount, ...]
    coverage: Coverage
    suspected: int

    @property
    def is_moving(self) -> bool:
        return self.study.state == Study.State.OPEN or bool(self.run and self.run.left)


def live_progress(study: Study) -> LiveProgress:
    """Read it all; the number of queries depends neither on contenders nor on votes."""
    results = leaderboard.results_of(study)
    pace = pace_of(study)
    target = targets.over_all_criteria(targets.progress_of(study))
    return LiveProgress(
        study=study,
        images=studies.readiness(study),
        run=planning.progress_of(study.run) if study.run else None,
        pace=pace,
        target=target,
        finish=_in_time(pace, target.still_needed) if target and not target.is_reached else None,
        stops=tuple(_stops(results, pace)),
        sides=_sides(results),
        coverage=coverage_of(study),
        suspected=judging.suspected(study),
    )


def pace_of(study: Study, *, now: datetime | None = None) -> Pace:
    """Votes by hour over the last day, skips left out."""
    now = now or timezone.now()
    newest = Vote.objects.answers().filter(study=study).order_by("-pk").values_list("cast_at", "stratum", "rater")
    begin = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    rows = list(newest[:NEWEST])
    recent = [row for row in rows if row[0] >= begin]
    moments = [at for at, stratum, _ in recent if stratum == PEOPLE]
    is_cut = len(recent) == NEWEST
    if is_cut:
        oldest = min(at for at, _, _ in recent)
        begin = oldest.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        an_hour = _rate(len(moments), now - oldest, least=_LEAST_HOURS_OF_NEWEST)
    else:
        an_hour = _rate(len(moments), now - min(moments, default=now), least=_LEAST_HOURS)
    counts: Counter[tuple[int, bool]] = Counter(
        (int((at - begin).total_seconds() // 3600), stratum == PEOPLE) for at, stratum, _ in recent
    )
    span = int((now - begin).total_seconds() // 3600) + 1
    hours = tuple(Hour(begin + timedelta(hours=n), counts[n, True], counts[n, False]) for n in range(max(span, 0)))
    return Pace(
        hours=hours,
        an_hour=an_hour,
        raters_last_hour=len({rater for at, _, rater in recent if at > now - timedelta(hours=1)}),
        last_vote=rows[0][0] if rows else None,
        is_cut=is_cut,
    )


def coverage_of(study: Study) -> Coverage:
    """By pair and prompt where that is few enough to be looked at, else by pair; one query for the counts."""
    contenders = list(live_contenders(study))
    prompts = list(asked_prompts(study).order_by("position").values_list("pk", flat=True))
    pairs = list(combinations(contenders, 2))
    by_prompt = len(pairs) * len(prompts) <= MOST_CELLS
    keys = ["low_contender", "high_contender", *(["study_prompt"] if by_prompt else [])]
    exposed = PairExposure.objects.filter(study=study, stratum=PEOPLE).order_by().values_list(*keys)
    counts = {tuple(key): max(0, number) for *key, number in exposed.annotate(number=Sum("standing"))}
    if len(pairs) > MOST_CELLS:
        ids = sorted(contender.pk for contender in contenders)
        return Coverage((), len(prompts), by_prompt, tuple(counts.get(pair, 0) for pair in combinations(ids, 2)))
    rows = []
    for one, other in pairs:
        low, high = sorted((one.pk, other.pk))
        places = [(low, high, prompt) for prompt in prompts] if by_prompt else [(low, high)]
        rows.append(CoverageRow(one, other, tuple(counts.get(place, 0) for place in places)))
    return Coverage(tuple(rows), len(prompts), by_prompt)


def _rate(votes: int, span: timedelta, *, least: float) -> float | None:
    """Votes an hour over a span, taken as so many hours at least; None without votes."""
    return votes / max(least, span.total_seconds() / 3600) if votes else None


def _in_time(pace: Pace, votes: int, *, now: datetime | None = None) -> Forecast | None:
    """When so many votes will have come at this pace; None where nobody votes."""
    if not pace.an_hour:
        return None
    hours = votes / pace.an_hour
    if hours > FARTHEST.total_seconds() / 3600:
        return Forecast(None)
    return Forecast((now or timezone.now()) + timedelta(hours=hours))


def _stops(results: Sequence[CriterionResults], pace: Pace) -> list[CriterionStop]:
    """Votes of the last day are on all questions together: each has its share of the pace."""
    all_votes = sum(one.votes for one in results)
    found = []
    for one in results:
        panel = trust_panel(one)
        if panel is None or panel.stop is None:
            continue
        needed, expected = panel.stop.votes_needed, None
        if panel.stop.is_within_reach and needed is not None and one.votes:
            expected = _in_time(pace, round(needed * all_votes / one.votes))
        found.append(CriterionStop(one, panel.stop, expected))
    return found


def _sides(results: Sequence[CriterionResults]) -> tuple[SideCount, ...]:
    """Over all questions, in the order of the contenders."""
    left: Counter[int] = Counter()
    right: Counter[int] = Counter()
    for one in results:
        findings: Mapping[str, Any] = (one.fit.results.get("findings") if one.fit else None) or {}
        for pk, on_left, on_right in findings.get("trust", {}).get("sides", ()):
            left[pk] += on_left
            right[pk] += on_right
    contenders = sorted((row.contender for row in results[0].rows), key=lambda each: each.position) if results else []
    return tuple(
        SideCount(each, left[each.pk], right[each.pk]) for each in contenders if left[each.pk] + right[each.pk]
    )
