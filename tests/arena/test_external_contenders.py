"""Contenders made elsewhere: into a study, side by side with our own, and what happens where an image is missing."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from arena import display, external_contenders, studies
from arena.criteria import PRESETS
from arena.intake import take_in_images
from arena.models import Ballot, Study, Vote
from generation.models import Image, Recipe
from tests.arena import factories
from tests.generation.image_imports import files

pytestmark = pytest.mark.django_db


def import_images(*arguments: object) -> None:
    call_command("import_images", *map(str, arguments))


def folder_of(folder: Path, prompts: Sequence[int], *, start: int = 0) -> Path:
    return files.write_all(folder, {f"{at}_0.png": files.png(start + at, size=(64, 64)) for at in prompts})


# --- the command ------------------------------------------------------------------------------------------------------
def test_a_folder_becomes_a_contender_of_a_draft(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = factories.make_study(contenders=2, prompts=3, opened=False)
    import_images(folder_of(tmp_path, [0, 1, 2]), "--study", study.slug, "--contender", "DALL-E 3")
    shown = capsys.readouterr().out
    assert "DALL-E 3: 3 images wanted, 3 found, 0 there already, 0 missing." in shown
    assert "DALL-E 3 is now a contender of Colours." in shown
    assert "9 of 9 images are there, 9 ready for raters." in shown
    contender = study.contenders.get(label="DALL-E 3")
    assert (contender.position, contender.recipe.kind, contender.recipe.owner) == (2, "external", study.owner)
    assert study.audit_events.filter(act="contenders added").exists()


def test_a_manifest_with_two_contenders_makes_a_study_of_nothing_but_images_made_elsewhere(tmp_path: Path) -> None:
    prompts = factories.make_prompts(2, name="Mine")
    files.write_all(tmp_path, {f"{at}.png": files.png(at, size=(64, 64)) for at in range(4)})
    rows = "file,prompt_id,model\n0.png,0,Ours\n1.png,1,Ours\n2.png,0,Theirs\n3.png,1,Theirs\n"
    (tmp_path / "images.csv").write_text(rows)
    import_images(tmp_path / "images.csv", "--prompts", "Mine")
    study = studies.create_study(
        slug="elsewhere",
        name="Elsewhere",
        owner=factories.make_user(),
        prompts=prompts,
        contenders=[studies.ContenderSpec(label=recipe.name, recipe=recipe) for recipe in Recipe.objects.all()],
        criteria=PRESETS["sd3"],
    )
    study = studies.open_study(study, actor=None)
    take_in_images(study=study)
    assert len(factories.cast(factories.make_rater(study), ballots=9)) == 2
    assert Vote.objects.exists()


def test_a_dry_run_reports_and_keeps_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factories.make_prompts(3, name="Mine")
    folder_of(tmp_path, [0, 2])
    import_images(tmp_path, "--prompts", "Mine", "--contender", "SDXL", "--dry-run", "--layout", "dalle3")
    shown = capsys.readouterr().out
    assert 'missing: prompt 1 "Mine: a plain surface number 1", sample 0' in shown
    assert "Dry run: nothing was imported." in shown and not Recipe.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--contender", "SDXL"], "Say whose prompts these images are of"),
        (["--prompts", "Other"], "There is no prompt set 'Other'. Known: Mine."),
        (["--study", "other"], "There is no study 'other'. Known: none yet."),
        (["--prompts", "Mine", "--owner", "eve"], "There is no user 'eve'."),
        (["--prompts", "Mine", "--samples", "0"], "--samples must lie between 1 and 1000, not 0."),
        (["--prompts", "Mine"], "it is not said which contender made this image"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    factories.make_prompts(3, name="Mine")
    with pytest.raises(CommandError, match=sentence.replace("?", r"\?")):
        import_images(folder_of(tmp_path, [0]), *arguments)


def test_problems_are_listed_and_nothing_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factories.make_prompts(3, name="Mine")
    folder_of(tmp_path, [0, 1])
    files.write_all(tmp_path, {"1_0.png": b"text", "2_0.png": b""})
    with pytest.raises(CommandError, match="Nothing was imported: 2 problems, the first: 1_0.png: this is no PNG"):
        import_images(tmp_path, "--prompts", "Mine", "--contender", "SDXL")
    assert "2_0.png: the file is empty" in capsys.readouterr().out and not Image.objects.exists()


def test_an_opened_study_gets_no_new_contender_but_its_gaps_are_filled(tmp_path: Path) -> None:
    study = factories.make_study(contenders=2, prompts=3, opened=False)
    import_images(folder_of(tmp_path / "a", [0, 2]), "--study", study.slug, "--contender", "SDXL")
    study = studies.open_study(study, actor=None)
    import_images(folder_of(tmp_path / "b", [1]), "--study", study.slug, "--contender", "SDXL")
    assert external_contenders.missing_images(study) == []
    with pytest.raises(CommandError, match="has opened and its contenders are frozen: 'Late' is none of them"):
        import_images(folder_of(tmp_path / "b", [1]), "--study", study.slug, "--contender", "Late")


# --- side by side with our own ----------------------------------------------------------------------------------------
def test_the_raters_copies_of_images_made_elsewhere_look_like_all_others(tmp_path: Path) -> None:
    study = factories.make_study(contenders=2, prompts=1, opened=False)
    files.write_all(tmp_path, {"0_0.jpg": files.with_every_metadata("JPEG")})
    import_images(tmp_path, "--study", study.slug, "--contender", "SDXL")
    copies = {}
    for image in Image.objects.all():
        copy = display.copy_of(image, study=study)
        assert copy is not None
        data = display.read_copy(copy)
        assert files.NAME not in data and b"SDXL" not in data
        copies[image.recipe.kind] = (copy.content_type, data[:4], data[8:16])
    assert copies["external"] == copies["generated"]


def study_with_a_gap() -> Study:
    """Three contenders; the third has no image of the second prompt."""
    study = factories.make_study(contenders=3, prompts=3, samples=1)
    Image.objects.get(recipe__contenders__position=2, prompt_text__endswith="number 1").delete()
    return study


def test_a_pair_with_a_missing_image_is_never_offered() -> None:
    study = study_with_a_gap()
    for _ in range(3):
        factories.cast(factories.make_rater(study), ballots=20)
    pairs = Ballot.objects.values_list(
        "study_prompt__position", "left_contender__position", "right_contender__position"
    )
    offered = {(prompt, *sorted(pair)) for prompt, *pair in pairs}
    assert offered == {(0, 0, 1), (0, 0, 2), (0, 1, 2), (1, 0, 1), (2, 0, 1), (2, 0, 2), (2, 1, 2)}


def test_the_researcher_is_told_which_images_are_missing() -> None:
    study = study_with_a_gap()
    (gap,) = external_contenders.missing_images(study)
    assert (gap.contender.position, gap.count, gap.more) == (2, 1, 0)
    assert gap.named == ('prompt 1 "colours: a plain surface number 1"',)
    browser = Client()
    browser.force_login(factories.make_user())
    page = browser.get(reverse("arena:study", args=[study.slug])).content.decode()
    assert "lacks 1 image. Pairs with a missing image are not offered." in page
    assert "prompt 1 &quot;colours: a plain surface number 1&quot;" in page


def test_a_quarantined_image_is_missing_too() -> None:
    study = factories.make_study(contenders=2, prompts=2)
    assert external_contenders.missing_images(study) == []
    image = Image.objects.filter(recipe__contenders__position=1).first()
    assert image is not None
    Image.objects.filter(pk=image.pk).update(is_quarantined=True, quarantine_reason="broken")
    (gap,) = external_contenders.missing_images(study)
    assert (gap.contender.position, gap.count) == (1, 1)


@pytest.mark.parametrize("contenders", [2, 6])
def test_looking_for_gaps_takes_as_many_queries_for_any_number_of_contenders(
    contenders: int, django_assert_num_queries: object
) -> None:
    study = factories.make_study(contenders=contenders, prompts=2, images=False)
    with django_assert_num_queries(3):  # type: ignore[operator]
        assert len(external_contenders.missing_images(study)) == contenders
