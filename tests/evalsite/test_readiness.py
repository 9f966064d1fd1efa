"""`/readyz`: ready or not, within seconds, and in words that tell a stranger nothing."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import Client

from evalsite import asking, readiness
from evalsite.asking import Part, Question
from tests.conftest import as_broker
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)
WELL = {"database": "ok", "migrations": "ok", "storage": "ok", "broker": "ok"}


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_all_applied", [False])


def ask(client: Client) -> tuple[int, dict[str, str]]:
    for question in readiness.QUESTIONS.values():
        question.forget()
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
        began = time.monotonic()  # its own patience is a second
        answer = ask(client)
        seconds = time.monotonic() - began
        mortal_redis.resume()
    code, parts = answer
    assert (code, parts.pop("broker") != "ok", seconds < 30) == (200, True, True)
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


def test_a_check_that_hangs_is_silent_is_begun_once_and_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SECONDS_TO_ANSWER", 0.5)
    release, begun = threading.Event(), []

    def hang() -> Part:
        begun.append(1)
        return {"ok": release.wait(60)}

    question = Question("database", hang)
    assert question.answer(question.ask()) is None
    began = time.monotonic()
    for _ in range(1_000):  # of which one would already take half a second
        asked = question.ask()
        assert question.answer(asked) is None
    assert time.monotonic() - began < 60
    release.set()
    assert asked.is_there.wait(60)
    assert (question.answer(asked), question.answer(question.ask()), len(begun)) == ({"ok": True}, {"ok": True}, 1)


def test_an_answer_is_kept_for_a_moment_and_then_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SECONDS_KEPT", 3600.0)
    begun = []

    def check() -> Part:
        begun.append(1)
        return {"ok": True}

    question = Question("store", check)
    assert [question.answer(question.ask()) for _ in range(20)] == [{"ok": True}] * 20 and len(begun) == 1
    monkeypatch.setattr(asking, "SECONDS_KEPT", -1.0)
    question.answer(question.ask())
    assert len(begun) == 2


def test_a_check_that_bursts_is_an_answer() -> None:
    def burst() -> Part:
        raise RuntimeError("secret-host:5432 is away")

    question = Question("store", burst)
    assert question.answer(question.ask()) == {"ok": False, "reason": "the store cannot be asked"}
