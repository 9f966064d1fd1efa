"""Recipes that do without a text encoder: other pictures, less memory, named in digest and provenance."""

import json
from pathlib import Path
from typing import Any

import pytest

from generation import making, worker
from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.errors import GenerationError
from generation.models import Checkpoint, Image, Recipe
from generation.pipelines.loading import Source, load
from generation.planning import start_run
from generation.recipes import get_recipe, resolve_recipe
from generation.schedules import get_schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def checkpoint(families_root: Path, image_folder: Path) -> Checkpoint:
    """An SD3 with its third text encoder."""
    making._cache.cache_clear()
    return resolve_checkpoint(register_checkpoint(name="t5", source="sd3-t5"))


def recipe_of(checkpoint: Checkpoint, **changes: Any) -> Recipe:
    settings: dict[str, Any] = {"guidance": 3, "width": 16, "height": 16, "call_options": {"max_sequence_length": 8}}
    schedule = get_schedule(steps=2)
    return resolve_recipe(get_recipe(name="r", checkpoint=checkpoint, schedule=schedule, **settings | changes))


def test_pictures_differ_and_the_provenance_says_why(checkpoint: Checkpoint) -> None:
    whole, less = recipe_of(checkpoint), recipe_of(checkpoint, without=["text_encoder_3"])
    assert (whole.state, less.state, less.without) == ("ready", "ready", ["text_encoder_3"])
    assert whole.digest != less.digest
    start_run(name="run", owner=None, recipes=[whole, less], prompt_texts=["a red circle"])
    while worker.work_one_batch("w"):
        pass
    first, second = Image.objects.order_by("recipe")
    assert first.pixels_sha256 != second.pixels_sha256
    assert (first.provenance["asked"]["without"], second.provenance["asked"]["without"]) == ([], ["text_encoder_3"])
    lacking = set(first.provenance["made"]["weights_sha256"]) - set(second.provenance["made"]["weights_sha256"])
    assert lacking == {"text_encoder_3/model.safetensors"}
    assert [source.without for source in making._cache().sources()] == [(), ("text_encoder_3",)]


def test_what_is_left_out_is_not_loaded(families_root: Path) -> None:
    def source(*without: str) -> Source:
        return Source(families_root / "sd3-t5", "StableDiffusion3Pipeline", "float32", "cpu", without)

    whole, less = load(source()), load(source("text_encoder_3"))
    assert (less.pipe.text_encoder_3, less.pipe.tokenizer_3) == (None, None)
    assert less.size_bytes < whole.size_bytes


def test_digests_of_plain_recipes_do_not_know_of_it(checkpoint: Checkpoint) -> None:
    # Images are found by them; a key more would make every image of every installation "missing".
    from generation.provenance import digest_of

    recipe = recipe_of(checkpoint)
    asked = {
        "checkpoint": ["t5", "sd3-t5", "", []],
        "schedule": get_schedule(steps=2).digest,
        "guidance": 3.0,
        "width": 16,
        "height": 16,
        "dtype": "float32",
        "negative_prompt": "",
        "call_options": {"max_sequence_length": 8},
        "batch_mode": "fast",
    }
    assert recipe.digest == digest_of(asked)


@pytest.mark.parametrize("without", [["vae"], ["text_encoder_3", "transformer"], ["text_encoder_3"] * 2])
def test_only_what_can_be_left_out_once_is_asked_for(without: list[str], checkpoint: Checkpoint) -> None:
    with pytest.raises(GenerationError, match="cannot do without|listed twice"):
        recipe_of(checkpoint, without=without)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("sd3-eps", "This checkpoint has no text_encoder_3 to do without; its plain recipe is the same."),
        ("sd15", "StableDiffusionPipeline cannot do without text_encoder_3; leave that out of the recipe."),
    ],
)
def test_a_checkpoint_that_has_none_is_refused(source: str, sentence: str, families_root: Path) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="c", source=source))
    scheduler = json.loads((families_root / source / "scheduler" / "scheduler_config.json").read_text())["_class_name"]
    recipe = resolve_recipe(
        get_recipe(
            name="r",
            checkpoint=checkpoint,
            schedule=get_schedule(scheduler_class=scheduler, steps=2),
            guidance=3,
            width=16,
            height=16,
            without=["text_encoder_3"],
        )
    )
    assert (recipe.state, recipe.refusal) == ("refused", sentence)
