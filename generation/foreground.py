"""Making a run's images in this process, with a bar on the terminal, beside any workers that do the same."""

import time
from collections.abc import Callable
from typing import IO

from tqdm import tqdm

from generation import checkpoints, choosing, heartbeats, jobs, recipes, weights, worker
from generation.errors import GenerationError
from generation.models import Checkpoint, Recipe, Run
from generation.planning import RunProgress, progress_of
from generation.runnable import unrunnable_reason

SECONDS_BETWEEN_LOOKS = 1.0
LONGEST_TITLE = 40


def make_with_bar(run: Run, *, stream: IO[str]) -> RunProgress:
    """Make what the run lacks and draw a bar with the time left; ends when nothing is left to do.

    An interrupted call leaves a clean state: the batch in work is given back, and the same call goes on from there.
    """
    start = progress_of(run)
    if not start.left:
        return start
    layout = "{l_bar}{bar}| {n_fmt} of {total_fmt} images, {elapsed} gone, {remaining} left"
    title = run.name[:LONGEST_TITLE]
    with tqdm(total=start.total, initial=start.done, desc=title, file=stream, bar_format=layout) as bar:

        def draw(progress: RunProgress) -> None:
            bar.total = progress.total
            bar.update(progress.done - bar.n)

        return make(run, watch=draw)


def make(run: Run, *, watch: Callable[[RunProgress], None]) -> RunProgress:
    """Work on the jobs of one run until it has none left, looking at its progress after every batch."""
    me = heartbeats.this_worker()
    resolve_for(run)
    while True:
        progress = progress_of(run)
        watch(progress)
        if not progress.left:
            return progress
        heartbeats.beat_heart(worker=me, queues=[])
        if not worker.work_one_batch(me, run=run):
            _refuse_to_wait_for_ever(run)
            _refuse_to_wait_for_weights(run)
            # Others hold the rest; what a dead one held comes back when its lease runs out.
            time.sleep(SECONDS_BETWEEN_LOOKS)
            jobs.requeue_abandoned()
            recipes.fail_jobs_of_refused_recipes()


def resolve_for(run: Run) -> None:
    """Decide here on the run's recipes that no worker has looked at yet, and on their checkpoints."""
    undecided = Recipe.objects.filter(jobs__runs=run, state=Recipe.State.CHECKING).distinct()
    for recipe in undecided.select_related("checkpoint", "schedule"):
        if (checkpoint := recipe.checkpoint) is not None:
            # From the database each time: an earlier recipe may have decided on it a moment ago.
            checkpoint.refresh_from_db()
            if checkpoint.state in (Checkpoint.State.DRAFT, Checkpoint.State.CHECKING):
                checkpoints.resolve_checkpoint(checkpoint)
            recipes.resolve_recipe(recipe)


def _refuse_to_wait_for_weights(run: Run) -> None:
    """Get the weights that the run's next job waits for here, or raise where nobody else could make it either."""
    for job in choosing.candidates(run):
        checkpoint = job.recipe.checkpoint
        if checkpoint is None or checkpoint.pk in weights.runnable_here():
            return
        weights.ensure(checkpoint)
        if checkpoint.pk not in weights.runnable_here() and (reason := unrunnable_reason(checkpoint)):
            raise GenerationError(f"The images of {checkpoint.name} cannot be made here. {reason}")


def _refuse_to_wait_for_ever(run: Run) -> None:
    run.refresh_from_db(fields=["paused_at", "pause_reason", "cancelled_at"])
    if run.paused_at or run.cancelled_at:
        state = "cancelled" if run.cancelled_at else "paused"
        if run.pause_reason and not run.cancelled_at:
            raise GenerationError(f"The run {run.name!r} is paused. {run.pause_reason} Then give the command again.")
        raise GenerationError(f"The run {run.name!r} is {state}; resume it on its page, or start another one.")
