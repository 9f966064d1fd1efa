"""Backups are refused with a sentence where they would be wrong; the round trip under load is fault test F20."""

import fcntl
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings as SettingsWrapper

from arena.backups import layout
from generation import image_store
from generation.models import Image
from tests.arena import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _a_store_of_its_own(tmp_path: Path, settings: SettingsWrapper) -> None:
    """Other tests of this process leave images behind, whose files no row names."""
    place = {"location": tmp_path / "store"}
    images = {"BACKEND": "generation.image_store.AtomicFileSystemStorage", "OPTIONS": place}
    settings.STORAGES = settings.STORAGES | {"images": images}


def backup(folder: Path) -> str:
    said = StringIO()
    call_command("backup", str(folder), stdout=said)
    return said.getvalue()


def refusal(command: str, folder: Path) -> str:
    with pytest.raises(CommandError) as refused:
        call_command(command, str(folder), stdout=StringIO(), stderr=StringIO())
    return str(refused.value)


def test_a_second_backup_copies_new_images_only_and_one_dump_is_left(tmp_path: Path) -> None:
    study = factories.make_study(contenders=2, prompts=2)
    factories.cast(factories.make_rater(study), ballots=1)
    place = tmp_path / "backup"
    backup(place)
    first = layout.read_manifest(place)
    recipe = study.contenders.all()[0].recipe
    factories.make_image(recipe=recipe, prompt_text="one more")
    assert "1 of them new" in backup(place)
    second = layout.read_manifest(place)
    assert second.rows["arena.Vote"] == study.votes.count()
    assert second.images == first.images + 1 and second.dump != first.dump
    assert [path.name for path in place.iterdir() if path.name.startswith("database")] == [second.dump]
    assert place.stat().st_mode & 0o777 == 0o700 and (place / second.dump).stat().st_mode & 0o777 == 0o600


def test_a_damaged_image_is_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    factories.make_study(contenders=2, prompts=2)
    path = next(Path(image_store.storage().path("")).glob("??/*.png"))
    path.write_bytes(b"not what it was")
    said = StringIO()
    with pytest.raises(CommandError, match="complete but for these files"):
        call_command("backup", str(tmp_path / "backup"), stdout=StringIO(), stderr=said)
    assert path.name in said.getvalue()
    assert not list((tmp_path / "backup").rglob(path.name)) and layout.read_manifest(tmp_path / "backup").images > 0
    path.unlink()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert refusal("backup", tmp_path).startswith(f"{tmp_path} holds other things (thesis.tex): name an empty folder")
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_second_backup_into_the_same_folder_at_the_same_time_is_refused(tmp_path: Path) -> None:
    backup(place := tmp_path / "backup")
    with layout.sole_use(place):
        (dump,) = place.glob("database-*")
        assert refusal("backup", place).startswith(f"Another backup is being written to {place}: wait until")
        assert list(place.glob("database-*")) == [dump]
    backup(place)
    with (place / "backup.lock").open() as lock:  # let go
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_a_killed_backup_left_is_forgotten(tmp_path: Path) -> None:
    factories.make_study(contenders=2, prompts=2)
    backup(place := tmp_path / "backup")
    (image, *_) = place.glob("images/??/*.png")
    draft = image.with_name(f".{image.name}-0a1b2c3d.part")
    draft.write_bytes(b"half of it")
    backup(place)
    assert not draft.exists() and image.exists()


@pytest.mark.once
def test_votes_come_back_whatever_befell_single_images(tmp_path: Path) -> None:
    study = factories.make_study(contenders=2, prompts=2)
    factories.cast(factories.make_rater(study), ballots=1)
    backup(place := tmp_path / "backup")
    wanted = Image.objects.filter(recipe__in=study.contenders.values("recipe"))[0].file_sha256
    (image,) = place.glob(f"images/??/{wanted}.png")  # files that no row names may lie in the store besides
    others = [path for path in sorted(place.glob("images/??/*.png")) if path != image]
    image.write_bytes(b"not what it was")
    others[0].with_name(f".{others[0].name}-0a1b2c3d.part").write_bytes(b"half of it")
    done = subprocess.run(
        [sys.executable, "manage.py", "restore", str(place)],
        cwd=settings.BASE_DIR,
        env={name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "STORAGE_URL")}
        | {"WINRATE_DATA_DIR": str(tmp_path / "elsewhere"), "DJANGO_SETTINGS_MODULE": "evalsite.settings"},
        capture_output=True,
        text=True,
    )
    assert f"{study.votes.count()} votes, {layout.read_manifest(place).images - 1} images." in done.stdout, done.stderr
    assert f"Not restored, because its bytes no longer have their hash: {image}" in done.stderr
    assert done.returncode == 1 and "1 files that rows name are not in the backup" in done.stderr


def test_what_cannot_be_restored_is_refused_and_says_why(tmp_path: Path) -> None:
    assert "holds no finished backup" in refusal("restore", tmp_path)
    backup(place := tmp_path / "backup")
    assert "is not empty: a backup is restored into an empty one" in refusal("restore", place)
    whole = (place / "manifest.json").read_text()

    def with_changed(**changed: object) -> str:
        (place / "manifest.json").write_text(json.dumps(json.loads(whole) | changed))
        return refusal("restore", place)

    assert "from a newer version of Winrate (arena.9999_later is unknown here)" in with_changed(
        migrations=["arena.9999_later"]
    )
    assert "is not what was written" in with_changed(dump_sha256="0" * 64)
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[json.loads(whole)["database"]]
    assert with_changed(database=other).startswith("The backup is one of ")
    assert with_changed(format=2) == "The backup has format 2, and this version reads 1."
    assert "is missing: restore an earlier backup" in with_changed(dump="database-gone")
