"""Files that no row mentions are found and, when old, deleted; what a row or a running job needs stays."""

import logging
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from arena.models import DisplayCopy
from generation import image_store, orphans
from generation.errors import GenerationError
from generation.models import Image
from tests.generation.rows import image_for, make_run
from tests.generation.test_image_store import all_files, use_s3
from tests.servers.s3_server import S3Server

pytestmark = pytest.mark.django_db
TWO_DAYS_AGO = time.time() - 2 * 24 * 3600


def stored(data: bytes, folder: Path, *, suffix: str = ".png") -> str:
    """An old file; its hash."""
    sha256 = image_store.put(data, suffix=suffix)
    os.utime(folder / image_store.name_of(sha256, suffix=suffix), (TWO_DAYS_AGO, TWO_DAYS_AGO))
    return sha256


def with_row(sha256: str) -> Image:
    image = image_for(make_run(prompts=1).jobs.get())
    image.file_sha256 = sha256
    image.save()
    return image


def leftover(folder: Path, name: str) -> str:
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_bytes(b"half")
    os.utime(folder / name, (TWO_DAYS_AGO, TWO_DAYS_AGO))
    return name


def test_old_files_without_a_row_and_leftovers_of_writing_are_orphans(image_folder: Path) -> None:
    with_row(stored(b"an image", image_folder))
    copy = {"image_sha256": stored(b"an original", image_folder), "rule_digest": "r", "size_bytes": 1}
    DisplayCopy.objects.create(file_sha256=stored(b"its copy", image_folder, suffix=".webp"), **copy)
    image_store.put(b"a young file", suffix=".png")
    (image_folder / "README").write_bytes(b"not ours")
    os.utime(image_folder / "README", (TWO_DAYS_AGO, TWO_DAYS_AGO))
    wanted = {
        image_store.name_of(stored(b"an orphan", image_folder), suffix=".png"),
        leftover(image_folder, "ab/.tmpx1.part"),
        leftover(image_folder, "health/0123"),
    }
    found = orphans.look()
    assert {orphan.name for orphan in found.orphans} == wanted
    assert (found.files, found.foreign) == (8, 1)
    before = set(all_files(image_folder))
    assert orphans.delete(found.orphans) == 3
    assert set(all_files(image_folder)) == before - wanted


def test_a_store_that_was_never_written_has_no_orphans(image_folder: Path) -> None:
    assert orphans.look() == orphans.Look(files=0, foreign=0, orphans=[])


def test_every_column_that_names_a_file_is_asked() -> None:
    columns = {(model.__name__, column) for model, column in orphans.hash_columns()}
    assert {("Image", "file_sha256"), ("DisplayCopy", "file_sha256"), ("DisplayCopy", "image_sha256")} <= columns


def test_a_file_that_is_stored_again_before_it_is_deleted_stays(image_folder: Path) -> None:
    name = image_store.name_of(stored(b"picture", image_folder), suffix=".png")
    found = orphans.look().orphans
    image_store.put(b"picture", suffix=".png")  # by the next attempt at the same image
    assert orphans.delete(found) == 0
    assert all_files(image_folder) == [name]


def test_a_file_whose_row_came_before_it_is_deleted_stays(image_folder: Path) -> None:
    sha256 = stored(b"picture", image_folder)
    found = orphans.look().orphans
    with_row(sha256)
    assert orphans.delete(found) == 0
    assert image_store.state_of(sha256, suffix=".png") == "whole"


def test_a_file_that_is_taken_away_while_it_is_stored_again_is_written_anew(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = stored(b"picture", image_folder)
    refresh = os.utime

    def swept_before(path: str) -> None:
        assert orphans.delete(orphans.look().orphans) == 1
        refresh(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", swept_before)
        image_store.put(b"picture", suffix=".png")
    assert image_store.state_of(sha256, suffix=".png") == "whole"


def test_young_files_are_never_deleted(image_folder: Path) -> None:
    with pytest.raises(GenerationError, match="younger than an hour"):
        orphans.delete([], older_than=timedelta(minutes=59))


def test_nobody_watching_few_orphans_go_and_many_stay(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        stored(f"{number}".encode(), image_folder)
    monkeypatch.setattr(orphans, "MOST_UNWATCHED", 2)
    with caplog.at_level(logging.ERROR):
        assert orphans.sweep() == 0
    assert "3 of 3 files in the image store belong to no row" in caplog.text
    monkeypatch.setattr(orphans, "MOST_UNWATCHED", 3)
    assert orphans.sweep() == 3
    assert all_files(image_folder) == []


def test_an_object_store_is_swept_too(s3_server: S3Server, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    use_s3(s3_server, settings, bucket="sweeping")
    kept = with_row(image_store.put(b"an image", suffix=".png")).file_sha256
    orphan = image_store.put(b"an orphan", suffix=".png")
    storages["images"].save("elsewhere/notes.txt", ContentFile(b"not ours"))
    monkeypatch.setattr(orphans, "LEAST_AGE", timedelta(0))
    assert orphans.look().orphans == []
    found = orphans.look(older_than=timedelta(0))
    assert ([one.name for one in found.orphans], found.foreign) == ([image_store.name_of(orphan, suffix=".png")], 1)
    assert orphans.delete(found.orphans) == 0  # younger than a day
    assert orphans.delete(found.orphans, older_than=timedelta(0)) == 1
    assert image_store.exists(kept, suffix=".png")
    assert not image_store.exists(orphan, suffix=".png")


def test_the_command_lists_and_deletes_only_when_told(image_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = image_store.name_of(stored(b"picture", image_folder), suffix=".png")
    call_command("sweep_images")
    shown = capsys.readouterr().out
    assert f"{name}  7 bytes, 48 h old" in shown
    assert "1 of 1 files belong to no row (7 bytes)." in shown and "Nothing was deleted" in shown
    with pytest.raises(CommandError, match="Give --older-than 1 or more"):
        call_command("sweep_images", "--delete", "--older-than", "0.5")
    call_command("sweep_images", "--delete", "--older-than", "49")
    assert all_files(image_folder) == [name]
    call_command("sweep_images", "--delete")
    assert "1 deleted." in capsys.readouterr().out
    assert all_files(image_folder) == []
