"""The machine's clock is set forward and back by two hours while images are made."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from generation.models import ImageJob, WorkerHeartbeat
from tests.faults.conftest import Want
from tests.faults.crew import Crew, assert_each_image_once, done, kill_whoever_draws, wait_for, wait_until_all_are_made
from tests.faults.scale import SCALE
from tests.servers.missing import say_missing

Measured = Callable[[str], None]
pytestmark = pytest.mark.once


def libfaketime() -> Path:
    """The library that gives a process another clock."""
    found = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), *Path("/usr/lib").glob("faketime/libfaketimeMT*")]
    return found[0] if found else say_missing("libfaketime (on Debian: apt install faketime)")


def test_f18_a_clock_that_jumps_by_two_hours_draws_no_image_more_than_twice(
    crew: Crew, want: Want, measured: Measured, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    crew.replace_all(
        {
            "LD_PRELOAD": str(libfaketime()),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    )
    crew.arm("slow", "0.25")
    want(3 * 8)
    wait_for(ImageJob.objects.filter(state="running").exists, seconds=60, what="a batch is in work")
    clock.write_text("+2h")
    wait_for(lambda: done() >= 8, seconds=60, what="the first batch is made")
    wait_for(ImageJob.objects.filter(state="running").exists, seconds=60, what="the next batch is in work")
    clock.write_text("+0")
    # Set back, and the worker dies before it could renew its lease by the new clock.
    kill_whoever_draws()
    killed_at = time.monotonic()
    crew.disarm("slow")
    wait_until_all_are_made(seconds=3 * SCALE.lease + 120)
    seconds = time.monotonic() - killed_at
    assert_each_image_once(3 * 8)
    most = max(crew.drawn().values())
    assert most <= 2, "more than one extra run"
    assert WorkerHeartbeat.objects.exists()
    measured(f"24 images after +2 h and -2 h, none drawn over {most} times, the last {seconds:.0f} s after the jump")
