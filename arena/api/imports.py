"""Studies from elsewhere: a votes file or a bundle becomes a closed study."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.http import HttpRequest
from ninja import File, Form, Router, Schema, Status
from ninja.files import UploadedFile
from pydantic import Field

from arena.api.access import person, researchers_only
from arena.api.problems import REFUSALS, Problem, ProblemError

router = Router(tags=["imports"])
MOST_BYTES = 16 * 1024 * 1024
"""An import runs while its caller waits; larger files are a matter for the command line."""
_SLUG = r"^[-a-zA-Z0-9_]{1,100}$"


class VotesIn(Schema):
    """What the file becomes. `baseline` names the contender that others are held against."""

    slug: str = Field(pattern=_SLUG)
    name: str = Field("", max_length=200)
    baseline: str = Field("", max_length=200)
    source: str = Field("", max_length=300)


class BundleIn(Schema):
    """The study's short name here; that of the bundle, or the first free one after it, if left out."""

    slug: str = Field("", pattern=r"^[-a-zA-Z0-9_]{0,100}$")


class ImportedVotesOut(Schema):
    """The study, and what a person should know about how the file was read."""

    study: str = Field(validation_alias="study.slug")
    shape: str
    votes: int
    skips: int
    ballots: int
    notes: list[str]


class ImportedBundleOut(Schema):
    """The study, and for each fit of the bundle whether the numbers came out the same."""

    study: str
    votes: int
    comparisons: list[str]


@router.post("/votes", response={201: ImportedVotesOut, REFUSALS: Problem})
def import_votes(request: HttpRequest, details: Form[VotesIn], file: File[UploadedFile]) -> Status[object]:
    """Votes or ratings in CSV, JSON lines or Parquet as a closed study without images; a bad row makes none.

    Nobody sees the study before it is whole. Where the call is cut off, the same file sent again goes on from there.
    """
    researchers_only(request)
    # Arrow takes a second to load: only who imports should wait for it.
    from arena.vote_imports import import_votes as take_votes

    with _kept(file) as path:
        done = take_votes(path, owner=person(request), **details.dict())
    return Status(201, done)


@router.post("/bundle", response={201: ImportedBundleOut, REFUSALS: Problem})
def import_bundle(request: HttpRequest, details: Form[BundleIn], file: File[UploadedFile]) -> Status[ImportedBundleOut]:
    """A study's bundle as a closed study, fitted anew and compared with the fits that it carries.

    Nobody sees the study before it is whole. Where the call is cut off, the same bundle sent again goes on from there.
    """
    researchers_only(request)
    from arena.bundles.reading import import_study

    with _kept(file) as path:
        done = import_study(path, owner=person(request), slug=details.slug)
    told = [comparison.sentence for comparison in done.comparisons]
    return Status(201, ImportedBundleOut(study=done.study.slug, votes=done.votes, comparisons=told))


@contextmanager
def _kept(file: UploadedFile) -> Iterator[Path]:
    """The upload as a file of its own name, as messages should tell it, gone afterwards."""
    if (file.size or 0) > MOST_BYTES:
        raise ProblemError(
            413,
            f"A file of up to {MOST_BYTES // 2**20} MB can be imported by a call: use manage.py for a larger one.",
            code="too_large",
            field="file",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _safe_name(file.name or "")
        with path.open("wb") as out:
            for chunk in file.chunks():
                out.write(chunk)
        yield path


def _safe_name(said: str) -> str:
    """Django has taken folders out of the name; what is left may still be too long for a disk, or odd."""
    name = re.sub(r"[^\w.()-]+", "_", said).lstrip(".")
    return (name if len(name) <= 60 else f"{name[:40]}{name[-20:]}") or "upload"
