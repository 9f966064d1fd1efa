"""From a schedule as data to a real scheduler, and what comes out of it: sigmas, timesteps, number of evaluations."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import calculate_shift, retrieve_timesteps

from generation.errors import GenerationError
from generation.families import FAMILIES, Family
from generation.model_folders import scheduler_config
from generation.pipelines.loading import class_at
from generation.pipelines.matching import check_match
from generation.pipelines.sizes import size_rule
from generation.scheduler_kinds import SCHEDULERS, SPACINGS_OF_SIGMAS, SchedulerKind, is_flow


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

    @property
    def kind(self) -> SchedulerKind:
        """The row of the scheduler's class."""
        return SCHEDULERS[self.scheduler_class]


@dataclass(frozen=True)
class ResolvedSchedule:
    """What a scheduler really does: `sigmas` ends with the final 0, `timesteps` has one entry for each evaluation."""

    sigmas: list[float]
    timesteps: list[float]


def build_scheduler(spec: ScheduleSpec, pristine_config: Mapping[str, Any]) -> Any:
    """A fresh scheduler from the configuration that came with the checkpoint."""
    scheduler_class = class_at(spec.kind.dotted)
    known = set(inspect.signature(scheduler_class.__init__).parameters)
    config = {name: value for name, value in _merged(spec, pristine_config).items() if name in known}
    if config.get("stochastic_sampling"):
        raise GenerationError(
            "The checkpoint's scheduler draws random numbers while it samples (stochastic_sampling), so its images"
            " could not be made again; set it to false in scheduler/scheduler_config.json."
        )
    try:
        return scheduler_class.from_config(config)
    except (ValueError, TypeError, ImportError, NotImplementedError) as error:
        raise GenerationError(f"{spec.scheduler_class} cannot be built with these options: {error}") from error


def call_sigmas(spec: ScheduleSpec) -> np.ndarray | None:
    """The sigmas that a call of the pipeline is given, (N,): schedulers of noise want the final 0 in their list."""
    if spec.sigmas is None:
        return None
    # UniPC calculates with what it is given, so a list would not do.
    return np.array([*spec.sigmas, 0.0] if spec.kind.sigmas == "noise" else spec.sigmas)


def resolve(
    *,
    folder: Path,
    spec: ScheduleSpec,
    pipeline_class: str,
    width: int,
    height: int,
    call_options: Mapping[str, Any] | None = None,
) -> ResolvedSchedule:
    """What this schedule gives for this checkpoint and size. Reads configurations, no weights."""
    family = FAMILIES[pipeline_class]
    rule = size_rule(folder, pipeline_class)
    rule.check(width=width, height=height)
    pristine = scheduler_config(folder, pipeline_class)
    scheduler = build_scheduler(spec, pristine)
    check_match(
        pipeline_class=pipeline_class,
        scheduler_class=spec.scheduler_class,
        config=scheduler.config,
        is_flow_model=is_flow(pristine),
        has_shift=spec.shift is not None,
        eta=float((call_options or {}).get("eta", 0)),
    )
    extra = _shift_by_size(family, scheduler.config, tokens=rule.tokens(width=width, height=height))
    try:
        # Divisions by zero become values that are not finite, which are refused below with a sentence.
        with np.errstate(all="ignore"):
            # The pipelines' own copy of this function, so that what is stored is what they will do.
            retrieve_timesteps(scheduler, spec.steps, "cpu", sigmas=_sigmas_passed(family, scheduler, spec), **extra)
    except (ValueError, TypeError, ImportError, ZeroDivisionError, IndexError, AssertionError) as error:
        said = str(error) or "the options do not fit together"
        raise GenerationError(f"{spec.scheduler_class} cannot make {spec.steps} steps: {said}") from error
    return taken_from(scheduler)


def taken_from(scheduler: Any) -> ResolvedSchedule:
    """The sigmas and timesteps a scheduler holds now."""
    timesteps = [float(timestep) for timestep in scheduler.timesteps.tolist()]
    has_sigmas = getattr(scheduler, "sigmas", None) is not None
    sigmas = scheduler.sigmas.tolist() if has_sigmas else _derived_sigmas(scheduler, timesteps)
    if not all(math.isfinite(number) for number in (*sigmas, *timesteps)):
        raise GenerationError("The schedule gives sigmas that are not finite numbers; change steps, shift or options.")
    return ResolvedSchedule(sigmas=sigmas, timesteps=timesteps)


def _merged(spec: ScheduleSpec, pristine: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in pristine.items() if not name.startswith("_")}
    options = dict(spec.options)
    kind = spec.kind
    if kind.samples == "both" and is_flow(pristine):
        # What the flow's own scheduler calls shift, these call flow_shift.
        kept = {"flow_shift": kept.get("shift", 1.0)} | kept
        kept |= {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
    if any(options.get(name) for name in SPACINGS_OF_SIGMAS):
        kept |= dict.fromkeys(SPACINGS_OF_SIGMAS, False)
    if spec.shift is not None and kind.shift_option:
        # With dynamic shifting on, diffusers would ignore the shift without a word.
        options |= {kind.shift_option: spec.shift, "use_dynamic_shifting": False}
    return kept | options


def _sigmas_passed(family: Family, scheduler: Any, spec: ScheduleSpec) -> np.ndarray | None:
    if spec.sigmas is None and family.has_own_sigmas and not scheduler.config.get("use_flow_sigmas"):
        return np.linspace(1.0, 1 / spec.steps, spec.steps)
    return call_sigmas(spec)


def _shift_by_size(family: Family, config: Mapping[str, Any], *, tokens: int) -> dict[str, float]:
    # As the pipelines do it: the shift follows the number of picture tokens.
    if family.mu == "never" or (family.mu == "when dynamic" and not config.get("use_dynamic_shifting")):
        return {}
    mu = calculate_shift(
        tokens,
        config.get("base_image_seq_len", 256),
        config.get("max_image_seq_len", 4096),
        config.get("base_shift", 0.5),
        config.get("max_shift", family.default_max_shift),
    )
    return {"mu": mu}


def _derived_sigmas(scheduler: Any, timesteps: list[float]) -> list[float]:
    # Noise over signal, as Euler counts it: sqrt(1 - abar) / sqrt(abar). A schedule that ends in pure noise has no
    # finite value there; 2**-24 is what the diffusers schedulers with sigmas put in its place.
    last = len(scheduler.alphas_cumprod) - 1
    kept = [max(float(scheduler.alphas_cumprod[min(round(t), last)]), 2.0**-24) for t in timesteps]
    return [*(math.sqrt(1 - signal) / math.sqrt(signal) for signal in kept), 0.0]
