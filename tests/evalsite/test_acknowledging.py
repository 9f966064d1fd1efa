"""A message that could not be acknowledged does not keep a worker from the next one."""

import contextlib
import queue
from pathlib import Path

import pytest
from celery.worker.request import Request as CeleryRequest
from kombu import Connection, Consumer
from kombu.message import Message

from evalsite.acknowledging import Request
from evalsite.celery import app
from generation import tasks
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.once


def messages_after_a_hung_broker(folder: Path, request_class: type[CeleryRequest]) -> int:
    """How many of two messages come to a worker of prefetch one, when the first is acknowledged to a hung Redis."""
    redis = RedisServer(folder)
    came: queue.Queue[Message] = queue.Queue()
    try:
        with Connection(redis.url, transport_options={"socket_timeout": 1}) as connection:
            channel = connection.channel()
            consumer = Consumer(channel, [app.amqp.queues["default"]], accept=["json"], prefetch_count=1)
            consumer.register_callback(lambda _, message: came.put(message))
            for _ in range(2):
                app.send_task(tasks.heartbeat.name, args=["default"], queue="default", connection=connection)
            with consumer:
                connection.drain_events(timeout=10)
                first = came.get_nowait()
                request = request_class(
                    first, on_ack=first.ack_log_error, app=app, connection_errors=connection.connection_errors
                )
                redis.pause()
                request.acknowledge()
                assert not first.acknowledged
                redis.resume()
                with contextlib.suppress(TimeoutError):  # none came
                    connection.drain_events(timeout=3)
                return 1 + came.qsize()
    finally:
        redis.kill()


def test_a_message_that_could_not_be_acknowledged_keeps_no_worker_from_the_next(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    assert messages_after_a_hung_broker(tmp_path / "ours", Request) == 2
    # Where Celery's own does it too, ours can go.
    assert messages_after_a_hung_broker(tmp_path / "theirs", CeleryRequest) == 1


def test_tasks_are_asked_for_in_this_way() -> None:
    assert all(task.Request == "evalsite.acknowledging:Request" for task in (tasks.heartbeat, tasks.reconcile))
