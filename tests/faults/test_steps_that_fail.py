"""Steps that never end and steps that find no memory: the job gets a reason, the others are made, the worker lives."""

from collections.abc import Callable

import psutil
import pytest

from generation.models import Image, ImageJob
from tests.faults.conftest import Want
from tests.faults.crew import Crew, done, drawing_processes, wait_for, wait_until_all_are_made
from tests.faults.scale import SCALE

Measured = Callable[[str], None]
pytestmark = pytest.mark.once


def test_f10_a_step_that_hangs_is_ended_and_the_next_job_runs(crew: Crew, want: Want, measured: Measured) -> None:
    crew.arm("hang-at-step", "prompt 5")
    want(SCALE.images)
    seconds = wait_until_all_are_made(seconds=3 * (SCALE.step + 30) + 60)
    hung = ImageJob.objects.get(state="failed")
    assert (hung.prompt_text, hung.attempts) == ("prompt 5", 3)
    assert hung.reason.startswith("timeout: ")
    assert f"made no sampling step for {SCALE.step:g} s" in hung.reason
    assert done() == Image.objects.count() == SCALE.images - 1
    assert crew.painter.is_alive()
    measured(f"3 attempts of {SCALE.step:g} s, then failed; all over after {seconds:.0f} s; {done()} others made")


def test_f12_memory_that_runs_out_fails_one_image_and_not_the_worker(
    crew: Crew, want: Want, measured: Measured
) -> None:
    crew.arm("slow", "0.1")
    crew.arm("out-of-memory", "prompt 5")
    want(SCALE.images)
    wait_for(lambda: bool(drawing_processes()), seconds=60, what="a batch is in work")
    drawing_before = drawing_processes()
    wait_until_all_are_made(seconds=180)
    large = ImageJob.objects.get(state="failed")
    assert large.prompt_text == "prompt 5"
    assert large.reason.startswith("Out of memory: not even one picture of 64 x 64 pixels fits")
    assert done() == Image.objects.count() == SCALE.images - 1
    assert drawing_before <= set(psutil.pids())
    tries = crew.drawn()["prompt 5"]
    measured(f"tried {tries} times, the last two alone, then failed with the reason; {done()} others made")
