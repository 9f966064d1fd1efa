"""The work loop of an image worker: claim a micro-batch, make it, store it. Web processes never call this."""

import logging
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from generation import adapters, checkpoints, image_store, jobs, model_folders, recipes, stopping, storage_pauses
from generation.errors import GenerationError, StorageError
from generation.families import FAMILIES
from generation.heartbeats import BusyHeart, beat_heart
from generation.model_folders import AdapterFile
from generation.models import Checkpoint, Image, ImageJob, Recipe, Run
from generation.provenance import Making, digest_of, pixels_digest, record_of, seed_for, text_digest
from generation.timetable import GENERATION_QUEUE

if TYPE_CHECKING:
    from generation.pipelines.cache import PipelineCache
    from generation.pipelines.loading import LoadedPipeline
    from generation.pipelines.sampling import BatchRequest

logger = logging.getLogger(__name__)

DEVICE = "cpu"
CACHE_BYTES = 4 * 2**30


def work_one_batch(worker: str, *, most: int = jobs.LARGEST_BATCH, run: Run | None = None) -> int:
    """Claim one micro-batch, make its images and store them; how many jobs were taken, 0 when nothing is due."""
    batch = jobs.claim(worker=worker, most=most, run=run)
    if not batch:
        return 0
    heart = BusyHeart(worker=worker, job_ids=[job.pk for job in batch])
    is_settled = False
    try:
        with heart.beating():
            jobs.finish(make_images(batch, heart))
        is_settled = True
    except StorageError as error:
        jobs.release(batch, worker=worker)
        storage_pauses.pause_runs_of(batch, reason=str(error))
        is_settled = True
    except GenerationError as error:
        jobs.fail(batch, worker=worker, reason=str(error), is_retryable=error.is_retryable)
        is_settled = True
    except Exception as error:  # the one place that turns whatever went wrong into rows
        logger.exception("A batch of %d images by %s failed.", len(batch), batch[0].recipe)
        jobs.fail(batch, worker=worker, reason=_sentence_of(error), is_retryable=True)
        is_settled = True
    finally:
        if not is_settled:  # told to stop: Ctrl-C, or a worker that shuts down
            jobs.release(batch, worker=worker)
    return len(batch)


def work_for(seconds: float, *, worker: str) -> bool:
    """Work batches until nothing is due, the time is up or the worker is told to stop; whether work is left."""
    beat(worker, queue=GENERATION_QUEUE)
    end = time.monotonic() + seconds
    while work_one_batch(worker):
        if stopping.is_asked() or time.monotonic() > end:
            return jobs.has_due_jobs()
    return False


def resolve_drafts(worker: str) -> int:
    """Decide on checkpoints and recipes that wait for it; how many. Repeating or doubling it does no harm."""
    undecided = Checkpoint.objects.filter(state__in=[Checkpoint.State.DRAFT, Checkpoint.State.CHECKING])
    count = 0
    # Hashing and loading large weights takes minutes, in which the worker must not look dead.
    with BusyHeart(worker=worker, job_ids=[]).beating() as heart:
        for checkpoint in undecided.order_by("pk"):
            checkpoints.resolve_checkpoint(checkpoint)
            heart.progressed()
            count += 1
        for recipe in recipes.unresolved_recipes():
            recipes.resolve_recipe(recipe)
            count += 1
    return count


def beat(worker: str, *, queue: str) -> None:
    """The heartbeat of a worker that took a message from this queue, so it lives and listens."""
    if queue != GENERATION_QUEUE:
        beat_heart(worker=worker, queues=[queue])
        return
    ready = Checkpoint.objects.filter(state=Checkpoint.State.READY)
    held = {checkpoint: folder for checkpoint in ready if (folder := _folder_or_none(checkpoint))}
    loaded: list[str] = []
    device = ""
    # A heartbeat alone must not cost the seconds that importing torch takes.
    if "generation.pipelines.sampling" in sys.modules:
        from generation.pipelines.environment import device_name

        loaded = [checkpoint.name for checkpoint, folder in held.items() if _is_in_memory(checkpoint, folder)]
        device = device_name(DEVICE)
    beat_heart(
        worker=worker, queues=[queue], weights=[checkpoint.name for checkpoint in held], loaded=loaded, device=device
    )


