"""`manage.py measure`, and what is measured of readable studies without being asked."""

import io
from functools import cache
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from PIL import Image as Pictures
from pytest_django.fixtures import Settings

from arena import measuring, studies, tasks
from arena.criteria import PRESETS
from arena.models import Study
from generation.measuring import orders
from generation.models import Image, Metric, MetricOrder, Prompt, PromptSet
from generation.provenance import text_digest
from generation.scenes import Scene, caption_of, demo_scenes, draw
from tests.arena.factories import make_image, make_recipe, make_study, make_user
from tests.generation.tiny_clip import save_clip

pytestmark = pytest.mark.django_db


@cache
def shown_scenes() -> list[Scene]:
    return demo_scenes()


@cache
def png_of_scene(number: int) -> bytes:
    file = io.BytesIO()
    Pictures.fromarray(draw(shown_scenes()[number])).save(file, format="PNG")
    return file.getvalue()


def scene_study() -> Study:
    """Two contenders, six scenes and one prompt that is no caption; the first draws them, the second the next one."""
    scenes = shown_scenes()[:6]
    prompt_set = PromptSet.objects.create(name="scenes", digest="0" * 64)
    texts = [*(caption_of(scene) for scene in scenes), "an oil painting of a cat"]
    prompts = Prompt.objects.bulk_create(
        Prompt(prompt_set=prompt_set, position=position, text=text, text_digest=text_digest(text))
        for position, text in enumerate(texts)
    )
    recipes = [make_recipe("right", steps=8), make_recipe("wrong", steps=4)]
    for offset, recipe in enumerate(recipes):
        for number, text in enumerate(texts):
            make_image(recipe=recipe, prompt_text=text, data=png_of_scene((number + offset) % 6))
    return studies.create_study(
        slug="scenes",
        name="Scenes",
        owner=make_user(),
        prompts=prompts,
        contenders=[studies.ContenderSpec(label=recipe.name, recipe=recipe) for recipe in recipes],
        criteria=PRESETS["sd3"][:1],
    )


@pytest.fixture
def clip_root(tmp_path: Path, settings: Settings) -> Path:
    settings.MODELS_ROOT = tmp_path / "models"
    save_clip(tmp_path / "models" / "tiny-clip")
    return tmp_path / "models"


def test_readable_images_are_measured_by_the_default_worker_without_being_asked() -> None:
    scene_study()
    make_study(slug="colours", contenders=2, prompts=2, copies=False)
    tasks.measure_readable_images()
    overall = Metric.objects.filter(name="checker")
    assert overall.count() == 12
    assert set(overall.filter(image__recipe__name="right").values_list("value", flat=True)) == {1.0}
    wrong = list(overall.filter(image__recipe__name="wrong").values_list("value", flat=True))
    assert sum(wrong) / len(wrong) < 0.8
    before = Metric.objects.count()
    assert measuring.measure_readable_studies(seconds=60) == 0
    assert Metric.objects.count() == before
    assert measuring.measure_readable_studies(seconds=-1) == 0


