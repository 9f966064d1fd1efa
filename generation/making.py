"""From claimed jobs to image files: the pipeline, one call of it, and what is kept of how it was done."""

import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from generation import adapters, batch_limits, image_store, model_folders
from generation.errors import GenerationError
from generation.families import FAMILIES
from generation.model_folders import AdapterFile
from generation.models import Checkpoint, Image, ImageJob, Recipe
from generation.provenance import Making, digest_of, pixels_digest, record_of, seed_for, text_digest
from generation.worker_tallies import tallies

if TYPE_CHECKING:
    from generation.pipelines.cache import PipelineCache
    from generation.pipelines.loading import LoadedPipeline
    from generation.pipelines.sampling import BatchRequest
    from generation.pipelines.texts import TextCache

Told = Callable[[], None]


def make_images(batch: Sequence[ImageJob], on_step: Told) -> list[Image]:
    """The images of jobs of one recipe, drawn in one call: files in the store, rows not yet in the database."""
    from generation.pipelines import environment, sampling

    recipe = batch[0].recipe
    checkpoint = recipe.checkpoint
    if checkpoint is None:
        raise GenerationError(f"{recipe} stands for a service; upload its images instead.")
    loaded, files = _loaded_for(recipe, checkpoint)
    on_step()
    started = time.monotonic()
    request = _request_of(batch, files)
    sampled = sampling.sample(loaded, request, on_step=on_step, texts=_texts())
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
        batch_size=max(len(batch), request.rows),
        device=environment.device_name(settings.IMAGE_DEVICE),
        versions=environment.versions(),
        threads=environment.threads(),
        fixed_arguments=dict(FAMILIES[checkpoint.pipeline_class].call_arguments),
    )
    encoded = [sampling.encode_png(picture) for picture in sampled.pictures]
    seconds = (time.monotonic() - started) / len(batch)
    return [
        _stored(job, data=data, rgb=picture.tobytes(), making=making, seconds=seconds, row=row)
        for row, (job, data, picture) in enumerate(zip(batch, encoded, sampled.pictures, strict=True))
    ]


def is_awake() -> bool:
    """Whether this process has imported torch: looking around alone must not cost the seconds that takes."""
    return "generation.pipelines.sampling" in sys.modules


def wake_up() -> None:
    """Import what draws, so that the device has its name."""
    from generation.pipelines import sampling  # noqa: F401


def device_name() -> str:
    """The device of this worker as a person would name it; its setting, as long as torch is not imported."""
    if not is_awake():
        return str(settings.IMAGE_DEVICE)
    from generation.pipelines.environment import device_name as named

    return named(settings.IMAGE_DEVICE)


def note_memory() -> None:
    """Tell the heartbeat how much memory drawing takes."""
    if is_awake():
        from generation.pipelines.memory import used_peak_and_total

        used, peak, total = used_peak_and_total(settings.IMAGE_DEVICE)
        tallies.note_memory(used=used, peak=peak, total=total)


def is_in_memory(checkpoint: Checkpoint, folder: Path) -> bool:
    """Whether the pipeline of a checkpoint is loaded in this process, with all its adapters."""
    if not is_awake():
        return False
    files = adapters.files_of(adapters.parts_of(checkpoint).adapters, checkpoint.file_hashes)
    names = {file.name for file in files}
    return any(source.folder == folder and names <= _cache().adapters(source) for source in _cache().sources())


def give_memory_back(recipe: Recipe) -> None:
    """Let go of all but the pipeline of this recipe's checkpoint."""
    _texts().clear()
    folder = None
    if recipe.checkpoint is not None:
        folder = model_folders.folder_of(adapters.parts_of(recipe.checkpoint).base)
    kept = [source for source in _cache().sources() if source.folder == folder and source.dtype == recipe.dtype]
    _cache().keep_only(kept[-1] if kept else None)


def _loaded_for(recipe: Recipe, checkpoint: Checkpoint) -> "tuple[LoadedPipeline, tuple[AdapterFile, ...]]":
    """The pipeline from memory or disk, and the adapters to use on it; what is read is verified before."""
    from generation.pipelines.loading import Source

    parts = adapters.parts_of(checkpoint)
    source = Source(
        folder=model_folders.folder_of(parts.base),
        pipeline_class=checkpoint.pipeline_class,
        dtype=recipe.dtype,
        device=settings.IMAGE_DEVICE,
        without=tuple(recipe.without),
    )
    files = adapters.files_of(parts.adapters, checkpoint.file_hashes)
    if source not in _cache().sources() or not {file.name for file in files} <= _cache().adapters(source):
        adapters.verify_parts(parts, checkpoint.file_hashes)
    return _cache().get(source), files


def _request_of(batch: Sequence[ImageJob], files: tuple[AdapterFile, ...]) -> "BatchRequest":
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
        rows=batch_limits.strict_rows(recipe) if recipe.batch_mode == batch_limits.STRICT else 0,
    )


def _stored(job: ImageJob, *, data: bytes, rgb: bytes, making: Making, seconds: float, row: int) -> Image:
    recipe = job.recipe
    record = record_of(recipe=recipe, prompt_text=job.prompt_text, sample=job.sample, making=making, row=row)
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


@cache
def _cache() -> "PipelineCache":
    from generation.pipelines.cache import PipelineCache

    return PipelineCache(budget_bytes=settings.MODEL_MEMORY)


@cache
def _texts() -> "TextCache":
    from generation.pipelines.texts import TextCache

    return TextCache(budget_bytes=settings.TEXT_MEMORY)
