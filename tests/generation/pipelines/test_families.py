"""Every family, with the stock classes at tiny size: inspected, loaded, sampled as a direct call would, recorded."""

import inspect
import json
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from pytest_django.fixtures import Settings

from generation import model_folders, worker
from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.families import FAMILIES
from generation.models import Checkpoint, Image
from generation.option_rules import check_options
from generation.pipelines.loading import LoadedPipeline, Source, class_at, load
from generation.pipelines.sampling import BatchRequest, sample
from generation.pipelines.schedules import ScheduleSpec, resolve
from generation.pipelines.sizes import SizeRule, size_rule
from generation.planning import start_run
from generation.recipes import get_recipe, resolve_recipe
from generation.schedules import get_schedule

PIPELINES: Final = {
    "sd15": "StableDiffusionPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "flux": "FluxPipeline",
    "pixart": "PixArtSigmaPipeline",
    "sd3-t5": "StableDiffusion3Pipeline",
    "sd3-eps": "StableDiffusion3Pipeline",
    "sd3-v": "StableDiffusion3Pipeline",
}
CALL_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "sdxl": {"original_size": [32, 24], "guidance_rescale": 0.5},
    "flux": {"max_sequence_length": 8, "true_cfg_scale": 2},
    "pixart": {"max_sequence_length": 8},
    "sd3-t5": {"max_sequence_length": 8},
    "sd3-eps": {"max_sequence_length": 1},
    "sd3-v": {"max_sequence_length": 1},
}
STOCK: Final[dict[str, dict[str, Any]]] = {
    "sd15": {"safety_checker": None, "requires_safety_checker": False},
    "sdxl": {"original_size": (32, 24), "add_watermarker": False},
    "sd3-eps": {"text_encoder_3": None, "tokenizer_3": None},
    "sd3-v": {"text_encoder_3": None, "tokenizer_3": None},
}
SIZE: Final[dict[str, Any]] = {"width": 32, "height": 16}
PROMPTS: Final = ("a red circle", "a green star")
SEEDS: Final = (5, 6)
_loaded: dict[tuple[Path, str], LoadedPipeline] = {}


def pipeline_of(folders: Path, name: str) -> LoadedPipeline:
    """The pipeline, loaded once for this module."""
    key = (folders, name)
    if key not in _loaded:
        _loaded[key] = load(
            Source(folder=folders / name, pipeline_class=PIPELINES[name], dtype="float32", device="cpu")
        )
    return _loaded[key]


def own_schedule(folders: Path, name: str, *, steps: int = 3) -> ScheduleSpec:
    """The checkpoint's own scheduler."""
    config = model_folders.scheduler_config(folders / name, PIPELINES[name])
    return ScheduleSpec(config["_class_name"], steps, None, None, ())


def request_of(name: str, spec: ScheduleSpec, **changes: Any) -> BatchRequest:
    values: dict[str, Any] = {
        "prompts": PROMPTS,
        "seeds": SEEDS,
        "spec": spec,
        "guidance": 3.0,
        "negative_prompt": "grey",
        "call_options": CALL_OPTIONS.get(name, {}),
        **SIZE,
    }
    return BatchRequest(**values | changes)


def direct_call(folder: Path, name: str) -> list[np.ndarray]:
    """What a user of diffusers would write by hand."""
    stock = class_at(f"diffusers.{PIPELINES[name]}")
    load_arguments = {key: value for key, value in STOCK.get(name, {}).items() if key != "original_size"}
    pipeline = stock.from_pretrained(folder, **load_arguments)
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in CALL_OPTIONS.get(name, {}).items()}
    if name == "pixart":
        options |= {"clean_caption": False, "use_resolution_binning": False}
    pictures = pipeline(
        list(PROMPTS),
        negative_prompt=["grey", "grey"],
        num_inference_steps=3,
        guidance_scale=3.0,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in SEEDS],
        **SIZE,
        **options,
    ).images
    return [np.asarray(picture) for picture in pictures]


