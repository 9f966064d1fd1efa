"""A micro-batch of pictures from the stock pipeline: one CPU generator for each image; sigmas recorded as used."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from PIL import Image

from generation.errors import GenerationError
from generation.families import FAMILIES, Family
from generation.model_folders import AdapterFile
from generation.pipelines.adapting import use_adapters
from generation.pipelines.loading import LoadedPipeline
from generation.pipelines.schedules import ResolvedSchedule, ScheduleSpec, build_scheduler, call_sigmas, taken_from
from generation.pipelines.texts import TextCache, Texts, encoded

OnStep = Callable[[], None]


@dataclass(frozen=True)
class BatchRequest:
    """One call of the pipeline: prompts with their seeds, and what they share."""

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    spec: ScheduleSpec
    guidance: float
    width: int
    height: int
    negative_prompt: str
    call_options: dict[str, Any]
    adapters: tuple[AdapterFile, ...] = ()
    rows: int = 0
    """How many pictures are really drawn; those beyond the prompts are thrown away. 0: as many as there are prompts."""

    @property
    def rows_beyond(self) -> int:
        """Pictures that only fill the batch."""
        return max(0, self.rows - len(self.prompts))


@dataclass(frozen=True)
class Sampled:
    """uint8 pictures (height, width, 3) in the order of the prompts, and what the scheduler really did."""

    pictures: list[np.ndarray]
    schedule: ResolvedSchedule
    scheduler_class: str
    scheduler_config: dict[str, Any]


def sample(
    loaded: LoadedPipeline, request: BatchRequest, *, on_step: OnStep | None = None, texts: TextCache | None = None
) -> Sampled:
    """Draw the pictures of a batch.

    Equal requests give bit-equal pictures on one machine, with and without `texts`. Another batch size may change
    single values by one level, because the matrix kernels differ, so equality across batch sizes is not promised and
    the size is recorded; `rows` keeps it the same whatever is asked for.
    """
    pipe = loaded.pipe
    family = FAMILIES[loaded.source.pipeline_class]
    use_adapters(loaded, request.adapters)
    pipe.scheduler = build_scheduler(request.spec, loaded.scheduler_config)
    sigmas = call_sigmas(request.spec)
    seeds = (*request.seeds, *request.seeds[-1:] * request.rows_beyond)
    with torch.inference_mode():
        # Floats, not pictures: the conversion to 8 bits would hide NaN as black.
        floats = pipe(
            prompt=None,
            negative_prompt=None,
            num_inference_steps=request.spec.steps,
            guidance_scale=request.guidance,
            width=request.width,
            height=request.height,
            # On the CPU always: the same noise on every device.
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type="np",
            **encoded(loaded, _texts_of(request), held=TextCache(budget_bytes=0) if texts is None else texts),
            **({} if sigmas is None else {"sigmas": sigmas}),
            **_told_after_steps(family, on_step),
            **family.call_arguments,
            **_call_options(request),
        ).images[: len(request.prompts)]
    for prompt, picture in zip(request.prompts, floats, strict=True):
        if not np.isfinite(picture).all():
            raise GenerationError(
                f"The picture for {prompt[:60]!r} holds values that are not numbers; use a wider dtype.",
                is_retryable=True,  # alone: the other pictures of the batch may be good
            )
    return Sampled(
        pictures=list((floats * 255).round().astype(np.uint8)),
        schedule=taken_from(pipe.scheduler),
        scheduler_class=type(pipe.scheduler).__name__,
        scheduler_config={k: _plain(value) for k, value in pipe.scheduler.config.items() if not k.startswith("_")},
    )


def _texts_of(request: BatchRequest) -> Texts:
    return Texts(
        prompts=(*request.prompts, *request.prompts[-1:] * request.rows_beyond),
        negative_prompt=request.negative_prompt,
        guidance=request.guidance,
        call_options=request.call_options,
        adapters=tuple((adapter.name, adapter.weight) for adapter in request.adapters),
    )


def _told_after_steps(family: Family, on_step: OnStep | None) -> dict[str, Any]:
    """The arguments by which a pipeline calls `on_step`; an exception from it ends the call."""

    def after_step(_pipe: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if on_step is not None:
            on_step()
        return tensors

    def after_old_step(_step: int, _timestep: Any, _latents: Any) -> None:
        if on_step is not None:
            on_step()

    if family.step_callback == "callback":
        return {"callback": after_old_step, "callback_steps": 1}
    return {"callback_on_step_end": after_step}


def _call_options(request: BatchRequest) -> dict[str, Any]:
    # JSON has no tuples, and SDXL adds its sizes together as tuples.
    return {name: tuple(value) if isinstance(value, list) else value for name, value in request.call_options.items()}


def encode_png(picture: np.ndarray) -> bytes:
    """A lossless PNG of the pixels and nothing else: no text, no time, no colour profile."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def _plain(value: Any) -> Any:
    """JSON values only; NumPy numbers and tuples sit in some configurations."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    # DPM++ has an option whose default is minus infinity, which JSON cannot say.
    is_plain = value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and isfinite(value))
    return value if is_plain else str(value)
