"""Which file system holds a path: SQLite needs locks and shared memory that only a machine's own disk surely has."""

import sys
from pathlib import Path
from typing import Final

MOUNTS = Path("/proc/mounts")
NETWORK_FILE_SYSTEMS: Final = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs"),
        *("ocfs2", "gfs2", "orangefs"),
    )
)
# A host's folders within a virtual machine: locks of the one may not hold for the other. As its root they are its disk.
SHARED_FOLDERS: Final = frozenset(("9p", "virtiofs", "vboxsf", "prl_fs", "drvfs"))
# Behind all others of FUSE stands a program of anybody's, most often one that speaks to a server or a bucket.
LOCAL_BY_FUSE: Final = frozenset(("fuseblk", "fuse.fuse-overlayfs"))


def file_system_of(path: Path, *, mounts: str) -> tuple[str, str]:
    """Where the file system that holds a path begins, and its type, from the text of /proc/mounts; else empty."""
    best, kind = "", ""
    for line in mounts.splitlines():
        _, mounted_at, found, *_ = line.split()
        point = mounted_at.encode().decode("unicode_escape")  # spaces are written \040
        is_above = path == Path(point) or Path(point) in path.parents
        if is_above and len(point) >= len(best):
            best, kind = point, found
    return best, kind


def is_dependable(kind: str, *, point: str) -> bool:
    """Whether SQLite may lie on a file system of this type that is mounted there."""
    if kind.startswith("fuse"):
        return kind in LOCAL_BY_FUSE
    return kind not in NETWORK_FILE_SYSTEMS and (kind not in SHARED_FOLDERS or point == "/")


def network_complaint(database: Path) -> str:
    """One sentence where an SQLite file lies on a network or shared file system and votes may be lost; else empty."""
    if sys.platform != "linux":
        return ""
    point, kind = file_system_of(database.resolve(), mounts=MOUNTS.read_text())
    if is_dependable(kind, point=point):
        return ""
    return (
        f"{database} lies on a network or shared file system ({kind}), where SQLite can lose votes: "
        "set WINRATE_DATA_DIR to a folder on a disk of this machine, or DATABASE_URL to a PostgreSQL server."
    )
