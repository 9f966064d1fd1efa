"""`manage.py regenerate IMAGE...`: make images again from their records and say whether they are the same."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from arena import supply
from arena.models import Study
from generation.models import Image, Recipe
from generation.regeneration import Comparison, regenerate

DIFFERENT = 1
NOT_MADE = 2
INTERRUPTED = 130
_DIGITS = re.compile(r"[0-9]{1,18}")
_HASH = re.compile(r"[0-9a-f]{8,64}")


class Command(BaseCommand):
    help = (
        "Make images again on this machine as they were made, and compare. Ends with 0 where all pixels are equal, 1"
        " where some differ, 2 where an image could not be made again. Nothing is stored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("images", nargs="*", metavar="IMAGE", help="number of an image, or the first 8 of its hash")
        parser.add_argument("--study", help="images of the study with this short name")
        parser.add_argument("--sample", type=int, help="that many images of the study, always the same ones")
        parser.add_argument("--out", type=Path, metavar="DIR", help="write what was made as DIR/image-NUMBER.png")
        parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        images = [*_named(options["images"]), *_of_study(options["study"], options["sample"])]
        if not images:
            raise CommandError("Name an image by its number or hash, or give --study.")
        found: list[Comparison] = []
        try:
            for comparison in _kept(regenerate(images), options["out"]):
                found.append(comparison)
                if not options["json"]:
                    self.stdout.write("\n".join(_lines(comparison)))
        except KeyboardInterrupt as interrupt:
            raise CommandError(f"Stopped after {len(found)} images.", returncode=INTERRUPTED) from interrupt
        if options["json"]:
            told = {"equal": all(one.is_equal for one in found), "images": [one.to_json() for one in found]}
            self.stdout.write(json.dumps(told, indent=2, ensure_ascii=False))
        _end(found)


def _named(names: list[str]) -> Iterator[Image]:
    for name in names:
        if _DIGITS.fullmatch(name):
            matches = _rows().filter(pk=int(name))
        elif _HASH.fullmatch(name):
            matches = _rows().filter(file_sha256__startswith=name)
        else:
            raise CommandError(f"{name!r} is no image: give its number, or 8 to 64 digits of its file's sha256.")
        if (first := matches.first()) is None:
            raise CommandError(f"There is no image {name}.")
        yield first


def _of_study(slug: str | None, sample: int | None) -> list[Image]:
    if slug is None:
        if sample is not None:
            raise CommandError("--sample takes images of a study: give --study too.")
        return []
    if sample is not None and sample < 1:
        raise CommandError(f"--sample must be at least 1, not {sample}.")
    study = Study.objects.filter(slug=slug).first()
    if study is None:
        known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no study {slug!r}. Known: {known}.")
    generated = _rows().filter(pk__in=supply.images_of(study).values("pk"), recipe__kind=Recipe.Kind.GENERATED)
    # By a hash: chosen by nobody, and the same ones each time.
    chosen = list(generated.order_by("request_digest")[:sample])
    if not chosen:
        raise CommandError(f"The study {slug!r} has no images that were made here.")
    return sorted(chosen, key=lambda image: (image.recipe_id, image.pk))


def _rows() -> QuerySet[Image]:
    return Image.objects.select_related("recipe__checkpoint").order_by("pk")


def _kept(comparisons: Iterator[Comparison], folder: Path | None) -> Iterator[Comparison]:
    for comparison in comparisons:
        if folder is not None and comparison.png:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"image-{comparison.image_id}.png").write_bytes(comparison.png)
            except OSError as error:
                raise CommandError(f"Nothing can be written to {folder}: {error.strerror}.") from error
        yield comparison


def _lines(one: Comparison) -> Iterator[str]:
    if one.verdict == "not made":
        yield f"image {one.image_id}: not made. {one.refusal}"
        return
    told = {
        "byte-equal": "byte-equal: the same file",
        "pixel-equal": "pixel-equal: the same pixels in another file",
        "different": f"different: {_how_much(one)}",
    }
    neighbours = f", batch of {one.batch_size} filled with other seeds" if one.batch_size > 1 else ""
    yield f"image {one.image_id}: {told[one.verdict]}{neighbours}"
    if one.refusal:
        yield f"  {one.refusal}"
    for difference in one.differences:
        yield f"  {difference}"


def _how_much(one: Comparison) -> str:
    if one.psnr is None or one.values_off is None:
        return "by how much is not known"
    return f"PSNR {one.psnr:.2f} dB, {one.values_off:.2%} of the values, by at most {one.largest_step} of 255"


def _end(found: list[Comparison]) -> None:
    different = sum(one.verdict == "different" for one in found)
    not_made = sum(one.verdict == "not made" for one in found)
    if not_made:
        raise CommandError(f"{not_made} of {len(found)} images could not be made again.", returncode=NOT_MADE)
    if different:
        raise CommandError(f"{different} of {len(found)} images differ.", returncode=DIFFERENT)
