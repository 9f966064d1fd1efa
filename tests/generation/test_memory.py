"""Memory runs out: the batch is halved, the limit remembered, and no other image is lost."""

from pathlib import Path
from typing import Any

import pytest
import torch

from generation import batch_limits, making, worker
from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.models import BatchLimit, Checkpoint, Image, ImageJob
from generation.pipelines import sampling
from generation.pipelines.memory import is_out_of_memory
from tests.generation.test_worker import ready_recipe, run_of

pytestmark = pytest.mark.django_db
PROMPTS = [f"a red circle {k}" for k in range(7)]


@pytest.fixture
def checkpoint(models_root: Path, image_folder: Path) -> Checkpoint:
    """The tiny model, ready, and an empty image store."""
    return resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that were tried; more than two rows, and a prompt that says `huge`, do not fit."""
    tried: list[int] = []
    real = sampling.sample

    def sample(loaded: Any, request: Any, **rest: Any) -> Any:
        tried.append(max(request.rows, len(request.prompts)))
        if tried[-1] > 2 or "huge" in request.prompts:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(loaded, request, **rest)

    monkeypatch.setattr(sampling, "sample", sample)
    return tried


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_every_way_of_saying_out_of_memory_is_understood(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) == is_memory


def test_a_batch_that_does_not_fit_is_halved_and_the_limit_remembered(checkpoint: Checkpoint, sizes: list[int]) -> None:
    recipe = ready_recipe(checkpoint)
    run_of(recipe, prompts=PROMPTS)
    assert worker.work_one_batch("w") == 7
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert set(ImageJob.objects.values_list("state", "attempts")) == {("done", 1)}
    limit = BatchLimit.objects.get()
    assert (limit.checkpoint, limit.width, limit.height, limit.largest) == (checkpoint, 64, 64, 1)
    assert limit.device == making.device_name()
    run_of(recipe, prompts=["another", "and one more"])
    sizes.clear()
    assert [worker.work_one_batch("w") for _ in range(2)] == [2, 0]
    assert sizes == [1, 1]


def test_another_size_and_another_device_have_limits_of_their_own(checkpoint: Checkpoint) -> None:
    small, large = ready_recipe(checkpoint), ready_recipe(checkpoint, width=32)
    batch_limits.learn(small, device="a", largest=2)
    batch_limits.learn(small, device="a", largest=3)
    assert batch_limits.largest_batch(small, device="a") == 2
    assert batch_limits.largest_batch(small, device="b") > 8
    assert batch_limits.largest_batch(large, device="a") > 8


def test_what_does_not_fit_alone_fails_after_one_retry_and_the_rest_is_made(
    checkpoint: Checkpoint, sizes: list[int]
) -> None:
    run_of(ready_recipe(checkpoint), prompts=["a", "huge", "b"])
    worker.work_one_batch("w")
    assert sizes == [3, 1, 1, 1, 1]
    states = ImageJob.objects.order_by("pk").values_list("state", "attempts", "reason")
    reason = (
        f"Out of memory: not even one picture of 64 x 64 pixels fits on {making.device_name()}, tried twice. Use a"
        " smaller size, a narrower dtype, or a machine with more memory (the checkpoint's `needs`)."
    )
    assert list(states) == [("done", 1, ""), ("failed", 1, reason), ("done", 1, "")]
    assert Image.objects.count() == 2


def test_a_strict_batch_that_does_not_fit_fails_and_says_what_to_do(checkpoint: Checkpoint, sizes: list[int]) -> None:
    run_of(ready_recipe(checkpoint, batch_mode="strict"), prompts=PROMPTS[:2])
    worker.work_one_batch("w")
    assert sizes == [4, 4]
    [reason] = set(ImageJob.objects.values_list("reason", flat=True))
    assert "64 x 64 pixels in strict batches of 4 do not fit" in reason
    assert "Use batch mode fast" in reason
    assert not BatchLimit.objects.exists()


def test_memory_given_back_keeps_the_pipeline_in_work(checkpoint: Checkpoint) -> None:
    recipe = ready_recipe(checkpoint)
    run_of(recipe, ready_recipe(checkpoint, dtype="bfloat16"), prompts=PROMPTS[:1])
    while worker.work_one_batch("w"):
        pass
    making.give_memory_back(recipe)
    assert [(source.folder.name, source.dtype) for source in making._cache().sources()] == [("tiny", "float32")]
    assert len(making._texts()) == 0


def test_strict_images_do_not_depend_on_what_else_was_wanted(checkpoint: Checkpoint) -> None:
    recipe = ready_recipe(checkpoint, batch_mode="strict")
    run_of(recipe, prompts=PROMPTS[:3])
    worker.work_one_batch("w")
    together = dict(Image.objects.values_list("prompt_text", "file_sha256"))
    [made] = {image.provenance["made"]["batch_size"] for image in Image.objects.all()}
    [asked] = {image.provenance["asked"]["batch_mode"] for image in Image.objects.all()}
    assert (made, asked, len(together)) == (4, "strict", 3)
    Image.objects.all().delete()
    for prompt in PROMPTS[:3]:
        run_of(recipe, prompts=[prompt])
        assert worker.work_one_batch("w") == 1
    assert dict(Image.objects.values_list("prompt_text", "file_sha256")) == together
