"""Beat goes on when the clock is set back, while it runs or between two starts."""

from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from celery.beat import ScheduleEntry

from evalsite import steady_beat
from evalsite.steady_beat import SteadyScheduler

TWO_HOURS = timedelta(hours=2)


def scheduler_of(folder: Path) -> SteadyScheduler:
    app = Celery("beat", broker="memory://")
    app.conf.beat_schedule = {name: {"task": name, "schedule": 10.0} for name in ("first", "second")}
    return SteadyScheduler(app, schedule_filename=str(folder / "schedule"))


def entries(scheduler: SteadyScheduler) -> dict[str, ScheduleEntry]:
    return {name: entry for name, entry in scheduler.schedule.items() if name in ("first", "second")}


def seconds_to_wait(scheduler: SteadyScheduler) -> list[bool]:
    """Whether each entry is due within its own ten seconds."""
    return [entry.is_due().next <= 10 for entry in entries(scheduler).values()]


def test_a_schedule_from_the_future_does_not_wait_for_it(tmp_path: Path) -> None:
    before = scheduler_of(tmp_path)
    for entry in entries(before).values():
        entry.last_run_at += TWO_HOURS
    assert seconds_to_wait(before) == [False, False]
    before.close()
    assert seconds_to_wait(scheduler_of(tmp_path)) == [True, True]


def test_a_clock_that_is_set_back_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = scheduler_of(tmp_path)
    scheduler.tick()
    # To the entries, a clock set back by two hours is the same as having run two hours later.
    for entry in entries(scheduler).values():
        entry.last_run_at += TWO_HOURS
    real = steady_beat.time.time
    monkeypatch.setattr(steady_beat.time, "time", lambda: real() - TWO_HOURS.total_seconds())
    assert scheduler.tick() <= 10
    assert seconds_to_wait(scheduler) == [True, True]
