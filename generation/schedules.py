"""Schedules: how to sample, checked as far as is possible without a scheduler, one row for equal data."""

import math
from collections.abc import Sequence
from typing import Any

from generation.errors import GenerationError
from generation.models import Schedule
from generation.option_rules import check_options
from generation.provenance import digest_of
from generation.scheduler_kinds import SCHEDULERS, SPACINGS_OF_SIGMAS, SchedulerKind

MOST_STEPS = 1000
LARGEST_NOISE = 10_000
SD3_GRID = "sd3"
OWN_GRID = "own"


def steps_in_words(steps: int) -> str:
    """Such as "4 steps"."""
    return "1 step" if steps == 1 else f"{steps} steps"


def few_step_sigmas(steps: int) -> list[float]:
    """linspace(1, 1/N, N). The schedulers' own run from 1 to nearly 0, so their 2 steps draw what 1 step draws."""
    if steps < 1:
        raise GenerationError(f"A schedule needs at least one step, not {steps}.")
    return [(steps - k) / steps for k in range(steps)]


def get_schedule(
    *,
    scheduler_class: str = "FlowMatchEulerDiscreteScheduler",
    steps: int,
    shift: float | None = None,
    sigmas: Sequence[float] | None = None,
    grid: str = OWN_GRID,
    options: dict[str, Any] | None = None,
) -> Schedule:
    """The schedule with exactly this data, made at first use.

    `shift` is applied once to explicit sigmas (1 leaves them as they are); without it the checkpoint's own shift holds.
    The grid "sd3" stands for the explicit sigmas linspace(1, 1/N, N), so with a shift for Eq. 23 of SD3 applied once.
    """
    content = checked_schedule(
        scheduler_class=scheduler_class, steps=steps, shift=shift, sigmas=sigmas, grid=grid, options=options
    )
    schedule, _ = Schedule.objects.get_or_create(digest=digest_of(content), defaults=content)
    return schedule


def drafted_schedule(
    *,
    scheduler_class: str,
    steps: int,
    shift: float | None = None,
    sigmas: Sequence[float] | None = None,
    grid: str = OWN_GRID,
    options: dict[str, Any] | None = None,
) -> Schedule:
    """What `get_schedule` would give, not stored."""
    content = checked_schedule(
        scheduler_class=scheduler_class, steps=steps, shift=shift, sigmas=sigmas, grid=grid, options=options
    )
    return Schedule(digest=digest_of(content), **content)


def checked_schedule(
    *,
    scheduler_class: str,
    steps: int,
    shift: float | None,
    sigmas: Sequence[float] | None,
    grid: str,
    options: dict[str, Any] | None,
) -> dict[str, Any]:
    """The data of a schedule as it is stored; refused where no scheduler could use it. Nothing is stored here."""
    kind = SCHEDULERS.get(scheduler_class)
    if kind is None:
        raise GenerationError(f"The scheduler {scheduler_class!r} is not known; choose one of {', '.join(SCHEDULERS)}.")
    check_steps_and_shift(steps=steps, shift=shift)
    sigmas = _sigmas_of_grid(grid, steps, kind, scheduler_class=scheduler_class) if sigmas is None else sigmas
    if sigmas is not None:
        if not kind.takes_sigmas:
            raise GenerationError(f"{scheduler_class} takes no explicit sigmas; leave them out.")
        check_sigmas(sigmas, steps, kind)
    _check_options(options or {}, scheduler_class=scheduler_class, has_shift=shift is not None)
    return {
        "scheduler_class": scheduler_class,
        "options": options or {},
        "steps": steps,
        "shift": None if shift is None else float(shift),
        "sigmas": None if sigmas is None else [float(sigma) for sigma in sigmas],
    }


def check_steps_and_shift(*, steps: int, shift: float | None) -> None:
    """Refuse numbers that no scheduler could use."""
    if not 1 <= steps <= MOST_STEPS:
        raise GenerationError(f"steps must lie between 1 and {MOST_STEPS}, not {steps}.")
    if shift is not None and not (math.isfinite(shift) and 0 < shift <= 100):
        raise GenerationError(f"shift must be a number above 0 and at most 100, not {shift}.")


def _sigmas_of_grid(grid: str, steps: int, kind: SchedulerKind, *, scheduler_class: str) -> list[float] | None:
    if grid == OWN_GRID:
        return None
    if grid != SD3_GRID:
        raise GenerationError(f"The grid {grid!r} is not known; choose {SD3_GRID} or {OWN_GRID}.")
    if kind.sigmas != "flow":
        raise GenerationError(f"{scheduler_class} takes no sigmas of a flow, so it has no SD3 grid; use its own.")
    return few_step_sigmas(steps)


def _check_options(options: dict[str, Any], *, scheduler_class: str, has_shift: bool) -> None:
    kind = SCHEDULERS[scheduler_class]
    check_options(options, kind.options, owner=scheduler_class, word="option")
    if len(chosen := [name for name in SPACINGS_OF_SIGMAS if options.get(name)]) > 1:
        raise GenerationError(f"{' and '.join(chosen)} exclude each other; leave one of them.")
    if has_shift and not kind.shift_option:
        raise GenerationError(f"{scheduler_class} has no shift; leave it out.")
    if has_shift and (options.get("use_dynamic_shifting") or "flow_shift" in options):
        raise GenerationError("The shift of a schedule excludes use_dynamic_shifting and flow_shift; leave one out.")


def check_sigmas(sigmas: Sequence[float], steps: int, kind: SchedulerKind) -> None:
    """Refuse a list of sigmas that a scheduler of this kind could not walk down."""
    if len(sigmas) != steps:
        raise GenerationError(f"{steps} steps need {steps} sigmas, not {len(sigmas)}; the final 0 is added by itself.")
    largest = 1 if kind.sigmas == "flow" else LARGEST_NOISE
    if not all(math.isfinite(sigma) and 0 < sigma <= largest for sigma in sigmas):
        raise GenerationError(f"Every sigma of a schedule of {kind.sigmas} lies above 0 and at most at {largest}.")
    if any(following >= sigma for sigma, following in zip(sigmas, sigmas[1:], strict=False)):
        raise GenerationError("Sigmas must fall from one step to the next.")
