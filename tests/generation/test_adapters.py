"""LoRA adapters: part of a checkpoint, of its hashes and provenance; the base beside them stays what it is."""

import io
import json
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image as Pictures
from pytest_django.fixtures import Settings
from safetensors.numpy import save_file

from generation import image_store, making, worker
from generation.adapters import checked_adapters
from generation.checkpoints import register_checkpoint, resolve_checkpoint, told_call_options
from generation.errors import GenerationError
from generation.heartbeats import living_workers
from generation.model_folders import hash_file
from generation.models import Checkpoint, Image, ImageJob, Recipe
from generation.planning import start_run
from generation.recipes import get_recipe, resolve_recipe
from generation.schedules import get_schedule

pytestmark = pytest.mark.django_db
BASE: Final = "sd3-eps"
FILE: Final = "pytorch_lora_weights.safetensors"


@pytest.fixture
def root(family_folders: Path, tmp_path: Path, settings: Settings) -> Path:
    """A models root with an SD3 and two adapters, which the test may spoil."""
    root = tmp_path / "models"
    for name in (BASE, "style-1", "style-2"):
        shutil.copytree(family_folders / name, root / name)
    settings.MODELS_ROOT = root
    return root


def ready(name: str, source: str = BASE, *adapters: dict[str, Any]) -> Checkpoint:
    checkpoint = resolve_checkpoint(register_checkpoint(name=name, source=source, adapters=list(adapters)))
    assert (checkpoint.state, checkpoint.refusal) == ("ready", "")
    return Checkpoint.objects.get(name=name)


def refusal_of(name: str, source: str = BASE, *adapters: dict[str, Any]) -> str:
    return resolve_checkpoint(register_checkpoint(name=name, source=source, adapters=list(adapters))).refusal


def style(number: int, weight: float = 1.0) -> dict[str, Any]:
    return {"path": f"style-{number}", "weight": weight}


def recipe_of(checkpoint: Checkpoint) -> Recipe:
    schedule = get_schedule(scheduler_class="DPMSolverMultistepScheduler", steps=2)
    return resolve_recipe(
        get_recipe(
            name=checkpoint.name,
            checkpoint=checkpoint,
            schedule=schedule,
            guidance=3,
            width=16,
            height=16,
            call_options={"max_sequence_length": 1},
        )
    )


def drawn_by(checkpoint: Checkpoint, prompt: str = "a red circle") -> np.ndarray:
    """The picture of one prompt, made by the worker of this process with the pipelines that it keeps."""
    start_run(name="run", owner=None, recipes=[recipe_of(checkpoint)], prompt_texts=[prompt])
    assert worker.work_one_batch("w") == 1
    image = Image.objects.latest("pk")
    assert image.recipe.checkpoint == checkpoint
    with Pictures.open(io.BytesIO(image_store.read(image.file_sha256, suffix=".png"))) as picture:
        return np.asarray(picture)


@pytest.mark.once
def test_adapters_change_pictures_and_leave_the_base_bit_equal(root: Path, image_folder: Path) -> None:
    making._cache.cache_clear()
    base = ready("base")
    before = drawn_by(base)
    one, half, both = (
        drawn_by(ready(name, BASE, *adapters))
        for name, adapters in (
            ("one", [style(1)]),
            ("half", [style(1, 0.5)]),
            ("both", [style(1), style(2, -0.7)]),
        )
    )
    assert len({picture.tobytes() for picture in (before, one, half, both)}) == 4
    assert len(making._cache().sources()) == 1
    Image.objects.all().delete()
    ImageJob.objects.update(state="pending", attempts=0)
    while worker.work_one_batch("w"):
        pass
    again = {image.recipe.name: image for image in Image.objects.all()}
    for name, picture in (("base", before), ("one", one), ("half", half), ("both", both)):
        with Pictures.open(io.BytesIO(image_store.read(again[name].file_sha256, suffix=".png"))) as kept:
            assert np.array_equal(np.asarray(kept), picture), name


