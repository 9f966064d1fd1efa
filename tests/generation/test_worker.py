"""From claimed jobs to stored images, with the real pipeline and the real store."""

import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pictures

from generation import image_store, storage_pauses, worker
from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.heartbeats import living_workers
from generation.models import Checkpoint, Image, ImageJob, Recipe, Run
from generation.pipelines import environment, sampling
from generation.planning import pause_run, resume_run, start_run
from generation.provenance import bytes_digest, digest_of, pixels_digest, seed_for
from generation.recipes import get_recipe, resolve_recipe
from generation.runnable import waiting_in_vain
from generation.schedules import few_step_sigmas, get_schedule

pytestmark = pytest.mark.django_db
PROMPTS = ["a red circle on a blue background", 'a sign that says "CAT"', "a green star on the left"]


@pytest.fixture
def checkpoint(models_root: Path, image_folder: Path) -> Checkpoint:
    """The tiny model, ready, and an empty image store."""
    return resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))


def ready_recipe(checkpoint: Checkpoint, *, steps: int = 2, **changes: Any) -> Recipe:
    settings: dict[str, Any] = {"guidance": 3.0, "width": 64, "height": 64, "call_options": {"max_sequence_length": 1}}
    recipe = get_recipe(
        name=f"{steps} steps",
        checkpoint=checkpoint,
        schedule=get_schedule(steps=steps, shift=1.0, sigmas=few_step_sigmas(steps)),
        **settings | changes,
    )
    return resolve_recipe(recipe)


def run_of(*recipes: Recipe, prompts: list[str] = PROMPTS) -> Run:
    return start_run(name="run", owner=None, recipes=recipes, prompt_texts=prompts)


def pixels_of(image: Image) -> np.ndarray:
    with Pictures.open(io.BytesIO(image_store.read(image.file_sha256, suffix=".png", verify=True))) as picture:
        assert picture.info == {}
        return np.asarray(picture)


def test_a_batch_becomes_lossless_images_that_equal_a_direct_call(checkpoint: Checkpoint) -> None:
    recipe = ready_recipe(checkpoint)
    run_of(recipe)
    assert worker.work_one_batch("w") == 3
    assert worker.work_one_batch("w") == 0
    images = list(Image.objects.order_by("pk"))
    assert [image.prompt_text for image in images] == PROMPTS
    expected = direct_call(Path(checkpoint.source), recipe, PROMPTS)
    for image, pixels in zip(images, expected, strict=True):
        assert np.array_equal(pixels_of(image), pixels)
        assert image.file_sha256 == bytes_digest(image_store.read(image.file_sha256, suffix=".png"))
        assert image.pixels_sha256 == pixels_digest(pixels.tobytes(), width=64, height=64)
        assert image.seconds is not None and image.seconds > 0
    assert set(ImageJob.objects.values_list("state", "attempts", "lease_until")) == {("done", 1, None)}


def direct_call(source: Path, recipe: Recipe, prompts: list[str]) -> list[np.ndarray]:
    import torch

    from generation.model_folders import folder_of
    from generation.pipelines.loading import class_at
    from tests.generation.encoded_texts import encoded_one_by_one

    stock = class_at("diffusers.StableDiffusion3Pipeline")
    pipeline = stock.from_pretrained(folder_of(str(source)), text_encoder_3=None, tokenizer_3=None)
    seeds = [seed_for(prompt_text=prompt, sample=0) for prompt in prompts]
    pictures = pipeline(
        **encoded_one_by_one(pipeline, prompts, max_sequence_length=1),
        sigmas=[1.0, 0.5],
        num_inference_steps=2,
        guidance_scale=recipe.guidance,
        height=64,
        width=64,
        max_sequence_length=1,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
    ).images
    return [np.asarray(picture) for picture in pictures]


