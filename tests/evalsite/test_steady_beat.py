"""Beat goes on when the clock is set back, while it runs or between two starts."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from celery.beat import ScheduleEntry

from evalsite.steady_beat import SteadyScheduler

TWO_HOURS = timedelta(hours=2)


def scheduler_of(folder: Path) -> SteadyScheduler:
    app = Celery("beat", broker="memory://")
    app.conf.beat_schedule = {name: {"task": name, "schedule": 10.0} for name in ("first", "second")}
    return SteadyScheduler(app, schedule_filename=str(folder / "schedule"))


def entries(scheduler: SteadyScheduler) -> dict[str, ScheduleEntry]:
    return {name: entry for name, entry in scheduler.schedule.items() if name in ("first", "second")}


def move(scheduler: SteadyScheduler) -> None:
    """To the entries, a clock set back by two hours is the same as having run two hours later."""
    for entry in entries(scheduler).values():
        entry.last_run_at = entry.default_now() + TWO_HOURS


def are_soon_due(scheduler: SteadyScheduler) -> list[bool]:
    """Whether each entry is due within its own ten seconds."""
    return [entry.is_due()[1] <= 10 for entry in entries(scheduler).values()]


def test_a_schedule_from_the_future_does_not_wait_for_it(tmp_path: Path) -> None:
    before = scheduler_of(tmp_path)
    move(before)
    assert are_soon_due(before) == [False, False]
    before.close()
    assert are_soon_due(scheduler_of(tmp_path)) == [True, True]


def test_a_clock_that_is_set_back_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = scheduler_of(tmp_path)
    scheduler.tick()
    move(scheduler)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - TWO_HOURS.total_seconds())
    assert scheduler.tick() <= 10
    assert are_soon_due(scheduler) == [True, True]
