"""A message that could not be acknowledged or given back does not keep a worker from the next one."""

import contextlib
import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery.signals import celeryd_init
from kombu import Connection, Consumer
from kombu.message import Message
from kombu.transport import redis as transport

from evalsite import acknowledging
from evalsite.celery import app
from generation import tasks
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.once
THEIRS = transport.QoS


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    redis = RedisServer(tmp_path)
    yield redis
    redis.kill()


@pytest.fixture
def count_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport.Channel, "QoS", request.param)


Deed = Callable[[Message, Connection], None]


class Log:
    """What Celery logs of an acknowledgement that failed."""

    def critical(self, *_: object, **__: object) -> None:
        """Nothing here."""


def acknowledge(message: Message, connection: Connection) -> None:
    message.ack_log_error(Log(), connection.connection_errors)


def give_back(message: Message, connection: Connection) -> None:
    message.reject_log_error(Log(), connection.connection_errors, requeue=True)


def drop(message: Message, connection: Connection) -> None:
    message.reject_log_error(Log(), connection.connection_errors)


def messages_around_a_hang(server: RedisServer, deed: Deed) -> int:
    """How many of three messages come to a worker of prefetch one that does this to the first while Redis hangs."""
    came: queue.Queue[Message] = queue.Queue()
    with Connection(server.url, transport_options={"socket_timeout": 1}) as connection:
        consumer = Consumer(connection.channel(), [app.amqp.queues["default"]], accept=["json"], prefetch_count=1)
        consumer.register_callback(lambda _, message: came.put(message))
        for _ in range(3):
            app.send_task(tasks.heartbeat.name, args=["default"], queue="default", connection=connection)
        with consumer:
            connection.drain_events(timeout=10)
            first = came.get_nowait()
            server.pause()
            deed(first, connection)
            assert not first.acknowledged
            server.resume()
            for _ in range(2):
                with contextlib.suppress(TimeoutError):  # none came
                    connection.drain_events(timeout=2)
    return 1 + came.qsize()


@pytest.mark.parametrize("count_of", [acknowledging.QoS], indirect=True)
@pytest.mark.parametrize("deed", [acknowledge, give_back, drop])
@pytest.mark.usefixtures("count_of")
def test_the_next_message_comes_and_no_more_at_once_than_before(server: RedisServer, deed: Deed) -> None:
    assert messages_around_a_hang(server, deed) == 2


@pytest.mark.parametrize("count_of", [THEIRS], indirect=True)
@pytest.mark.usefixtures("count_of")
def test_kombus_own_count_still_needs_this(server: RedisServer) -> None:
    assert messages_around_a_hang(server, acknowledge) == 1


def test_workers_count_in_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport.Channel, "QoS", THEIRS)
    monkeypatch.setattr("evalsite.starting.refuse_bad_start", lambda: None)
    celeryd_init.send(sender="a worker")
    assert transport.Channel.QoS is acknowledging.QoS
