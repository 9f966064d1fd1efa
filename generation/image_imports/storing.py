"""The one act that makes images of an import, some hundred rows at a time: other writers never wait for long."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from generation.image_imports.pictures import Facts
from generation.image_imports.placing import Placed
from generation.image_imports.rows import LONGEST_CONTENDER, ConflictError, ImageImportError
from generation.models import Image, Recipe
from generation.provenance import FORMAT, digest_of, request_digest, text_digest

ROWS_AT_ONCE = 500
USUAL_SIDE = 1024


def external_digest(*, name: str, owner: User | None) -> str:
    """What names the recipe of a service: its name and whose it is."""
    return digest_of({"external": name, "owner": None if owner is None else owner.pk})


def find_external_recipe(*, name: str, owner: User | None) -> Recipe | None:
    """The recipe that stands for the service of this name, if there is one."""
    return Recipe.objects.filter(digest=external_digest(name=name.strip(), owner=owner)).first()


def get_external_recipe(
    *, name: str, owner: User | None, width: int = USUAL_SIDE, height: int = USUAL_SIDE, notes: str = ""
) -> tuple[Recipe, bool]:
    """The recipe that stands for a service, made at first use, and whether it was. Its size follows its images."""
    name = _checked(name)
    defaults = {"name": name, "owner": owner, "kind": Recipe.Kind.EXTERNAL, "state": Recipe.State.READY}
    return Recipe.objects.get_or_create(
        digest=external_digest(name=name, owner=owner),
        defaults=defaults | {"width": width, "height": height, "notes": notes},
    )


def get_external_recipes(*, names: Sequence[str], owner: User | None) -> list[Recipe]:
    """The recipes that stand for so many services, in two statements however many there are; missing ones are made."""
    names = [_checked(name) for name in names]
    digests = [external_digest(name=name, owner=owner) for name in names]
    known = Recipe.objects.filter(digest__in=digests)
    there = set(known.values_list("digest", flat=True))
    missing = {digest: name for digest, name in zip(digests, names, strict=True) if digest not in there}
    shared = {"owner": owner, "kind": Recipe.Kind.EXTERNAL, "state": Recipe.State.READY}
    Recipe.objects.bulk_create(
        Recipe(name=name, digest=digest, width=USUAL_SIDE, height=USUAL_SIDE, **shared)
        for digest, name in missing.items()
    )
    found = {recipe.digest: recipe for recipe in known.all()}
    return [found[digest] for digest in digests]


def _checked(name: str) -> str:
    name = name.strip()
    if not name or len(name) > LONGEST_CONTENDER or not name.isprintable():
        raise ImageImportError(
            "a contender's name has 1 to 200 characters and no control characters",
            remedy="choose another name",
            field="name",
        )
    return name


def store_images(placed: Sequence[Placed], *, facts: Mapping[str, Facts], owner: User | None) -> list[Image]:
    """Make the images of cells whose pictures lie in the image store; images that exist already are left as they are.

    Interrupted, it is simply done again. Raises ConflictError where a cell got another picture since the report; what
    was made before that stays, and nothing of the same 500 rows is made.
    """
    by_contender: dict[str, list[Placed]] = defaultdict(list)
    for each in placed:
        by_contender[each.contender].append(each)
    images: list[Image] = []
    for name, mine in by_contender.items():
        recipe, _ = get_external_recipe(name=name, owner=owner)
        for start in range(0, len(mine), ROWS_AT_ONCE):
            some = mine[start : start + ROWS_AT_ONCE]
            rows = [_image(recipe, each, facts[each.claim.file]) for each in some]
            with transaction.atomic():
                images += _store(Recipe.objects.select_for_update().get(pk=recipe.pk), rows, some)
    return images


def _store(recipe: Recipe, rows: Sequence[Image], placed: Sequence[Placed]) -> list[Image]:
    is_first = not recipe.images.exists()
    Image.objects.bulk_create(rows, ignore_conflicts=True)
    wanted = {row.request_digest: (row.pixels_sha256, each) for row, each in zip(rows, placed, strict=True)}
    images = list(Image.objects.filter(request_digest__in=list(wanted)).select_related("recipe").order_by("pk"))
    for image in images:
        pixels, each = wanted[image.request_digest]
        if image.pixels_sha256 != pixels:
            raise ConflictError(
                f"sample {each.sample} of {each.cell.shown} has another image already",
                remedy="images are never replaced, so choose another name for the contender",
                file_name=each.claim.file,
                line=each.claim.line,
            )
    _follow_sizes(recipe, rows, is_first=is_first)
    return images


def _follow_sizes(recipe: Recipe, images: Sequence[Image], *, is_first: bool) -> None:
    """The size of an external recipe is that of its smallest image, so that a study's display rule enlarges none."""
    width, height = min(image.width for image in images), min(image.height for image in images)
    if not is_first:
        width, height = min(width, recipe.width), min(height, recipe.height)
    Recipe.objects.filter(pk=recipe.pk).update(width=width, height=height)


def _image(recipe: Recipe, placed: Placed, facts: Facts) -> Image:
    if not facts.file_sha256:
        raise ValueError(f"{placed.claim.file} is not in the image store yet")
    text, sample = placed.cell.text, placed.sample
    digest = request_digest(recipe_digest=recipe.digest, prompt_text=text, sample=sample)
    record = _record(recipe, placed, facts, digest)
    return Image(
        recipe=recipe,
        prompt_text=text,
        prompt_digest=text_digest(text),
        sample=sample,
        request_digest=digest,
        seed=None,
        file_sha256=facts.file_sha256,
        pixels_sha256=facts.pixels_sha256,
        width=facts.width,
        height=facts.height,
        size_bytes=facts.size_bytes,
        provenance=record,
        provenance_digest=digest_of(record),
    )


def _record(recipe: Recipe, placed: Placed, facts: Facts, digest: str) -> dict[str, Any]:
    """The provenance of an image made elsewhere: `told` is what came with it, and nothing of it was checked."""
    original = facts.original
    return {
        "format": FORMAT,
        "asked": {
            "request_digest": digest,
            "recipe_digest": recipe.digest,
            "prompt": placed.cell.text,
            "sample": placed.sample,
            "contender": recipe.name,
        },
        "imported": {
            "file": placed.claim.file,
            "sha256": original.sha256,
            "size_bytes": original.size_bytes,
            "format": original.format,
            "mode": original.mode,
        },
        "told": {
            "seed": placed.claim.seed,
            **({"metadata": dict(placed.claim.metadata)} if placed.claim.metadata else {}),
        },
    }
