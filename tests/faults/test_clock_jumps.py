"""The wall clock set forward and back by two hours under workers that draw.

What is moved is the clock of the worker processes: the keeper with its beat, the painter and its pool, and with them
SQLite's, which reads the clock of the process that asks. Redis and this test's own process keep the true time, as a
second machine would. On PostgreSQL leases go by the server's clock, which is not ours to set: so on SQLite only.
"""

from collections.abc import Callable, Iterator

import pytest

from generation.models import ImageJob
from tests.faults.conftest import Want
from tests.faults.crew import (
    Crew,
    assert_each_image_once,
    done,
    drawing_processes,
    kill_whoever_draws,
    wait_for,
    wait_until_all_are_made,
)
from tests.faults.scale import SCALE
from tests.servers.missing import say_missing

Measured = Callable[[str], None]
TWO_HOURS = 7200
pytestmark = pytest.mark.once


@pytest.fixture
def set_clock(crew: Crew) -> Iterator[Callable[[int], None]]:
    if not crew.clock.is_there:
        say_missing("a C compiler, to build a clock that can be set,")
    yield crew.clock.set
    crew.clock.set(0)


def test_f18_a_clock_that_jumps_by_two_hours_and_back_loses_and_doubles_no_image(
    crew: Crew, want: Want, measured: Measured, set_clock: Callable[[int], None]
) -> None:
    crew.arm("slow", "0.1")
    want(SCALE.images)
    wait_for(lambda: done() >= 1 and bool(drawing_processes()), seconds=60, what="a batch is in work")
    set_clock(TWO_HOURS)  # every lease is over at once
    forward = wait_until_all_are_made(seconds=SCALE.lease + 120)
    assert_each_image_once(SCALE.images)
    assert max(crew.drawn().values()) <= 2, "at most one run too many for each job"

    want(2 * SCALE.images)
    wait_for(lambda: done() > SCALE.images and bool(drawing_processes()), seconds=60, what="a batch is in work")
    leased = ImageJob.objects.filter(state="running").order_by("-lease_until").values_list("lease_until", flat=True)
    ahead = leased[0]
    set_clock(0)  # the leases given before end in two hours
    kill_whoever_draws()
    crew.disarm("slow")
    back = wait_until_all_are_made(seconds=3 * SCALE.lease + 120)
    assert_each_image_once(2 * SCALE.images)
    assert set(ImageJob.objects.values_list("attempts", flat=True)) <= {1, 2}
    assert ahead is not None
    measured(f"forward: made after {forward:.0f} s; back, and a worker killed: after {back:.0f} s")
    # Had the clock not moved, that lease would not have lain ahead, and the test would have proved nothing.
    again = ImageJob.objects.filter(attempts=2).order_by("finished_at").values_list("finished_at", flat=True)[0]
    assert again is not None and (ahead - again).total_seconds() > TWO_HOURS / 2
