"""Files that are made for one request: whole on the disk first, then sent to be kept, and gone again."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from django.http import FileResponse

_TYPES: Final = {
    ".csv": "text/csv; charset=utf-8",
    ".jsonl": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
    ".zip": "application/zip",
}


def content_type_of(suffix: str) -> str:
    """Of a file whose name ends so; with its encoding where it is text."""
    return _TYPES[suffix]


def file_to_keep(name: str, write: Callable[[Path], object]) -> FileResponse:
    """What `write` puts into a file, which is gone from the disk before the first byte goes out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        file = path.open("rb")
    response = FileResponse(file, as_attachment=True, filename=name, content_type=content_type_of(path.suffix))
    response.headers["Cache-Control"] = "private, no-store"
    return response
