"""Studies made of the shipped models: who is in them, what they draw with, and that one runs from command to fit."""

from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from arena import fitting
from arena.designs import StudyError
from arena.models import Rater, Study
from arena.study_templates import DDIM_UPDATE, TEMPLATES, StudyTemplate, make_from_template
from generation.model_folders import read_json
from generation.models import Image, ImageJob, Recipe

SHIPPED = Path(settings.MODELS_ROOT)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models root without the adapter; a template only looks whether the folder is there."""
    for name in ("tiny-sd3", "tiny-ldm"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "checkpoint.json").write_text("{}")
    monkeypatch.setattr(settings, "MODELS_ROOT", tmp_path)
    return tmp_path


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "contenders"), [("steps", 15), ("formulations", 4), ("ablations", 3)])
def test_a_template_becomes_an_open_study_that_asks_for_its_images(name: str, contenders: int, models: Path) -> None:
    made = make_from_template(TEMPLATES[name], prompts=6)
    study = made.study
    assert (study.slug, study.state, study.contenders.count()) == (name, Study.State.OPEN, contenders)
    assert study.contenders.filter(is_baseline=True).count() == 1
    assert ImageJob.objects.count() == 6 * contenders
    assert [criterion.key for criterion in study.criteria.all()] == ["prompt-following", "aesthetics", "typography"]
    assert not Rater.objects.exists()
    assert "simulated" not in study.description


@pytest.mark.django_db
def test_the_adapter_is_a_contender_where_it_is_there_and_named_where_it_is_not(models: Path) -> None:
    assert make_from_template(TEMPLATES["ablations"], slug="without").left_out == ("with the pastel LoRA",)
    (models / "tiny-sd3-pastel").mkdir()
    (models / "tiny-sd3-pastel" / "checkpoint.json").write_text('{"adapter_of": "tiny-sd3"}')
    made = make_from_template(TEMPLATES["ablations"], slug="with")
    assert made.left_out == ()
    recipes = {contender.label: contender.recipe for contender in made.study.contenders.all()}
    assert {label: recipe.without for label, recipe in recipes.items()} == {
        "all three text encoders": [],
        "without T5": ["text_encoder_3"],
        "with the pastel LoRA": [],
        "latent diffusion": [],
    }
    assert recipes["latent diffusion"].call_options == {}


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_contender_draws_with_the_scheduler_stored_with_its_checkpoint(name: str) -> None:
    parts = [part for part in TEMPLATES[name].parts() if not part.is_optional]
    stored = [read_json(SHIPPED / part.checkpoint / "scheduler" / "scheduler_config.json") for part in parts]
    assert [config["_class_name"] for config in stored] == [part.scheduler for part in parts]
    assert {config["solver_order"] for config in stored if config["_class_name"] == DDIM_UPDATE} <= {1}


def test_formulations_had_one_budget_and_differ_in_nothing_else_that_is_told() -> None:
    facts = [read_json(SHIPPED / part.checkpoint / "checkpoint.json") for part in TEMPLATES["formulations"].parts()]
    assert {one["training_step"] for one in facts} == {1000}
    assert len({one["parameters"] for one in facts}) == 1
    assert [one["loss_family"] for one in facts] == ["rf/lognorm(0,1)", "rf", "eps/linear", "v/cos"]


@pytest.mark.django_db
def test_wrong_numbers_and_names_are_refused_and_nothing_is_made(models: Path) -> None:
    template = TEMPLATES["formulations"]
    for wrong, sentence in (
        ({"prompts": 0}, "1 to 200 prompts, not 0"),
        ({"simulated": -1}, "between 0 and 1000, not -1"),
        ({"slug": "a study"}, "letters, digits, - and _"),
    ):
        with pytest.raises(StudyError, match=sentence):
            make_from_template(template, **wrong)
    assert not Study.objects.exists()
    make_from_template(template, prompts=3)
    with pytest.raises(CommandError, match="There is a study 'formulations' already"):
        call_command("make_study", "formulations")
    with pytest.raises(CommandError, match="no template 'nothing'; choose from steps, formulations, ablations"):
        call_command("make_study", "nothing")
    with pytest.raises(CommandError, match="Name a template"):
        call_command("make_study")
    assert Study.objects.count() == 1


@pytest.mark.django_db
def test_the_command_tells_what_it_made_and_what_comes_next(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("make_study", "ablations", slug="parts", prompts=4, simulated=2)
    said = capsys.readouterr().out
    assert "Left out 'with the pastel LoRA'" in said
    assert "Made the study 'parts': 3 contenders, 4 prompts, 0 of 12 images." in said
    assert "simulate_raters parts --raters 2 --votes 40" in said
    assert Rater.objects.filter(kind=Rater.Kind.SIMULATED).count() == 2
    assert "The first 80 ballots come from 2 simulated raters" in Study.objects.get().description
    call_command("make_study", list=True)
    listed = capsys.readouterr().out
    assert "- without T5: tiny-sd3, 28 steps, without text_encoder_3" in listed
    assert all(f"{name}: " in listed for name in TEMPLATES)


@pytest.mark.once
@pytest.mark.torch
@pytest.mark.django_db
def test_ablations_come_from_the_template_to_a_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real models at two steps: with and without T5 from one pipeline in memory, and latent diffusion."""
    parts = tuple(replace(part, steps=2) for part in TEMPLATES["ablations"].parts() if not part.is_optional)
    quick = StudyTemplate("quick", "Quick", "Two steps.", parts=lambda: parts)
    study = make_from_template(quick, prompts=3, simulated=1).study
    call_command("generate", study.slug)
    assert Image.objects.count() == 9
    assert set(Recipe.objects.values_list("state", flat=True)) == {Recipe.State.READY}
    with_t5, without = (Image.objects.filter(recipe__name=part.recipe_name) for part in parts[:2])
    assert not set(with_t5.values_list("pixels_sha256")) & set(without.values_list("pixels_sha256"))
    call_command("simulate_raters", study.slug, raters=1, votes=9)
    assert {fit.vote_count for fit in fitting.refit(study)} == {9, 3}
