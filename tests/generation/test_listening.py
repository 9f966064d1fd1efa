"""A worker that its broker no longer reaches ends itself; one that is merely idle, busy or without a broker stays."""

import pytest

from evalsite.celery import app as celery_app
from generation import heartbeats
from generation.listening import Listening
from generation.timetable import EXIT_HUNG
from tests.conftest import StartWorker
from tests.servers.addresses import wait_until
from tests.servers.redis_server import RedisServer


class World:
    """A clock, a broker and a pool as the worker sees them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.has_broker, self.is_busy, self.comes_back = True, False, True
        self.ended: list[str] = []
        self.listening = Listening(
            knock=self._knock,
            is_busy=lambda: self.is_busy,
            silent_seconds=60,
            end=self.ended.append,
            clock=lambda: self.now,
        )

    def _knock(self) -> bool:
        if self.has_broker and self.comes_back and not self.is_busy:
            self.listening.heard()
        return self.has_broker

    def live(self, seconds: float) -> list[str]:
        """Look every ten seconds for so long."""
        until = self.now + seconds
        while self.now < until and not self.ended:
            self.now += 10
            self.listening.look()
        return self.ended


def test_an_idle_worker_that_hears_its_own_messages_stays() -> None:
    assert World().live(1000) == []


def test_a_worker_to_which_nothing_comes_ends_itself() -> None:
    world = World()
    world.live(100)
    world.comes_back = False
    assert world.live(60) == []
    assert world.live(20) == ["The broker takes messages, and none has come to this worker for 70 s."]


def test_a_busy_worker_need_not_hear_anything() -> None:
    world = World()
    world.is_busy = True
    assert world.live(1000) == []


def test_while_the_broker_is_away_nobody_ends() -> None:
    world = World()
    world.has_broker = False
    assert world.live(1000) == []
    world.has_broker = True
    assert world.live(1000) == []


def test_after_the_broker_is_back_a_deaf_worker_has_its_time_and_then_ends() -> None:
    world = World()
    world.has_broker = world.comes_back = False
    world.live(1000)
    world.has_broker = True
    assert world.live(60) == []
    assert world.live(20) != []


@pytest.mark.django_db(transaction=True)
def test_a_real_worker_that_stopped_asking_its_broker_ends_itself(
    broker: RedisServer, start_worker: StartWorker
) -> None:
    worker = start_worker("default", WINRATE_SILENT_SECONDS="3")
    # Without any beat, it says that it lives.
    wait_until(lambda: "default" in heartbeats.served_queues(), seconds=60, what="the worker has said that it lives")
    # It goes on, answers pings and takes nothing from its queue any more: what a broker's restart may leave behind.
    celery_app.control.cancel_consumer("default", destination=None)
    wait_until(lambda: worker._child.exit_code() is not None, seconds=60, what="the deaf worker has ended")
    assert worker._child.exit_code() == EXIT_HUNG
    assert any("none has come to this worker for" in line for line in worker.lines())
