"""Planning a large run, looking at it, and claiming while the table of jobs grows, on the database of DATABASE_URL.

WINRATE_DATA_DIR=$(mktemp -d) python -m benchmarks.planning
DATABASE_URL=postgres://user@host/empty WINRATE_DATA_DIR=$(mktemp -d) python -m benchmarks.planning
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

import django

from benchmarks.measuring import machine, peak_mebibytes

if TYPE_CHECKING:
    from generation.models import Recipe, Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1632)
    parser.add_argument("--recipes", type=int, default=40)
    parser.add_argument("--jobs", type=int, nargs="*", default=[100_000, 1_000_000], help="then claim among so many")
    parser.add_argument("--claims", type=int, default=30)
    asked = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, {connection.vendor}.\n")
    recipes = _recipes(asked.recipes)
    run = _plan(recipes, asked.prompts)
    print("\n| jobs in the table | held | claim, median ms | longest ms | is work due, ms |\n|---|---|---|---|---|")
    _claims(run, claims=asked.claims)
    for count in asked.jobs:
        _fill(run, count)
        _claims(run, claims=asked.claims)
    _pause(run, recipes)
    _claims(run, claims=asked.claims)


def _recipes(count: int) -> list[Recipe]:
    from generation.models import Checkpoint, Recipe
    from generation.recipes import get_recipe
    from generation.schedules import get_schedule

    for number in range(count):
        name = f"model-{number % 4}"
        checkpoint, _ = Checkpoint.objects.get_or_create(name=name, defaults={"source": name, "state": "ready"})
        get_recipe(
            name=f"recipe-{number}",
            checkpoint=checkpoint,
            schedule=get_schedule(steps=1 + number // 4),
            guidance=3,
            width=1024,
            height=1024,
        )
    Recipe.objects.update(state="ready")
    return list(Recipe.objects.select_related("schedule").order_by("pk"))


def _plan(recipes: list[Recipe], prompts: int) -> Run:
    """A run planned from nothing, planned again, and looked at."""
    from django.contrib.auth.models import User

    from arena.image_grid import GridFilter, RunSource, grid_page
    from generation.models import Run
    from generation.planning import add_to_run
    from generation.run_plans import plan_run
    from generation.run_status import status_of

    run = Run.objects.create(name="large")
    viewer = User.objects.create_superuser("looks")
    texts = [f"a photograph of subject {number}, in the evening light, 35 mm" for number in range(prompts)]
    print(f"{prompts:,} prompts x {len(recipes)} recipes, {prompts * len(recipes):,} images\n")
    print("| act | wall s | CPU s | peak extra memory, MiB |\n|---|---|---|---|")
    acts: dict[str, Callable[[], object]] = {
        "plan the run": lambda: add_to_run(run, recipes=recipes, prompt_texts=texts),
        "say what a run would cost": lambda: plan_run(recipes=recipes, prompt_texts=texts, samples=1),
        "plan it again": lambda: add_to_run(run, recipes=recipes, prompt_texts=texts),
        "status of the run": lambda: status_of(run),
        "a page of its grid": lambda: grid_page(RunSource(run, viewer=viewer), GridFilter()),
    }
    for name, act in acts.items():
        times: list[float] = []
        peak = peak_mebibytes(lambda act=act, times=times: times.extend(_timed(act)))  # type: ignore[misc]
        memory = "unknown" if peak is None else f"{peak:.0f}"
        print(f"| {name} | {times[0]:.2f} | {times[1]:.2f} | {memory} |", flush=True)
    return run


def _timed(act: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    act()
    return time.perf_counter() - wall, time.process_time() - cpu


def _fill(run: Run, count: int) -> None:
    """Bring the table to `count` rows, all waiting and wanted by the run, in the order of a planned run."""
    from django.db import connection

    from generation.models import ImageJob, Recipe, RunItem

    have = ImageJob.objects.count()
    recipes = Recipe.objects.count()
    first = Recipe.objects.order_by("pk").values_list("pk", flat=True)[0]
    jobs, items = ImageJob._meta.db_table, RunItem._meta.db_table
    columns = "recipe_id, prompt_text, prompt_digest, sample, request_digest, state, priority, attempts, worker, reason"
    numbers = "WITH RECURSIVE n(i) AS (SELECT %s UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %s)"
    values = f"{first} + (i / 8) %% {recipes}, 'a prompt', 'd', 0, 'r' || i, 'pending', 0, 0, '', ''"
    into = f"INSERT INTO {jobs} ({columns}, created_at) {numbers} SELECT {values}, CURRENT_TIMESTAMP FROM n"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute("SELECT MAX(id) FROM " + jobs)  # noqa: S608 - the name of our own table
        last = cursor.fetchone()[0]
        cursor.execute(into, [have, count])
        cursor.execute(
            f"INSERT INTO {items} (run_id, job_id) SELECT %s, id FROM {jobs} WHERE id > %s",  # noqa: S608
            [run.pk, last],
        )
        cursor.execute("ANALYZE")


def _pause(run: Run, recipes: list[Recipe]) -> None:
    """Pause the large run, and start one of the same recipes that is the only one to go on."""
    from generation.planning import pause_run, start_run

    wall, cpu = _timed(lambda: pause_run(run))
    print(f"\nThe run was paused in {wall:.1f} s ({cpu:.1f} s CPU); beside it 50 other prompts of its recipes:\n")
    start_run(name="beside", owner=None, recipes=recipes, prompt_texts=[f"another prompt {k}" for k in range(50)])
    print("| jobs in the table | held | claim, median ms | longest ms | is work due, ms |\n|---|---|---|---|---|")


def _claims(run: Run, *, claims: int) -> None:
    from generation import choosing, jobs
    from generation.models import ImageJob

    spent = []
    for number in range(claims):
        batches: list[object] = []
        wall, _ = _timed(lambda: batches.extend(jobs.claim(worker=f"worker-{number}")))  # noqa: B023 - called at once
        spent.append(1000 * wall)
        if not batches:
            raise SystemExit("A claim gave nothing: ask for fewer --claims.")
    due, _ = _timed(jobs.has_due_jobs)
    count, held = ImageJob.objects.count(), ImageJob.objects.filter(priority=choosing.HELD).count()
    print(f"| {count:,} | {held:,} | {median(spent):.1f} | {max(spent):.1f} | {1000 * due:.1f} |", flush=True)


if __name__ == "__main__":
    main()
