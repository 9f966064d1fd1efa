"""Which job comes next: urgency, then long waits, then what is in memory; only what this machine can run."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from generation import choosing, jobs, worker
from generation.capabilities import can_serve, is_image_queue
from generation.models import Checkpoint, ImageJob
from tests.generation.rows import make_recipe, make_run

pytestmark = pytest.mark.django_db


def named(batch: list[ImageJob]) -> set[str]:
    return {job.recipe.name for job in batch}


def pk_of(name: str) -> int:
    return Checkpoint.objects.get(name=name).pk


@pytest.fixture
def two() -> None:
    """Jobs of `first` were planned before those of `second`."""
    for name in ("first", "second"):
        make_run(prompts=2, recipes=[make_recipe(checkpoint=name)], name=name)


def test_jobs_of_a_loaded_pipeline_come_before_the_plan(two: None) -> None:
    assert named(jobs.claim(worker="w", loaded=[pk_of("second")])) == {"second, 4 steps"}
    assert named(jobs.claim(worker="w", loaded=[pk_of("second")])) == {"first, 4 steps"}


def test_urgency_comes_before_what_is_loaded(two: None) -> None:
    make_run(prompts=1, recipes=[make_recipe(checkpoint="third")], name="urgent", priority=1)
    assert named(jobs.claim(worker="w", loaded=[pk_of("second")])) == {"third, 4 steps"}


def test_a_job_that_waited_too_long_comes_before_what_is_loaded(two: None) -> None:
    old = ImageJob.objects.filter(recipe__checkpoint__name="first")
    old.update(created_at=Now() - choosing.LONGEST_WAIT - timedelta(seconds=1))
    loaded = [pk_of("second")]
    assert named(jobs.claim(worker="w", most=1, loaded=loaded)) == {"first, 4 steps"}
    # Its pipeline was loaded just now: for a while no wait counts, or loading were all that a worker did.
    assert named(jobs.claim(worker="w", most=1, loaded=loaded, longest_wait=None)) == {"second, 4 steps"}


def test_a_pipeline_stays_in_turn_for_as_long_as_a_wait_may_last() -> None:
    now = [100.0]
    turns = worker.Turns(clock=lambda: now[0])
    assert turns.longest_wait() == choosing.LONGEST_WAIT
    turns.loads()
    now[0] += choosing.LONGEST_WAIT.total_seconds() - 1
    assert turns.longest_wait() is None
    now[0] += 2
    assert turns.longest_wait() == choosing.LONGEST_WAIT


def test_only_jobs_of_the_given_checkpoints_are_claimed(two: None) -> None:
    assert jobs.claim(worker="w", checkpoints=[]) == []
    assert not jobs.has_due_jobs(checkpoints=[])
    second = [pk_of("second")]
    assert jobs.has_due_jobs(checkpoints=second)
    assert named(jobs.claim(worker="w", checkpoints=second)) == {"second, 4 steps"}
    assert jobs.claim(worker="w", checkpoints=second) == []


def test_a_claim_takes_no_more_than_fits(two: None) -> None:
    assert len(jobs.claim(worker="w", fitting=lambda recipe: 1)) == 1


@pytest.mark.parametrize(
    ("queue", "needs", "can"),
    [
        ("gen.cpu", "", True),
        ("gen.gpu24", "", True),
        ("gen.cpu", "gen.cpu", True),
        ("gen.gpu24", "gen.cpu", True),
        ("gen.gpu24", "gen.gpu24", True),
        ("gen.gpu80", "gen.gpu24", True),
        ("gen.gpu24", "gen.gpu80", False),
        ("gen.cpu", "gen.gpu24", False),
        ("default", "", False),
    ],
)
def test_larger_machines_serve_what_smaller_ones_can(queue: str, needs: str, can: bool) -> None:
    assert can_serve(queue, needs=needs) == can


@pytest.mark.parametrize("name", ["gen", "gen.gpu", "gen.gpu0", "gen.gpu24x", "gen.tpu", "GEN.CPU", ""])
def test_other_names_are_no_image_queues(name: str) -> None:
    assert not is_image_queue(name)


def test_a_claim_steps_into_the_index_of_each_recipe() -> None:
    make_run(prompts=1000, recipes=[make_recipe(steps=steps) for steps in (1, 2, 3)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    alike = choosing.claimable().filter(recipe=make_recipe(steps=2), state=ImageJob.State.PENDING, attempts=0)
    for query in (choosing.heads(), alike.order_by("-priority", "pk")[:8]):
        plan = query.explain()
        assert "jobs_of_recipe_in_order" in plan, plan
        assert "TEMP B-TREE" not in plan.split("jobs_of_recipe_in_order")[0], plan
