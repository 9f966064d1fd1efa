"""A worker of this version gets what a newer one sends: it says so, takes the next message, and no work is lost."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app

from generation.models import ImageJob
from tests.faults.conftest import Want
from tests.faults.crew import Crew, assert_each_image_once, wait_for, wait_until_all_are_made
from tests.faults.scale import SCALE

Measured = Callable[[str], None]
pytestmark = pytest.mark.once


def test_f21_messages_of_a_newer_version_are_refused_in_words_and_cost_no_image(
    crew: Crew, want: Want, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = current_app.send_task
    process = crew.painter.pid

    def send_as_a_newer_version(task: str, **options: Any) -> None:
        send("generation.tasks.make_many", **options)
        send(task, kwargs={"shard": 3}, **options)

    with monkeypatch.context() as patch:
        patch.setattr(current_app, "send_task", send_as_a_newer_version)
        want(SCALE.images)
    said = "\n".join
    name = "asks for generation.tasks.make_many, which this version does not know"
    wait_for(lambda: name in said(crew.painter.lines()), seconds=60, what="the unknown task is refused in words")
    argument = "calls generation.tasks.generate_next in a way that this version does not know"
    wait_for(lambda: argument in said(crew.painter.lines()), seconds=60, what="the unknown argument is, too")
    seconds = wait_until_all_are_made(seconds=120)
    assert_each_image_once(SCALE.images)
    assert set(ImageJob.objects.values_list("attempts", flat=True)) == {1}
    assert (crew.painter.pid, crew.painter.is_alive()) == (process, True)
    measured(f"both refused in words; the reconciler sent again what is due, {SCALE.images} images in {seconds:.0f} s")
