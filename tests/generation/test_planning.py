"""Planning finds exactly the missing images, in an order that makes comparisons whole early."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from generation import jobs
from generation.errors import GenerationError
from generation.models import Image, ImageJob, Recipe, Run, RunItem
from generation.planning import (
    RunProgress,
    add_to_run,
    cancel_run,
    cells_in_order,
    missing,
    pause_run,
    progress_of,
    resume_run,
    retry_failed,
    retry_jobs,
    set_priority,
    start_run,
)
from generation.provenance import request_digest, text_digest
from tests.generation.rows import image_for, make_checkpoint, make_recipe, make_run

pytestmark = pytest.mark.django_db
State = ImageJob.State


def finish(*made: ImageJob) -> None:
    jobs.finish([image_for(job) for job in made])


def states(run: Run) -> list[str]:
    return list(run.jobs.order_by("pk").values_list("state", flat=True))


def test_a_run_gets_one_job_for_each_recipe_prompt_and_sample() -> None:
    recipe = make_recipe()
    run = start_run(name="all", owner=None, recipes=[recipe], prompt_texts=["a", "b"], samples=2)
    jobs_made = run.jobs.order_by("pk").values_list("prompt_text", "sample", "prompt_digest", "request_digest", "state")
    assert list(jobs_made) == [
        (
            text,
            sample,
            text_digest(text),
            request_digest(recipe_digest=recipe.digest, prompt_text=text, sample=sample),
            "pending",
        )
        for sample in (0, 1)
        for text in ("a", "b")
    ]


def test_blocks_of_eight_prompts_are_drawn_by_every_recipe_before_the_next_block() -> None:
    one, two = make_recipe(steps=1), make_recipe(steps=2)
    texts = [f"prompt {k}" for k in range(10)]
    cells = list(cells_in_order(recipes=[two, one], prompt_texts=texts, samples=1))
    asked = [(cell.recipe_id, cell.prompt_text) for cell in cells]
    first_block = [(recipe.pk, text) for recipe in (one, two) for text in texts[:8]]
    assert asked == first_block + [(recipe.pk, text) for recipe in (one, two) for text in texts[8:]]


def test_recipes_of_one_checkpoint_stand_together_in_a_block() -> None:
    recipes = [make_recipe(steps=steps, checkpoint=name) for steps in (1, 2) for name in ("early", "final")]
    cells = cells_in_order(recipes=recipes, prompt_texts=["a"], samples=1)
    names = {recipe.pk: recipe.name for recipe in recipes}
    assert [names[cell.recipe_id] for cell in cells] == [
        "early, 1 steps",
        "early, 2 steps",
        "final, 1 steps",
        "final, 2 steps",
    ]


def test_planning_finds_exactly_the_missing_images() -> None:
    run = make_run(prompts=4)
    recipe = make_recipe()
    finish(*run.jobs.filter(prompt_text__in=["prompt 1", "prompt 3"]))
    cells = cells_in_order(recipes=[recipe], prompt_texts=[f"prompt {k}" for k in range(5)], samples=1)
    assert [cell.prompt_text for cell in missing(cells)] == ["prompt 0", "prompt 2", "prompt 4"]


def test_a_second_run_shares_jobs_and_asks_only_for_what_is_new() -> None:
    first = make_run(prompts=2)
    finish(*first.jobs.filter(prompt_text="prompt 0"))
    second = make_run(prompts=3, name="second")
    assert ImageJob.objects.count() == 3
    assert progress_of(second) == RunProgress(total=3, done=1, failed=0, seconds_left=1.0)


def test_planning_again_changes_nothing() -> None:
    run, recipe = make_run(prompts=2), make_recipe()
    before = list(ImageJob.objects.order_by("pk").values()), list(RunItem.objects.order_by("pk").values())
    add_to_run(run, recipes=[recipe], prompt_texts=["prompt 0", "prompt 1"])
    assert (list(ImageJob.objects.order_by("pk").values()), list(RunItem.objects.order_by("pk").values())) == before


def test_a_doubled_prompt_is_drawn_once() -> None:
    run = start_run(name="doubled", owner=None, recipes=[make_recipe()], prompt_texts=["a", "b", "a"])
    assert run.jobs.count() == 2


def test_an_image_without_a_job_counts_as_done() -> None:
    [job] = make_run(prompts=1).jobs.all()
    image = image_for(job)
    image.job = None
    image.save()
    RunItem.objects.all().delete()
    job.delete()
    assert states(make_run(prompts=1, name="again")) == ["done"]


def test_asking_again_reopens_what_failed_was_cancelled_or_lost_its_image() -> None:
    run = make_run(prompts=4)
    failed, cancelled, lost, done = run.jobs.order_by("pk")
    ImageJob.objects.filter(pk=failed.pk).update(state=State.FAILED, reason="no memory", attempts=3)
    ImageJob.objects.filter(pk=cancelled.pk).update(state=State.CANCELLED)
    finish(lost, done)
    Image.objects.get(job=lost).delete()
    make_run(prompts=4, name="again")
    assert states(run) == ["pending", "pending", "pending", "done"]
    failed.refresh_from_db()
    assert (failed.attempts, failed.reason) == (0, "")


def test_a_more_urgent_run_lifts_shared_jobs() -> None:
    calm = make_run(prompts=2)
    make_run(prompts=1, name="urgent", priority=5)
    make_run(prompts=2, name="patient", priority=-5)
    assert list(calm.jobs.order_by("pk").values_list("priority", flat=True)) == [5, 0]


def test_wrong_wishes_are_refused_before_anything_is_stored() -> None:
    recipe = make_recipe()
    refused = make_recipe(steps=9)
    Recipe.objects.filter(pk=refused.pk).update(state=Recipe.State.REFUSED, refusal="9 is too many.")
    refused.refresh_from_db()
    external = Recipe.objects.create(name="service", kind=Recipe.Kind.EXTERNAL, width=64, height=64, digest="e" * 64)
    wrong: list[tuple[list[Recipe], list[str], int, str]] = [
        ([], ["a"], 1, "at least one recipe"),
        ([recipe], [], 1, "at least one recipe and one prompt"),
        ([recipe], ["a"], 0, "samples must lie between 1 and 1000"),
        ([refused], ["a"], 1, "'tiny, 9 steps' was refused: 9 is too many."),
        ([external], ["a"], 1, "'service' stands for a service; upload its images"),
    ]
    for recipes, texts, samples, sentence in wrong:
        with pytest.raises(GenerationError, match=sentence):
            start_run(name="wrong", owner=None, recipes=recipes, prompt_texts=texts, samples=samples)
    assert not Run.objects.exists()


def test_time_left_comes_from_measured_seconds_and_evaluations() -> None:
    quick, slow = make_recipe(steps=2), make_recipe(steps=8)
    run = make_run(prompts=2, recipes=[quick, slow])
    assert progress_of(run) == RunProgress(total=4, done=0, failed=0, seconds_left=None)
    first = run.jobs.filter(recipe=quick).order_by("pk").first()
    assert first is not None
    jobs.finish([image_for(first, seconds=0.5)])
    # One more quick one at 0.5 s, two slow ones at 8 evaluations of 0.25 s each.
    assert progress_of(run) == RunProgress(total=4, done=1, failed=0, seconds_left=4.5)
    run.jobs.exclude(pk=first.pk).update(state=State.FAILED, reason="no memory")
    assert progress_of(run) == RunProgress(total=4, done=1, failed=3, seconds_left=0.0)


def test_time_left_is_shared_by_the_workers_that_are_busy() -> None:
    run = make_run(prompts=17)
    jobs.finish([image_for(job, seconds=2.0) for job in jobs.claim(worker="a", most=1)])
    jobs.claim(worker="a")
    jobs.claim(worker="b")
    assert progress_of(run).seconds_left == 16.0


@pytest.mark.parametrize("recipe_count", [1, 4])
def test_progress_takes_the_same_few_queries_for_any_size(
    recipe_count: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = make_run(prompts=3, recipes=[make_recipe(steps=steps) for steps in range(1, recipe_count + 1)])
    with django_assert_max_num_queries(5):
        progress_of(run)


def test_failed_jobs_get_new_attempts() -> None:
    run = make_run(prompts=3)
    failed = run.jobs.order_by("pk")[:2]
    ImageJob.objects.filter(pk__in=[job.pk for job in failed]).update(
        state=State.FAILED, reason="no memory", attempts=3
    )
    assert retry_failed(run) == 2
    assert states(run) == ["pending"] * 3
    assert [len(jobs.claim(worker="a")), retry_failed(run)] == [3, 0]


def test_one_failed_job_is_retried_and_no_other_and_no_strangers() -> None:
    run, stranger = make_run(prompts=2), make_run(prompts=1, name="other", recipes=[make_recipe(steps=9)])
    ImageJob.objects.update(state=State.FAILED, reason="no memory", attempts=3)
    first, second = run.jobs.order_by("pk")
    assert retry_jobs(run, [first.pk, stranger.jobs.get().pk]) == 1
    assert (states(run), states(stranger)) == (["pending", "failed"], ["failed"])
    assert retry_jobs(run, [first.pk]) == 0


def test_a_run_can_be_moved_before_and_behind_others() -> None:
    run = make_run(prompts=2)
    other = make_run(prompts=1, name="other", priority=3)
    assert list(run.jobs.order_by("pk").values_list("priority", flat=True)) == [3, 0]
    set_priority(run, 5)
    assert list(run.jobs.order_by("pk").values_list("priority", flat=True)) == [5, 5]
    set_priority(run, -2)
    assert list(run.jobs.order_by("pk").values_list("priority", flat=True)) == [3, -2]
    cancel_run(other)
    with pytest.raises(GenerationError, match="is cancelled"):
        set_priority(other, 1)
    with pytest.raises(GenerationError, match="lies between -1000 and 1000, not at 1001"):
        set_priority(run, 1001)
    assert (run.priority, Run.objects.get(pk=run.pk).priority) == (-2, -2)


def test_jobs_of_a_refused_recipe_are_not_retried() -> None:
    recipe = make_recipe()
    run = make_run(prompts=1, recipes=[recipe])
    run.jobs.update(state=State.FAILED, reason="refused")
    Recipe.objects.filter(pk=recipe.pk).update(state=Recipe.State.REFUSED, refusal="no")
    assert retry_failed(run) == 0


def test_a_paused_run_waits_and_goes_on() -> None:
    run = make_run()
    pause_run(run)
    assert not jobs.has_due_jobs()
    resume_run(run)
    assert jobs.has_due_jobs()


def test_cancelling_spares_jobs_that_another_run_wants_and_images_that_exist() -> None:
    run = make_run(prompts=3)
    other = make_run(prompts=1, name="other")
    finish(run.jobs.get(prompt_text="prompt 1"))
    assert cancel_run(run) == 1
    assert (states(run), states(other)) == (["pending", "done", "cancelled"], ["pending"])
    run.refresh_from_db()
    assert run.cancelled_at is not None
    cancel_run(other)
    assert not jobs.has_due_jobs()


def test_large_plans_are_stored_in_short_transactions() -> None:
    recipe = make_recipe()
    with CaptureQueriesContext(connection) as queries:
        run = make_run(prompts=2100, recipes=[recipe])
    assert run.jobs.count() == 2100
    # Savepoints inside the test's own transaction: one for each thousand.
    assert sum(query["sql"].startswith("SAVEPOINT") for query in queries) == 3


def test_a_finished_run_has_no_time_left() -> None:
    run = make_run(prompts=1)
    finish(*run.jobs.all())
    assert progress_of(run) == RunProgress(total=1, done=1, failed=0, seconds_left=0.0)
    assert progress_of(run).left == 0


def test_jobs_in_work_are_not_planned_anew() -> None:
    run = make_run(prompts=1)
    jobs.claim(worker="a")
    make_run(prompts=1, name="again")
    job = run.jobs.get()
    assert (job.state, job.worker, job.attempts) == ("running", "a", 1)


def test_leases_that_ran_out_do_not_count_as_busy_workers() -> None:
    run = make_run(prompts=3)
    jobs.finish([image_for(job, seconds=2.0) for job in jobs.claim(worker="a", most=1)])
    jobs.claim(worker="dead", most=1)
    run.jobs.filter(worker="dead").update(lease_until=Now() - timedelta(seconds=1))
    jobs.claim(worker="a", most=1)
    assert progress_of(run).seconds_left == 4.0
    assert make_checkpoint().recipes.count() == 1
