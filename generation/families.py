"""Which pipelines and schedulers may run, as tables of dotted names. No torch here: the web reads these tables too.

To add a family: one row in FAMILIES, its sizes in `pipelines/sizes.py` where they differ, and a test with tiny weights.
"""

from dataclasses import dataclass
from typing import Final

COMPONENT_LIBRARIES: Final = frozenset({"diffusers", "transformers"})


@dataclass(frozen=True)
class Family:
    """A pipeline class, the component that denoises, and the call arguments a recipe may set."""

    pipeline: str
    denoiser: str
    call_options: frozenset[str]


FAMILIES: Final[dict[str, Family]] = {
    "StableDiffusion3Pipeline": Family(
        pipeline="diffusers.StableDiffusion3Pipeline",
        denoiser="transformer",
        call_options=frozenset(
            {
                "max_sequence_length",
                "clip_skip",
                "skip_guidance_layers",
                "skip_layer_guidance_scale",
                "skip_layer_guidance_start",
                "skip_layer_guidance_stop",
            }
        ),
    ),
}


@dataclass(frozen=True)
class SchedulerKind:
    """A scheduler class: where it is, whether it takes explicit sigmas, and the options a schedule may set."""

    dotted: str
    takes_sigmas: bool
    options: frozenset[str]


# stochastic_sampling is left out on purpose: SD3 passes no generator to the scheduler's step, so its noise would come
# from the process's global state and no image could be made again.
SCHEDULERS: Final[dict[str, SchedulerKind]] = {
    "FlowMatchEulerDiscreteScheduler": SchedulerKind(
        dotted="diffusers.FlowMatchEulerDiscreteScheduler",
        takes_sigmas=True,
        options=frozenset(
            {
                "use_dynamic_shifting",
                "base_shift",
                "max_shift",
                "base_image_seq_len",
                "max_image_seq_len",
                "shift_terminal",
                "use_karras_sigmas",
                "use_exponential_sigmas",
                "use_beta_sigmas",
                "time_shift_type",
            }
        ),
    ),
    "FlowMatchHeunDiscreteScheduler": SchedulerKind(
        dotted="diffusers.FlowMatchHeunDiscreteScheduler", takes_sigmas=False, options=frozenset()
    ),
}

DTYPES: Final = ("float32", "bfloat16", "float16")
