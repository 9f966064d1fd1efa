"""Which scheduler fits which pipeline and checkpoint; what would draw noise, or never the same again, is refused."""

from collections.abc import Mapping
from typing import Any

from generation.errors import GenerationError
from generation.families import FAMILIES
from generation.scheduler_kinds import SCHEDULERS


def check_match(
    *,
    pipeline_class: str,
    scheduler_class: str,
    config: Mapping[str, Any],
    is_flow_model: bool | None,
    has_shift: bool,
    eta: float,
) -> None:
    """Refuse a scheduler, configured as `config`, that this pipeline or checkpoint cannot be sampled with.

    `is_flow_model` is None where the checkpoint does not say what it predicts; then that is not checked.
    """
    family, kind = FAMILIES[pipeline_class], SCHEDULERS[scheduler_class]
    _check_input(pipeline_class, scheduler_class)
    _check_prediction(scheduler_class, config, is_flow_model)
    is_in_flow = kind.samples == "flow" or bool(config.get("use_flow_sigmas"))
    if has_shift and not is_in_flow:
        raise GenerationError(f"A shift moves the sigmas of a flow; {scheduler_class} has none here: leave it out.")
    draws_noise = kind.draws_noise or eta > 0 or str(config.get("algorithm_type", "")).startswith("sde-")
    if draws_noise and not family.passes_generator:
        raise GenerationError(
            f"{scheduler_class} draws random numbers at every step, and {pipeline_class} hands it no generator for"
            f" them, so its images could not be made again; choose one of {_others(pipeline_class)}."
        )
    if family.mu == "always" and kind.samples == "both" and not config.get("use_dynamic_shifting"):
        raise GenerationError(
            f"{pipeline_class} always shifts by the picture's size, which {scheduler_class} allows only with"
            " use_dynamic_shifting and without a shift of its own; set that, or choose FlowMatchEulerDiscreteScheduler."
        )
    if family.mu == "always" and not kind.sigmas and not config.get("use_flow_sigmas"):
        raise GenerationError(
            f"{pipeline_class} hands its scheduler explicit sigmas, which {scheduler_class} does not take; choose"
            " FlowMatchEulerDiscreteScheduler."
        )


def _check_input(pipeline_class: str, scheduler_class: str) -> None:
    family, kind = FAMILIES[pipeline_class], SCHEDULERS[scheduler_class]
    if kind.scales_input and not family.scales_input:
        raise GenerationError(
            f"{scheduler_class} needs the network's input scaled, and {pipeline_class} never does that; choose one of"
            f" {_others(pipeline_class)}."
        )
    if kind.samples == "flow" and family.scales_input:
        raise GenerationError(
            f"{pipeline_class} asks its scheduler to scale the network's input, which {scheduler_class} cannot; choose"
            f" one of {_others(pipeline_class)}."
        )


def _check_prediction(scheduler_class: str, config: Mapping[str, Any], is_flow_model: bool | None) -> None:
    kind = SCHEDULERS[scheduler_class]
    if is_flow_model is None:
        return
    in_flow = bool(config.get("use_flow_sigmas")) and config.get("prediction_type") == "flow_prediction"
    if is_flow_model and not (kind.samples == "flow" or in_flow):
        raise GenerationError(
            f"This checkpoint predicts a flow, and {scheduler_class} as configured here samples noise predictions;"
            " choose FlowMatchEulerDiscreteScheduler, or DPMSolverMultistepScheduler with use_flow_sigmas."
        )
    if not is_flow_model and (
        kind.samples == "flow" or config.get("use_flow_sigmas") or config.get("prediction_type") == "flow_prediction"
    ):
        raise GenerationError(
            f"This checkpoint predicts no flow, so {scheduler_class} as configured here would draw noise; choose its"
            " own scheduler, DDIMScheduler or DPMSolverMultistepScheduler without flow options."
        )


def _others(pipeline_class: str) -> str:
    family = FAMILIES[pipeline_class]
    fitting = [
        name
        for name, kind in SCHEDULERS.items()
        if (kind.samples != "flow" if family.scales_input else not kind.scales_input)
        and (family.passes_generator or not kind.draws_noise)
    ]
    return ", ".join(fitting)
