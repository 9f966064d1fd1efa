"""An import from a folder, a zip or a manifest in one go: look at everything, report, then take it in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import User

from generation.image_imports.coverage import Report, report_on
from generation.image_imports.layouts import claims_by_name, detect_layout
from generation.image_imports.manifests import MANIFEST_ENDINGS, read_manifest
from generation.image_imports.pictures import Facts, facts_of, read_picture, store
from generation.image_imports.placing import Placement, PromptIndex, place
from generation.image_imports.rows import MOST_FILE_BYTES, Claim, ImageImportError, Layout
from generation.image_imports.sources import Folder, Source, open_source
from generation.image_imports.storing import find_external_recipe, store_images
from generation.models import Image, Recipe

Watch = Callable[[str, int, int], None]
"""Told what is done ("looking", "storing"), how many files are through, and of how many."""


@dataclass(frozen=True)
class Asked:
    """What an import is about."""

    index: PromptIndex
    contenders: Sequence[str]
    owner: User | None
    samples: int | None = None


@dataclass(frozen=True)
class Looked:
    """An import that was looked at: the report, and what is needed to take it in."""

    source: Source
    report: Report
    facts: Mapping[str, Facts]
    asked: Asked


@contextmanager
def open_import(path: Path, *, layout: Layout | None = None) -> Iterator[tuple[Source, list[Claim], list[str]]]:
    """The files, what they say they are, and the files that say nothing: of a manifest, a folder or a zip archive.

    A manifest's files are looked for beside it. A folder or an archive with a manifest.* in it goes by that, unless a
    layout is named.
    """
    if not path.exists():
        raise ImageImportError("there is no such file or folder", remedy="check the path", file_name=str(path))
    if not path.is_dir() and path.suffix.casefold() in MANIFEST_ENDINGS:
        claims = read_manifest(_limited(path), file_name=path.name)
        yield Folder(path.parent), claims, []
        return
    with open_source(path) as source:
        names = source.names()
        if not names:
            raise ImageImportError("there is no file in it", remedy="name a folder with images", file_name=path.name)
        inside = next((name for name in names if name in [f"manifest{ending}" for ending in MANIFEST_ENDINGS]), None)
        if layout in (None, Layout.MANIFEST) and inside:
            claims = read_manifest(source.read(inside), file_name=inside)
            said = {claim.file for claim in claims}
            yield source, claims, [name for name in names if name not in said and name != inside]
        elif layout is Layout.MANIFEST:
            raise ImageImportError(
                "there is no manifest.csv in it", remedy="add one, or name the manifest itself", file_name=path.name
            )
        else:
            claims, unknown = claims_by_name(names, layout=layout or detect_layout(names))
            yield source, claims, unknown


def look_at(
    source: Source, claims: Sequence[Claim], *, asked: Asked, unknown: Sequence[str] = (), watch: Watch | None = None
) -> Looked:
    """Decode every file that a prompt wants, keep nothing, and compare with what is wanted."""
    placement = place(claims, index=asked.index, contenders=asked.contenders, unknown=unknown)
    facts: dict[str, Facts] = {}
    refused: dict[str, str] = {}
    lines = {each.claim.file: each.claim.line for each in reversed(placement.placed)}
    for number, name in enumerate(lines, start=1):
        try:
            facts[name] = facts_of(read_picture(source.read(name), file_name=name))
        except ImageImportError as refusal:
            refusal.line = refusal.line or lines[name]
            refused[name] = str(refusal)
        if watch:
            watch("looking", number, len(lines))
    report = report_on(
        placement,
        index=asked.index,
        facts=facts,
        recipes=recipes_of(placement, asked),
        contenders=asked.contenders,
        samples=asked.samples,
        refused=refused,
    )
    return Looked(source=source, report=report, facts=facts, asked=asked)


def take_in(looked: Looked, *, watch: Watch | None = None) -> list[Image]:
    """Store the pictures, then all rows at once. A report with problems is a mistake of the caller."""
    if looked.report.problems:
        raise ValueError("an import with problems cannot be taken in: report them")
    to_store = looked.report.to_store
    stored: dict[str, Facts] = {}
    for number, each in enumerate(to_store, start=1):
        name = each.claim.file
        if name not in stored:
            picture = read_picture(looked.source.read(name), file_name=name)
            if picture.original.sha256 != looked.facts[name].original.sha256:
                raise ImageImportError("the file changed while it was imported", remedy="start again", file_name=name)
            stored[name] = store(picture)
        if watch:
            watch("storing", number, len(to_store))
    return store_images(to_store, facts=stored, owner=looked.asked.owner)


def recipes_of(placement: Placement, asked: Asked) -> dict[str, Recipe]:
    """The recipes that exist already, by the contender's name."""
    names = dict.fromkeys([*asked.contenders, *(each.contender for each in placement.placed)])
    found = {name: find_external_recipe(name=name, owner=asked.owner) for name in names}
    return {name: recipe for name, recipe in found.items() if recipe}


def _limited(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MOST_FILE_BYTES + 1)
    if len(data) > MOST_FILE_BYTES:
        raise ImageImportError(
            f"the manifest is larger than {MOST_FILE_BYTES // 2**20} MB",
            remedy="import it in parts",
            file_name=path.name,
        )
    return data
