"""Contenders whose images are made elsewhere: create one, upload its images, see which are missing."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import File, Form, Query, Router, Schema, Status
from ninja.files import UploadedFile
from pydantic import Field

from arena.api.access import person
from arena.api.problems import REFUSALS, Problem, ProblemError
from arena.api.prompt_sets import Page
from generation.image_imports import Asked, Layout, PromptIndex, get_external_recipe
from generation.image_imports.coverage import MissingCell, coverage_of
from generation.image_imports.requests import MOST_FILES_AT_ONCE, import_request
from generation.models import Image, PromptSet, Recipe

router = Router(tags=["contenders"])
MOST_MISSING_NAMED = 1000
MOST_CELLS = 50_000
"""Prompts times samples that one request looks at."""


class ContenderIn(Schema):
    """A service or model whose images you upload."""

    name: str = Field(min_length=1, max_length=200)
    notes: str = Field("", max_length=10_000)


class ContenderOut(Schema):
    """A contender; width and height are those of its smallest image."""

    id: int
    name: str
    notes: str
    width: int
    height: int
    created_at: datetime


class Contenders(Schema):
    """A part of the list of contenders."""

    count: int
    items: list[ContenderOut]


class ImageOut(Schema):
    """One image; the digest names contender, prompt text and sample together."""

    request_digest: str
    prompt: str = Field(validation_alias="prompt_text")
    sample: int
    width: int
    height: int
    pixels_sha256: str
    is_quarantined: bool
    created_at: datetime


class Images(Schema):
    """A part of the images of a contender."""

    count: int
    items: list[ImageOut]


class Uploaded(Schema):
    """What an upload came to: sending the same images again stores nothing and is no error."""

    stored: int
    already_there: int
    unknown: list[str]
    images: list[ImageOut]


class UploadIn(Schema):
    """What the files are of: `rows` says it file by file, else their names do, in this layout."""

    prompt_set: int
    rows: str = Field("", max_length=1_000_000, description='JSON: [{"file": "a.png", "prompt_id": 0, "sample": 0}]')
    layout: Layout = Layout.DALLE3
    first_index: int = Field(0, ge=0, le=1)


class Missing(Schema):
    """A prompt and sample without an image."""

    position: int
    prompt: str
    sample: int

    @classmethod
    def of(cls, missing: MissingCell) -> "Missing":
        return cls(position=missing.cell.position, prompt=missing.cell.text, sample=missing.sample)


class CoverageOut(Schema):
    """How far a contender is with a prompt set; at most 1,000 missing images are named."""

    wanted: int
    found: int
    missing_count: int
    missing: list[Missing]


class CoverageQuery(Schema):
    """Of which prompts, and how many images of each."""

    prompt_set: int
    samples: int = Field(1, ge=1, le=1000)


@router.get("", response={200: Contenders, REFUSALS: Problem})
def list_contenders(request: HttpRequest, page: Query[Page]) -> dict[str, Any]:
    """Your contenders, oldest first."""
    recipes = Recipe.objects.external_of(person(request))
    return {"count": recipes.count(), "items": list(recipes[page.offset : page.offset + page.limit])}


@router.post("", response={200: ContenderOut, 201: ContenderOut, REFUSALS: Problem})
def create_contender(request: HttpRequest, payload: ContenderIn) -> Status[Recipe]:
    """A new contender, or with 200 the one of this name that you have already."""
    recipe, is_new = get_external_recipe(name=payload.name, owner=person(request), notes=payload.notes)
    return Status(201 if is_new else 200, recipe)


@router.get("/{int:contender_id}", response={200: ContenderOut, REFUSALS: Problem})
def get_contender(request: HttpRequest, contender_id: int) -> Recipe:
    """One contender."""
    return _contender(request, contender_id)


@router.post("/{int:contender_id}/images", response={200: Uploaded, 201: Uploaded, REFUSALS: Problem})
def upload_images(
    request: HttpRequest, contender_id: int, details: Form[UploadIn], files: File[list[UploadedFile]]
) -> Status[dict[str, Any]]:
    """Store up to 16 images, all or none. The same picture again is no error; another one for its place is a 409."""
    recipe = _contender(request, contender_id)
    prompt_set = PromptSet.objects.visible_to(person(request)).filter(pk=details.prompt_set).first()
    if prompt_set is None:
        raise ProblemError(404, "There is no such prompt set.", code="not_found", field="prompt_set")
    if len(files) > MOST_FILES_AT_ONCE:
        raise ProblemError(
            413, f"Send at most {MOST_FILES_AT_ONCE} images in one request.", code="too_many_files", field="files"
        )
    names = [file.name or "" for file in files]
    if len(set(names)) < len(names):
        raise ProblemError(422, "Two files have the same name.", code="twice", field="files")
    index = PromptIndex.of_set(prompt_set, first_index=details.first_index)
    done = import_request(
        {name: file.read() for name, file in zip(names, files, strict=True)},
        rows=details.rows,
        layout=details.layout,
        asked=Asked(index=index, contenders=[recipe.name], owner=recipe.owner),
    )
    said = {
        "stored": len(done.stored),
        "already_there": done.already_there,
        "unknown": list(done.unknown),
        "images": list(done.stored),
    }
    return Status(201 if done.stored else 200, said)


@router.get("/{int:contender_id}/images", response={200: Images, REFUSALS: Problem})
def list_images(request: HttpRequest, contender_id: int, page: Query[Page]) -> dict[str, Any]:
    """The images of a contender, oldest first."""
    images = Image.objects.filter(recipe=_contender(request, contender_id)).order_by("pk")
    return {"count": images.count(), "items": list(images[page.offset : page.offset + page.limit])}


@router.get("/{int:contender_id}/coverage", response={200: CoverageOut, REFUSALS: Problem})
def get_coverage(request: HttpRequest, contender_id: int, asked: Query[CoverageQuery]) -> CoverageOut:
    """Which images of a prompt set are there and which are missing."""
    recipe = _contender(request, contender_id)
    prompt_set = get_object_or_404(PromptSet.objects.visible_to(person(request)), pk=asked.prompt_set)
    if prompt_set.prompts.count() * asked.samples > MOST_CELLS:
        raise ProblemError(
            422, f"Ask for at most {MOST_CELLS:,} images: fewer samples.", code="too_many_cells", field="samples"
        )
    coverage = coverage_of(recipe, index=PromptIndex.of_set(prompt_set), samples=asked.samples)
    return CoverageOut(
        wanted=coverage.wanted,
        found=coverage.already,
        missing_count=len(coverage.missing),
        missing=[Missing.of(missing) for missing in coverage.missing[:MOST_MISSING_NAMED]],
    )


def _contender(request: HttpRequest, pk: int) -> Recipe:
    return get_object_or_404(Recipe.objects.external_of(person(request)).select_related("owner"), pk=pk)
