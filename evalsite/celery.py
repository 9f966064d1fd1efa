"""The Celery application. Tasks live in `generation.tasks` and `arena.tasks`."""

import inspect
import logging
import os
import time
from contextlib import AbstractContextManager
from typing import Any

from celery import Celery
from celery.signals import (
    beat_embedded_init,
    beat_init,
    celeryd_init,
    task_failure,
    task_postrun,
    task_prerun,
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
from generation import log_context, stopping
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


@celeryd_init.connect
@beat_init.connect
def _check_first(**_: Any) -> None:
    """Before anything is forked; imported here, because what it needs is there only when Django is set up."""
    from evalsite.starting import refuse_bad_start

    refuse_bad_start()


@celeryd_init.connect
def _hear_after_lost_acknowledgements(**_: Any) -> None:
    from evalsite import acknowledging  # only who takes messages needs it

    acknowledging.install()


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


# By task: when it began, and what its log lines say.
_in_work: dict[str, tuple[float, AbstractContextManager[None]]] = {}


@task_prerun.connect
def _begin(task_id: str, task: Any, **_: Any) -> None:
    block = log_context.work(task=f"{task.name}/{task_id[:8]}")
    block.__enter__()
    _in_work[task_id] = time.monotonic(), block


@task_postrun.connect
def _end(task_id: str, task: Any, state: str, **_: Any) -> None:
    from generation import task_records  # its models are there only after Django's setup

    began, block = _in_work.pop(task_id, (time.monotonic(), None))
    if state == "SUCCESS":
        task_records.note_success(task.name, seconds=time.monotonic() - began)
    if block is not None:
        block.__exit__(None, None, None)


@task_failure.connect
def _fail(sender: Any, exception: BaseException, **_: Any) -> None:
    """Also told by the pool's supervisor, where the process that ran the task was killed."""
    from generation import task_records

    task_records.note_failure(sender.name, error=exception)


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
