"""The image store full, and files that are not what their rows say."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command

from generation.models import Image, ImageJob, Run
from tests.faults.conftest import Want
from tests.faults.crew import Crew, assert_each_image_once, files, images_folder, wait_for, wait_until_all_are_made
from tests.faults.scale import SCALE

Measured = Callable[[str], None]
pytestmark = pytest.mark.once


def test_f16_a_full_disk_pauses_the_run_which_goes_on_when_there_is_room(
    crew: Crew, want: Want, measured: Measured
) -> None:
    crew.arm("slow", "0.1")
    run = want(SCALE.images)
    wait_for(Image.objects.exists, seconds=60, what="the first batch is made")
    crew.arm("disk-full")
    paused, running = Run.objects.exclude(paused_at=None), ImageJob.objects.filter(state="running")
    wait_for(lambda: paused.exists() and not running.exists(), seconds=60, what="the run is paused, all given back")
    run.refresh_from_db()
    assert run.pause_reason == f"The image store ({images_folder()}) cannot be written: No space left on device."
    waiting = ImageJob.objects.filter(state="pending", attempts=0).count()
    assert 0 < waiting == SCALE.images - Image.objects.count()
    assert len(files()) == Image.objects.values("file_sha256").distinct().count()
    crew.disarm("disk-full")
    crew.disarm("slow")
    seconds = wait_until_all_are_made(seconds=SCALE.reconcile + 120)
    assert_each_image_once(SCALE.images)
    assert set(ImageJob.objects.values_list("attempts", flat=True)) == {1}
    run.refresh_from_db()
    assert (run.paused_at, run.pause_reason) == (None, "")
    measured(f"paused with {waiting} images to go; all made {seconds:.0f} s after there was room, none tried twice")


def test_f17_half_a_file_at_its_final_place_is_found_and_made_again(
    crew: Crew, want: Want, measured: Measured, capsys: pytest.CaptureFixture[str]
) -> None:
    want(2)
    wait_until_all_are_made(seconds=60)
    before = dict(Image.objects.values_list("prompt_text", "file_sha256"))
    half, gone = sorted(images_folder().rglob("*.png"))
    half.write_bytes(half.read_bytes()[:100])
    gone.unlink()
    call_command("sweep_images", "--remake")
    said = capsys.readouterr().out
    assert f"{name_in_store(half)} (image) is damaged" in said
    assert f"{name_in_store(gone)} (image) is missing" in said
    wait_until_all_are_made(seconds=60)
    assert_each_image_once(2)
    same = sum(before[prompt] == sha256 for prompt, sha256 in Image.objects.values_list("prompt_text", "file_sha256"))
    measured(f"both found and made again, {same} of 2 with the same bytes")


def name_in_store(path: Path) -> str:
    return path.relative_to(images_folder()).as_posix()
