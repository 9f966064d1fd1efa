"""What a web server and a worker refuse to start on, each time with one sentence and within a bound."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from evalsite.environment import secret
from evalsite.starting import refuse_bad_start, refuse_missing_tables
from tests.servers import celery_worker
from tests.servers.addresses import free_port

GUNICORN = ("-m", "gunicorn", "evalsite.wsgi", "--config", "deploy/gunicorn.conf.py", "--bind", "127.0.0.1:0")
WORKER = ("-m", "celery", "--app", "evalsite", "worker", "--queues", "default", "--pool", "solo")


def ended(*command: str, **variables: str) -> tuple[int, str]:
    """Exit code and last line of a program that ends by itself."""
    program = subprocess.run(
        [sys.executable, *command],
        cwd=settings.BASE_DIR,
        env={**os.environ, "WINRATE_START_SECONDS": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in program.stdout, program.stdout
    return program.returncode, program.stdout.strip().splitlines()[-1]


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_a_web_server_without_a_broker_says_so() -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    code, said = ended(*GUNICORN, DATABASE_URL=celery_worker.test_database_url(), CELERY_BROKER_URL=url)
    assert code != 0
    assert said.startswith("Winrate cannot start: the broker at 127.0.0.1:") and "secret" not in said
    assert "did not answer within 1 seconds (" in said and said.endswith("start it, or mend CELERY_BROKER_URL.")


def test_a_worker_without_a_database_says_so() -> None:
    url = f"postgres://ada:secret@127.0.0.1:{free_port()}/winrate"
    code, said = ended(*WORKER, DATABASE_URL=url)
    assert code != 0
    assert said.startswith("Winrate cannot start: the database at 127.0.0.1:") and "secret" not in said
    assert said.endswith("start it, or mend DATABASE_URL.")


def test_dangerous_settings_stop_every_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "HTTPS", True)
    monkeypatch.setattr(settings, "HAS_GIVEN_SECRET_KEY", False)
    with pytest.raises(SystemExit, match="Winrate cannot start: WINRATE_HTTPS is on, but SECRET_KEY is not set"):
        refuse_bad_start()


@pytest.mark.django_db
def test_code_that_is_newer_than_the_database_says_so() -> None:
    refuse_missing_tables()
    newest = MigrationLoader(connection).graph.leaf_nodes("arena")[0][1]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'arena' AND name = %s", [newest])
    with pytest.raises(SystemExit, match=rf"the database lacks arena\.{newest}.*manage\.py migrate"):
        refuse_missing_tables()


def test_sample_keys_are_refused() -> None:
    lines = (Path(settings.BASE_DIR) / "deploy" / "winrate.env.sample").read_text().splitlines()
    sample = next(line.partition("=")[2].strip("'") for line in lines if line.startswith("SECRET_KEY="))
    random = "Vq3x-T0bYwZr8nKc_5uHjLe2PmSdGf7aWi9oXk4t"
    for key in (sample, f"django-insecure-{random}", f"change-me-{random}", f"your-secret-key-{random}"):
        with pytest.raises(ValueError, match="make one with"):
            secret(key)
    assert secret(random) == random
