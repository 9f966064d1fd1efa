"""What no start goes on with, and what `check --deploy` warns of."""

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from evalsite.deployment_checks import is_public
from evalsite.file_systems import file_system_of, network_complaint
from evalsite.starting import dangerous_settings

MOUNTS = r"""/dev/sda1 / ext4 rw 0 0
server:/export /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/ada/local xfs rw 0 0
//server/share /mnt/my\040share cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/winrate/db.sqlite3", "ext4"),
        ("/home/ada/winrate/db.sqlite3", "nfs4"),
        ("/home/ada/local/db.sqlite3", "xfs"),
        ("/homes/db.sqlite3", "ext4"),
        ("/mnt/my share/db.sqlite3", "cifs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_nearest_mount(path: str, kind: str) -> None:
    assert file_system_of(Path(path), mounts=MOUNTS)[1] == kind


def test_sqlite_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: Any, settings: Any) -> None:
    file = Path(settings.DATABASES["default"]["NAME"])
    assert dangerous_settings() == []
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/export {file.parent} nfs rw 0 0\n")
    monkeypatch.setattr("evalsite.file_systems.MOUNTS", mounts)
    assert dangerous_settings() == [
        f"{file} lies on a network or shared file system (nfs), where SQLite can lose votes: "
        "set WINRATE_DATA_DIR to a folder on a disk of this machine, or DATABASE_URL to a PostgreSQL server."
    ]


@pytest.mark.parametrize(
    ("point", "kind", "is_refused"),
    [
        *[("/data", kind, True) for kind in ("fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.glusterfs", "fuse")],
        *[("/data", kind, True) for kind in ("fuse.grpcfuse", "fuse.vmhgfs-fuse", "9p", "virtiofs", "vboxsf", "cifs")],
        *[("/data", kind, False) for kind in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk")],
        ("/data", "fuse.fuse-overlayfs", False),
        ("/", "virtiofs", False),  # the disk of a small virtual machine, which nobody shares
        ("/", "9p", False),
        ("/", "nfs4", True),
        ("/", "fuse.s3fs", True),
    ],
)
def test_which_file_systems_sqlite_is_kept_away_from(
    point: str, kind: str, is_refused: bool, tmp_path: Path, monkeypatch: Any
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"device {point} {kind} rw 0 0\n")
    monkeypatch.setattr("evalsite.file_systems.MOUNTS", mounts)
    assert bool(network_complaint(Path("/data/winrate.sqlite3"))) is is_refused


def test_https_without_a_given_key_is_refused(settings: Any) -> None:
    settings.HTTPS, settings.HAS_GIVEN_SECRET_KEY = True, False
    (sentence,) = dangerous_settings()
    assert sentence.startswith("WINRATE_HTTPS is on, but SECRET_KEY is not set")
    # Nobody who has taken part may lose their link by doing what the sentence says.
    assert f'SECRET_KEY="$(cat {Path(settings.DATA_DIR) / "secret_key"})"' in sentence
    settings.HAS_GIVEN_SECRET_KEY = True
    assert dangerous_settings() == []


def test_debug_pages_are_for_this_machine_only(settings: Any) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = True, ["localhost", "arena.lab"]
    (sentence,) = dangerous_settings()
    assert sentence.startswith("DEBUG is on") and "(arena.lab)" in sentence
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
    assert dangerous_settings() == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", False),
        ("box.localhost", False),
        ("127.0.0.3", False),
        ("[::1]", False),
        ("0.0.0.0", True),  # noqa: S104 - a name to judge
        ("*", True),
        (".example.org", True),
        ("10.0.0.7", True),
        ("localhost.example.org", True),
    ],
)
def test_which_hosts_are_public(host: str, expected: bool) -> None:
    assert is_public([host]) is expected


def test_half_deployments_are_warned_of(settings: Any) -> None:
    settings.HTTPS, settings.HAS_GIVEN_SECRET_KEY, settings.TRUSTED_PROXIES = True, True, 0
    settings.ALLOWED_HOSTS, settings.CACHE_URL = ["*"], "memory://"
    settings.CELERY_BROKER_URL = "redis://127.0.0.1/0"
    found = [check.id for check in run_checks(include_deployment_checks=True) if str(check.id).startswith("winrate")]
    assert found == ["winrate.W001", "winrate.W002", "winrate.W003"]
    settings.TRUSTED_PROXIES, settings.ALLOWED_HOSTS, settings.CACHE_URL = 1, ["arena.lab"], "redis://127.0.0.1/1"
    found = [check.id for check in run_checks(include_deployment_checks=True) if str(check.id).startswith("winrate")]
    assert found == []