def test_a_picture_with_an_adapter_equals_a_direct_call(root: Path, image_folder: Path) -> None:
    import torch

    from generation.pipelines.loading import class_at
    from generation.provenance import seed_for

    ours = drawn_by(ready("one", BASE, style(1, 0.5)))
    pipeline = class_at("diffusers.StableDiffusion3Pipeline").from_pretrained(
        root / BASE, text_encoder_3=None, tokenizer_3=None
    )
    pipeline.load_lora_weights(root / "style-1", adapter_name="style")
    pipeline.set_adapters(["style"], [0.5])
    [theirs] = pipeline(
        ["a red circle"],
        negative_prompt=[""],
        num_inference_steps=2,
        guidance_scale=3.0,
        width=16,
        height=16,
        max_sequence_length=1,
        generator=[torch.Generator("cpu").manual_seed(seed_for(prompt_text="a red circle", sample=0))],
    ).images
    assert np.array_equal(ours, np.asarray(theirs))


def test_hashes_provenance_and_heartbeat_name_the_adapter(root: Path, image_folder: Path) -> None:
    making._cache.cache_clear()
    base, styled = ready("base"), ready("styled", BASE, style(1, 0.5))
    name, sha256 = f"adapter:style-1/{FILE}", hash_file(root / "style-1" / FILE)
    assert styled.file_hashes == base.file_hashes | {name: sha256}
    assert (styled.size_bytes or 0) - (base.size_bytes or 0) == (root / "style-1" / FILE).stat().st_size
    assert (styled.parameters or 0) > (base.parameters or 0)
    drawn_by(base)
    worker.beat("w", queue="gen.cpu")
    assert (living_workers().get().weights, living_workers().get().loaded) == (["base", "styled"], ["base"])
    drawn_by(styled)
    worker.beat("w", queue="gen.cpu")
    assert living_workers().get().loaded == ["base", "styled"]
    made = Image.objects.latest("pk").provenance["made"]
    assert made["weights_sha256"][name] == sha256
    assert (made["base"], made["adapters"]) == (BASE, [{"path": "style-1", "weight": 0.5}])


def test_a_folder_that_names_its_base_is_a_checkpoint_by_itself(root: Path, image_folder: Path) -> None:
    told = {"adapter_of": BASE, "licence": "MIT", "call_options": {"max_sequence_length": 1}}
    (root / "style-1" / "checkpoint.json").write_text(json.dumps(told))
    draft = register_checkpoint(name="early", source="style-1")
    recipe = recipe_of(draft)
    out = io.StringIO()
    Checkpoint.objects.filter(pk=draft.pk).update(state="refused", refusal="mended since")
    call_command("add_checkpoint", "early", "style-1", stdout=out)
    assert out.getvalue().startswith("early is ready: StableDiffusion3Pipeline, ")
    assert f"adapter:style-1/{FILE}" in out.getvalue()
    checkpoint = Checkpoint.objects.get()
    assert (checkpoint.base, checkpoint.licence, checkpoint.source) == (BASE, "MIT", "style-1")
    assert told_call_options(checkpoint) == {"max_sequence_length": 1}
    # A recipe of the draft is the recipe of the checkpoint: nothing asked for is doubled.
    assert recipe_of(checkpoint) == recipe
    assert np.array_equal(drawn_by(checkpoint), drawn_by(ready("same", BASE, style(1))))


def test_changed_adapters_are_noticed_before_they_are_used(root: Path, image_folder: Path) -> None:
    making._cache.cache_clear()
    styled = ready("styled", BASE, style(1))
    shutil.copyfile(root / "style-2" / FILE, root / "style-1" / FILE)
    start_run(name="run", owner=None, recipes=[recipe_of(styled)], prompt_texts=["a"])
    worker.work_one_batch("w")
    assert f"{FILE} in 'style-1' is not what it was when the checkpoint was checked" in ImageJob.objects.get().reason