def test_the_provenance_says_everything_needed_to_make_the_image_again(checkpoint: Checkpoint) -> None:
    recipe = ready_recipe(checkpoint)
    run_of(recipe, prompts=PROMPTS[:1])
    worker.work_one_batch("w")
    image = Image.objects.get()
    record = image.provenance
    weights = {name: sha256 for name, sha256 in checkpoint.file_hashes.items() if name.endswith(".safetensors")}
    assert record["asked"] == {
        "request_digest": image.request_digest,
        "recipe_digest": recipe.digest,
        "prompt": PROMPTS[0],
        "sample": 0,
        "checkpoint": "tiny",
        "scheduler_class": "FlowMatchEulerDiscreteScheduler",
        "scheduler_options": {},
        "steps": 2,
        "shift": 1.0,
        "sigmas": [1.0, 0.5],
        "guidance": 3.0,
        "width": 64,
        "height": 64,
        "dtype": "float32",
        "negative_prompt": "",
        "call_options": {"max_sequence_length": 1},
        "without": [],
        "batch_mode": "fast",
    }
    scheduler_config = record["made"].pop("scheduler_config")
    assert scheduler_config["shift"] == 1.0
    assert record["made"] == {
        "seed": seed_for(prompt_text=PROMPTS[0], sample=0),
        "generator": "torch.Generator on cpu, one for each image",
        "source": "tiny",
        "revision": "",
        "weights_sha256": weights,
        "base": "tiny",
        "adapters": [],
        "pipeline_class": "StableDiffusion3Pipeline",
        "scheduler_class": "FlowMatchEulerDiscreteScheduler",
        "sigmas": [1.0, 0.5, 0.0],
        "timesteps": [1000.0, 500.0],
        "evaluations": 2,
        "batch_size": 1,
        "row": 0,
        "device": environment.device_name("cpu"),
        "versions": environment.versions(),
        "threads": environment.threads(),
        "fixed_arguments": {},
    }
    assert len(weights) == 4
    assert image.provenance_digest == digest_of(Image.objects.get().provenance)


def test_every_contender_of_a_prompt_gets_the_same_seed(checkpoint: Checkpoint) -> None:
    run_of(ready_recipe(checkpoint, steps=1), ready_recipe(checkpoint, steps=2))
    while worker.work_one_batch("w"):
        pass
    seeds = Image.objects.order_by().values_list("prompt_text", "seed").distinct()
    assert dict(seeds) == {prompt: seed_for(prompt_text=prompt, sample=0) for prompt in PROMPTS}
    assert len(seeds) == 3
    assert Image.objects.values("pixels_sha256").distinct().count() == 6


def test_images_that_exist_are_not_made_again(checkpoint: Checkpoint, image_folder: Path) -> None:
    recipe = ready_recipe(checkpoint)
    run_of(recipe)
    worker.work_one_batch("w")
    times = {path: path.stat().st_mtime_ns for path in image_folder.rglob("*.png")}
    run_of(recipe, prompts=[*PROMPTS, "a white square"])
    assert worker.work_one_batch("w") == 1
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_changed_weights_make_no_images(own_models_root: Path, image_folder: Path) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    run_of(ready_recipe(checkpoint))
    (own_models_root / "tiny" / "vae" / "config.json").write_text("{}")
    assert worker.work_one_batch("w") == 3
    reason = "vae/config.json in 'tiny' is not what it was when the checkpoint was checked"
    assert {job.reason.startswith(reason) for job in ImageJob.objects.all()} == {True}
    assert set(ImageJob.objects.values_list("state", "attempts")) == {("failed", 1)}
    assert not Image.objects.exists()


def test_jobs_whose_weights_went_away_wait_and_say_so(own_models_root: Path, image_folder: Path) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    run_of(ready_recipe(checkpoint), prompts=PROMPTS[:1])
    shutil.rmtree(own_models_root / "tiny")
    assert worker.work_one_batch("w") == 0
    worker.beat("w", queue="gen.cpu")
    assert waiting_in_vain() == [
        "No living worker holds the weights of tiny: copy 'tiny' below a worker's models root, or into the store that"
        " WINRATE_WEIGHTS_URL names."
    ]


def test_sigmas_that_differ_from_the_checked_ones_make_no_images(checkpoint: Checkpoint) -> None:
    recipe = ready_recipe(checkpoint)
    Recipe.objects.filter(pk=recipe.pk).update(resolved_sigmas=[1.0, 0.6, 0.0])
    run_of(recipe, prompts=PROMPTS[:1])
    worker.work_one_batch("w")
    job = ImageJob.objects.get()
    assert job.state == "failed"
    assert "gives '2 steps' other sigmas than those it was checked with" in job.reason


