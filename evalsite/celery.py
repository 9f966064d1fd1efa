"""The Celery application. Tasks live in `generation.tasks` and `arena.tasks`."""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init, worker_process_init, worker_ready, worker_shutting_down

from evalsite.box.children import ask_to_die_with_parent
from generation import stopping

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")

app = Celery("winrate")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
@beat_embedded_init.connect
def _end_with_the_worker(**_: Any) -> None:
    """A pool process whose worker was killed would go on with a job that nobody supervises any more."""
    ask_to_die_with_parent()


@worker_shutting_down.connect
def _begin_no_other_batch(**_: Any) -> None:
    """A warm shutdown waits for the task in hand, which would otherwise go on for a whole turn of batches."""
    stopping.ask()


@worker_ready.connect
def _say_that_it_lives(sender: Any, **_: Any) -> None:
    """Beat's first heartbeat comes after its interval; a new worker takes one from its own queue at once."""
    for queue in sender.app.amqp.queues.consume_from:
        sender.app.send_task("generation.tasks.heartbeat", args=[queue], queue=queue, expires=60)
