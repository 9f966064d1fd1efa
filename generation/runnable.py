"""Why jobs of a checkpoint cannot be made by any living worker, in a sentence that says what to do."""

from generation import choosing
from generation.capabilities import can_serve, is_image_queue
from generation.heartbeats import living_workers
from generation.models import Checkpoint, WorkerHeartbeat


def unrunnable_reason(checkpoint: Checkpoint, *, workers: list[WorkerHeartbeat] | None = None) -> str:
    """Why no living worker can run this checkpoint; "" where one can."""
    living = list(living_workers()) if workers is None else workers
    makers = [one for one in living if any(is_image_queue(queue) for queue in one.queues)]
    if not makers:
        return "No image worker is alive; start one."
    fitting = [one for one in makers if any(can_serve(queue, needs=checkpoint.needs) for queue in one.queues)]
    if not fitting:
        served = ", ".join(sorted({queue for one in makers for queue in one.queues}))
        return f"{checkpoint.name} needs a worker of {checkpoint.needs} or larger; those alive serve {served}."
    if checkpoint.state == Checkpoint.State.READY and not any(
        checkpoint.name in (*one.weights, *one.fetchable) for one in fitting
    ):
        return (
            f"No living worker holds the weights of {checkpoint.name}: copy {checkpoint.folder!r} below a worker's"
            " models root, or into the store that WINRATE_WEIGHTS_URL names."
        )
    return ""


def waiting_in_vain() -> list[str]:
    """A sentence for each checkpoint that has due jobs and no living worker that can run it."""
    due = {job.recipe.checkpoint_id for job in choosing.candidates()}
    workers = list(living_workers())
    checkpoints = Checkpoint.objects.filter(pk__in=[pk for pk in due if pk is not None]).order_by("name")
    reasons = [unrunnable_reason(checkpoint, workers=workers) for checkpoint in checkpoints]
    return sorted({reason for reason in reasons if reason})
