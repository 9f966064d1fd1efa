"""The demo study: made once, found again, and built whole by one command on an empty data folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from arena import demo, studies
from arena.models import Invitation, Rater, Study
from arena.study_templates import CHECKPOINTS
from generation.models import ImageJob


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)


@pytest.mark.django_db
def test_the_demo_asks_for_every_image_and_enrols_its_raters() -> None:
    study = demo.prepare_demo().study
    assert (study.slug, study.state) == ("demo", Study.State.OPEN)
    assert study.study_prompts.count() == 24
    assert study.study_prompts.filter(prompt__target_text__isnull=False).count() == 8
    assert ImageJob.objects.count() == 24 * 15
    assert Rater.objects.filter(kind=Rater.Kind.SIMULATED).count() == 20
    assert [c.label for c in study.contenders.filter(is_baseline=True)] == ["final \u00b7 28 steps"]


@pytest.mark.django_db
def test_a_second_start_finds_the_same_study_and_link() -> None:
    first, second = demo.prepare_demo(), demo.prepare_demo()
    assert first == second
    assert Invitation.objects.count() == 1
    assert ImageJob.objects.count() == 24 * 15


@pytest.mark.django_db
def test_a_closed_demo_hands_out_no_link() -> None:
    made = demo.prepare_demo()
    studies.close_study(made.study, actor=None)
    assert demo.prepare_demo().rater_link_token is None
    assert Invitation.objects.count() == 1


@pytest.mark.django_db
def test_typography_is_asked_only_where_there_is_text_to_render() -> None:
    study = demo.prepare_demo().study
    asked = {row.prompt.target_text is not None for row in study.criteria.get(key="typography").study_prompts.all()}
    assert asked == {True}
    assert study.criteria.get(key="aesthetics").study_prompts.count() == 24


def test_the_shipped_checkpoints_are_those_of_the_demo() -> None:
    for name in CHECKPOINTS:
        folder = Path(settings.MODELS_ROOT) / name
        assert {"model_index.json", "checkpoint.json", "README.md"} <= {path.name for path in folder.iterdir()}
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 15e6


@pytest.mark.once
@pytest.mark.torch
def test_one_command_builds_the_demo_on_an_empty_data_folder(tmp_path: Path) -> None:
    small = (
        "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'evalsite.settings'; django.setup();"
        "from arena import demo, study_templates as made; made.STEP_COUNTS = (1, 2); made.PROMPTS = 6;"
        "demo.SIMULATED_RATERS = 2; made.BALLOTS_PER_RATER = 3;"
        "from django.core.management import call_command; call_command('demo');"
        "from arena.models import Fit, Vote; print(Fit.objects.count() > 0, Vote.objects.count() >= 12)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", small],
        cwd=settings.BASE_DIR,
        env={**os.environ, "WINRATE_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "True True"
    assert "6 ballots answered by simulated raters" in ended.stdout


def test_the_demo_checkpoints_tell_which_one_was_trained_longer() -> None:
    facts = [json.loads((Path(settings.MODELS_ROOT) / name / "checkpoint.json").read_text()) for name in CHECKPOINTS]
    final, halfway, early = facts
    assert final["training_step"] > halfway["training_step"] > early["training_step"]
    assert final["validation_loss"] < halfway["validation_loss"] < early["validation_loss"]
    assert {one["loss_family"] for one in facts} == {"rf/lognorm(0,1)"}
