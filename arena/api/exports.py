"""A study's votes and its bundle as files."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from django.http import FileResponse, HttpRequest
from ninja import Query, Router, Schema

from arena.api.access import person
from arena.api.problems import REFUSALS, Problem
from arena.api.studies import visible_study
from arena.bundles.writing import export_study
from arena.vote_exports import export_votes

router = Router(tags=["exports"])
_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "zip": "application/zip",
}


class VotesQuery(Schema):
    """In which form. `public`: rater names of this file alone, times to the hour, no free text."""

    format: Literal["csv", "jsonl", "parquet"] = "csv"
    shape: Literal["votes", "pickapic", "dpo"] = "votes"
    public: bool = False


class BundleQuery(Schema):
    """With image files or their hashes alone; `public` leaves out what leads back to rows of this site."""

    images: bool = False
    public: bool = False


@router.get("/{slug:slug}/votes", response={200: None, REFUSALS: Problem})
def download_votes(request: HttpRequest, slug: str, asked: Query[VotesQuery]) -> FileResponse:
    """The votes that fits count now, and the skips besides. It is noted down who took them."""
    study, user = visible_study(request, slug), person(request)
    return _file(
        f"{slug}.{asked.format}",
        lambda path: export_votes(study, path, is_public=asked.public, shape=asked.shape, actor=user),
    )


@router.get("/{slug:slug}/bundle", response={200: None, REFUSALS: Problem})
def download_bundle(request: HttpRequest, slug: str, asked: Query[BundleQuery]) -> FileResponse:
    """Everything that the study's numbers rest on, as `manage.py import_study` takes it in. It is noted down."""
    study, user = visible_study(request, slug), person(request)
    return _file(
        f"{slug}.zip",
        # Fitting is a worker's business: the fits that there are go along.
        lambda path: export_study(
            study, path, with_images=asked.images, is_public=asked.public, actor=user, fits_first=False
        ),
    )


def _file(name: str, write: Callable[[Path], object]) -> FileResponse:
    """What `write` puts into a file, which is gone from the disk before the first byte goes out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        file = path.open("rb")
    response = FileResponse(file, as_attachment=True, filename=name, content_type=_TYPES[path.suffix[1:]])
    response.headers["Cache-Control"] = "private, no-store"
    return response
