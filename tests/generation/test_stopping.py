"""Between two steps a batch ends: because the worker is to stop, because nobody wants it, or because it hangs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from generation import cancelling, stopping, worker
from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.models import Checkpoint, Image, ImageJob
from generation.planning import cancel_run
from generation.timetable import EXIT_HUNG
from tests.generation.test_worker import PROMPTS, ready_recipe, run_of
from tests.servers.celery_worker import test_database_url as database_url


@pytest.fixture(autouse=True)
def _afterwards_nothing_is_stopped() -> Iterator[None]:
    yield
    stopping.forget()


@pytest.fixture
def checkpoint(models_root: Path, image_folder: Path) -> Checkpoint:
    """The tiny model, ready, and an empty image store."""
    return resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))


def steps_until_it_stops(*, steps: int, images: int, asked_after: int) -> int | None:
    watch = stopping.StopWatch(steps=steps, images=images)
    for number in range(1, steps + 1):
        if number == asked_after:
            stopping.ask_to_stop()
        try:
            watch()
        except stopping.StopAsked:
            return number
    return None


@pytest.mark.parametrize(
    ("images", "asked_after", "stops_at"), [(1, 1, None), (4, 3, 3), (4, 14, 14), (4, 15, None), (4, 20, None)]
)
def test_what_is_less_than_one_image_away_is_finished(images: int, asked_after: int, stops_at: int | None) -> None:
    assert steps_until_it_stops(steps=20, images=images, asked_after=asked_after) == stops_at


@pytest.mark.django_db
def test_a_worker_told_to_stop_gives_its_batch_back(checkpoint: Checkpoint) -> None:
    run_of(ready_recipe(checkpoint, steps=12))
    stopping.ask_to_stop()
    worker.work_one_batch("w")
    assert set(ImageJob.objects.values_list("state", "attempts", "worker")) == {("pending", 0, "")}
    assert worker.work_for(60, worker="w") is True
    assert not Image.objects.exists()
    stopping.forget()
    assert worker.work_one_batch("w") == 3


@pytest.mark.django_db
def test_a_batch_that_nobody_wants_any_more_makes_no_image(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "SECONDS_BETWEEN_LOOKS", 0.0)
    run = run_of(ready_recipe(checkpoint))
    wanted = cancelling.still_wanted

    def is_cancelled_meanwhile(job_ids: list[int]) -> bool:
        cancel_run(run)
        return wanted(job_ids)

    monkeypatch.setattr(cancelling, "still_wanted", is_cancelled_meanwhile)
    assert worker.work_one_batch("w") == 3
    assert set(ImageJob.objects.values_list("state", flat=True)) == {"cancelled"}
    assert not Image.objects.exists()


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_a_process_whose_step_hangs_ends_itself_and_the_job_says_timeout(
    own_models_root: Path, image_folder: Path
) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    run_of(ready_recipe(checkpoint), prompts=PROMPTS[:1])
    # Reading a pipe that nobody writes to lasts for ever, like a network disk that is gone.
    config = own_models_root / "tiny" / "vae" / "config.json"
    config.unlink()
    os.mkfifo(config)
    work = "import django; django.setup(); from generation import worker; worker.work_one_batch('hung')"
    ended = subprocess.run(
        [sys.executable, "-c", work],
        cwd=settings.BASE_DIR,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "evalsite.settings",
            "DATABASE_URL": database_url(),
            "WINRATE_DATA_DIR": str(settings.DATA_DIR),
            "WINRATE_MODELS_ROOT": str(own_models_root),
            "WINRATE_STEP_SECONDS": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == EXIT_HUNG, ended.stderr
    assert "timeout: hung made no sampling step for 1 s. The process ends itself." in ended.stderr
    job = ImageJob.objects.get()
    assert (job.state, job.attempts, job.reason) == ("pending", 1, "timeout: hung made no sampling step for 1 s.")


def test_a_hung_call_that_holds_the_interpreter_ends_too() -> None:
    # No thread of Python runs while one step of a regular expression takes years.
    hang = (
        "import os, django; django.setup(); from generation import heartbeats; import re; "
        "heartbeats.SECONDS_TO_SAY_WHY = 0.5; heart = heartbeats.BusyHeart(worker='w', job_ids=[], step_seconds=1)\n"
        "with heart.beating(): re.match('(a+)+b', 'a' * 60)"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "evalsite.settings", "CELERY_BROKER_URL": "memory://"}
    ended = subprocess.run(
        [sys.executable, "-c", hang],
        cwd=settings.BASE_DIR,
        env=environment | {"WINRATE_DATA_DIR": str(settings.DATA_DIR)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "re.match" in ended.stderr or "in match" in ended.stderr
