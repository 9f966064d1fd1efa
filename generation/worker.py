"""The work loop of an image worker: claim a micro-batch, make it, store it. Web processes never call this."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from django.conf import settings

from generation import (
    batch_limits,
    cancelling,
    checkpoints,
    choosing,
    jobs,
    log_context,
    making,
    recipes,
    stopping,
    storage_pauses,
    weights,
)
from generation.capabilities import is_image_queue
from generation.errors import GenerationError, StorageError
from generation.heartbeats import BusyHeart, beat_heart
from generation.models import Checkpoint, Image, ImageJob, Run
from generation.timetable import LONGEST_IMAGE_TASK_SECONDS
from generation.worker_tallies import tallies

logger = logging.getLogger(__name__)
LONGEST_UNSTORED_SECONDS: Final = 1.0
SECONDS_BETWEEN_LOOKS_FOR_WEIGHTS: Final = 60.0


def work_one_batch(worker: str, *, most: int = jobs.LARGEST_BATCH, run: Run | None = None) -> int:
    """Claim one micro-batch, make its images and store them; how many jobs were taken, 0 when nothing is due."""
    batch = _claimed(worker, most=most, run=run)
    if not batch:
        return 0
    began = time.monotonic()
    with log_context.work(recipe=batch[0].recipe_id, jobs=[job.pk for job in batch]):
        _do(worker, batch)
    tallies.seconds_working += time.monotonic() - began
    making.note_memory()
    return len(batch)


def _do(worker: str, batch: list[ImageJob]) -> None:
    work = _Work(worker, batch)
    try:
        with work.heart.beating():
            try:
                work.do()
            finally:
                work.store()
    except StorageError as error:  # the fault of no job: what is left goes back, and no attempt is counted
        storage_pauses.pause_runs_of(work.left, reason=str(error))
    except GenerationError as error:
        work.fail(str(error), is_retryable=error.is_retryable)
    except cancelling.Cancelled:
        cancelling.give_up(worker=worker, job_ids=work.unsettled)
        work.left = []
    except stopping.StopAsked:
        logger.info("Told to stop: %d images by %s go back.", len(work.left), batch[0].recipe)
    except Exception as error:  # the one place that turns whatever went wrong into rows
        logger.exception("A batch of %d images by %s failed.", len(work.left), batch[0].recipe)
        work.fail(_sentence_of(error), is_retryable=True)
    finally:
        if work.left:  # told to stop: a signal, Ctrl-C, or a worker that shuts down
            jobs.release(work.left, worker=worker)


class _Work:
    """A claimed batch in work: `left` are the jobs without an image, `made` the images without a row."""

    def __init__(self, worker: str, batch: list[ImageJob]) -> None:
        self.worker = worker
        self.left = list(batch)
        self.made: list[Image] = []
        self._stored_at = time.monotonic()
        self.recipe = batch[0].recipe
        self.heart = BusyHeart(worker=worker, job_ids=self.unsettled)
        self._is_wanted = cancelling.CancelWatch(self.unsettled)

    @property
    def unsettled(self) -> list[int]:
        return [job.pk for job in self.left]

    def do(self) -> None:
        """Make all, in parts that fit into memory."""
        making.wake_up()
        failures_alone = 0
        most = batch_limits.largest_batch(self.recipe, device=making.device_name())
        while self.left:
            part = self.left[:most]
            images = self._made(part)
            if images is not None:
                self.made += images
                self.left = self.left[len(part) :]
                failures_alone = 0
                if not self.left or time.monotonic() - self._stored_at > LONGEST_UNSTORED_SECONDS:
                    self.store()
                continue
            making.give_memory_back(self.recipe)
            is_whole = len(part) == 1 or self.recipe.batch_mode == batch_limits.STRICT
            if not is_whole:
                batch_limits.learn(self.recipe, device=making.device_name(), largest=len(part) // 2)
                most = batch_limits.largest_batch(self.recipe, device=making.device_name())
            elif failures_alone == 0:
                failures_alone = 1
            else:
                self.fail(self._too_large(), is_retryable=False, part=part)
                failures_alone = 0

    def store(self) -> None:
        """Rows for what is made; small pictures that are drawn one by one share a transaction."""
        images, self.made = self.made, []
        if images:
            jobs.finish(images)
            tallies.images_made += len(images)
        self._stored_at = time.monotonic()

    def fail(self, reason: str, *, is_retryable: bool, part: Sequence[ImageJob] | None = None) -> None:
        """Close these jobs, or all that are left, with a reason."""
        failed = list(self.left if part is None else part)
        jobs.fail(failed, worker=self.worker, reason=reason, is_retryable=is_retryable)
        self.left = self.left[len(failed) :]

    def _made(self, part: Sequence[ImageJob]) -> list[Image] | None:
        """The images, or None where memory ran out. Out here the error is gone, and its frames hold no tensors."""
        from generation.pipelines.memory import is_out_of_memory

        try:
            return make_images(list(part), self.heart, also=self._watches(len(part)))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            tallies.out_of_memory += 1
            logger.warning("Out of memory with %d images by %s: %s", len(part), self.recipe, _sentence_of(error))
        return None

    def _watches(self, images: int) -> Callable[[], None]:
        # The first call of a batch comes when the pipeline is there, before any step.
        has_stopped = stopping.StopWatch(steps=(self.recipe.evaluations or 1) + 1, images=images)

        def look() -> None:
            self._is_wanted()
            has_stopped()

        return look

    def _too_large(self) -> str:
        size = f"{self.recipe.width} x {self.recipe.height}"
        if self.recipe.batch_mode == batch_limits.STRICT:
            rows = batch_limits.strict_rows(self.recipe)
            return (
                f"Out of memory: {size} pixels in strict batches of {rows} do not fit on {making.device_name()}. Use"
                " batch mode fast, which may draw them one by one, or a larger machine."
            )
        return (
            f"Out of memory: not even one picture of {size} pixels fits on {making.device_name()}, tried twice. Use a"
            " smaller size, a narrower dtype, or a machine with more memory (the checkpoint's `needs`)."
        )


def make_images(batch: list[ImageJob], heart: BusyHeart, *, also: Callable[[], None] = lambda: None) -> list[Image]:
    """The images of jobs of one recipe, drawn in one call: files in the store, rows not yet in the database."""

    def on_step() -> None:
        heart.progressed()
        also()

    return making.make_images(batch, on_step)


def work_for(seconds: float, *, worker: str) -> bool:
    """Work batches until nothing is due, the time is up or the worker is told to stop; whether work is left."""
    beat(worker, queue=settings.IMAGE_QUEUE)
    end = time.monotonic() + seconds
    while not stopping.is_asked():
        if _looks.is_time():
            _fetched_more(worker, get=weights.fetch_overdue)
        if not work_one_batch(worker) and not _fetched_more(worker):
            return False
        if time.monotonic() > end:
            return jobs.has_due_jobs(checkpoints=weights.runnable_here())
    return True


def _fetched_more(worker: str, get: Callable[[], bool] = weights.fetch_most_urgent) -> bool:
    """Get weights that due jobs wait for: when there is nothing else to do, or too long; whether any came."""
    if not weights.fetchable():
        return False
    # No step is made while files come: their number of hours is not known, and Celery's own limit ends what hangs.
    with BusyHeart(worker=worker, job_ids=[], step_seconds=LONGEST_IMAGE_TASK_SECONDS).beating():
        return get()


def resolve_drafts(worker: str) -> int:
    """Decide on checkpoints and recipes that wait for it; how many. Repeating or doubling it does no harm."""
    undecided = Checkpoint.objects.filter(state__in=[Checkpoint.State.DRAFT, Checkpoint.State.CHECKING])
    count = 0
    # Hashing and loading large weights takes minutes, in which the worker must not look dead.
    with BusyHeart(worker=worker, job_ids=[], step_seconds=LONGEST_IMAGE_TASK_SECONDS).beating() as heart:
        for checkpoint in undecided.order_by("pk"):
            try:
                checkpoints.resolve_checkpoint(checkpoint)
                count += 1
            except GenerationError as error:
                logger.warning("The checkpoint %s cannot be checked now: %s", checkpoint, error)
            heart.progressed()
        for recipe in recipes.unresolved_recipes():
            recipes.resolve_recipe(recipe)
            count += 1
    return count


def beat(worker: str, *, queue: str) -> None:
    """The heartbeat of a worker that took a message from this queue, so it lives and listens."""
    if not is_image_queue(queue):
        beat_heart(worker=worker, queues=[queue])
        return
    held = weights.held()
    beat_heart(
        worker=worker,
        queues=[queue],
        weights=[checkpoint.name for checkpoint in held],
        fetchable=[checkpoint.name for checkpoint in weights.fetchable()],
        loaded=[checkpoint.name for checkpoint in _loaded(held)],
        device=making.device_name() if making.is_awake() else "",
    )


def _claimed(worker: str, *, most: int, run: Run | None) -> list[ImageJob]:
    held = weights.held()
    loaded = {checkpoint.pk for checkpoint in _loaded(held)}
    # As many as are worth one claim, also where memory lets them be drawn one by one: a claim costs as much as steps.
    batch = jobs.claim(
        worker=worker,
        most=most,
        run=run,
        checkpoints=weights.runnable_here(held),
        loaded=loaded,
        longest_wait=_turns.longest_wait(),
    )
    if batch and batch[0].recipe.checkpoint_id not in loaded:
        _turns.loads()
    return batch


class Turns:
    """A pipeline that was loaded stays in turn for a while, however long others wait, or loading were all it did."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._loaded_at = float("-inf")

    def loads(self) -> None:
        """Another pipeline is loaded now."""
        self._loaded_at = self._clock()

    def longest_wait(self) -> timedelta | None:
        """After which wait a job goes before those of loaded pipelines; None while the turn lasts."""
        is_in_turn = self._clock() - self._loaded_at < choosing.LONGEST_WAIT.total_seconds()
        return None if is_in_turn else choosing.LONGEST_WAIT


class Looks:
    """Every so often, whether jobs wait too long for weights: looking costs more than a small batch."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = float("-inf")

    def is_time(self) -> bool:
        """True once in each interval, the first time at once."""
        if self._clock() < self._next:
            return False
        self._next = self._clock() + SECONDS_BETWEEN_LOOKS_FOR_WEIGHTS
        return True


_turns = Turns()
_looks = Looks()


def _loaded(held: dict[Checkpoint, Path]) -> list[Checkpoint]:
    if not making.is_awake():
        return []
    return [checkpoint for checkpoint, folder in held.items() if making.is_in_memory(checkpoint, folder)]


def _sentence_of(error: Exception) -> str:
    said = str(error).strip().split("\n")[0] or "no message"
    return f"The pipeline stopped with {type(error).__name__}: {said[:500]}"
