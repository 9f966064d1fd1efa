"""Celery tasks: each fetches, calls and ends. What they do lives in the modules they call; settings say the queues."""

from typing import Final

from celery import shared_task
from django.conf import settings

from generation import heartbeats, hints, jobs, orphans, recipes, storage_pauses, worker
from generation.measuring import orders
from generation.timetable import GENERATION_QUEUE, LONGEST_IMAGE_TASK_SECONDS

# Short turns: between two of them a worker takes heartbeats and drafts from its queue, and can be stopped.
SECONDS_A_TURN: Final = 10.0


@shared_task(ignore_result=True, time_limit=LONGEST_IMAGE_TASK_SECONDS)
def generate_next() -> None:
    """Make images for one turn; if work is left, ask for another turn."""
    if worker.work_for(SECONDS_A_TURN, worker=heartbeats.this_worker()):
        hints.hint_workers(queue=settings.IMAGE_QUEUE)


@shared_task(ignore_result=True, time_limit=LONGEST_IMAGE_TASK_SECONDS)
def resolve_drafts() -> None:
    """Check new checkpoints and recipes."""
    worker.resolve_drafts(heartbeats.this_worker())


@shared_task(ignore_result=True)
def measure_next() -> None:
    """Measure what was ordered for one turn; if work is left, ask for another turn."""
    if orders.work_for(SECONDS_A_TURN, worker=heartbeats.this_worker()):
        hints.hint_measurers()


@shared_task(ignore_result=True)
def reconcile() -> None:
    """The database is the truth: bring back what died with a worker, and send again the hints that were lost."""
    jobs.requeue_abandoned()
    jobs.cancel_unwanted()
    storage_pauses.resume_runs_if_there_is_room()
    recipes.fail_jobs_of_refused_recipes()
    heartbeats.forget_silent_workers()
    if recipes.has_drafts():
        hints.hint_resolver()
    if jobs.has_due_jobs():
        idle = heartbeats.idle_image_workers() or {GENERATION_QUEUE: 1}
        for queue, count in idle.items():
            hints.hint_workers(max(1, count), queue=queue)
    if orders.due_orders():
        hints.hint_measurers()


@shared_task(ignore_result=True)
def sweep_image_store() -> None:
    """Delete files that no row has mentioned for a day."""
    orphans.sweep()


@shared_task(ignore_result=True)
def heartbeat(queue: str) -> None:
    """Sent to every queue: whoever takes it lives and listens."""
    worker.beat(heartbeats.this_worker(), queue=queue)
