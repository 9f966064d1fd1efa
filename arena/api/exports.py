"""A study's votes and its bundle as files."""

from typing import Literal

from django.http import FileResponse, HttpRequest
from ninja import Query, Router, Schema

from arena.api.access import person
from arena.api.problems import REFUSALS, Problem, file_of
from arena.api.studies import visible_study
from arena.bundles.writing import export_study
from arena.views.kept_files import content_type_of, file_to_keep
from arena.vote_exports import export_votes

router = Router(tags=["exports"])
_VOTE_TYPES = [content_type_of(suffix).partition(";")[0] for suffix in (".csv", ".jsonl", ".parquet")]


class VotesQuery(Schema):
    """In which form. `public`: rater names of this file alone, times to the hour, no free text."""

    format: Literal["csv", "jsonl", "parquet"] = "csv"
    shape: Literal["votes", "pickapic", "dpo"] = "votes"
    public: bool = False


class BundleQuery(Schema):
    """With image files or their hashes alone; `public` leaves out what leads back to rows of this site."""

    images: bool = False
    public: bool = False


@router.get("/{slug:slug}/votes", response={REFUSALS: Problem}, openapi_extra=file_of(*_VOTE_TYPES))
def download_votes(request: HttpRequest, slug: str, asked: Query[VotesQuery]) -> FileResponse:
    """The votes that fits count now, and the skips besides. It is noted down who took them."""
    study, user = visible_study(request, slug), person(request)
    return file_to_keep(
        f"{slug}.{asked.format}",
        lambda path: export_votes(study, path, is_public=asked.public, shape=asked.shape, actor=user),
    )


@router.get("/{slug:slug}/bundle", response={REFUSALS: Problem}, openapi_extra=file_of(content_type_of(".zip")))
def download_bundle(request: HttpRequest, slug: str, asked: Query[BundleQuery]) -> FileResponse:
    """Everything that the study's numbers rest on, as `manage.py import_study` takes it in. It is noted down."""
    study, user = visible_study(request, slug), person(request)
    return file_to_keep(
        f"{slug}.zip",
        # Fitting is a worker's business: the fits that there are go along.
        lambda path: export_study(
            study, path, with_images=asked.images, is_public=asked.public, actor=user, fits_first=False
        ),
    )