def test_adapters_that_do_not_fit_are_refused_with_a_sentence(root: Path) -> None:
    strange = root / "strange"
    strange.mkdir()
    save_file({"transformer.no.such.lora_A.weight": np.zeros((2, 4), np.float32)}, strange / FILE)
    assert refusal_of("a", BASE, {"path": "strange"}).startswith(f"The adapter {FILE} does not fit {BASE} (Stable")
    save_file({"weight": np.zeros((2, 4), np.float32)}, strange / FILE)
    assert refusal_of("b", BASE, {"path": "strange"}).startswith(f"The adapter {FILE} does not fit {BASE} (Stable")
    (strange / "more.safetensors").write_bytes((root / "style-1" / FILE).read_bytes())
    assert "holds 2 safetensors files, and an adapter is one; name the file" in refusal_of(
        "c", BASE, {"path": "strange"}
    )
    ready("d", BASE, {"path": "strange/more.safetensors"})
    (strange / "old.bin").write_bytes(b"\x80")
    assert refusal_of("e", BASE, {"path": "strange"}).startswith("old.bin is refused: only safetensors weights")
    assert "There is no folder 'gone' below the models root" in refusal_of("f", BASE, {"path": "gone"})


def test_pixart_takes_no_adapters(root: Path, family_folders: Path) -> None:
    shutil.copytree(family_folders / "pixart", root / "pixart")
    assert refusal_of("p", "pixart", style(1)) == (
        "PixArtSigmaPipeline takes no adapters; remove them from the checkpoint."
    )


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"adapter_of": 3}, "gives adapter_of as 3; it must be the folder of the base"),
        ({"adapter_of": "style-2"}, "'style-1' is an adapter of 'style-2', which is no whole pipeline"),
        ({"adapter_of": "../outside"}, "is no folder below the models root"),
        ({}, "There is no model_index.json"),
    ],
)
def test_a_wrong_base_is_one_sentence(told: dict[str, Any], sentence: str, root: Path) -> None:
    (root / "style-1" / "checkpoint.json").write_text(json.dumps(told))
    assert sentence in refusal_of("x", "style-1")


@pytest.mark.parametrize(
    ("adapters", "sentence"),
    [
        ("style", "Adapters are a list of at most 8"),
        ([style(1)] * 9, "Adapters are a list of at most 8"),
        (["style"], "An adapter is"),
        ([{"path": "a", "scale": 1}], "An adapter is"),
        ([{"path": "../a"}], "is no folder below the models root"),
        ([{"path": "a", "weight": 0}], "weight of the adapter 'a' must lie between -10 and 10 and not be 0, not 0"),
        ([{"path": "a", "weight": float("nan")}], "not nan"),
        ([{"path": "a", "weight": True}], "not True"),
        ([style(1), style(1, 0.5)], "listed twice; add its weights together"),
    ],
)
def test_wrong_adapters_are_refused_at_once(adapters: Any, sentence: str) -> None:
    with pytest.raises(GenerationError) as caught:
        checked_adapters(adapters)
    assert sentence in str(caught.value)


def test_the_command_takes_adapters_with_weights(root: Path) -> None:
    call_command("add_checkpoint", "both", BASE, "--adapter", "style-1:0.5", "--adapter", f"style-2/{FILE}")
    assert Checkpoint.objects.get().adapters == [style(1, 0.5), {"path": f"style-2/{FILE}", "weight": 1.0}]
    with pytest.raises(CommandError, match=r"--adapter is PATH or PATH:WEIGHT such as my-style:0\.8, not 'a:b'"):
        call_command("add_checkpoint", "bad", BASE, "--adapter", "a:b")


def test_another_weight_is_another_recipe(root: Path) -> None:
    recipes = [recipe_of(ready(f"w{k}", BASE, style(1, weight))) for k, weight in enumerate((0.5, 1.0))]
    assert recipes[0].digest != recipes[1].digest
