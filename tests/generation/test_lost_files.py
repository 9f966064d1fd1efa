"""Rows whose file is missing or damaged are named, and their pictures made again."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from arena import display, intake
from arena.models import Ballot, DisplayCopy, Study
from generation import image_store, lost_files
from generation.models import Image, ImageJob, Run
from tests.arena import factories
from tests.generation.rows import image_for, make_run

pytestmark = pytest.mark.django_db


def made_image(data: bytes = b"picture") -> Image:
    """A row with its file, its job done."""
    job = make_run(prompts=1).jobs.get()
    image = image_for(job)
    image.file_sha256 = image_store.put(data, suffix=".png")
    image.save()
    ImageJob.objects.update(state="done", attempts=2)
    return image


def path_of(image: Image) -> Path:
    path = image_store.path_or_none(image.file_sha256, suffix=".png")
    assert path is not None
    return path


def verified(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(CommandError, match="1 files are missing or damaged; --remake makes them again"):
        call_command("sweep_images", "--verify")
    return capsys.readouterr().out


def test_whole_files_are_said_to_be_whole(image_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_image()
    call_command("sweep_images", "--verify")
    assert capsys.readouterr().out == "All files are there and whole.\n"


@pytest.mark.parametrize("state", ["missing", "damaged"])
def test_a_lost_image_is_named_and_its_job_opened_again(
    state: str, image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = made_image()
    if state == "missing":
        path_of(image).unlink()
    else:
        path_of(image).write_bytes(b"pict")
    assert verified(capsys) == f"{image_store.name_of(image.file_sha256, suffix='.png')} (image) is {state}\n"
    Run.objects.update(cancelled_at="2026-01-01T00:00Z")  # nobody draws for a cancelled run
    call_command("sweep_images", "--remake")
    assert f"{image} is made again." in capsys.readouterr().out
    assert not Image.objects.exists()
    assert list(ImageJob.objects.due().values_list("state", "attempts", "reason")) == [("pending", 0, "")]
    assert ImageJob.objects.due().get().runs.filter(cancelled_at=None).get().name == "images made again"


def test_an_image_that_ballots_refer_to_keeps_its_row(image_folder: Path) -> None:
    study = factories.make_study()
    factories.cast(factories.make_rater(study))
    image = Ballot.objects.all()[0].left_image
    assert image is not None
    image.job = make_run(prompts=1).jobs.get()
    image.save()
    ImageJob.objects.update(state="done")
    path_of(image).unlink()
    [lost] = lost_files.find_lost()
    assert "counts as mended only if the same bytes come out" in lost.owner.remake(lost.sha256)
    assert Image.objects.filter(pk=image.pk).exists()
    assert ImageJob.objects.get().state == "pending"


def test_an_image_that_was_not_made_here_is_to_be_imported_again(image_folder: Path) -> None:
    image = factories.make_image(recipe=factories.make_recipe("service"), prompt_text="a cat")
    path_of(image).unlink()
    [lost] = lost_files.find_lost()
    assert lost.owner.remake(lost.sha256) == f"{image} was not made here: import it again."


def test_a_lost_raters_copy_is_made_again_from_its_image(image_folder: Path) -> None:
    study = factories.make_study()
    copy = DisplayCopy.objects.all()[0]
    path = image_store.path_or_none(copy.file_sha256, suffix=".webp")
    assert path is not None
    whole = path.read_bytes()
    path.write_bytes(b"RIFF")
    [lost] = lost_files.find_lost()
    assert (lost.owner.what, lost.state) == ("rater's copy", "damaged")
    lost.owner.remake(lost.sha256)
    assert study.state == Study.State.OPEN
    assert intake.take_in_for_running_studies() == 1
    again = DisplayCopy.objects.get(image_sha256=copy.image_sha256)
    assert (again.file_sha256, display.read_copy(again)) == (copy.file_sha256, whole)
