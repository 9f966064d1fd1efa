"""A file system of its own with little room, for root and, where the kernel lets them, for everybody else."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.missing import say_missing

SIZE = "64m"
_MOUNT_AND_WAIT = 'mount -t tmpfs -o "size=$2" tmpfs "$1"; echo ready; exec cat'


@contextmanager
def small_file_system(place: Path) -> Iterator[Path]:
    """Where it can be reached until the block ends: at the place, or through the process that has mounted it there."""
    place.mkdir()
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:  # noqa: S603 - our own
        with _disk_of_a_process(place) as reached:
            yield reached
        return
    try:
        yield place
    finally:
        subprocess.run([shutil.which("umount") or "umount", "--lazy", place], check=True)  # noqa: S603 - our own


@contextmanager
def _disk_of_a_process(place: Path) -> Iterator[Path]:
    """In a namespace where we are root. Nobody else sees the disk there, but its owner may look through /proc."""
    apart = [shutil.which("unshare") or "/usr/bin/unshare", "--user", "--map-root-user", "--mount"]
    command = [*apart, "/bin/sh", "-euc", _MOUNT_AND_WAIT, "sh", str(place), SIZE]
    with subprocess.Popen(  # noqa: S603 - our own
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as holder:
        assert holder.stdout is not None
        try:
            if holder.stdout.readline() != b"ready\n":
                say_missing("a small file system (it needs root, or unprivileged user namespaces)")
            yield Path(f"/proc/{holder.pid}/root{place}")
        finally:
            holder.kill()