def make_images(batch: list[ImageJob], heart: BusyHeart) -> list[Image]:
    """The images of a claimed batch: files in the store, rows not yet in the database."""
    from generation.pipelines import environment, sampling

    recipe = batch[0].recipe
    checkpoint = recipe.checkpoint
    if checkpoint is None:
        raise GenerationError(f"{recipe} stands for a service; upload its images instead.")
    loaded, files = _loaded_for(recipe, checkpoint)
    heart.progressed()
    started = time.monotonic()
    sampled = sampling.sample(loaded, _request_of(batch, files), on_step=heart.progressed)
    if sampled.schedule.sigmas != recipe.resolved_sigmas or sampled.schedule.timesteps != recipe.resolved_timesteps:
        raise GenerationError(
            f"diffusers {environment.versions()['diffusers']} gives {recipe.name!r} other sigmas than those it"
            " was checked with, so its images would not compare; install the earlier version, or make a new recipe."
        )
    making = Making(
        pipeline_class=checkpoint.pipeline_class,
        scheduler_class=sampled.scheduler_class,
        scheduler_config=sampled.scheduler_config,
        sigmas=sampled.schedule.sigmas,
        timesteps=sampled.schedule.timesteps,
        batch_size=len(batch),
        device=environment.device_name(DEVICE),
        versions=environment.versions(),
        fixed_arguments=dict(FAMILIES[checkpoint.pipeline_class].call_arguments),
    )
    encoded = [sampling.encode_png(picture) for picture in sampled.pictures]
    seconds = (time.monotonic() - started) / len(batch)
    return [
        _stored(job, data=data, rgb=picture.tobytes(), making=making, seconds=seconds)
        for job, data, picture in zip(batch, encoded, sampled.pictures, strict=True)
    ]


def _loaded_for(recipe: Recipe, checkpoint: Checkpoint) -> "tuple[LoadedPipeline, tuple[AdapterFile, ...]]":
    """The pipeline from memory or disk, and the adapters to use on it; what is read is verified before."""
    from generation.pipelines.loading import Source

    parts = adapters.parts_of(checkpoint)
    source = Source(
        folder=model_folders.folder_of(parts.base),
        pipeline_class=checkpoint.pipeline_class,
        dtype=recipe.dtype,
        device=DEVICE,
        without=tuple(recipe.without),
    )
    files = adapters.files_of(parts.adapters, checkpoint.file_hashes)
    if source not in _cache().sources() or not {file.name for file in files} <= _cache().adapters(source):
        adapters.verify_parts(parts, checkpoint.file_hashes)
    return _cache().get(source), files


def _request_of(batch: list[ImageJob], files: tuple[AdapterFile, ...]) -> "BatchRequest":
    from generation.pipelines.sampling import BatchRequest
    from generation.pipelines.schedules import ScheduleSpec

    recipe = batch[0].recipe
    schedule = recipe.schedule
    if schedule is None:
        raise GenerationError(f"{recipe} has no schedule.")
    return BatchRequest(
        prompts=tuple(job.prompt_text for job in batch),
        seeds=tuple(seed_for(prompt_text=job.prompt_text, sample=job.sample) for job in batch),
        spec=ScheduleSpec.of(schedule),
        guidance=recipe.guidance,
        width=recipe.width,
        height=recipe.height,
        negative_prompt=recipe.negative_prompt,
        call_options=recipe.call_options,
        adapters=files,
    )


def _stored(job: ImageJob, *, data: bytes, rgb: bytes, making: Making, seconds: float) -> Image:
    recipe = job.recipe
    record = record_of(recipe=recipe, prompt_text=job.prompt_text, sample=job.sample, making=making)
    return Image(
        recipe=recipe,
        job=job,
        prompt_text=job.prompt_text,
        prompt_digest=text_digest(job.prompt_text),
        sample=job.sample,
        request_digest=job.request_digest,
        seed=seed_for(prompt_text=job.prompt_text, sample=job.sample),
        file_sha256=image_store.put(data, suffix=".png"),
        pixels_sha256=pixels_digest(rgb, width=recipe.width, height=recipe.height),
        width=recipe.width,
        height=recipe.height,
        size_bytes=len(data),
        seconds=seconds,
        provenance=record,
        provenance_digest=digest_of(record),
    )


def _folder_or_none(checkpoint: Checkpoint) -> Path | None:
    try:
        parts = adapters.parts_of(checkpoint)
        for adapter in parts.adapters:
            model_folders.place_of(adapter.path)
        return model_folders.folder_of(parts.base)
    except GenerationError:
        return None


def _is_in_memory(checkpoint: Checkpoint, folder: Path) -> bool:
    files = adapters.files_of(adapters.parts_of(checkpoint).adapters, checkpoint.file_hashes)
    names = {file.name for file in files}
    return any(source.folder == folder and names <= _cache().adapters(source) for source in _cache().sources())


def _sentence_of(error: Exception) -> str:
    said = str(error).strip().split("\n")[0] or "no message"
    return f"The pipeline stopped with {type(error).__name__}: {said[:500]}"


@cache
def _cache() -> "PipelineCache":
    from generation.pipelines.cache import PipelineCache

    return PipelineCache(budget_bytes=CACHE_BYTES)