def test_an_unexpected_error_becomes_a_reason_and_the_batch_is_tried_one_by_one(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(ready_recipe(checkpoint))
    real = sampling.sample

    def breaks(loaded: Any, request: Any, **rest: Any) -> Any:
        if PROMPTS[1] in request.prompts:
            raise RuntimeError("the kernel is missing\nand a long trace")
        return real(loaded, request, **rest)

    monkeypatch.setattr(sampling, "sample", breaks)
    taken = []
    while count := worker.work_one_batch("w"):
        taken.append(count)
    assert taken == [3, 1, 1, 1, 1]
    states = ImageJob.objects.order_by("pk").values_list("state", "attempts", "reason")
    reason = "The pipeline stopped with RuntimeError: the kernel is missing"
    assert list(states) == [("done", 2, ""), ("failed", 3, reason), ("done", 2, "")]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_worker_gives_its_jobs_back(
    interruption: type[BaseException], checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(ready_recipe(checkpoint))

    def stop(*_: Any, **__: Any) -> None:
        raise interruption

    with monkeypatch.context() as patch:
        patch.setattr(sampling, "sample", stop)
        with pytest.raises(interruption):
            worker.work_one_batch("w")
    assert set(ImageJob.objects.values_list("state", "attempts", "worker")) == {("pending", 0, "")}
    assert worker.work_one_batch("w") == 3


def test_a_full_store_pauses_the_run_and_counts_no_attempt(
    checkpoint: Checkpoint, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(ready_recipe(checkpoint))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert worker.work_one_batch("w") == 3
        assert worker.work_one_batch("w") == 0
        storage_pauses.resume_runs_if_there_is_room()
        run.refresh_from_db()
        assert run.pause_reason == f"The image store ({image_folder}) cannot be written: No space left on device."
    assert set(ImageJob.objects.values_list("state", "attempts", "worker")) == {("pending", 0, "")}
    assert storage_pauses.resume_runs_if_there_is_room() == 1
    assert worker.work_one_batch("w") == 3
    assert Image.objects.count() == 3


def test_a_run_that_a_person_paused_stays_paused(checkpoint: Checkpoint, image_folder: Path) -> None:
    run = run_of(ready_recipe(checkpoint))
    storage_pauses.pause_runs_of(ImageJob.objects.all(), reason="No room.")
    pause_run(run)
    assert storage_pauses.resume_runs_if_there_is_room() == 0
    resume_run(run)
    run.refresh_from_db()
    assert (run.paused_at, run.pause_reason) == (None, "")


def test_drafts_are_resolved_in_one_go(models_root: Path) -> None:
    draft = register_checkpoint(name="tiny", source="tiny")
    nowhere = register_checkpoint(name="nowhere", source="nowhere")
    for checkpoint in (draft, nowhere):
        get_recipe(
            name=checkpoint.name,
            checkpoint=checkpoint,
            schedule=get_schedule(steps=1),
            guidance=1,
            width=64,
            height=64,
        )
    assert worker.resolve_drafts("w") == 4
    assert dict(Checkpoint.objects.values_list("name", "state")) == {"tiny": "ready", "nowhere": "refused"}
    assert dict(Recipe.objects.values_list("name", "state")) == {"tiny": "ready", "nowhere": "refused"}
    assert worker.resolve_drafts("w") == 0


def test_a_turn_works_until_nothing_is_due_and_says_what_it_holds(checkpoint: Checkpoint) -> None:
    resolve_checkpoint(register_checkpoint(name="gone", source="tiny"))
    Checkpoint.objects.filter(name="gone").update(source="gone")
    run_of(ready_recipe(checkpoint))
    assert worker.work_for(60, worker="w") is False
    worker.beat("w", queue="gen.cpu")
    row = living_workers().get()
    assert (row.queues, row.weights, row.loaded) == (["gen.cpu"], ["tiny"], ["tiny"])
    assert row.device == environment.device_name("cpu")


def test_a_turn_that_is_over_says_that_work_is_left(checkpoint: Checkpoint) -> None:
    run_of(ready_recipe(checkpoint, steps=1), ready_recipe(checkpoint, steps=2))
    assert worker.work_for(-1, worker="w") is True
    assert Image.objects.count() == 3
