"""Pictures from the stock class: bit-equal to a direct call, lossless, reproducible, and steps that count."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from generation.errors import GenerationError
from generation.pipelines.loading import LoadedPipeline, Source, class_at, load
from generation.pipelines.sampling import BatchRequest, encode_png, sample
from generation.pipelines.schedules import ScheduleSpec
from generation.schedules import few_step_sigmas
from tests.generation.encoded_texts import encoded_one_by_one

PROMPTS = ("a red circle on a blue background", 'a sign that says "CAT"', "a green star on the left")
SEEDS = (11, 2**63 - 1, 0)


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> LoadedPipeline:
    """The tiny pipeline in memory."""
    return load(Source(folder=tiny_model, pipeline_class="StableDiffusion3Pipeline", dtype="float32", device="cpu"))


def flow(steps: int, *, shift: float | None = 1.0, **options: Any) -> ScheduleSpec:
    return ScheduleSpec(
        scheduler_class="FlowMatchEulerDiscreteScheduler",
        steps=steps,
        shift=shift,
        sigmas=tuple(few_step_sigmas(steps)),
        options=tuple(sorted(options.items())),
    )


def request(spec: ScheduleSpec, **changes: Any) -> BatchRequest:
    values: dict[str, Any] = {
        "prompts": PROMPTS,
        "seeds": SEEDS,
        "spec": spec,
        "guidance": 3.0,
        "width": 64,
        "height": 64,
        "negative_prompt": "",
        "call_options": {"max_sequence_length": 1},
    }
    return BatchRequest(**values | changes)


def direct_call(folder: Path, *, steps: int, shift: float) -> list[np.ndarray]:
    """What a user of diffusers would write by hand."""
    stock = class_at("diffusers.StableDiffusion3Pipeline")
    pipeline = stock.from_pretrained(folder, text_encoder_3=None, tokenizer_3=None)
    pipeline.scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config, shift=shift)
    pictures = pipeline(
        **encoded_one_by_one(pipeline, PROMPTS, max_sequence_length=1),
        sigmas=np.linspace(1, 1 / steps, steps),
        num_inference_steps=steps,
        guidance_scale=3.0,
        height=64,
        width=64,
        max_sequence_length=1,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in SEEDS],
    ).images
    return [np.asarray(picture) for picture in pictures]


@pytest.mark.parametrize(("steps", "shift"), [(1, 1.0), (3, 2.5)])
def test_pictures_equal_a_direct_call_of_the_stock_pipeline(
    steps: int, shift: float, loaded: LoadedPipeline, tiny_model: Path
) -> None:
    ours = sample(loaded, request(flow(steps, shift=shift))).pictures
    assert np.array_equal(ours, direct_call(tiny_model, steps=steps, shift=shift))


def test_the_recorded_schedule_is_the_one_that_was_used(loaded: LoadedPipeline) -> None:
    sampled = sample(loaded, request(flow(2)))
    assert (sampled.schedule.sigmas, sampled.schedule.timesteps) == ([1.0, 0.5, 0.0], [1000.0, 500.0])
    assert sampled.scheduler_class == "FlowMatchEulerDiscreteScheduler"
    assert (sampled.scheduler_config["shift"], sampled.scheduler_config["num_train_timesteps"]) == (1.0, 1000)


def test_one_and_two_steps_are_different_pictures(loaded: LoadedPipeline) -> None:
    one, two = (sample(loaded, request(flow(steps))).pictures for steps in (1, 2))
    assert np.abs(one[0].astype(int) - two[0]).max() > 8


def test_equal_requests_are_bit_equal_whatever_came_between(loaded: LoadedPipeline) -> None:
    first = sample(loaded, request(flow(2))).pictures
    sample(loaded, request(flow(3, shift=5.0, use_exponential_sigmas=True), guidance=7.0))
    assert np.array_equal(first, sample(loaded, request(flow(2))).pictures)


def test_neighbours_in_a_batch_do_not_matter(loaded: LoadedPipeline) -> None:
    straight = sample(loaded, request(flow(2))).pictures
    turned = sample(loaded, request(flow(2), prompts=PROMPTS[::-1], seeds=SEEDS[::-1])).pictures
    assert np.array_equal(straight, turned[::-1])


def test_seed_prompt_guidance_and_negative_prompt_all_count(loaded: LoadedPipeline) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"seeds": (12, 1, 2)},
        {"prompts": ("a", "b", "c")},
        {"guidance": 1.0},
        {"negative_prompt": "white"},
    ]
    pictures = [sample(loaded, request(flow(2), **change)).pictures[0].tobytes() for change in changes]
    assert len(set(pictures)) == len(changes)


def test_every_step_is_told(loaded: LoadedPipeline) -> None:
    steps: list[int] = []
    sample(loaded, request(flow(3)), on_step=lambda: steps.append(1))
    assert len(steps) == 3


def test_sampling_leaves_the_global_random_state_alone(loaded: LoadedPipeline) -> None:
    before = torch.get_rng_state()
    sample(loaded, request(flow(1)))
    assert torch.equal(before, torch.get_rng_state())


def test_a_picture_that_is_not_a_number_is_an_error_and_never_black(tiny_model: Path) -> None:
    broken = load(Source(folder=tiny_model, pipeline_class="StableDiffusion3Pipeline", dtype="float32", device="cpu"))
    torch.nn.init.constant_(broken.pipe.transformer.proj_out.bias, float("nan"))
    with pytest.raises(GenerationError, match="holds values that are not numbers") as caught:
        sample(broken, request(flow(1)))
    assert caught.value.is_retryable


def test_a_png_holds_the_pixels_and_nothing_else() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    data = encode_png(picture)
    assert chunk_names(data) == {b"IHDR", b"IDAT", b"IEND"}
    with Image.open(io.BytesIO(data)) as read:
        assert (read.mode, read.info) == ("RGB", {})
        assert np.array_equal(np.asarray(read), picture)
    assert hashlib.sha256(data).digest() == hashlib.sha256(encode_png(picture)).digest()


def chunk_names(data: bytes) -> set[bytes]:
    names, position = set(), 8
    while position < len(data):
        names.add(data[position + 4 : position + 8])
        position += 12 + int.from_bytes(data[position : position + 4])
    return names
