"""`manage.py runs` lists runs and steers one; its errors are sentences."""

import io

import pytest
from django.core.management import CommandError, call_command

from arena.models import AuditEvent
from generation import jobs
from generation.models import ImageJob, Run
from generation.planning import start_run
from tests.arena.factories import make_recipe

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    """Two images wanted."""
    return start_run(name="colours", owner=None, recipes=[make_recipe("one")], prompt_texts=["a", "b"])


def said(*arguments: object) -> str:
    out = io.StringIO()
    call_command("runs", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_without_arguments_it_lists(run: Run) -> None:
    assert said() == f"{run.pk}  running  0 of 2 images  colours\n"
    Run.objects.all().delete()
    assert said().startswith("No run yet")


def test_a_run_is_paused_resumed_reprioritised_and_cancelled(run: Run) -> None:
    assert f"{run.pk}  paused" in said(run.pk, "--pause")
    assert not jobs.has_due_jobs()
    assert f"{run.pk}  running" in said(run.pk, "--resume")
    assert "priority 4" in said(run.pk, "--priority", 4)
    assert f"{run.pk}  cancelled" in said(run.pk, "--cancel")
    noted = AuditEvent.objects.filter(actor__isnull=True, study__isnull=True).order_by("pk")
    acts = ["run paused", "run resumed", "run priority changed", "run cancelled"]
    assert list(noted.values_list("act", flat=True)) == acts
    with pytest.raises(CommandError, match="is cancelled for good"):
        said(run.pk, "--resume")


def test_failures_are_told_with_reasons_and_retried(run: Run) -> None:
    run.jobs.update(state=ImageJob.State.FAILED, reason="no memory", attempts=3)
    assert "2 failed: no memory" in said(run.pk)
    shown = said(run.pk, "--retry")
    assert shown.startswith("2 images are tried again.\n")
    assert "time left not known yet" in shown
    assert "No living worker takes messages from the queue gen.cpu" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([99], "There is no run 99; `manage.py runs` lists them."),
        (["--pause"], "Say which run"),
        (["--priority", "0"], "Say which run"),
    ],
)
def test_wrong_arguments_are_sentences(arguments: list[object], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        said(*arguments)


def test_a_priority_out_of_bounds_is_refused(run: Run) -> None:
    with pytest.raises(CommandError, match="lies between -1000 and 1000"):
        said(run.pk, "--priority", 1001)
