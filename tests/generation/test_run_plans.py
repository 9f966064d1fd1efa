"""A plan counts what a run would do, from what was measured; the counting itself reads nothing."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from pytest_django import DjangoAssertNumQueries

from generation import jobs
from generation.errors import GenerationError
from generation.heartbeats import beat_heart
from generation.models import Recipe, Run, WorkerHeartbeat
from generation.pace import Kind, Means, Size, means_for
from generation.planning import Cell
from generation.run_plans import RunPlan, duration_in_words, plan_of, plan_run, size_in_words
from tests.generation.rows import image_for, make_recipe, make_run


def recipe_of(pk: int, *, checkpoint: int, evaluations: int) -> Recipe:
    return Recipe(pk=pk, name=f"recipe {pk}", checkpoint_id=checkpoint, width=64, height=32, evaluations=evaluations)


def cells_of(*recipe_ids: int) -> list[Cell]:
    return [Cell(pk, "text", 0, f"{place}") for place, pk in enumerate(recipe_ids)]


RECIPES = {1: recipe_of(1, checkpoint=7, evaluations=4), 2: recipe_of(2, checkpoint=8, evaluations=10)}


def test_counting_needs_no_database() -> None:
    means = Means(
        seconds={1: 0.5},
        seconds_an_evaluation={Kind(8, 64, 32): 0.2},
        bytes={1: 100.0},
        bytes_of_size={Size(64, 32): 300.0},
    )
    # Of 1 1 2 2 1 2 the third exists: 1 1 2 1 2 remain, with three changes of checkpoint.
    plan = plan_of(
        cells_of(1, 1, 2, 2, 1, 2), missing={"0", "1", "3", "4", "5"}, recipes=RECIPES, means=means, workers=2
    )
    assert plan == RunPlan(
        wanted=6,
        existing=1,
        evaluations=3 * 4 + 2 * 10,
        unchecked_recipes=0,
        checkpoint_changes=3,
        size_bytes=3 * 100 + 2 * 300,
        bytes_are_measured=True,
        worker_seconds=3 * 0.5 + 2 * 2.0,
        unmeasured=(),
        workers=2,
    )
    assert plan.seconds == 2.75
    assert plan.lines() == [
        "6 images wanted, 1 exist, 5 to make.",
        "32 function evaluations.",
        "3 changes of checkpoint in the planned order.",
        "About 900 B (from images made before).",
        "About 3 s with 2 workers.",
    ]


def test_what_was_never_measured_is_said() -> None:
    means = Means(seconds={1: 0.5}, bytes={1: 100.0})
    plan = plan_of(cells_of(1, 2), missing={"0", "1"}, recipes=RECIPES, means=means, workers=0)
    assert (plan.seconds, plan.unmeasured) == (None, ("recipe 2",))
    assert plan.time_in_words == "Time is not known yet: nothing was measured for recipe 2."
    assert (plan.size_bytes, plan.bytes_are_measured) == (100 + 2 * 64 * 32, False)


def test_words() -> None:
    assert [duration_in_words(seconds) for seconds in (0.2, 89, 720, 12_000)] == ["1 s", "89 s", "12 min", "3 h 20 min"]
    assert [size_in_words(size) for size in (12, 12_300, 3.4e9, 5e12)] == ["12 B", "12.3 kB", "3.4 GB", "5.0 TB"]


@pytest.mark.django_db
def test_existing_images_measured_seconds_and_living_workers_are_read() -> None:
    quick, slow, other = make_recipe(steps=2), make_recipe(steps=8), make_recipe(steps=2, checkpoint="other")
    first = make_run(prompts=1, recipes=[quick])
    jobs.finish([image_for(job, seconds=0.5) for job in first.jobs.all()])
    for worker in ("a", "b", "c"):
        beat_heart(worker=worker, queues=["default"] if worker == "c" else ["gen.cpu"])
    WorkerHeartbeat.objects.filter(worker="b").update(seen_at=Now() - timedelta(minutes=2))
    plan = plan_run(recipes=[quick, slow], prompt_texts=["prompt 0", "prompt 1"], samples=1, own_workers=1)
    # One more quick image at 0.5 s, two slow ones at 8 evaluations of 0.25 s.
    assert (plan.wanted, plan.existing, plan.worker_seconds, plan.workers) == (4, 1, 4.5, 2)
    assert (plan.size_bytes, plan.bytes_are_measured) == (300, True)
    assert plan_run(recipes=[other], prompt_texts=["a"], samples=1).unmeasured == ("other, 2 steps",)
    assert Run.objects.count() == 1


@pytest.mark.django_db
def test_a_recipe_that_no_worker_has_checked_counts_its_steps() -> None:
    recipe = make_recipe(steps=6)
    recipe.evaluations = None
    recipe.save(update_fields=["evaluations"])
    plan = plan_run(recipes=[recipe], prompt_texts=["a", "b"], samples=2)
    assert (plan.evaluations, plan.unchecked_recipes) == (24, 1)


@pytest.mark.django_db
def test_wishes_that_no_run_can_have_are_refused_as_when_starting() -> None:
    with pytest.raises(GenerationError, match="samples must lie between 1 and 1000, not 0"):
        plan_run(recipes=[make_recipe()], prompt_texts=["a"], samples=0)


@pytest.mark.django_db
@pytest.mark.parametrize("recipe_count", [1, 5])
def test_means_take_one_query(recipe_count: int, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    recipes = [make_recipe(steps=steps) for steps in range(1, recipe_count + 1)]
    jobs.finish([image_for(job) for job in make_run(prompts=2, recipes=recipes).jobs.select_related("recipe")])
    with django_assert_num_queries(1):
        means = means_for(recipes)
    assert set(means.seconds) == {recipe.pk for recipe in recipes}
