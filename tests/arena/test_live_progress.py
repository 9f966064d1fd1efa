"""How a study is doing now, against counts made by hand."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import arena.live_progress
from arena import fitting
from arena.charts.coverage import coverage_chart
from arena.charts.hours import hours_chart
from arena.charts.rendering import WIDE, render
from arena.charts.words import rounded
from arena.live_progress import Coverage, CoverageRow, Forecast, Pace, _in_time, coverage_of, live_progress, pace_of
from arena.models import Ballot, Rater, Study, Vote
from arena.trust_panel import StopRule
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import cast, make_rater, make_study, make_user
from tests.arena.fit_cases import add_vote, bare_study, first_criterion

pytestmark = pytest.mark.django_db

NOON = datetime.fromisoformat("2026-03-01T12:30:00+00:00")


def vote_at(study: Study, rater: Rater, at: datetime, choice: str = "left") -> None:
    """An imported vote of that moment."""
    one, other, *_ = study.contenders.order_by("position")
    shared = {
        "study": study,
        "rater": rater,
        "study_prompt": study.study_prompts.first(),
        "left_contender": one,
        "right_contender": other,
        "stratum": rater.stratum,
    }
    position = Ballot.objects.filter(rater=rater).count()
    ballot = Ballot.objects.create(
        **shared, origin="imported", rule="test", position=position, state="answered", answered_at=at
    )
    Vote.objects.create(
        **shared, ballot=ballot, criterion=first_criterion(study), choice=choice, cast_at=at, sequence=position
    )


def test_votes_are_counted_by_hour_and_kind() -> None:
    study = bare_study()
    person, program = make_rater(study), make_rater(study, Rater.Kind.SIMULATED)
    for minutes in (2000, 1500, 150, 91, 45, 20, 0):
        vote_at(study, person, NOON - timedelta(minutes=minutes))
    vote_at(study, person, NOON, choice="skip")
    vote_at(study, program, NOON - timedelta(minutes=40))
    pace = pace_of(study, now=NOON)
    assert len(pace.hours) == 24
    assert {(hour.begins.hour, hour.people, hour.others) for hour in pace.hours if hour.votes} == {
        (10, 2, 0),  # 10:00 and 10:59
        (11, 1, 1),
        (12, 2, 0),
    }
    # Five votes by people since 10:00, two and a half hours ago.
    assert pace.an_hour == pytest.approx(5 / 2.5)
    assert pace.raters_last_hour == 2
    assert pace.last_vote == NOON - timedelta(minutes=40)  # the last that was stored


def test_more_votes_than_are_read_within_one_hour_still_have_a_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arena.live_progress.NEWEST", 4)
    study = bare_study()
    person = make_rater(study)
    for minutes in (25, 20, 15, 10, 5, 0):
        vote_at(study, person, NOON - timedelta(minutes=minutes))
    pace = pace_of(study, now=NOON)
    assert [(hour.begins.hour, hour.people) for hour in pace.hours] == [(12, 4)]
    assert pace.an_hour == pytest.approx(4 / 0.25)  # the four that are read came within a quarter of an hour
    chart = hours_chart(pace)
    assert pace.is_cut and chart is not None and chart.subtitle.endswith("the first hour in part")


def test_without_votes_there_is_no_pace() -> None:
    pace = pace_of(bare_study(), now=NOON)
    assert (pace.an_hour, pace.raters_last_hour, pace.last_vote) == (None, 0, None)
    assert sum(hour.votes for hour in pace.hours) == 0


def test_coverage_counts_every_pair_on_every_prompt() -> None:
    study = make_study(contenders=3, prompts=2, ballots_per_rater=3)
    cast(make_rater(study), ballots=3)
    seen = Ballot.objects.values_list("left_contender", "right_contender", "study_prompt")
    wanted: dict[tuple[frozenset[int], int], int] = {}
    for left, right, prompt in seen:
        key = (frozenset((left, right)), prompt)
        wanted[key] = wanted.get(key, 0) + 1
    coverage = coverage_of(study)
    prompts = list(study.study_prompts.order_by("position").values_list("pk", flat=True))
    found = {
        (frozenset((row.one.pk, row.other.pk)), prompt): count
        for row in coverage.rows
        for prompt, count in zip(prompts, row.counts, strict=True)
    }
    assert (coverage.cells, coverage.by_prompt) == (6, True)
    assert {key: count for key, count in found.items() if count} == wanted
    assert coverage.empty == 6 - len(wanted)


def test_pairs_of_very_many_contenders_are_counted_and_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(contenders=3, prompts=2, ballots_per_rater=3)
    cast(make_rater(study), ballots=3)
    monkeypatch.setattr(arena.live_progress, "MOST_CELLS", 4)
    listed = coverage_of(study)
    monkeypatch.setattr(arena.live_progress, "MOST_CELLS", 2)
    counted = coverage_of(study)
    assert not listed.by_prompt and listed.rows and not counted.rows
    for name in ("cells", "empty", "fewest", "most"):
        assert getattr(counted, name) == getattr(listed, name)
    assert counted.most and coverage_chart(counted) is None


def test_the_end_is_foretold_from_target_and_pace() -> None:
    study = make_study(contenders=2, prompts=4, with_text=0, design={"target_votes": 2})
    cast(make_rater(study), ballots=4)
    live = live_progress(study)
    assert live.target is not None and live.pace.an_hour is not None and live.finish is not None and live.finish.at
    # Four ballots of two questions are half of the target, all within the last hour.
    assert (live.target.wanted, live.target.still_needed, live.target.done) == (16, 8, 8)
    assert live.pace.an_hour == pytest.approx(8)
    assert live.finish.at - timezone.now() == pytest.approx(timedelta(hours=1), abs=timedelta(minutes=1))


def test_sides_are_those_of_the_counted_votes() -> None:
    study = bare_study(contenders=3)
    rater, other = make_rater(study), make_rater(study)
    for number in range(12):
        add_vote(study, rater, left=0, right=1, choice="left" if number % 2 else "right", prompt=number % 4)
    add_vote(study, other, left=2, right=0, choice="tie")
    fitting.refit(study)
    sides = live_progress(study).sides
    assert [(row.left, row.right) for row in sides] == [(12, 1), (0, 12), (1, 0)]
    assert [row.leans for row in sides] == [True, True, False]  # 11 > 3 sqrt(13); 12 > 3 sqrt(12); 1 < 3


@pytest.mark.parametrize("contenders", [2, 6])
def test_the_page_costs_the_same_number_of_queries_for_any_number_of_contenders(
    contenders: int, django_assert_num_queries: Callable[..., Any]
) -> None:
    study = bare_study(contenders=contenders)
    bulk_votes(study, raters=5, ballots_per_rater=20)
    fitting.refit(study)
    client = Client()
    client.force_login(make_user())
    with django_assert_num_queries(22):
        page = client.get(reverse("arena:progress", args=[study.slug]))
    assert page.status_code == 200
    assert "Votes still needed" in page.content.decode()


def test_what_lies_beyond_a_year_has_no_date_and_votes_are_foretold_to_two_figures() -> None:
    pace = Pace((), an_hour=2.0, raters_last_hour=1, last_vote=NOON)
    assert _in_time(pace, 48, now=NOON) == Forecast(NOON + timedelta(days=1))
    assert _in_time(pace, 2 * 24 * 366, now=NOON) == Forecast(None)
    assert _in_time(replace(pace, an_hour=None), 1) is None
    assert rounded(853_557) == "850,000" and rounded(94) == "94" and rounded(1) == "1"
    stop = StopRule(None, 9.0, 1, 3, 853_557)
    assert "about 850,000 more votes make it so" in stop.sentence
    assert stop.is_within_reach and not replace(stop, votes_needed=16_387_523_909).is_within_reach
    assert "even 1,000,000 more votes do not make it so" in replace(stop, votes_needed=16_387_523_909).sentence


def test_many_pairs_are_drawn_by_contender() -> None:
    study = bare_study(contenders=10)
    coverage = Coverage(
        tuple(CoverageRow(one, other, (1, 0, 2)) for one, other in combinations(study.contenders.all(), 2)), 3, True
    )
    chart = coverage_chart(coverage)
    assert chart is not None and len(chart.data) == 1 + 45 * 3
    assert chart.dimensions(WIDE)[1] < 400
    assert b"<svg" in render(chart)