@pytest.mark.parametrize("name", PIPELINES)
def test_pictures_and_schedule_are_those_of_a_direct_call(name: str, family_folders: Path) -> None:
    loaded, spec = pipeline_of(family_folders, name), own_schedule(family_folders, name)
    steps: list[int] = []
    before = torch.get_rng_state()
    sampled = sample(loaded, request_of(name, spec), on_step=lambda: steps.append(1))
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(sampled.pictures, direct_call(family_folders / name, name))
    assert np.std(sampled.pictures[0]) > 1
    first, second = sampled.pictures
    assert not np.array_equal(first, second)
    resolved = resolve(folder=family_folders / name, spec=spec, pipeline_class=PIPELINES[name], **SIZE)
    assert sampled.schedule == resolved
    assert len(steps) == len(resolved.timesteps) >= 3
    assert sampled.schedule.sigmas[-1] == 0


@pytest.mark.parametrize("name", PIPELINES)
def test_every_prompt_seed_and_negative_prompt_counts(name: str, family_folders: Path) -> None:
    loaded, spec = pipeline_of(family_folders, name), own_schedule(family_folders, name, steps=2)
    changes: list[dict[str, Any]] = [{}, {"seeds": (7, 8)}, {"prompts": ("white", "blue")}, {"negative_prompt": "red"}]
    pictures = [sample(loaded, request_of(name, spec, **change)).pictures[0].tobytes() for change in changes]
    assert len(set(pictures)) == len(changes)
    assert sample(loaded, request_of(name, spec)).pictures[0].tobytes() == pictures[0]


@pytest.mark.parametrize("name", PIPELINES)
def test_a_stop_between_steps_ends_the_call(name: str, family_folders: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    spec = own_schedule(family_folders, name)
    with pytest.raises(KeyboardInterrupt):
        sample(pipeline_of(family_folders, name), request_of(name, spec), on_step=stop)


@pytest.mark.parametrize("pipeline_class", FAMILIES)
def test_the_table_says_of_each_call_what_its_signature_and_source_say(pipeline_class: str) -> None:
    family = FAMILIES[pipeline_class]
    stock = class_at(family.pipeline)
    parameters = set(inspect.signature(stock.__call__).parameters)
    used = {*family.call_options, *family.call_arguments, family.step_callback, "sigmas", "negative_prompt"}
    assert used <= parameters
    assert set(family.load_arguments) | family.left_out <= set(inspect.signature(stock.__init__).parameters)
    source = inspect.getsource(stock)
    assert ("scheduler.scale_model_input(" in source) == family.scales_input
    assert ("init_noise_sigma" in source) == family.scales_input
    assert ("**extra_step_kwargs" in source) == family.passes_generator
    assert ("mu = calculate_shift(" in source) == (family.mu != "never")


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("sd15", SizeRule(multiple_of=8, largest=8192, usual=(32, 32))),
        ("sdxl", SizeRule(multiple_of=8, largest=8192, usual=(32, 32))),
        ("flux", SizeRule(multiple_of=4, largest=8192, usual=(256, 256))),
        ("pixart", SizeRule(multiple_of=8, largest=8192, usual=(32, 32))),
        ("sd3-t5", SizeRule(multiple_of=8, largest=64, usual=(32, 32))),
    ],
)
def test_sizes_follow_from_the_configuration(name: str, rule: SizeRule, family_folders: Path) -> None:
    assert size_rule(family_folders / name, PIPELINES[name]) == rule


@pytest.mark.parametrize("name", ["sd15", "sdxl", "flux", "pixart", "sd3-t5"])
def test_the_smallest_step_of_a_side_can_be_drawn(name: str, family_folders: Path) -> None:
    # 24 pixels are 6 latents, which a UNet of three levels cannot halve twice: it pads by itself.
    rule = size_rule(family_folders / name, PIPELINES[name])
    size = {"width": 3 * rule.multiple_of, "height": 2 * rule.multiple_of}
    spec = own_schedule(family_folders, name, steps=2)
    picture = sample(pipeline_of(family_folders, name), request_of(name, spec, **size)).pictures[0]
    assert picture.shape == (size["height"], size["width"], 3)


def test_a_sample_size_may_be_height_and_width(family_folders: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(family_folders / "sd15", tmp_path / "wide")
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"sample_size": [8, 16]}))
    assert size_rule(folder, "StableDiffusionPipeline").usual == (64, 32)


