"""`manage.py regenerate` says what is equal and ends with a number that scripts can use."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from arena.models import Study
from generation import worker
from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.models import Image
from generation.planning import start_run
from generation.recipes import get_recipe, resolve_recipe
from generation.schedules import few_step_sigmas, get_schedule
from tests.arena import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(own_models_root: Path, image_folder: Path) -> Study:
    """A study of one and two steps whose four images a worker has made."""
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    study = factories.make_study(contenders=2, prompts=2, images=False, opened=False, copies=False)
    for contender, steps in zip(study.contenders.order_by("position"), (1, 2), strict=True):
        schedule = get_schedule(steps=steps, sigmas=few_step_sigmas(steps), shift=1.0)
        recipe = get_recipe(
            name=f"{steps} steps",
            checkpoint=checkpoint,
            schedule=schedule,
            guidance=1.0,
            width=64,
            height=64,
            call_options={"max_sequence_length": 1},
        )
        contender.recipe = resolve_recipe(recipe)
        contender.save()
    recipes = [contender.recipe for contender in study.contenders.all()]
    texts = [row.prompt.text for row in study.study_prompts.all()]
    start_run(name="run", owner=None, recipes=recipes, prompt_texts=texts)
    while worker.work_one_batch("w"):
        pass
    return study


def said(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("regenerate", *arguments, stdout=out, **options)
    return out.getvalue()


def refusal(*arguments: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        said(*arguments)
    return caught.value


def test_a_studys_images_are_made_again_and_found_equal(study: Study, tmp_path: Path) -> None:
    text = said("--study", study.slug, "--out", str(tmp_path / "again"))
    assert [line.partition(": ")[2] for line in text.splitlines()] == [
        "byte-equal: the same file, batch of 2 filled with other seeds"
    ] * 4
    stored = {image.pk: image.file_sha256 for image in Image.objects.all()}
    assert {file.name for file in (tmp_path / "again").iterdir()} == {f"image-{pk}.png" for pk in stored}


@pytest.mark.once
def test_a_sample_is_the_same_one_each_time(study: Study) -> None:
    first, second = (json.loads(said("--study", study.slug, "--sample", "2", "--json")) for _ in range(2))
    assert first == second and first["equal"] is True
    assert len(first["images"]) == 2
    assert {one["verdict"] for one in first["images"]} == {"byte-equal"}
    assert {"image_id", "verdict", "batch_size", "psnr", "differences", "refusal"} <= set(first["images"][0])


@pytest.mark.once
def test_images_are_named_by_number_or_hash(study: Study) -> None:
    image = Image.objects.earliest("pk")
    assert said(str(image.pk)).startswith(f"image {image.pk}: byte-equal")
    assert said(image.file_sha256[:10]).startswith(f"image {image.pk}: byte-equal")


@pytest.mark.once
def test_a_different_image_ends_with_1_and_one_that_cannot_be_made_with_2(study: Study) -> None:
    one, two = Image.objects.order_by("pk")[:2]
    one.provenance["made"] |= {"seed": 1, "versions": one.provenance["made"]["versions"] | {"torch": "1.0"}}
    one.save()
    error = refusal(str(one.pk))
    assert (error.returncode, str(error)) == (1, "1 of 1 images differ.")
    Image.objects.filter(pk=two.pk).update(provenance={})
    error = refusal(str(one.pk), str(two.pk))
    assert (error.returncode, str(error)) == (2, "1 of 2 images could not be made again.")


@pytest.mark.once
def test_lines_say_how_much_differs_and_what(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    image = Image.objects.earliest("pk")
    image.provenance["made"] |= {"seed": 1, "versions": image.provenance["made"]["versions"] | {"torch": "1.0"}}
    image.save()
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("regenerate", str(image.pk), stdout=out)
    first, *rest = out.getvalue().splitlines()
    assert first.startswith(f"image {image.pk}: different: PSNR ") and " dB, " in first
    assert [line.partition(":")[0].strip() for line in rest] == ["torch", "the record's own digest"]
    assert rest[0].startswith("  torch: 1.0 then, ")


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Name an image by its number or hash, or give --study."),
        (["cat.png"], "'cat.png' is no image: give its number, or 8 to 64 digits of its file's sha256."),
        (["123456789"], "There is no image 123456789."),
        (["--study", "nowhere"], "There is no study 'nowhere'. Known: colours."),
        (["--study", "colours"], "The study 'colours' has no images that were made here."),
        (["--study", "colours", "--sample", "0"], "--sample must be at least 1, not 0."),
        (["--sample", "3"], "--sample takes images of a study: give --study too."),
    ],
)
def test_what_it_cannot_do_is_one_sentence(arguments: list[str], sentence: str) -> None:
    factories.make_study(contenders=2, prompts=1, images=False)
    assert str(refusal(*arguments)) == sentence
