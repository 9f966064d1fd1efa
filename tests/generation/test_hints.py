"""Hints wake workers and never hurt the request that sends them."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from django.db import transaction

from generation import hints
from generation.hints import hint_resolver, hint_workers
from tests.conftest import as_broker
from tests.servers.addresses import free_port
from tests.servers.redis_server import RedisServer

Capture = Callable[..., Any]


@pytest.fixture(autouse=True)
def _nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "_said_at", [float("-inf")])


def queued(server: RedisServer) -> int:
    with server.client() as client:
        return int(client.llen("gen.cpu"))


@pytest.mark.django_db
def test_hints_are_sent_after_the_commit(broker: RedisServer, django_capture_on_commit_callbacks: Capture) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        with transaction.atomic():
            hint_workers(3)
            hint_resolver()
        assert queued(broker) == 0
    assert queued(broker) == 4


@pytest.mark.django_db
def test_nothing_is_sent_for_what_was_rolled_back(
    broker: RedisServer, django_capture_on_commit_callbacks: Capture
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        try:
            with transaction.atomic():
                hint_workers()
                raise ValueError
        except ValueError:
            pass
    assert queued(broker) == 0


@pytest.mark.django_db
def test_a_dead_broker_costs_seconds_and_no_error(
    django_capture_on_commit_callbacks: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    started = time.monotonic()
    with (
        as_broker(f"redis://127.0.0.1:{free_port()}/0"),
        caplog.at_level(logging.WARNING),
        django_capture_on_commit_callbacks(execute=True),
    ):
        hint_workers(5)
        hint_workers()
    assert caplog.text.count("generation.tasks.generate_next waits for the next reconcile") == 1
    assert time.monotonic() - started < 15


@pytest.mark.django_db
def test_a_hung_broker_costs_seconds_and_no_error(
    mortal_redis: RedisServer, django_capture_on_commit_callbacks: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    with as_broker(mortal_redis.url), caplog.at_level(logging.WARNING):
        # The product waits longer; what counts here is that the wait ends.
        current_app.conf.broker_transport_options |= {"socket_timeout": 0.5}
        with django_capture_on_commit_callbacks(execute=True):
            hint_workers()
        mortal_redis.pause()
        started = time.monotonic()
        with django_capture_on_commit_callbacks(execute=True):
            hint_workers()
        assert time.monotonic() - started < 15
        mortal_redis.resume()
    assert "waits for the next reconcile" in caplog.text
