"""The Celery application. Tasks live in `generation.tasks` and `arena.tasks`."""

import inspect
import logging
import os
from typing import Any

from celery import Celery
from celery.signals import (
    beat_embedded_init,
    task_failure,
    task_received,
    task_unknown,
    worker_process_init,
    worker_ready,
    worker_shutting_down,
)
from celery.worker import state
from django.conf import settings
from kombu.exceptions import OperationalError

from evalsite.box.children import ask_to_die_with_parent
from generation import stopping
from generation.listening import Listening

logger = logging.getLogger(__name__)
_UPGRADE = (
    "It comes from a newer one: upgrade this machine. Nothing is lost: the database knows what is due, and it is sent"
    " again."
)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")

app = Celery("winrate")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
@beat_embedded_init.connect
def _end_with_the_worker(**_: Any) -> None:
    """A pool process whose worker was killed would go on with a job that nobody supervises any more."""
    ask_to_die_with_parent()


_listening: list[Listening] = []


@worker_ready.connect
def _listen(sender: Any, **_: Any) -> None:
    """Heartbeats to the worker's own queues, from now on; Celery's own say nothing about whether it takes messages."""
    queues = list(sender.app.amqp.queues.consume_from)
    _listening[:] = [
        Listening(
            knock=lambda: _knock(sender.app, queues),
            is_busy=lambda: bool(state.active_requests),
            silent_seconds=settings.SILENT_SECONDS,
        )
    ]
    _listening[0].start()


@task_received.connect
def _hear(**_: Any) -> None:
    for listening in _listening:
        listening.heard()


@task_unknown.connect
def _refuse_unknown(name: str = "", **_: Any) -> None:
    """Celery drops the message. Nothing is lost by that, but whoever reads the log must not have to know it."""
    logger.error("A message asks for %s, which this version does not know. %s", name, _UPGRADE)


@task_failure.connect
def _refuse_unknown_arguments(
    sender: Any = None, exception: Any = None, args: Any = (), kwargs: Any = None, **_: Any
) -> None:
    if not isinstance(exception, TypeError):
        return
    try:
        inspect.signature(sender.run).bind(*args, **(kwargs or {}))
    except TypeError:
        logger.error("A message calls %s in a way that this version does not know. %s", sender.name, _UPGRADE)


@worker_shutting_down.connect
def _stop_soon(**_: Any) -> None:
    """Between two steps, the batch in work is finished or given back."""
    _listening.clear()
    stopping.ask_to_stop()


def _knock(sender: Celery, queues: list[str]) -> bool:
    try:
        for queue in queues:
            sender.send_task(
                "generation.tasks.heartbeat",
                args=[queue],
                queue=queue,
                expires=settings.SECONDS_BETWEEN_BEATS,
                ignore_result=True,
                retry=False,
            )
    except (OperationalError, OSError):
        return False
    return True
