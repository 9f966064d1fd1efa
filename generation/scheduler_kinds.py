"""Which schedulers may run and what a schedule may set on them, as a table of dotted names. No torch here.

Left out on purpose: `stochastic_sampling`, because no pipeline of ours passes flow schedulers a generator; schedulers
whose own list of sigmas is not what the model sees (KDPM2) or whose last step keeps its noise (DEIS).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from generation.option_rules import OptionRule, flag, number, one_of, whole

SPACINGS_OF_SIGMAS: Final = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas")
"""At most one of these may be true."""

_SIGMA_SPACING: Final = {name: flag() for name in SPACINGS_OF_SIGMAS[:3]}
_TIMES: Final = {"timestep_spacing": one_of("linspace", "leading", "trailing"), "steps_offset": whole(0, 10)}
_PREDICTION: Final = {"prediction_type": one_of("epsilon", "v_prediction", "sample")}
_ANY_PREDICTION: Final = {"prediction_type": one_of("epsilon", "v_prediction", "sample", "flow_prediction")}
_ZERO_SNR: Final = {"rescale_betas_zero_snr": flag()}
_CLIPPING: Final = {"clip_sample": flag(), "clip_sample_range": number(0.01, 100)}
_FINAL: Final = {"final_sigmas_type": one_of("zero", "sigma_min")}
_DYNAMIC: Final = {"use_dynamic_shifting": flag(), "time_shift_type": one_of("exponential", "linear")}
_FLOW: Final = {"use_flow_sigmas": flag(), "flow_shift": number(0.01, 100), **_DYNAMIC}
_TERMINAL: Final = {"shift_terminal": number(0.0001, 0.9999)}


@dataclass(frozen=True)
class SchedulerKind:
    """A scheduler class and what decides whether a pipeline and a checkpoint can use it."""

    dotted: str
    options: Mapping[str, OptionRule] = field(default_factory=dict)
    samples: Literal["flow", "noise", "both"] = "noise"
    """Which models: those that predict a flow, or the noise (or v, or the sample), or both."""
    sigmas: Literal["", "flow", "noise"] = ""
    """Explicit sigmas: none, or of a flow (0 to 1), or of noise (from large to small)."""
    shift_option: str = ""
    """The option that moves the sigmas of a flow."""
    scales_input: bool = False
    """Whether the network must see a scaled input, which the pipeline has to ask for."""
    draws_noise: bool = False
    """Whether every step adds random noise."""

    @property
    def takes_sigmas(self) -> bool:
        """Whether a schedule may list its sigmas."""
        return bool(self.sigmas)


SCHEDULERS: Final[dict[str, SchedulerKind]] = {
    "FlowMatchEulerDiscreteScheduler": SchedulerKind(
        dotted="diffusers.FlowMatchEulerDiscreteScheduler",
        samples="flow",
        sigmas="flow",
        shift_option="shift",
        options={
            **_SIGMA_SPACING,
            **_DYNAMIC,
            **_TERMINAL,
            "base_shift": number(-10, 10),
            "max_shift": number(-10, 10),
            "base_image_seq_len": whole(1, 10**6),
            "max_image_seq_len": whole(1, 10**6),
        },
    ),
    "FlowMatchHeunDiscreteScheduler": SchedulerKind(
        dotted="diffusers.FlowMatchHeunDiscreteScheduler", samples="flow", shift_option="shift"
    ),
    "DDIMScheduler": SchedulerKind(
        dotted="diffusers.DDIMScheduler",
        options={**_TIMES, **_PREDICTION, **_ZERO_SNR, **_CLIPPING, "set_alpha_to_one": flag()},
    ),
    "DDPMScheduler": SchedulerKind(
        dotted="diffusers.DDPMScheduler",
        options={**_TIMES, **_PREDICTION, **_ZERO_SNR, **_CLIPPING},
        draws_noise=True,
    ),
    "LCMScheduler": SchedulerKind(
        dotted="diffusers.LCMScheduler",
        options={**_PREDICTION, **_ZERO_SNR, "original_inference_steps": whole(1, 1000), "set_alpha_to_one": flag()},
        draws_noise=True,
    ),
    "TCDScheduler": SchedulerKind(
        dotted="diffusers.TCDScheduler",
        options={**_PREDICTION, **_ZERO_SNR, "original_inference_steps": whole(1, 1000), "set_alpha_to_one": flag()},
        draws_noise=True,
    ),
    "PNDMScheduler": SchedulerKind(
        dotted="diffusers.PNDMScheduler",
        options={
            **_TIMES,
            "prediction_type": one_of("epsilon", "v_prediction"),
            "skip_prk_steps": flag(),
            "set_alpha_to_one": flag(),
        },
    ),
    "EulerDiscreteScheduler": SchedulerKind(
        dotted="diffusers.EulerDiscreteScheduler",
        options={**_TIMES, **_PREDICTION, **_ZERO_SNR, **_SIGMA_SPACING, **_FINAL},
        sigmas="noise",
        scales_input=True,
    ),
    "EulerAncestralDiscreteScheduler": SchedulerKind(
        dotted="diffusers.EulerAncestralDiscreteScheduler",
        options={**_TIMES, **_PREDICTION, **_ZERO_SNR},
        scales_input=True,
        draws_noise=True,
    ),
    "HeunDiscreteScheduler": SchedulerKind(
        dotted="diffusers.HeunDiscreteScheduler",
        options={**_TIMES, **_PREDICTION, **_SIGMA_SPACING},
        scales_input=True,
    ),
    "LMSDiscreteScheduler": SchedulerKind(
        dotted="diffusers.LMSDiscreteScheduler",
        options={**_TIMES, **_PREDICTION, **_SIGMA_SPACING},
        scales_input=True,
    ),
    "DPMSolverMultistepScheduler": SchedulerKind(
        dotted="diffusers.DPMSolverMultistepScheduler",
        samples="both",
        shift_option="flow_shift",
        options={
            **_TIMES,
            **_ANY_PREDICTION,
            **_ZERO_SNR,
            **_SIGMA_SPACING,
            **_FINAL,
            **_FLOW,
            "use_lu_lambdas": flag(),
            "solver_order": whole(1, 3),
            "algorithm_type": one_of("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"),
            "solver_type": one_of("midpoint", "heun"),
            "lower_order_final": flag(),
            "euler_at_final": flag(),
        },
    ),
    "DPMSolverSinglestepScheduler": SchedulerKind(
        dotted="diffusers.DPMSolverSinglestepScheduler",
        samples="both",
        shift_option="flow_shift",
        options={
            **_ANY_PREDICTION,
            **_SIGMA_SPACING,
            **_FINAL,
            **_FLOW,
            "solver_order": whole(1, 3),
            "algorithm_type": one_of("dpmsolver", "dpmsolver++", "sde-dpmsolver++"),
            "solver_type": one_of("midpoint", "heun"),
            "lower_order_final": flag(),
        },
    ),
    "UniPCMultistepScheduler": SchedulerKind(
        dotted="diffusers.UniPCMultistepScheduler",
        samples="both",
        sigmas="flow",
        shift_option="flow_shift",
        options={
            **_TIMES,
            **_ANY_PREDICTION,
            **_ZERO_SNR,
            **_SIGMA_SPACING,
            **_FINAL,
            **_FLOW,
            **_TERMINAL,
            "solver_order": whole(1, 3),
            "solver_type": one_of("bh1", "bh2"),
            "lower_order_final": flag(),
            "predict_x0": flag(),
        },
    ),
}


def is_flow(config: Mapping[str, Any]) -> bool | None:
    """Whether a checkpoint with this scheduler configuration predicts a flow; None where the file names no class."""
    if config.get("prediction_type") == "flow_prediction" or config.get("use_flow_sigmas"):
        return True
    class_name = config.get("_class_name")
    return class_name.startswith("FlowMatch") if isinstance(class_name, str) else None