@pytest.mark.once
@pytest.mark.django_db
@pytest.mark.parametrize("name", ["sd15", "sdxl", "flux", "pixart", "sd3-t5"])
def test_a_checkpoint_of_every_family_becomes_images_with_provenance(
    name: str, families_root: Path, image_folder: Path
) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name=name, source=name))
    assert (checkpoint.state, checkpoint.refusal, checkpoint.pipeline_class) == ("ready", "", PIPELINES[name])
    spec = own_schedule(families_root, name, steps=2)
    recipe = get_recipe(
        name="r",
        checkpoint=checkpoint,
        schedule=get_schedule(scheduler_class=spec.scheduler_class, steps=2),
        guidance=2,
        call_options=CALL_OPTIONS.get(name, {}),
        **SIZE,
    )
    resolve_recipe(recipe)
    assert (recipe.state, recipe.refusal) == ("ready", "")
    start_run(name="run", owner=None, recipes=[recipe], prompt_texts=list(PROMPTS))
    assert worker.work_one_batch("w") == 2
    made = Image.objects.first()
    assert made is not None
    assert made.provenance["made"]["pipeline_class"] == PIPELINES[name]
    assert made.provenance["made"]["sigmas"] == recipe.resolved_sigmas
    assert made.provenance["made"]["evaluations"] == recipe.evaluations == len(recipe.resolved_timesteps or ())
    assert made.provenance["made"]["fixed_arguments"] == dict(FAMILIES[PIPELINES[name]].call_arguments)


@pytest.mark.once
@pytest.mark.django_db
def test_a_safety_checker_in_the_folder_is_never_loaded(
    family_folders: Path, tmp_path: Path, settings: Settings
) -> None:
    settings.MODELS_ROOT = tmp_path
    folder = shutil.copytree(family_folders / "sd15", tmp_path / "with-checker")
    index = json.loads((folder / "model_index.json").read_text())
    index |= {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "requires_safety_checker": True,
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    checkpoint = resolve_checkpoint(register_checkpoint(name="c", source="with-checker"))
    assert (checkpoint.state, checkpoint.refusal) == (Checkpoint.State.READY, "")
    loaded = load(Source(folder=folder, pipeline_class="StableDiffusionPipeline", dtype="float32", device="cpu"))
    assert (loaded.pipe.safety_checker, loaded.pipe.feature_extractor) == (None, None)


@pytest.mark.parametrize(
    ("pipeline_class", "options", "sentence"),
    [
        ("FluxPipeline", {"clip_skip": 1}, "FluxPipeline has no call option 'clip_skip' here; options: max_sequence"),
        ("FluxPipeline", {"true_cfg_scale": "2"}, "true_cfg_scale of FluxPipeline must be a number from 1 to 100"),
        ("PixArtSigmaPipeline", {"eta": 2}, "eta of PixArtSigmaPipeline must be a number from 0 to 1, not 2"),
        ("StableDiffusionXLPipeline", {"target_size": [1]}, "must be two whole numbers from 1 to 8192"),
        ("StableDiffusionPipeline", {"clip_skip": True}, "must be a whole number from 1 to 11, not True"),
        ("StableDiffusion3Pipeline", {"skip_guidance_layers": []}, r"must be a list of layer numbers such as \[7, 8"),
    ],
)
def test_call_options_are_checked_by_name_and_value(
    pipeline_class: str, options: dict[str, Any], sentence: str
) -> None:
    from generation.errors import GenerationError

    rules = FAMILIES[pipeline_class].call_options
    with pytest.raises(GenerationError, match=sentence):
        check_options(options, rules, owner=pipeline_class, word="call option")


@pytest.mark.once
@pytest.mark.django_db
def test_a_negative_prompt_that_flux_would_not_heed_is_refused(families_root: Path) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="flux", source="flux"))
    schedule = get_schedule(steps=2)
    recipe = get_recipe(name="r", checkpoint=checkpoint, schedule=schedule, guidance=2, negative_prompt="grey", **SIZE)
    resolve_recipe(recipe)
    assert recipe.refusal == (
        "FluxPipeline heeds a negative prompt only with the call option true_cfg_scale above 1; set it."
    )
