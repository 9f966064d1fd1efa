"""An import of the few images of one request: looked at, then stored, or refused with the first thing that is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from generation.image_imports.importing import Asked, look_at, take_in
from generation.image_imports.layouts import claims_by_name
from generation.image_imports.manifests import claims_of
from generation.image_imports.rows import Claim, ConflictError, ImageImportError, Layout
from generation.image_imports.sources import FilesAtHand
from generation.models import Image
from generation.prompt_files import PromptFileError
from generation.prompt_files.strict_json import parse_strictly

MOST_FILES_AT_ONCE: Final = 16


@dataclass(frozen=True)
class RequestDone:
    """The images stored now, how many were there already, and files that are of no prompt."""

    stored: tuple[Image, ...]
    already_there: int
    unknown: tuple[str, ...]


def import_request(files: Mapping[str, bytes], *, rows: str, layout: Layout, asked: Asked) -> RequestDone:
    """Raises ImageImportError, or ConflictError where a cell holds another picture, and then keeps nothing."""
    claims, unknown = _claims(files, rows=rows, layout=layout)
    looked = look_at(FilesAtHand(files), claims, asked=asked, unknown=unknown)
    if looked.report.problems:
        first = looked.report.problems[0].removesuffix(".")
        kind = ConflictError if looked.report.has_conflict else ImageImportError
        raise kind(first, remedy="nothing was stored", field="files")
    stored = take_in(looked)
    return RequestDone(tuple(stored), looked.report.cell_count - len(stored), looked.report.unknown)


def _claims(files: Mapping[str, bytes], *, rows: str, layout: Layout) -> tuple[list[Claim], list[str]]:
    if not rows:
        return claims_by_name(files, layout=layout)
    try:
        read: Any = parse_strictly(rows)
    except PromptFileError as error:
        raise ImageImportError(error.reason, remedy=error.remedy, field="rows") from error
    if not isinstance(read, list) or not all(isinstance(row, dict) for row in read):
        raise ImageImportError(
            "rows is no JSON list of objects", remedy='write [{"file": "a.png", "prompt_id": 0}]', field="rows"
        )
    claims = claims_of(read)
    said = {claim.file for claim in claims}
    return claims, [name for name in files if name not in said]
