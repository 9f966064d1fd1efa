"""How long claiming a micro-batch takes while N jobs wait, on the database that DATABASE_URL names: an empty one.

DATABASE_URL=sqlite:////tmp/claims.sqlite3 python -m benchmarks.claims --jobs 1000000
"""

import argparse
import os
import time
from statistics import median

import django

RECIPES = 16


def main() -> None:
    """Fill the database with jobs of sixteen recipes on four checkpoints, then claim and print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--claims", type=int, default=50)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    _fill(options.jobs)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    print(f"{connection.vendor}, {options.jobs:,} jobs waiting, {RECIPES} recipes")
    _measure(options.claims)


def _fill(count: int) -> None:
    from django.db import connection

    from generation.models import Checkpoint, ImageJob, Recipe, Run
    from generation.recipes import get_recipe
    from generation.schedules import get_schedule

    for number in range(4):
        checkpoint = Checkpoint.objects.create(name=f"model-{number}", source=f"model-{number}", state="ready")
        for steps in range(1, RECIPES // 4 + 1):
            recipe = get_recipe(
                name=f"{number}-{steps}",
                checkpoint=checkpoint,
                schedule=get_schedule(steps=steps),
                guidance=3,
                width=64,
                height=64,
            )
            Recipe.objects.filter(pk=recipe.pk).update(state="ready")
    run = Run.objects.create(name="million")
    recipes = list(Recipe.objects.order_by("pk").values_list("pk", flat=True))
    jobs, items = ImageJob._meta.db_table, Run.jobs.through._meta.db_table
    columns = "recipe_id, prompt_text, prompt_digest, sample, request_digest, state, priority, attempts, worker, reason"
    numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %s) "
    with connection.cursor() as cursor:
        values = f"{recipes[0]} + (i / 8) %% {len(recipes)}, 'a prompt', 'd', 0, 'r' || i, 'pending', 0, 0, '', ''"
        into = f"INSERT INTO {jobs} ({columns}, created_at) {numbers}"
        cursor.execute(f"{into} SELECT {values}, CURRENT_TIMESTAMP FROM n", [count])  # noqa: S608 - our own names
        cursor.execute(f"INSERT INTO {items} (run_id, job_id) SELECT %s, id FROM {jobs}", [run.pk])  # noqa: S608


def _measure(claims: int) -> None:
    from generation import jobs
    from generation.models import Checkpoint

    held = list(Checkpoint.objects.values_list("pk", flat=True))
    ways = {
        "in planned order": {},
        "weights at hand, one pipeline loaded": {"checkpoints": held[1:], "loaded": held[2:3]},
    }
    for name, arguments in ways.items():
        spent = []
        for number in range(claims):
            began = time.perf_counter()
            batch = jobs.claim(worker=f"w{number}", longest_wait=None, **arguments)  # type: ignore[arg-type]
            spent.append(1000 * (time.perf_counter() - began))
            if len(batch) != jobs.LARGEST_BATCH:
                raise SystemExit(f"A claim gave {len(batch)} jobs.")
        print(f"  claim, {name}: median {median(spent):.1f} ms, longest {max(spent):.1f} ms")
    began = time.perf_counter()
    jobs.has_due_jobs()
    print(f"  is work due: {1000 * (time.perf_counter() - began):.1f} ms")


if __name__ == "__main__":
    main()
