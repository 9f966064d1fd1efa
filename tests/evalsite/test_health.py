"""The health page: 503 only where votes would be lost, `degraded` for the rest, and never a long wait."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.db import connection
from django.test import Client

from evalsite import asking, health
from evalsite.services import storage_of
from generation.heartbeats import beat_heart
from generation.models import WorkerHeartbeat
from tests.conftest import as_broker
from tests.servers.redis_server import RedisServer
from tests.servers.s3_server import S3Server

pytestmark = pytest.mark.django_db(transaction=True)  # each part is asked in a thread of its own


def ask(client: Client, *, strict: bool = False) -> tuple[int, str, dict[str, Any]]:
    for question in health.QUESTIONS.values():
        question.forget()
    response = client.get("/healthz", {"strict": "1"} if strict else {})
    body = response.json()
    return response.status_code, body["status"], body["parts"]


@pytest.fixture
def living_workers(transactional_db: None) -> None:
    beat_heart(worker="a", queues=["default"])
    beat_heart(worker="b", queues=["gen.gpu24"])


@pytest.mark.usefixtures("living_workers")
def test_all_is_well(client: Client, broker: RedisServer) -> None:
    assert ask(client, strict=True) == (
        200,
        "ok",
        {
            "database": {"ok": True, "kind": connection.vendor},
            "storage": {"ok": True},
            "broker": {"ok": True, "kind": "redis"},
            "workers": {"ok": True, "queues": {"default": 1, "gen.gpu24": 1}},
        },
    )


@pytest.mark.usefixtures("living_workers")
def test_a_killed_redis_is_degraded_and_unwell_only_when_asked_strictly(
    client: Client, mortal_redis: RedisServer
) -> None:
    with as_broker(mortal_redis.url):
        assert ask(client, strict=True)[:2] == (200, "ok")
        mortal_redis.kill()
        code, status, parts = ask(client)
        assert (code, status, ask(client, strict=True)[0]) == (200, "degraded", 503)
        assert parts["broker"] == {"ok": False, "reason": "the broker does not answer; votes are kept, images wait"}
        mortal_redis.start()
        assert ask(client, strict=True)[:2] == (200, "ok")


@pytest.mark.usefixtures("living_workers")
def test_a_hung_redis_does_not_hang_the_page(client: Client, mortal_redis: RedisServer) -> None:
    with as_broker(mortal_redis.url):
        mortal_redis.pause()
        began = time.monotonic()
        answer = ask(client)[:2]
        seconds = time.monotonic() - began
        mortal_redis.resume()
    assert (answer, seconds < 30) == ((200, "degraded"), True)


def test_missing_workers_are_named(client: Client, broker: RedisServer) -> None:
    beat_heart(worker="a", queues=["default"])
    beat_heart(worker="b", queues=["gen.cpu"])
    WorkerHeartbeat.objects.filter(worker="b").update(seen_at="2020-01-01T00:00:00Z")
    code, status, parts = ask(client)
    assert (code, status) == (200, "degraded")
    assert parts["workers"] == {
        "ok": False,
        "queues": {"default": 1},
        "reason": "no living worker for making images",
    }


@pytest.mark.usefixtures("living_workers")
def test_a_storage_that_cannot_be_written_is_unavailable(
    client: Client, broker: RedisServer, tmp_path: Path, settings: Any
) -> None:
    (tmp_path / "file").touch()
    images = {"BACKEND": "generation.image_store.AtomicFileSystemStorage", "OPTIONS": {"location": tmp_path / "file"}}
    settings.STORAGES = settings.STORAGES | {"images": images}
    code, status, parts = ask(client)
    assert (code, status) == (503, "unavailable")
    assert parts["storage"] == {"ok": False, "reason": "the image store cannot be written and read back"}


@pytest.mark.usefixtures("living_workers")
def test_an_s3_store_is_written_and_read_back(
    client: Client, broker: RedisServer, s3_server: S3Server, settings: Any
) -> None:
    s3_server.storage_url("healthy")
    options = {"bucket_name": "healthy", "endpoint_url": s3_server.endpoint_url}
    images = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"images": images}
    assert ask(client, strict=True)[:2] == (200, "ok")
    assert storages["images"].listdir("health")[1] == []


@pytest.mark.usefixtures("living_workers")
def test_a_store_that_hangs_is_waited_for_once_and_holds_nobody_after(
    client: Client, broker: RedisServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "anything")
    monkeypatch.setattr(asking, "SECONDS_KEPT", 3600.0)
    monkeypatch.setattr(asking, "SECONDS_TO_ANSWER", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never says a word
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        images = storage_of(f"s3://images?endpoint_url={address}&addressing_style=path")
        assert images["OPTIONS"]["client_config"].read_timeout == 15
        settings.STORAGES = settings.STORAGES | {"images": images}
        assert ask(client)[:2] == (503, "unavailable")
        for name in ("database", "broker", "workers"):
            assert health.QUESTIONS[name].ask().is_there.wait(60)
        began = time.monotonic()
        answers = [client.get("/healthz").json()["parts"] for _ in range(100)]
        assert time.monotonic() - began < 60  # of which one would already take a second
    assert all(part["storage"] == {"ok": False, "reason": "the image store does not answer"} for part in answers)
    assert [answers[0][name]["ok"] for name in ("database", "broker", "workers")] == [True, True, True]
    health.QUESTIONS["storage"].forget()


@pytest.mark.once
def test_a_lost_database_is_unavailable(client: Client, broker: RedisServer) -> None:
    connection.close()
    name = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = "/proc/no-such-place/database.sqlite3"
    try:
        code, status, parts = ask(client)
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name
    assert (code, status) == (503, "unavailable")
    assert parts["database"] == {"ok": False, "reason": "the database does not answer"}
    assert parts["workers"] == {"ok": False, "reason": "nobody can tell: the database does not answer"}


def test_only_reading_is_allowed_and_nothing_is_cached(client: Client) -> None:
    assert client.post("/healthz").status_code == 405
    assert "no-store" in client.get("/healthz").headers["Cache-Control"]


def test_a_browser_that_asks_for_an_icon_by_itself_is_led_to_ours(client: Client) -> None:
    answer = client.get("/favicon.ico")
    assert answer.status_code == 302 and answer["Location"].startswith("/static/arena/mark")
