"""One crew of real processes for all fault tests; a table of what was measured where the run is a full one."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.models import Checkpoint, ImageJob, Run
from generation.planning import start_run
from generation.recipes import get_recipe, resolve_recipe
from generation.schedules import few_step_sigmas, get_schedule
from tests.conftest import as_broker
from tests.faults import report
from tests.faults.crew import Crew
from tests.faults.scale import IS_FULL
from tests.generation.conftest import tiny_model as tiny_model
from tests.servers.addresses import wait_until

Want = Callable[..., Run]


@pytest.fixture(scope="package")
def _whole_crew(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Crew]:
    with django_db_blocker.unblock():
        crew = Crew(tmp_path_factory.mktemp("crew"), models_root=tiny_model.parent)
    yield crew
    crew.stop()
    with django_db_blocker.unblock():
        # Its workers have said that they are alive after the last test had emptied the database.
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture
def crew(transactional_db: None, _whole_crew: Crew, tiny_model: Path, settings: Settings) -> Iterator[Crew]:
    """The crew, well and idle, as this process's broker too."""
    settings.MODELS_ROOT = tiny_model.parent
    _whole_crew.clean()
    with as_broker(_whole_crew.redis.url):
        yield _whole_crew
    Run.objects.update(cancelled_at="2026-01-01T00:00Z")
    for fault in _whole_crew.faults.iterdir():
        fault.unlink()
    running = ImageJob.objects.filter(state="running")
    # Emptying the database under a batch would only prove that nobody does that.
    wait_until(lambda: not running.exists(), seconds=120, what="the crew is idle")


@pytest.fixture
def want(crew: Crew) -> Want:
    """A function that plans images of `prompt 0`, `prompt 1`, ... and says so to the workers."""

    def plan(count: int, *, steps: int = 2) -> Run:
        checkpoint = Checkpoint.objects.filter(name="tiny").first() or resolve_checkpoint(
            register_checkpoint(name="tiny", source="tiny")
        )
        recipe = get_recipe(
            name=f"{steps} steps",
            checkpoint=checkpoint,
            schedule=get_schedule(steps=steps, shift=1.0, sigmas=few_step_sigmas(steps)),
            guidance=3,
            width=64,
            height=64,
            call_options={"max_sequence_length": 1},
        )
        texts = [f"prompt {k}" for k in range(count)]
        return start_run(name="run", owner=None, recipes=[resolve_recipe(recipe)], prompt_texts=texts)

    return plan


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Iterator[Callable[[str], None]]:
    """A function that adds a figure to this fault's line of the table."""
    figures: list[str] = []
    began = time.monotonic()
    yield figures.append
    report.add(request.node.name, figures=figures, seconds=time.monotonic() - began)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of a full run."""
    if IS_FULL and report.LINES:
        terminalreporter.write_line(report.write())
