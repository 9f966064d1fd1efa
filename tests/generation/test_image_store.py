"""Files under their hash: whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from pytest_django.fixtures import Settings

from generation import image_store
from generation.errors import GenerationError, StorageError
from generation.provenance import bytes_digest
from tests.servers.s3_server import S3Server


def all_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_bytes_come_back_under_their_hash(image_folder: Path) -> None:
    sha256 = image_store.put(b"picture", suffix=".png")
    assert sha256 == bytes_digest(b"picture")
    assert image_store.read(sha256, suffix=".png", verify=True) == b"picture"
    assert all_files(image_folder) == [f"{sha256[:2]}/{sha256}.png"]
    assert image_store.path_or_none(sha256, suffix=".png") == image_folder / sha256[:2] / f"{sha256}.png"
    assert image_store.exists(sha256, suffix=".png")
    assert not image_store.exists(sha256, suffix=".webp")


def test_storing_twice_writes_once_and_makes_the_file_young(image_folder: Path) -> None:
    sha256 = image_store.put(b"picture", suffix=".png")
    path = image_folder / sha256[:2] / f"{sha256}.png"
    before = path.stat()
    os.utime(path, (0, 0))
    assert image_store.put(b"picture", suffix=".png") == sha256
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime >= before.st_mtime


def test_half_a_file_at_the_final_place_is_caught_and_replaced(image_folder: Path) -> None:
    sha256 = image_store.put(b"picture", suffix=".png")
    (image_folder / sha256[:2] / f"{sha256}.png").write_bytes(b"pict")
    with pytest.raises(GenerationError, match="damaged"):
        image_store.read(sha256, suffix=".png", verify=True)
    image_store.put(b"picture", suffix=".png")
    assert image_store.read(sha256, suffix=".png", verify=True) == b"picture"


def test_a_missing_file_is_one_sentence(image_folder: Path) -> None:
    with pytest.raises(GenerationError, match="is not in the image store"):
        image_store.read("0" * 64, suffix=".png")


def test_a_full_disk_leaves_nothing_behind(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=f"The image store \\({image_folder}\\) cannot be written: No space left"):
        image_store.put(b"picture", suffix=".png")
    assert all_files(image_folder) == []


@pytest.mark.parametrize(("sha256", "suffix"), [("../../etc/passwd", ".png"), ("A" * 64, ".png"), ("0" * 64, "/../x")])
def test_names_that_are_no_hashes_are_refused(sha256: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="is not a name in the image store"):
        image_store.read(sha256, suffix=suffix)


def test_a_killed_writer_leaves_no_file_under_a_hash(image_folder: Path) -> None:
    killed_between_write_and_rename = """
import os, signal, sys
from pathlib import Path
from django.conf import settings
settings.configure(STORAGES={"images": {"BACKEND": "generation.image_store.AtomicFileSystemStorage",
                                        "OPTIONS": {"location": sys.argv[1]}}},
                   INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "generation"],
                   DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
import django
django.setup()
from generation import image_store
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
image_store.put(b"picture", suffix=".png")
"""
    result = subprocess.run([sys.executable, "-c", killed_between_write_and_rename, image_folder], check=False)  # noqa: S603
    assert result.returncode == -9
    assert [name for name in all_files(image_folder) if name.endswith(".png")] == []
    assert not image_store.exists(bytes_digest(b"picture"), suffix=".png")


def use_s3(server: S3Server, settings: Settings, *, bucket: str, file_overwrite: bool = True) -> None:
    place = urlsplit(server.storage_url(bucket))
    options = {"bucket_name": bucket, "file_overwrite": file_overwrite, **dict(parse_qsl(place.query))}
    backend = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"images": backend}


def test_an_object_store_keeps_the_same_promises(s3_server: S3Server, settings: Settings) -> None:
    use_s3(s3_server, settings, bucket="pictures")
    sha256 = image_store.put(b"picture", suffix=".png")
    assert image_store.put(b"picture", suffix=".png") == sha256 == bytes_digest(b"picture")
    assert image_store.read(sha256, suffix=".png", verify=True) == b"picture"
    assert (image_store.exists(sha256, suffix=".png"), image_store.exists(sha256, suffix=".webp")) == (True, False)
    assert image_store.path_or_none(sha256, suffix=".png") is None
    with pytest.raises(GenerationError, match="is not in the image store"):
        image_store.read("0" * 64, suffix=".png")


def test_an_object_store_that_is_away_is_named(s3_server: S3Server, settings: Settings) -> None:
    use_s3(s3_server, settings, bucket="away")
    image_store.put(b"picture", suffix=".png")
    assert image_store.has_room()
    bucket = boto3.resource("s3", endpoint_url=s3_server.endpoint_url).Bucket("away")
    bucket.objects.all().delete()
    bucket.delete()
    with pytest.raises(StorageError, match=r"The image store \(bucket away\) cannot be written: .*NoSuchBucket"):
        image_store.put(b"another", suffix=".png")
    assert not image_store.has_room()


def test_an_object_store_that_renames_files_is_refused(s3_server: S3Server, settings: Settings) -> None:
    use_s3(s3_server, settings, bucket="renaming", file_overwrite=False)
    name = image_store.name_of(image_store.put(b"picture", suffix=".png"), suffix=".png")
    storages["images"].delete(name)
    storages["images"].save(name, ContentFile(b"half"))
    with pytest.raises(GenerationError, match="let it overwrite"):
        image_store.put(b"picture", suffix=".png")
