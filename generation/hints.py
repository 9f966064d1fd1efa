"""Messages that say "come and work". The database is the truth: a hint that is lost costs seconds, never work."""

import logging
import time
from typing import Final

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError
from redis import RedisError

from generation import heartbeats
from generation.broker import ping_redis
from generation.capabilities import gigabytes_of, is_image_queue
from generation.timetable import GENERATION_QUEUE

logger = logging.getLogger(__name__)

# A hint that nobody took in a minute is dropped; `reconcile` sends new ones while work is due. So hints cannot pile up.
SECONDS_A_HINT_LIVES: Final = 60
SECONDS_BETWEEN_WARNINGS: Final = 60.0
SECONDS_OF_REST: Final = 5.0
_said_at = [float("-inf")]
_failed_at: dict[str, float] = {}


def hint_workers(count: int = 1, *, queue: str | None = None) -> None:
    """After the commit, tell up to `count` image workers of each living queue, or of one, that there may be work.

    Never raises for a dead broker.
    """
    transaction.on_commit(lambda: _send("generation.tasks.generate_next", count, queue))


def hint_resolver() -> None:
    """After the commit, ask an image worker to look at drafts of checkpoints and recipes."""
    transaction.on_commit(lambda: _send("generation.tasks.resolve_drafts", 1, None))


def hint_measurers() -> None:
    """After the commit, ask an image worker to look at the metrics that were ordered."""
    transaction.on_commit(lambda: _send("generation.tasks.measure_next", 1, None))


def image_queues() -> list[str]:
    """Queues of living image workers, the smallest machines first; where none lives, the one of plain workers."""
    served = {queue for queue in heartbeats.served_queues() if is_image_queue(queue)}
    return sorted(served, key=gigabytes_of) or [GENERATION_QUEUE]


def _send(task: str, count: int, queue: str | None) -> None:
    # By name: act modules do not import tasks. A dead broker must not turn a committed request into an error.
    url = str(current_app.conf.broker_url)
    if time.monotonic() - _failed_at.get(url, float("-inf")) < SECONDS_OF_REST:
        return  # a request that sends several hints waits for a hung broker once, and `reconcile` sends them again
    queues = [queue] if queue else image_queues() if task.endswith("generate_next") else image_queues()[:1]
    try:
        if url.startswith("redis"):
            ping_redis(url)
        for name in queues * count:
            current_app.send_task(task, queue=name, expires=SECONDS_A_HINT_LIVES, ignore_result=True)
    except (OperationalError, RedisError) as error:
        _failed_at[url] = time.monotonic()
        # Once a minute is enough: without a broker, every planned chunk of images would say so.
        level = logging.WARNING if time.monotonic() - _said_at[0] > SECONDS_BETWEEN_WARNINGS else logging.DEBUG
        _said_at[0] = time.monotonic()
        logger.log(level, "The broker is away (%s); %s waits for the next reconcile.", error, task)