def test_the_command_measures_checker_score_and_distance_and_repeats_nothing(
    clip_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene_study()
    command = ["scenes", "--metric", "checker,clip_score,clip_fd,clip_recall", "--clip", "tiny-clip"]
    call_command("measure", *command, "--reference", "right")
    out, bars = capsys.readouterr()
    assert out.splitlines() == [
        "checker: 12 of 12 images.",
        "clip_score: 14 of 14 images.",
        "right: the reference itself",
        "wrong: measured, 7 images",
    ]
    assert "12 of 12 images" in bars and "14 of 14 images" in bars
    counts = {name: Metric.objects.filter(name=name).count() for name in ("checker", "clip_score", "clip_fd")}
    assert counts == {"checker": 12, "clip_score": 14, "clip_fd": 1}
    kept = set(Metric.objects.values_list("pk", "value"))
    call_command("measure", *command, "--reference", "right")
    assert "wrong: there already, 7 images" in capsys.readouterr().out
    assert set(Metric.objects.values_list("pk", "value")) == kept


def test_recipes_can_be_measured_without_a_study_and_against_a_folder(clip_root: Path, tmp_path: Path) -> None:
    study = scene_study()
    (tmp_path / "real").mkdir()
    for number in range(5):
        (tmp_path / "real" / f"{number}.png").write_bytes(png_of_scene(number))
    recipe = study.contenders.order_by("position")[0].recipe
    call_command("measure", "--recipe", recipe.digest[:10], "--metric", "clip_score", "--clip", "tiny-clip")
    assert Metric.objects.count() == 7
    call_command(
        *("measure", "--recipe", "right", "--metric", "clip_fd,cmmd", "--clip", "tiny-clip"),
        *("--reference", str(tmp_path / "real")),
    )
    assert sorted(Metric.objects.filter(recipe=recipe).values_list("name", "prompts_digest")) == [
        ("clip_fd", ""),
        ("cmmd", ""),
    ]


def test_work_left_to_image_workers_is_an_order_that_they_carry_out(
    clip_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene_study()
    call_command("measure", "scenes", "--metric", "clip_score", "--clip", "tiny-clip", "--workers")
    assert "14 images lack it" in capsys.readouterr().out
    assert not Metric.objects.exists()
    assert orders.work_for(60, worker="w") is False
    assert Metric.objects.filter(name="clip_score").count() == 14
    assert MetricOrder.objects.get().source.startswith("CLIP tiny-clip (")


def test_an_interruption_keeps_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    scene_study()
    readings = iter(range(100))

    def stopped_at_the_second(image: Image) -> object:
        if next(readings) == 8:
            raise KeyboardInterrupt
        return picture_of(image)

    from generation.measuring import rows

    picture_of = rows.picture_of
    monkeypatch.setattr(rows, "picture_of", stopped_at_the_second)
    with pytest.raises(CommandError, match="Stopped. Everything measured is kept"):
        call_command("measure", "scenes", "--metric", "checker")
    assert Metric.objects.filter(name="checker").count() == 8
    call_command("measure", "scenes", "--metric", "checker")
    assert Metric.objects.filter(name="checker").count() == 12


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--metric", "checker"], "Give the short name of a study, or --recipe, and not both"),
        (["scenes", "--recipe", "right", "--metric", "checker"], "and not both"),
        (["nothing", "--metric", "checker"], "There is no study 'nothing'. Known: scenes"),
        (["scenes", "--metric", "fid"], "There is no metric 'fid'; choose among checker, clip_score"),
        (["scenes", "--metric", "clip_score"], "clip_score needs --clip"),
        (["scenes", "--metric", "clip_score", "--clip", "a/b@main"], "'main' is no commit"),
        (["scenes", "--metric", "checker", "--workers"], "--workers is for --metric clip_score alone"),
        (["scenes", "--metric", "clip_fd", "--clip", "tiny-clip"], "clip_fd needs --reference"),
        (
            ["scenes", "--metric", "clip_fd", "--clip", "tiny-clip", "--reference", "nowhere"],
            "--reference 'nowhere' is neither a folder nor a recipe",
        ),
        (["--recipe", "nobody", "--metric", "checker"], "There is no recipe 'nobody'"),
        (["--recipe", "twin", "--metric", "checker"], "Several recipes are called 'twin'"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_to_do(
    arguments: list[str], sentence: str, clip_root: Path
) -> None:
    scene_study()
    for steps in (1, 2):
        make_recipe("twin", steps=steps)
    with pytest.raises(CommandError) as refusal:
        call_command("measure", *arguments)
    assert sentence in str(refusal.value)
    assert not Metric.objects.exists()


def test_the_checker_refuses_a_study_without_captions() -> None:
    make_study(contenders=2, prompts=2, copies=False)
    with pytest.raises(CommandError, match="reads only captions of the demo's world"):
        call_command("measure", "colours", "--metric", "checker")
