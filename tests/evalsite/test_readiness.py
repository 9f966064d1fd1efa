"""`/readyz`: ready or not, within seconds, and in words that tell a stranger nothing."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import Client

from evalsite import readiness
from evalsite.readiness import Question
from tests.conftest import as_broker
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)
WELL = {"database": "ok", "migrations": "ok", "storage": "ok", "broker": "ok"}


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_all_applied", [False])


def ask(client: Client) -> tuple[int, dict[str, str]]:
    reply = client.get("/readyz")
    body = reply.json()
    assert set(body) == {"ready", "parts"} and body["ready"] is (reply.status_code == 200)
    assert "no-store" in reply.headers["Cache-Control"]
    return reply.status_code, body["parts"]


def test_all_is_well(client: Client, broker: RedisServer) -> None:
    assert ask(client) == (200, WELL)
    assert client.post("/readyz").status_code == 405


def test_without_the_broker_the_site_is_still_ready(client: Client, mortal_redis: RedisServer) -> None:
    with as_broker(mortal_redis.url):
        mortal_redis.pause()
        began = time.monotonic()
        answer = ask(client)
        seconds = time.monotonic() - began
        mortal_redis.resume()
    code, parts = answer
    assert (code, parts.pop("broker") != "ok", seconds < 4) == (200, True, True)
    assert parts == {"database": "ok", "migrations": "ok", "storage": "ok"}


def test_a_missing_migration_is_not_ready_until_it_is_applied(client: Client, broker: RedisServer) -> None:
    newest = MigrationLoader(connection).graph.leaf_nodes("arena")[0][1]
    row = "DELETE FROM django_migrations WHERE app = 'arena' AND name = %s"
    again = "INSERT INTO django_migrations (app, name, applied) VALUES ('arena', %s, '2026-01-01')"
    with connection.cursor() as cursor:
        cursor.execute(row, [newest])
    try:
        without = ask(client)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(again, [newest])
    assert without == (503, WELL | {"migrations": "failing"})
    assert ask(client) == (200, WELL)


def test_a_store_that_cannot_be_written_is_not_ready_and_its_place_is_not_told(
    client: Client, broker: RedisServer, tmp_path: Path, settings: Any
) -> None:
    (tmp_path / "file").touch()
    images = {"BACKEND": "generation.image_store.AtomicFileSystemStorage", "OPTIONS": {"location": tmp_path / "file"}}
    settings.STORAGES = settings.STORAGES | {"images": images}
    assert ask(client) == (503, WELL | {"storage": "failing"})


def test_a_check_that_hangs_is_silent_and_is_begun_once_however_often_one_asks() -> None:
    release, begun = threading.Event(), []

    def hang() -> bool:
        begun.append(1)
        return release.wait(30)

    question = Question("database", hang)
    for _ in range(3):
        asked = question.ask()
        assert question.answer(asked, until=time.monotonic() + 0.05) == "silent"
    release.set()
    assert (question.answer(asked, until=time.monotonic() + 30), len(begun)) == ("ok", 1)


def test_who_asks_meanwhile_changes_no_answer() -> None:
    question = Question("database", lambda: True)
    first = question.ask()
    first[0].join()
    second = question.ask()
    assert question.answer(first, until=time.monotonic() + 30) == "ok"
    assert question.answer(second, until=time.monotonic() + 30) == "ok" and first[1] is not second[1]
