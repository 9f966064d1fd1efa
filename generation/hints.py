"""Messages that say "come and work". The database is the truth: a hint that is lost costs seconds, never work."""

import logging
import time
from typing import Final

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError
from redis import RedisError

from generation.broker import ping_redis
from generation.timetable import GENERATION_QUEUE

logger = logging.getLogger(__name__)

# A hint that nobody took in a minute is dropped; `reconcile` sends new ones while work is due. So hints cannot pile up.
SECONDS_A_HINT_LIVES: Final = 60
SECONDS_OF_REST: Final = 5.0
SECONDS_BETWEEN_WARNINGS: Final = 60.0
_said_at = [float("-inf")]
_failed_at: dict[str, float] = {}


def hint_workers(count: int = 1) -> None:
    """After the commit, tell up to `count` image workers that there may be work. Never raises for a dead broker."""
    transaction.on_commit(lambda: _send("generation.tasks.generate_next", count))


def hint_resolver() -> None:
    """After the commit, ask an image worker to look at drafts of checkpoints and recipes."""
    transaction.on_commit(lambda: _send("generation.tasks.resolve_drafts", 1))


def _send(task: str, count: int) -> None:
    url = str(current_app.conf.broker_url)
    if time.monotonic() - _failed_at.get(url, float("-inf")) < SECONDS_OF_REST:
        return  # a request that sends several hints waits for a hung broker once, and `reconcile` sends them again
    # By name: act modules do not import tasks. A dead broker must not turn a committed request into an error.
    try:
        if url.startswith("redis"):
            ping_redis(url)
        for _ in range(count):
            current_app.send_task(task, queue=GENERATION_QUEUE, expires=SECONDS_A_HINT_LIVES, ignore_result=True)
    except (OperationalError, RedisError) as error:
        _failed_at[url] = time.monotonic()
        # Once a minute is enough: without a broker, every planned chunk of images would say so.
        level = logging.WARNING if time.monotonic() - _said_at[0] > SECONDS_BETWEEN_WARNINGS else logging.DEBUG
        _said_at[0] = time.monotonic()
        logger.log(level, "The broker is away (%s); %s waits for the next reconcile.", error, task)
