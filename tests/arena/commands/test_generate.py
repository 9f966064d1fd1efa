"""`manage.py generate STUDY` makes a study's images with the real pipeline, and only those that are missing."""

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from arena import studies, voting
from arena.criteria import PRESETS
from arena.models import DisplayCopy, Study
from generation import checkpoints, foreground
from generation.models import Checkpoint, Image, Recipe
from generation.planning import RunProgress
from generation.recipes import get_recipe, resolve_recipe
from generation.schedules import few_step_sigmas, get_schedule
from tests.arena import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(own_models_root: Path, image_folder: Path) -> Study:
    """An opened study of one and two steps, whose images nobody has made."""
    checkpoint = checkpoints.register_checkpoint(name="tiny", source="tiny")
    contenders = [
        studies.ContenderSpec(
            label=f"{steps} steps",
            recipe=get_recipe(
                name=f"tiny, {steps} steps",
                checkpoint=checkpoint,
                schedule=get_schedule(steps=steps, sigmas=few_step_sigmas(steps), shift=1.0),
                guidance=1.0,
                width=64,
                height=64,
                call_options={"max_sequence_length": 1},
            ),
        )
        for steps in (1, 2)
    ]
    study = studies.create_study(
        slug="steps",
        name="Steps",
        owner=None,
        prompts=factories.make_prompts(2, with_text=0),
        contenders=contenders,
        criteria=PRESETS["sd3"],
    )
    return studies.open_study(study, actor=None)


def generate(*arguments: str) -> str:
    out = io.StringIO()
    call_command("generate", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def test_all_images_are_made_and_can_be_voted_on(study: Study) -> None:
    assert generate("steps") == "4 of 4 images are there, 4 ready for raters."
    study.refresh_from_db()
    assert study.run is not None and study.run.jobs.filter(state="done").count() == 4
    one, two = Image.objects.filter(prompt_text=study.study_prompts.earliest("position").prompt.text).order_by("recipe")
    assert one.seed == two.seed and one.pixels_sha256 != two.pixels_sha256
    assert len(voting.open_ballots(rater=factories.make_rater(study))) == 2


@pytest.mark.once
def test_a_second_call_makes_nothing_anew(study: Study) -> None:
    generate("steps")
    before = list(Image.objects.values_list("pk", "file_sha256"))
    assert generate("steps") == "4 of 4 images are there, 4 ready for raters."
    assert list(Image.objects.values_list("pk", "file_sha256")) == before and DisplayCopy.objects.count() == 4


@pytest.mark.once
def test_an_interrupted_call_is_gone_on_with(study: Study) -> None:
    run = studies.ask_for_images(study)

    def stop_after_the_first_batch(progress: RunProgress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        foreground.make(run, watch=stop_after_the_first_batch)
    made = set(Image.objects.values_list("pk", flat=True))
    assert 0 < len(made) < 4
    generate("steps")
    assert made < set(Image.objects.values_list("pk", flat=True)) and Image.objects.count() == 4


@pytest.mark.once
def test_failed_images_are_told_with_their_reason_and_tried_again_by_the_same_command(
    own_models_root: Path, study: Study
) -> None:
    weights = own_models_root / "tiny" / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".away"))
    with pytest.raises(CommandError, match="4 of 4 images failed. The first: .*same command"):
        generate("steps")
    assert not Image.objects.exists()
    weights.with_suffix(".away").rename(weights)
    checkpoints.resolve_checkpoint(Checkpoint.objects.get(name="tiny"))
    for recipe in Recipe.objects.filter(contenders__study=study):
        resolve_recipe(recipe)
    assert generate("steps") == "4 of 4 images are there, 4 ready for raters."


def test_an_unknown_study_is_named_with_the_known_ones(study: Study) -> None:
    with pytest.raises(CommandError, match="There is no study 'stepps'. Known: steps."):
        generate("stepps")


def test_a_study_of_services_only_says_that_there_is_nothing_to_make(study: Study) -> None:
    for contender in study.contenders.select_related("recipe"):
        recipe = contender.recipe
        recipe.kind, recipe.checkpoint, recipe.schedule = "external", None, None
        recipe.save(update_fields=["kind", "checkpoint", "schedule"])
    with pytest.raises(CommandError, match="at least one recipe"):
        generate("steps")
