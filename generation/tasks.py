"""Celery tasks: each fetches, calls and ends. What they do lives in the modules they call; settings say the queues."""

from typing import Final

from celery import shared_task

from generation import heartbeats, hints, jobs, orphans, recipes, storage_pauses, worker

# Short turns: between two of them a worker takes heartbeats and drafts from its queue, and can be stopped.
SECONDS_A_TURN: Final = 10.0


@shared_task(ignore_result=True)
def generate_next() -> None:
    """Make images for one turn; if work is left, ask for another turn."""
    if worker.work_for(SECONDS_A_TURN, worker=heartbeats.this_worker()):
        hints.hint_workers()


@shared_task(ignore_result=True)
def resolve_drafts() -> None:
    """Check new checkpoints and recipes."""
    worker.resolve_drafts(heartbeats.this_worker())


@shared_task(ignore_result=True)
def reconcile() -> None:
    """The database is the truth: bring back what died with a worker, and send again the hints that were lost."""
    jobs.requeue_abandoned()
    storage_pauses.resume_runs_if_there_is_room()
    recipes.fail_jobs_of_refused_recipes()
    heartbeats.forget_silent_workers()
    if recipes.has_drafts():
        hints.hint_resolver()
    if jobs.has_due_jobs():
        hints.hint_workers(max(1, heartbeats.idle_image_workers()))


@shared_task(ignore_result=True)
def sweep_image_store() -> None:
    """Delete files that no row has mentioned for a day."""
    orphans.sweep()


@shared_task(ignore_result=True)
def heartbeat(queue: str) -> None:
    """Sent to every queue: whoever takes it lives and listens."""
    worker.beat(heartbeats.this_worker(), queue=queue)
