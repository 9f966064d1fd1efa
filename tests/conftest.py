"""Fixtures for all tests: real servers where their programs can be had, and a test database that may be emptied."""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db.backends.postgresql.operations import DatabaseOperations as PostgresOperations
from django.db.backends.sqlite3.base import DatabaseWrapper
from hypothesis import HealthCheck
from hypothesis import settings as Examples
from playwright.sync_api import Browser, sync_playwright

from evalsite import asking
from evalsite.celery import app as celery_app
from evalsite.services import broker_options
from tests import plugin
from tests.servers import s3_server as s3
from tests.servers.celery_worker import CeleryWorker
from tests.servers.chromium import find_chromium, flags
from tests.servers.missing import say_missing
from tests.servers.postgres import PostgresServer, find_postgres
from tests.servers.redis_server import RedisServer

APPEND_ONLY = ("arena_vote", "arena_auditevent", "arena_voteroot")

StartWorker = Callable[..., CeleryWorker]


def pytest_configure(config: pytest.Config) -> None:
    """Quick passwords, as the real hasher takes most of a test that signs in; nothing is failed for being slow."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # A web server that a test starts on the same data folder forgets at its start what was counted in its own.
    settings.METRICS_FOLDER = settings.DATA_DIR / "metrics" / "tests"
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.METRICS_FOLDER)
    asking.SECONDS_TO_ANSWER = 60.0  # what is well may be slow on a busy machine; tests of what hangs set their own
    Examples.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    Examples.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def _emptying_lets_append_only_tables_go() -> Iterator[None]:
    """Take the triggers away while the database is emptied after a test.

    Votes and audit events refuse DELETE, which is how Django empties SQLite, and TRUNCATE, its way with PostgreSQL.
    """
    operations = DatabaseWrapper.ops_class
    flush = operations.sql_flush

    def flush_without_triggers(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
        statements = flush(self, style, tables, **options)
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
        return [f'DROP TRIGGER "{name}"' for name, _ in triggers] + statements + [sql for _, sql in triggers]

    postgres_flush = PostgresOperations.sql_flush

    def flush_past_triggers(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
        refusing = [table for table in tables if table in APPEND_ONLY]
        statements = postgres_flush(self, style, tables, **options)
        off, on = ([f"ALTER TABLE {table} {act} TRIGGER USER" for table in refusing] for act in ("DISABLE", "ENABLE"))
        return off + statements + on

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "sql_flush", flush_without_triggers)
        patch.setattr(PostgresOperations, "sql_flush", flush_past_triggers)
        yield


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis shared by all tests that leave it running; emptied by `broker` before each."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def mortal_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own, to be killed, hung and started again."""
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def broker(redis_server: RedisServer) -> Iterator[RedisServer]:
    """The shared Redis, empty, as this process's broker too."""
    with redis_server.client() as client:
        client.flushall()
    with as_broker(redis_server.url):
        yield redis_server


@contextlib.contextmanager
def as_broker(url: str) -> Generator[None]:
    """Point this process's Celery and health check at another broker for a while."""
    before = str(settings.CELERY_BROKER_URL)
    _use_broker(url)
    try:
        yield
    finally:
        _use_broker(before)


def _use_broker(url: str) -> None:
    os.environ["CELERY_BROKER_URL"] = url  # Celery puts the environment above its own configuration
    settings.CELERY_BROKER_URL = url
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = broker_options(url, data_folder=settings.DATA_DIR)
    celery_app.conf.update(broker_url=url, broker_transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS)
    # Forgets pooled connections to the broker before; celery-types does not know it.
    celery_app._after_fork()  # type: ignore[attr-defined]


@pytest.fixture
def start_worker(transactional_db: None, redis_server: RedisServer, tmp_path: Path) -> Iterator[StartWorker]:
    """A function that starts real workers; they see what the test has committed and end with it."""
    workers: list[CeleryWorker] = []

    def start(
        queues: str = "gen.cpu",
        *,
        broker_url: str = redis_server.url,
        has_beat: bool = False,
        waits: bool = True,
        **environment: str,
    ) -> CeleryWorker:
        log = tmp_path / f"worker-{len(workers)}.log"
        worker = CeleryWorker(
            queues=queues, broker_url=broker_url, has_beat=has_beat, environment=environment, log=log, waits=waits
        )
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.stop()


@pytest.fixture(scope="session")
def postgres_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresServer]:
    """A PostgreSQL: the one that holds the test database where that is PostgreSQL, else one of its own."""
    if running := request.config.stash.get(plugin.postgres_server, None):
        yield running
        return
    binaries = find_postgres() or say_missing("PostgreSQL")
    place = request.config.stash[plugin.data_folder] / "postgres"
    place.mkdir()
    server = PostgresServer(binaries, place)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[s3.S3Server]:
    """An S3 service with no buckets."""
    with pytest.MonkeyPatch.context() as patch, s3.RunningS3() as server:
        for name, value in s3.CREDENTIALS.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser; open a new context in each test."""
    path = find_chromium() or say_missing("Chromium")
    # Playwright runs an event loop in this thread, and Django then refuses the database calls of the test itself.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags(), headless=True)
        yield browser
        browser.close()
