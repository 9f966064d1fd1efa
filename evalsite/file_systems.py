"""Which file system holds a path: SQLite's write-ahead log needs shared memory, which network file systems lack."""

import sys
from pathlib import Path

MOUNTS = Path("/proc/mounts")
NETWORK_FILE_SYSTEMS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "fuse.sshfs")
)


def file_system_of(path: Path, *, mounts: str) -> str:
    """The type of the file system that holds a path, from the text of /proc/mounts; empty where it is not listed."""
    best, kind = "", ""
    for line in mounts.splitlines():
        _, mounted_at, found, *_ = line.split()
        point = mounted_at.encode().decode("unicode_escape")  # spaces are written \040
        is_above = path == Path(point) or Path(point) in path.parents
        if is_above and len(point) >= len(best):
            best, kind = point, found
    return kind


def network_complaint(database: Path) -> str:
    """One sentence where an SQLite file lies on a network file system and votes would be lost; else empty."""
    if sys.platform != "linux":
        return ""
    kind = file_system_of(database.resolve(), mounts=MOUNTS.read_text())
    if kind not in NETWORK_FILE_SYSTEMS:
        return ""
    return (
        f"{database} lies on a network file system ({kind}), where SQLite can lose votes: "
        "set WINRATE_DATA_DIR to a local folder, or DATABASE_URL to a PostgreSQL server."
    )
