"""The Celery application. Tasks live in `generation.tasks` and `arena.tasks`."""

import os
from typing import Any

from celery import Celery
from celery.signals import (
    beat_embedded_init,
    beat_init,
    celeryd_init,
    task_received,
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

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")

app = Celery("winrate")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
@beat_init.connect
def _check_first(**_: Any) -> None:
    """Before anything is forked; imported here, because what it needs is there only when Django is set up."""
    from evalsite.starting import refuse_bad_start

    refuse_bad_start()


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
