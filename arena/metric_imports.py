"""Metrics computed elsewhere, from a CSV, JSON-lines or Parquet file: read whole, checked whole, stored whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from django.db import transaction

from arena.measuring import prompts_digest_of
from arena.models import Study
from arena.refusals import Refusal
from arena.supply import images_of, live_contenders
from arena.vote_files.sheets import Sheet, VoteFileError, read_sheet, shown
from generation.measuring import checker
from generation.models import Image, Metric, Recipe
from generation.provenance import text_digest

Shape = Literal["contenders", "images", "cells"]

COLUMNS: Final[dict[Shape, tuple[str, ...]]] = {
    "images": ("image", "metric", "value"),
    "cells": ("prompt", "contender", "sample", "metric", "value"),
    "contenders": ("contender", "metric", "value"),
}
LONGEST_NAME: Final = 60
ROWS_AT_A_TIME: Final = 1000
_OURS: Final = frozenset({checker.OVERALL, *(f"{checker.OVERALL}_{part}" for part in checker.PARTS)})


@dataclass(frozen=True)
class ImportedMetrics:
    """What came of a file: new rows, rows that were there with the same value, and rows whose value was replaced."""

    added: int
    unchanged: int
    replaced: int


@dataclass(frozen=True)
class _Entry:
    """One checked row of the file, for one target: an image or a recipe."""

    row: int
    image_id: int | None
    recipe_id: int | None
    name: str
    value: float

    @property
    def key(self) -> tuple[int | None, int | None, str]:
        return self.image_id, self.recipe_id, self.name


def import_metrics(path: Path, *, study: Study | None, source: str = "", is_replacing: bool = False) -> ImportedMetrics:
    """Store every row of a file, or none. Columns decide between whole contenders, images and cells of a study.

    A number that is there already with another value is refused, unless it is to be replaced. Raises Refusal with
    file, line and what to do.
    """
    try:
        sheet = read_sheet(path, wanted={name for columns in COLUMNS.values() for name in columns})
        shape = _shape_of(sheet, study)
        entries = _entries(sheet, shape, study)
        return _store(sheet, entries, study=study, source=source or f"import {path.name}", is_replacing=is_replacing)
    except VoteFileError as error:
        raise Refusal(str(error), code="bad_metrics_file", field="file") from error


def _shape_of(sheet: Sheet, study: Study | None) -> Shape:
    has = set(sheet.columns)
    if "image" in has and {"prompt", "contender", "sample"} & has:
        raise sheet.fault_of_columns("names both images and cells (prompt, contender, sample): leave one of them out.")
    shape: Shape = "images" if "image" in has else "cells" if {"prompt", "sample"} & has else "contenders"
    lacking = [name for name in COLUMNS[shape] if name not in has]
    if lacking:
        found = ", ".join(sheet.found) or "none"
        raise sheet.fault_of_columns(
            f"the column {lacking[0]} is missing; there are {found}. Needed are contender,metric,value or"
            " image,metric,value or prompt,contender,sample,metric,value."
        )
    if study is None and shape != "images":
        raise sheet.fault("names contenders, so say of which study: --study SHORT_NAME.")
    return shape


def _entries(sheet: Sheet, shape: Shape, study: Study | None) -> list[_Entry]:
    blank = {f"{name} is empty.": sheet.columns[name].blank for name in COLUMNS[shape]}
    sheet.refuse(blank)
    values = sheet.numbers("value")
    names = sheet.columns["metric"]
    too_long = np.array([len(name) > LONGEST_NAME for name in names.values])
    reserved = np.array([name in _OURS for name in names.values])
    sheet.refuse(
        {
            f"metric is longer than {LONGEST_NAME} characters: {{metric}}.": too_long[names.codes],
            "metric is {metric}, which the picture checker measures itself: give it another name.": reserved[
                names.codes
            ],
            "value is too large: {value}.": np.abs(values) > 1e300,
        }
    )
    targets = _images_named(sheet, study) if shape == "images" else _targets_in(sheet, shape, study)
    return [
        _Entry(row, image, recipe, names.values[names.codes[row]], float(values[row]))
        for row, found in enumerate(targets)
        for image, recipe in found
    ]


Targets = list[list[tuple[int | None, int | None]]]


def _images_named(sheet: Sheet, study: Study | None) -> Targets:
    """Images by sha256 of their file or by request digest; of equal files, all whose prompt is the same."""
    column = sheet.columns["image"]
    scope = Image.objects.all() if study is None else images_of(study)
    found: dict[str, list[tuple[int, str]]] = {}
    names = [name.lower() for name in column.values]
    for field in ("request_digest", "file_sha256"):
        for start in range(0, len(names), ROWS_AT_A_TIME):
            chunk = names[start : start + ROWS_AT_A_TIME]
            rows = scope.filter(**{f"{field}__in": chunk}).values_list(field, "pk", "prompt_digest")
            for digest, pk, prompt in rows:
                found.setdefault(digest, []).append((pk, prompt))
    unknown = np.array([name not in found for name in names])
    unclear = np.array([len({prompt for _, prompt in found.get(name, ())}) > 1 for name in names])
    where = f" in the study {study.slug}" if study else ""
    sheet.refuse(
        {
            f"image {{image}} is no image{where}; give the sha256 of its file, or its request digest.": unknown[
                column.codes
            ],
            "image {image} was made for several prompts: give the request digest instead.": unclear[column.codes],
        }
    )
    return [[(pk, None) for pk, _ in found[names[code]]] for code in column.codes]


def _targets_in(sheet: Sheet, shape: Shape, study: Study | None) -> Targets:
    if study is None:
        raise sheet.fault("names contenders, so say of which study: --study SHORT_NAME.")
    recipes = dict(live_contenders(study).values_list("label", "recipe"))
    column = sheet.columns["contender"]
    unknown = np.array([label not in recipes for label in column.values])
    known = ", ".join(shown(label) for label in list(recipes)[:5]) + (", ..." if len(recipes) > 5 else "")
    sheet.refuse(
        {f"contender {{contender}} is not in the study {study.slug}; there are {known}.": unknown[column.codes]}
    )
    chosen = [recipes[column.values[code]] for code in column.codes]
    if shape == "contenders":
        return [[(None, recipe)] for recipe in chosen]
    return [[(image, None)] for image in _images_of_cells(sheet, study, chosen)]


def _images_of_cells(sheet: Sheet, study: Study, recipes: list[int]) -> list[int]:
    samples, prompts = sheet.numbers("sample"), sheet.columns["prompt"]
    sheet.refuse({"sample must be a whole number from 0, not {sample}.": (samples < 0) | (samples % 1 != 0)})
    digests = [text_digest(text) for text in prompts.values]
    asked = set(study.study_prompts.values_list("prompt__text_digest", flat=True))
    unknown = np.array([digest not in asked for digest in digests])
    sheet.refuse({f"prompt {{prompt}} is not in the study {study.slug}; give its exact text.": unknown[prompts.codes]})
    there = {
        (recipe, digest, sample): pk
        for pk, recipe, digest, sample in images_of(study).values_list("pk", "recipe", "prompt_digest", "sample")
    }
    cells = [
        (recipe, digests[code], int(sample))
        for recipe, code, sample in zip(recipes, prompts.codes, samples, strict=True)
    ]
    missing = np.array([cell not in there for cell in cells])
    sheet.refuse({"{contender} has no image of {prompt} with the sample {sample} yet.": missing})
    return [there[cell] for cell in cells]


def _store(
    sheet: Sheet, entries: list[_Entry], *, study: Study | None, source: str, is_replacing: bool
) -> ImportedMetrics:
    _refuse_twice(sheet, entries)
    prompts = prompts_digest_of(study) if study and any(entry.recipe_id for entry in entries) else ""
    with transaction.atomic():
        there = _there(entries, source=source, prompts=prompts)
        changed = [entry for entry in entries if entry.key in there and there[entry.key].value != entry.value]
        if changed and not is_replacing:
            before = there[changed[0].key]
            raise sheet.fault(
                f"value is {changed[0].value:g}, but {before.name} is there from {source!r} as {before.value:g}: give"
                " --replace to take the new ones, or another --source to keep both.",
                row=changed[0].row,
            )
        for entry in changed:
            there[entry.key].value = entry.value
            there[entry.key].save(update_fields=["value", "measured_at"])
        new = [entry for entry in entries if entry.key not in there]
        Metric.objects.bulk_create(
            (
                Metric(
                    image_id=entry.image_id,
                    recipe_id=entry.recipe_id,
                    name=entry.name,
                    value=entry.value,
                    source=source,
                    prompts_digest=prompts if entry.recipe_id else "",
                )
                for entry in new
            ),
            batch_size=ROWS_AT_A_TIME,
        )
    return ImportedMetrics(len(new), len(entries) - len(new) - len(changed), len(changed))


def _refuse_twice(sheet: Sheet, entries: Iterable[_Entry]) -> None:
    first: dict[tuple[int | None, int | None, str], int] = {}
    for entry in entries:
        if first.setdefault(entry.key, entry.row) != entry.row:
            raise sheet.fault(
                f"{shown(entry.name)} of the same target stands in {sheet.line_of(first[entry.key])} already:"
                " remove one.",
                row=entry.row,
            )


def _there(entries: list[_Entry], *, source: str, prompts: str) -> Mapping[tuple[int | None, int | None, str], Metric]:
    names = sorted({entry.name for entry in entries})
    own = Metric.objects.filter(name__in=names, source=source)
    found: list[Metric] = []
    images = sorted({entry.image_id for entry in entries if entry.image_id})
    for start in range(0, len(images), ROWS_AT_A_TIME):
        found += own.filter(image__in=images[start : start + ROWS_AT_A_TIME])
    recipes = Recipe.objects.filter(pk__in={entry.recipe_id for entry in entries if entry.recipe_id})
    found += own.filter(recipe__in=recipes, prompts_digest=prompts)
    return {(metric.image_id, metric.recipe_id, metric.name): metric for metric in found}
