"""Which pipelines may run, as a table of dotted names. No torch here: the web reads this table too.

To add a family: one row in FAMILIES, its sizes in `pipelines/sizes.py` where they differ, and a test with tiny weights.
Schedulers have their own table, in `scheduler_kinds.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from generation.option_rules import OptionRule, layers, number, pair, whole

COMPONENT_LIBRARIES: Final = frozenset({"diffusers", "transformers"})
DTYPES: Final = ("float32", "bfloat16", "float16")
BATCH_MODES: Final = ("fast", "strict")
"""How images are put together in a call: `fast` fills batches with whatever is due."""
LARGEST_SIDE: Final = 8192

_CLIP_SKIP: Final = {"clip_skip": whole(1, 11)}
_STEP_NOISE: Final = {"eta": number(0, 1)}
_T5_LENGTH: Final = {"max_sequence_length": whole(1, 512)}
_UNET: Final = {**_CLIP_SKIP, **_STEP_NOISE, "guidance_rescale": number(0, 1)}
_SDXL_SIZES: Final = {
    "original_size": pair(1, LARGEST_SIDE),
    "target_size": pair(1, LARGEST_SIDE),
    "crops_coords_top_left": pair(0, LARGEST_SIDE),
    "negative_original_size": pair(1, LARGEST_SIDE),
    "negative_target_size": pair(1, LARGEST_SIDE),
    "negative_crops_coords_top_left": pair(0, LARGEST_SIDE),
}
_SKIPPED_LAYERS: Final = {
    "skip_guidance_layers": layers(),
    "skip_layer_guidance_scale": number(0, 100),
    "skip_layer_guidance_start": number(0, 1),
    "skip_layer_guidance_stop": number(0, 1),
}


@dataclass(frozen=True)
class Family:
    """A pipeline class, and what our code must know of its `__call__` to use it as it is."""

    pipeline: str
    denoiser: str
    call_options: Mapping[str, OptionRule]
    """Arguments of a call that a recipe may set."""
    sizes: Literal["positions", "unet", "patches", "packed"]
    """How picture sizes follow from the configuration; see `pipelines/sizes.py`."""
    scales_input: bool
    """Whether it calls `scale_model_input` and multiplies the first noise by `init_noise_sigma`."""
    passes_generator: bool
    """Whether `scheduler.step` gets the generators of the images; without them noise in a step cannot be repeated."""
    step_callback: Literal["callback_on_step_end", "callback"] = "callback_on_step_end"
    mu: Literal["never", "when dynamic", "always"] = "never"
    """When it hands the scheduler a shift that follows from the picture's size."""
    default_max_shift: float = 1.15
    has_own_sigmas: bool = False
    """Whether it passes linspace(1, 1/N, N) where a call gives no sigmas."""
    left_out: frozenset[str] = frozenset()
    """Components that are never loaded: filters that would replace pictures, encoders for picture prompts."""
    removable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Text encoders that a recipe may do without, each with everything that goes with it."""
    load_arguments: Mapping[str, Any] = field(default_factory=dict)
    call_arguments: Mapping[str, Any] = field(default_factory=dict)
    """Set in every call, because the class would otherwise change prompts or sizes by itself."""
    scheduler_corrections: Mapping[str, Any] = field(default_factory=dict)
    """What the class sets in every scheduler configuration that it is made with, whatever the file says."""
    negative_prompt_needs: str = ""
    """The call option without which a negative prompt would have no effect."""


FAMILIES: Final[dict[str, Family]] = {
    "StableDiffusion3Pipeline": Family(
        pipeline="diffusers.StableDiffusion3Pipeline",
        denoiser="transformer",
        call_options={**_T5_LENGTH, **_CLIP_SKIP, **_SKIPPED_LAYERS},
        sizes="positions",
        scales_input=False,
        passes_generator=False,
        mu="when dynamic",
        default_max_shift=1.16,
        left_out=frozenset({"image_encoder", "feature_extractor"}),
        removable={"text_encoder_3": ("text_encoder_3", "tokenizer_3")},
    ),
    "StableDiffusionPipeline": Family(
        pipeline="diffusers.StableDiffusionPipeline",
        denoiser="unet",
        call_options=_UNET,
        sizes="unet",
        scales_input=True,
        passes_generator=True,
        # The safety checker paints pictures black, so votes would judge it and not the model.
        left_out=frozenset({"safety_checker", "feature_extractor", "image_encoder"}),
        load_arguments={"requires_safety_checker": False},
        scheduler_corrections={"steps_offset": 1, "clip_sample": False},
    ),
    "StableDiffusionXLPipeline": Family(
        pipeline="diffusers.StableDiffusionXLPipeline",
        denoiser="unet",
        call_options={**_UNET, **_SDXL_SIZES},
        sizes="unet",
        scales_input=True,
        passes_generator=True,
        left_out=frozenset({"image_encoder", "feature_extractor"}),
        # Otherwise the pixels depend on whether a package for watermarks happens to be installed.
        load_arguments={"add_watermarker": False},
    ),
    "FluxPipeline": Family(
        pipeline="diffusers.FluxPipeline",
        denoiser="transformer",
        call_options={**_T5_LENGTH, "true_cfg_scale": number(1, 100)},
        sizes="packed",
        scales_input=False,
        passes_generator=False,
        mu="always",
        has_own_sigmas=True,
        left_out=frozenset({"image_encoder", "feature_extractor"}),
        negative_prompt_needs="true_cfg_scale",
    ),
    "PixArtSigmaPipeline": Family(
        pipeline="diffusers.PixArtSigmaPipeline",
        denoiser="transformer",
        call_options={**_T5_LENGTH, **_STEP_NOISE},
        sizes="patches",
        scales_input=True,
        passes_generator=True,
        step_callback="callback",
        call_arguments={"clean_caption": False, "use_resolution_binning": False},
    ),
}


def unloaded_components(pipeline_class: str, without: tuple[str, ...] = ()) -> frozenset[str]:
    """Components of a folder that are not loaded: those the family leaves out, and those the recipe does without."""
    family = FAMILIES.get(pipeline_class)
    if family is None:
        return frozenset()
    return family.left_out.union(*(family.removable.get(name, ()) for name in without))
