"""Workers that die: every image is made once, whatever was killed when."""

import time
from collections.abc import Callable

import psutil
import pytest

from generation.hints import hint_workers
from generation.models import Image, ImageJob
from tests.faults.conftest import Want
from tests.faults.crew import (
    Crew,
    assert_each_image_once,
    done,
    drawing_processes,
    files,
    kill_whoever_draws,
    wait_for,
    wait_until_all_are_made,
)
from tests.faults.scale import SCALE

Measured = Callable[[str], None]


def test_f01_kill_9_of_the_drawing_process_loses_and_doubles_no_image(
    crew: Crew, want: Want, measured: Measured
) -> None:
    crew.arm("slow", "0.05")
    want(SCALE.images)
    for kill in range(SCALE.kills):
        wait_for(lambda at=kill: done() >= at * 8 // 2, seconds=120, what="it goes on")  # type: ignore[misc]
        died_at = kill_whoever_draws()
    crew.disarm("slow")
    wait_until_all_are_made(seconds=SCALE.kills * (SCALE.lease + 60))
    seconds = time.monotonic() - died_at
    measured(f"{done()} of {SCALE.images} images after {SCALE.kills} kills, {seconds:.0f} s after the last")
    assert time.monotonic() - died_at < SCALE.lease + 60
    assert_each_image_once(SCALE.images)


def test_f02_kill_9_between_the_file_and_its_row_leaves_one_row_and_one_file(
    crew: Crew, want: Want, measured: Measured
) -> None:
    crew.arm("kill-before-commit")
    want(1)
    wait_for(lambda: crew.has_fired("kill-before-commit"), seconds=60, what="the worker died before its commit")
    [orphan] = files()
    assert not Image.objects.exists()
    wait_until_all_are_made(seconds=SCALE.lease + 60)
    assert_each_image_once(1)
    assert files() == [orphan]
    assert list(ImageJob.objects.values_list("attempts", flat=True)) == [2]
    measured("1 row, 1 file, 2 attempts")


def test_f03_ten_deliveries_to_two_workers_draw_each_image_once(crew: Crew, want: Want, measured: Measured) -> None:
    crew.ensure_second_painter()
    crew.arm("slow", "0.05")
    want(SCALE.images)
    hint_workers(10)
    wait_until_all_are_made(seconds=120)
    assert_each_image_once(SCALE.images)
    assert set(crew.drawn().values()) == {1}
    assert set(ImageJob.objects.values_list("attempts", flat=True)) == {1}
    measured(f"{SCALE.images} rows, each claimed and drawn once")


@pytest.mark.once
def test_f09_a_prompt_that_kills_its_worker_takes_no_other_with_it(crew: Crew, want: Want, measured: Measured) -> None:
    crew.arm("kill-at-step", "prompt 5")
    want(SCALE.images)
    wait_until_all_are_made(seconds=4 * (SCALE.lease + SCALE.reconcile) + 120)
    poison = ImageJob.objects.get(state="failed")
    assert (poison.prompt_text, poison.attempts) == ("prompt 5", 3)
    assert "stopped answering while it made this image (attempt 3)" in poison.reason
    assert done() == Image.objects.count() == SCALE.images - 1
    assert crew.drawn()["prompt 5"] == 3
    assert crew.painter.is_alive()
    measured(f"3 attempts, then failed; {done()} others made; the worker lives")


def test_f11_sigterm_ends_a_worker_after_the_batch_in_hand_and_the_rest_goes_on(
    crew: Crew, want: Want, measured: Measured
) -> None:
    other = crew.ensure_second_painter()
    crew.arm("slow", "0.25")
    count = max(48, SCALE.images)
    want(count)
    hint_workers(2)
    stopped = crew.painter
    wait_for(lambda: len(drawing_processes()) == 2, seconds=60, what="both workers draw")
    process = child_of(stopped.pid)
    before = crew.begun_by(process)
    stopped.ask_to_stop()
    seconds = wait_for(lambda: not stopped.is_alive(), seconds=120, what="the worker has ended")
    assert not ImageJob.objects.filter(state="running", worker__endswith=f":{process}").exists()
    assert crew.begun_by(process) <= before + 1, "it went on with its turn"
    crew.painter, crew.second = other, None
    crew.disarm("slow")
    wait_until_all_are_made(seconds=120)
    assert_each_image_once(count)
    assert set(ImageJob.objects.values_list("attempts", flat=True)) == {1}
    measured(f"ended after {seconds:.1f} s; {count} images made, no attempt counted twice")


def child_of(pid: int) -> int:
    [child] = psutil.Process(pid).children()
    return int(child.pid)
