"""Prompts are encoded once, and pictures depend neither on that nor, in strict batches, on their neighbours."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch

from generation.model_folders import AdapterFile
from generation.pipelines.loading import LoadedPipeline, Source, load
from generation.pipelines.sampling import BatchRequest, sample
from generation.pipelines.schedules import ScheduleSpec
from generation.pipelines.texts import TextCache, Texts, encoded

FAMILIES: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "sd15": ("StableDiffusionPipeline", "EulerDiscreteScheduler", {}),
    "sdxl": ("StableDiffusionXLPipeline", "EulerDiscreteScheduler", {}),
    "flux": ("FluxPipeline", "FlowMatchEulerDiscreteScheduler", {"max_sequence_length": 8, "true_cfg_scale": 2}),
    "pixart": ("PixArtSigmaPipeline", "DPMSolverMultistepScheduler", {"max_sequence_length": 8}),
    "sd3-t5": ("StableDiffusion3Pipeline", "FlowMatchEulerDiscreteScheduler", {"max_sequence_length": 8}),
}
PROMPTS: Final = ("a red circle", "a green star", "a red circle")
MANY: Final = 2**30


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def loaded(family: str, family_folders: Path) -> LoadedPipeline:
    folder = family_folders / family
    return load(Source(folder=folder, pipeline_class=FAMILIES[family][0], dtype="float32", device="cpu"))


def request(family: str, **changes: Any) -> BatchRequest:
    _, scheduler, call_options = FAMILIES[family]
    values: dict[str, Any] = {
        "prompts": PROMPTS,
        "seeds": (5, 6, 7),
        "spec": ScheduleSpec(scheduler, 2, None, None, ()),
        "guidance": 3.0,
        "width": 32,
        "height": 16,
        "negative_prompt": "white",
        "call_options": call_options,
    }
    return BatchRequest(**values | changes)


class Counter:
    """How many rows each text encoder has encoded."""

    def __init__(self, loaded: LoadedPipeline) -> None:
        self.rows = 0
        encoder = getattr(loaded.pipe, "text_encoder_3", None) or loaded.pipe.text_encoder
        self._hook = encoder.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _module: Any, arguments: Any, _named: Any) -> None:
        self.rows += len(arguments[0])

    def end(self) -> int:
        self._hook.remove()
        return self.rows


def test_pictures_are_bit_equal_with_and_without_memory_of_texts(loaded: LoadedPipeline, family: str) -> None:
    held = TextCache(budget_bytes=MANY)
    without = sample(loaded, request(family)).pictures
    first, again = (sample(loaded, request(family), texts=held).pictures for _ in range(2))
    assert np.array_equal(without, first)
    assert np.array_equal(first, again)
    without_guidance = sample(loaded, request(family, guidance=1.0), texts=held).pictures
    assert np.array_equal(without_guidance, sample(loaded, request(family, guidance=1.0)).pictures)


def test_each_prompt_is_encoded_once_whatever_draws_it(loaded: LoadedPipeline, family: str) -> None:
    held = TextCache(budget_bytes=MANY)
    counter = Counter(loaded)
    sample(loaded, request(family), texts=held)
    # Two prompts, and the negative one: with the pipelines that encode both branches, along with a prompt.
    first = counter.rows
    assert first <= 4
    more = ScheduleSpec(FAMILIES[family][1], 3, None, None, ())
    sample(loaded, request(family, spec=more, seeds=(1, 2, 3)), texts=held)
    assert counter.rows == first
    sample(loaded, request(family, prompts=("a white square",) * 3), texts=held)
    assert counter.end() == first + 1


def test_strict_batches_draw_the_same_pixels_whatever_is_in_them(loaded: LoadedPipeline, family: str) -> None:
    together = sample(loaded, request(family, rows=4)).pictures
    alone = [
        sample(loaded, request(family, prompts=(prompt,), seeds=(seed,), rows=4)).pictures[0]
        for prompt, seed in zip(PROMPTS, (5, 6, 7), strict=True)
    ]
    turned = sample(loaded, request(family, prompts=PROMPTS[::-1], seeds=(7, 6, 5), rows=4)).pictures
    assert len(together) == 3
    assert np.array_equal(together, alone)
    assert np.array_equal(together, turned[::-1])


def texts(prompt: str, **changes: Any) -> Texts:
    values: dict[str, Any] = {"negative_prompt": "", "guidance": 3.0, "call_options": {}, "adapters": ()}
    return Texts(prompts=(prompt,), **values | changes)


def test_the_memory_keeps_to_its_bytes_and_to_what_was_used_last(tiny_model: Path) -> None:
    loaded = load(Source(folder=tiny_model, pipeline_class="StableDiffusion3Pipeline", dtype="float32", device="cpu"))
    probe = TextCache(budget_bytes=MANY)
    with torch.inference_mode():
        encoded(loaded, texts("a", guidance=1.0), held=probe)
        one = probe.size_bytes
        held = TextCache(budget_bytes=2 * one)
        for prompt in ("a", "b", "a", "c"):
            encoded(loaded, texts(prompt, guidance=1.0), held=held)
        assert (len(held), held.size_bytes) == (2, 2 * one)
        counter = Counter(loaded)
        encoded(loaded, texts("a", guidance=1.0), held=held)
        assert counter.rows == 0
        encoded(loaded, texts("b", guidance=1.0), held=held)
        assert counter.end() == 1
        held.clear()
        assert (len(held), held.size_bytes) == (0, 0)
        nothing = TextCache(budget_bytes=one - 1)
        encoded(loaded, texts("a", guidance=1.0), held=nothing)
        assert len(nothing) == 0


def test_options_and_adapters_that_change_a_text_are_told_apart(family_folders: Path) -> None:
    folder = family_folders / "sd3-eps"
    loaded = load(Source(folder=folder, pipeline_class="StableDiffusion3Pipeline", dtype="float32", device="cpu"))
    held = TextCache(budget_bytes=MANY)
    ways: list[dict[str, Any]] = [
        {},
        {"call_options": {"clip_skip": 1}},
        {"adapters": (("a1", 1.0),)},
        {"adapters": (("a1", 0.5),)},
    ]
    with torch.inference_mode():
        for way in ways * 2:
            encoded(loaded, texts("a", guidance=1.0, **way), held=held)
    assert len(held) == len(ways)


@pytest.mark.parametrize("name", ["sd15", "sdxl", "sd3-t5"])
def test_clip_skip_takes_an_earlier_layer_of_the_encoder(name: str, family_folders: Path) -> None:
    pipeline_class = FAMILIES[name][0]
    loaded = load(Source(folder=family_folders / name, pipeline_class=pipeline_class, dtype="float32", device="cpu"))
    encoder = loaded.pipe.text_encoder
    tokens = loaded.pipe.tokenizer(
        "a", padding="max_length", max_length=loaded.pipe.tokenizer.model_max_length, return_tensors="pt"
    )
    with torch.inference_mode():
        call_options = {"clip_skip": 1}
        found = encoded(loaded, texts("a", guidance=1.0, call_options=call_options), held=TextCache(budget_bytes=MANY))[
            "prompt_embeds"
        ]
        layers = encoder(tokens.input_ids, output_hidden_states=True).hidden_states
        # SDXL and SD3 use the last layer but one as it is and skip from there; SD1.5 normalises what it takes.
        wanted = encoder.final_layer_norm(layers[-2]) if name == "sd15" else layers[-3]
    assert torch.equal(found[:, : wanted.shape[1], : wanted.shape[2]], wanted)
    assert "text_model" not in vars(encoder)


def test_pictures_with_an_adapter_do_not_reuse_texts_of_others(family_folders: Path) -> None:
    folder = family_folders / "sd3-eps"
    loaded = load(Source(folder=folder, pipeline_class="StableDiffusion3Pipeline", dtype="float32", device="cpu"))
    held = TextCache(budget_bytes=MANY)
    [path] = (family_folders / "style-1").glob("*.safetensors")
    spec = ScheduleSpec("DPMSolverMultistepScheduler", 2, None, None, ())
    styled = {"adapters": (AdapterFile(name="a1", path=path, weight=1.0),)}
    plain: dict[str, Any] = {"spec": spec, "call_options": {"max_sequence_length": 1}}
    pictures = {
        name: sample(loaded, request("sd3-t5", **plain | change), texts=held).pictures
        for name, change in (("plain", {}), ("styled", styled))
    }
    assert np.array_equal(pictures["styled"], sample(loaded, request("sd3-t5", **plain | styled)).pictures)
    assert np.array_equal(pictures["plain"], sample(loaded, request("sd3-t5", **plain)).pictures)
    assert not np.array_equal(pictures["plain"], pictures["styled"])
