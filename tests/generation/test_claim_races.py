"""Real processes on the real test database claim at the same time: every job goes to exactly one of them."""

import os
import subprocess
import sys
from collections import Counter

import pytest
from django.conf import settings

from generation.models import ImageJob
from tests.generation.rows import make_recipe, make_run
from tests.servers import celery_worker

WORKERS = 3
JOBS = 60


@pytest.mark.django_db(transaction=True)
def test_each_job_goes_to_one_of_several_workers() -> None:
    make_run(prompts=JOBS // 2, recipes=[make_recipe(steps=1), make_recipe(steps=2)])
    environment = os.environ | {
        "DATABASE_URL": celery_worker.test_database_url(),
        "WINRATE_DATA_DIR": str(settings.DATA_DIR),
    }
    processes = [
        subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "tests.generation.claimer", f"worker {k}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=settings.BASE_DIR,
        )
        for k in range(WORKERS)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    got = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * WORKERS
    claimed = Counter(int(pk) for share in got for pk in share)
    assert claimed == Counter(ImageJob.objects.values_list("pk", flat=True))
    assert len(claimed) == JOBS
    assert set(ImageJob.objects.values_list("state", "attempts")) == {("running", 1)}
    holders = dict(ImageJob.objects.values_list("pk", "worker"))
    assert all(holders[int(pk)] == f"worker {k}" for k, share in enumerate(got) for pk in share)
