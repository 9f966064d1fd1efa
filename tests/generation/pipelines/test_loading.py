"""Loading and keeping pipelines."""

import os
from pathlib import Path

import pytest
import torch

from generation.errors import GenerationError
from generation.pipelines.cache import PipelineCache
from generation.pipelines.loading import Source, load, use_few_threads
from generation.pipelines.schedules import ScheduleSpec, build_scheduler


def source(folder: Path, *, dtype: str = "float32") -> Source:
    return Source(folder=folder, pipeline_class="StableDiffusion3Pipeline", dtype=dtype, device="cpu")


def test_components_that_the_folder_leaves_out_are_none(tiny_model: Path) -> None:
    loaded = load(source(tiny_model))
    assert (loaded.pipe.text_encoder_3, loaded.pipe.tokenizer_3) == (None, None)
    assert loaded.scheduler_config["shift"] == 1.0


def test_the_dtype_is_the_recipes_not_the_files(tiny_model: Path) -> None:
    half, full = load(source(tiny_model, dtype="bfloat16")), load(source(tiny_model))
    for loaded, dtype in ((half, torch.bfloat16), (full, torch.float32)):
        pipe = loaded.pipe
        parts = (pipe.transformer, pipe.vae, pipe.text_encoder, pipe.text_encoder_2)
        assert {parameter.dtype for part in parts for parameter in part.parameters()} == {dtype}
        in_parameters = sum(parameter.nbytes for part in parts for parameter in part.parameters())
        assert in_parameters <= loaded.size_bytes < 1.2 * in_parameters


def test_a_folder_that_is_not_whole_is_one_sentence(own_models_root: Path) -> None:
    (own_models_root / "tiny" / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(GenerationError, match="StableDiffusion3Pipeline cannot load the folder tiny: "):
        load(source(own_models_root / "tiny"))


def test_the_cache_keeps_what_was_used_last_within_its_budget(tiny_model: Path) -> None:
    size = load(source(tiny_model)).size_bytes
    cache = PipelineCache(budget_bytes=int(1.6 * size))
    full, half = source(tiny_model), source(tiny_model, dtype="bfloat16")
    first = cache.get(full)
    cache.get(half)
    assert cache.get(full) is first
    assert cache.sources() == [half, full]
    other = source(tiny_model, dtype="float16")
    cache.get(other)
    assert cache.sources() == [full, other]


def test_a_pipeline_larger_than_the_budget_is_kept_alone(tiny_model: Path) -> None:
    cache = PipelineCache(budget_bytes=1)
    cache.get(source(tiny_model))
    cache.get(source(tiny_model, dtype="bfloat16"))
    assert cache.sources() == [source(tiny_model, dtype="bfloat16")]


def test_schedulers_are_built_from_the_pristine_configuration() -> None:
    pristine = {
        "shift": 3.0,
        "use_dynamic_shifting": True,
        "num_train_timesteps": 1000,
        "_class_name": "x",
        "unknown": 1,
    }
    spec = ScheduleSpec("FlowMatchEulerDiscreteScheduler", 4, 2.0, None, (("use_beta_sigmas", True),))
    changed = build_scheduler(spec, pristine)
    assert (changed.config.shift, changed.config.use_dynamic_shifting, changed.config.use_beta_sigmas) == (
        2.0,
        False,
        True,
    )
    plain = build_scheduler(ScheduleSpec("FlowMatchEulerDiscreteScheduler", 4, None, None, ()), pristine)
    assert (plain.config.shift, plain.config.use_dynamic_shifting, plain.config.use_beta_sigmas) == (3.0, True, False)


def test_schedulers_that_draw_random_numbers_are_refused() -> None:
    with pytest.raises(GenerationError, match="stochastic_sampling"):
        build_scheduler(
            ScheduleSpec("FlowMatchEulerDiscreteScheduler", 4, None, None, ()), {"stochastic_sampling": True}
        )


def test_threads_wait_passively_and_leave_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    try:
        use_few_threads()
        assert torch.get_num_threads() == max(1, len(os.sched_getaffinity(0)) - 1)
    finally:
        torch.set_num_threads(before)
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["HF_HUB_OFFLINE"]) == ("passive", "1")


def test_a_given_number_of_threads_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = torch.get_num_threads()
    use_few_threads()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("rows", [1, 3])
def test_sums_do_not_depend_on_where_in_memory_their_numbers_lie(rows: int) -> None:
    """MKL's do by default, which now and then changed the last bit of an image that was made again."""
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(rows, 64, generator=generator)
    weights = torch.randn(64, 64, generator=generator)
    bias = torch.randn(64, generator=generator)
    expected = torch.nn.functional.linear(values, weights, bias)
    memory = torch.empty(weights.numel() + 32)
    aligned = -memory.data_ptr() // 4 % 16
    for offset in range(16):
        moved = memory[aligned + offset :][: weights.numel()].view_as(weights)
        moved.copy_(weights)
        assert torch.equal(torch.nn.functional.linear(values, moved, bias), expected), offset
