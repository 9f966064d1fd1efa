"""From a draft to ready or refused, with the real pipeline class on real tiny weights."""

import json
from pathlib import Path
from typing import Any

import pytest

from generation.checkpoints import check_again, register_checkpoint, resolve_checkpoint, told_call_options
from generation.errors import GenerationError
from generation.model_folders import hash_file
from generation.models import Checkpoint, ImageJob, Recipe
from generation.recipes import resolve_recipe
from tests.generation.model_files import write_model
from tests.generation.rows import image_for, make_recipe, make_run

pytestmark = pytest.mark.django_db


def test_a_good_folder_becomes_ready_with_its_hashes(models_root: Path) -> None:
    draft = register_checkpoint(name="tiny", source="tiny")
    assert draft.state == Checkpoint.State.DRAFT
    resolve_checkpoint(draft)
    checkpoint = Checkpoint.objects.get()
    folder = models_root / "tiny"
    assert (checkpoint.state, checkpoint.refusal) == ("ready", "")
    assert checkpoint.pipeline_class == "StableDiffusion3Pipeline"
    assert checkpoint.file_hashes == {
        path.relative_to(folder).as_posix(): hash_file(path) for path in folder.rglob("*") if path.is_file()
    }
    from generation.training.components import build_pipeline

    pipeline: Any = build_pipeline(layers=1, heads=2)
    modules = (pipeline.transformer, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2)
    saved = sum(tensor.numel() for module in modules for tensor in module.state_dict().values())
    assert checkpoint.parameters == saved


def test_training_facts_come_from_the_folder_where_none_were_given(own_models_root: Path) -> None:
    facts = {"licence": "MIT", "loss_family": "rf", "validation_loss": 0.25, "training_step": 9, "parameters": 77}
    (own_models_root / "tiny" / "checkpoint.json").write_text(json.dumps({"name": "tiny", **facts}))
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny", licence="Apache-2.0"))
    checkpoint.refresh_from_db()
    assert {fact: getattr(checkpoint, fact) for fact in facts} == facts | {"licence": "Apache-2.0"}


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (
            {"validation_loss": "low"},
            "checkpoint.json gives validation_loss as 'low'; it must be a number, at least 0.",
        ),
        ({"validation_loss": float("nan")}, "checkpoint.json gives validation_loss as nan; it must be a number"),
        ({"training_step": -1}, "checkpoint.json gives training_step as -1"),
        ({"parameters": True}, "checkpoint.json gives parameters as True"),
        ({"licence": 3}, "checkpoint.json gives licence as 3; it must be a text."),
    ],
)
def test_wrong_training_facts_are_refused(facts: dict[str, object], sentence: str, own_models_root: Path) -> None:
    (own_models_root / "tiny" / "checkpoint.json").write_text(json.dumps(facts))
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    assert checkpoint.state == Checkpoint.State.REFUSED
    assert sentence in checkpoint.refusal


def test_a_folder_that_looks_safe_but_does_not_load_is_refused(own_models_root: Path) -> None:
    write_model(own_models_root / "hollow")
    checkpoint = resolve_checkpoint(register_checkpoint(name="hollow", source="hollow"))
    assert checkpoint.state == Checkpoint.State.REFUSED
    assert checkpoint.refusal.startswith("StableDiffusion3Pipeline cannot load the folder hollow: ")
    assert "\n" not in checkpoint.refusal


def test_a_pickle_beside_good_weights_is_refused(own_models_root: Path) -> None:
    (own_models_root / "tiny" / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"\x80")
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    assert checkpoint.refusal.startswith("vae/diffusion_pytorch_model.bin is refused: only safetensors weights")


def test_weights_of_another_shape_are_refused(own_models_root: Path) -> None:
    config = own_models_root / "tiny" / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_attention_heads": 4}))
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    assert checkpoint.refusal.startswith("StableDiffusion3Pipeline cannot load the folder tiny: ")


@pytest.mark.parametrize("name", ["", "two words", "a/b", "x" * 101])
def test_names_are_slugs(name: str) -> None:
    with pytest.raises(GenerationError, match="is no name for a checkpoint"):
        register_checkpoint(name=name, source="tiny")


def test_a_name_stands_for_one_set_of_weights() -> None:
    register_checkpoint(name="tiny", source="tiny")
    with pytest.raises(GenerationError, match="already a checkpoint 'tiny'; give new weights a new name"):
        register_checkpoint(name="tiny", source="other")


def test_a_mended_folder_is_checked_again_with_its_recipes_and_jobs(own_models_root: Path) -> None:
    bad = own_models_root / "tiny" / "vae" / "old.bin"
    bad.write_bytes(b"\x80")
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    recipe = make_recipe(state=Recipe.State.CHECKING)
    run = make_run(prompts=1, recipes=[recipe])
    recipe.refresh_from_db()
    resolve_recipe(Recipe.objects.select_related("checkpoint", "schedule").get())
    refusal = Recipe.objects.get().refusal
    assert refusal.startswith("The checkpoint tiny was refused: vae/old.bin is refused")
    assert list(run.jobs.values_list("state", "reason")) == [("failed", refusal)]
    bad.unlink()
    resolve_checkpoint(check_again(checkpoint))
    resolve_recipe(Recipe.objects.select_related("checkpoint", "schedule").get())
    assert list(run.jobs.values_list("state", "reason")) == [("pending", "")]
    assert Recipe.objects.get().state == Recipe.State.READY


def test_a_checkpoint_with_images_is_never_changed() -> None:
    run = make_run(prompts=1)
    image_for(run.jobs.get()).save()
    with pytest.raises(GenerationError, match="The checkpoint tiny has made images: its weights may not change"):
        check_again(Checkpoint.objects.get())
    assert ImageJob.objects.get().state == "pending"


def test_a_folder_may_recommend_call_options(own_models_root: Path) -> None:
    checkpoint = register_checkpoint(name="tiny", source="tiny")
    assert told_call_options(checkpoint) == {}
    told = own_models_root / "tiny" / "checkpoint.json"
    told.write_text('{"call_options": {"max_sequence_length": 1}}')
    assert told_call_options(checkpoint) == {"max_sequence_length": 1}
    told.write_text('{"call_options": 1}')
    with pytest.raises(GenerationError, match="call_options as 1; it must be an object"):
        told_call_options(checkpoint)
