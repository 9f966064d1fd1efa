"""From a schedule as data to a real scheduler, and what comes out of it: sigmas, timesteps, number of evaluations."""

import inspect
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import calculate_shift

from generation.errors import GenerationError
from generation.families import SCHEDULERS
from generation.model_folders import read_json
from generation.pipelines.loading import class_at
from generation.pipelines.sizes import size_rule


class ScheduleData(Protocol):
    """Anything that says how to sample; the Schedule row does."""

    scheduler_class: str
    options: Any
    steps: int
    shift: float | None
    sigmas: Any


@dataclass(frozen=True)
class ScheduleSpec:
    """A schedule as plain values."""

    scheduler_class: str
    steps: int
    shift: float | None
    sigmas: tuple[float, ...] | None
    options: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, schedule: ScheduleData) -> Self:
        """The values of a row."""
        return cls(
            scheduler_class=schedule.scheduler_class,
            steps=schedule.steps,
            shift=schedule.shift,
            sigmas=None if schedule.sigmas is None else tuple(schedule.sigmas),
            options=tuple(sorted(schedule.options.items())),
        )


@dataclass(frozen=True)
class ResolvedSchedule:
    """What a scheduler really does: `sigmas` ends with the final 0, `timesteps` has one entry for each evaluation."""

    sigmas: list[float]
    timesteps: list[float]


def build_scheduler(spec: ScheduleSpec, pristine_config: dict[str, Any]) -> Any:
    """A fresh scheduler from the configuration that came with the checkpoint."""
    overrides = dict(spec.options)
    if spec.shift is not None:
        # With dynamic shifting on, diffusers would ignore the shift without a word.
        overrides |= {"shift": spec.shift, "use_dynamic_shifting": False}
    kept = {name: value for name, value in pristine_config.items() if not name.startswith("_")}
    scheduler_class = class_at(SCHEDULERS[spec.scheduler_class].dotted)
    known = set(inspect.signature(scheduler_class.__init__).parameters)
    config = {name: value for name, value in (kept | overrides).items() if name in known}
    if config.get("stochastic_sampling"):
        raise GenerationError(
            "The checkpoint's scheduler draws random numbers while it samples (stochastic_sampling), so its images"
            " could not be made again; set it to false in scheduler/scheduler_config.json."
        )
    try:
        return scheduler_class.from_config(config)
    except (ValueError, TypeError, ImportError) as error:
        raise GenerationError(f"{spec.scheduler_class} cannot be built with these options: {error}") from error


def resolve(*, folder: Path, spec: ScheduleSpec, pipeline_class: str, width: int, height: int) -> ResolvedSchedule:
    """What this schedule gives for this checkpoint and size. Reads configurations, no weights."""
    rule = size_rule(folder, pipeline_class)
    rule.check(width=width, height=height)
    scheduler = build_scheduler(spec, read_json(folder / "scheduler" / "scheduler_config.json"))
    extra: dict[str, Any] = {} if spec.sigmas is None else {"sigmas": list(spec.sigmas)}
    if scheduler.config.get("use_dynamic_shifting"):
        # As the pipeline does it: the shift follows the number of picture tokens.
        config = scheduler.config
        extra["mu"] = calculate_shift(
            rule.tokens(width=width, height=height),
            config.get("base_image_seq_len", 256),
            config.get("max_image_seq_len", 4096),
            config.get("base_shift", 0.5),
            config.get("max_shift", 1.16),
        )
    try:
        # Divisions by zero become values that are not finite, which are refused below with a sentence.
        with np.errstate(all="ignore"):
            scheduler.set_timesteps(spec.steps, device="cpu", **extra)
    except (ValueError, TypeError, ImportError, ZeroDivisionError) as error:
        raise GenerationError(f"{spec.scheduler_class} cannot make {spec.steps} steps: {error}") from error
    return taken_from(scheduler)


def taken_from(scheduler: Any) -> ResolvedSchedule:
    """The sigmas and timesteps a scheduler holds now."""
    resolved = ResolvedSchedule(sigmas=scheduler.sigmas.tolist(), timesteps=scheduler.timesteps.tolist())
    if not all(math.isfinite(number) for number in (*resolved.sigmas, *resolved.timesteps)):
        raise GenerationError("The schedule gives sigmas that are not finite numbers; change steps, shift or options.")
    return resolved
