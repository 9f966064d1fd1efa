"""The page about imports says what the code does."""

import re

from django.conf import settings

from generation.image_imports.layouts import claims_by_name
from generation.image_imports.manifests import COLUMNS
from generation.image_imports.pictures import LEAST_SIDE, MOST_PIXELS, MOST_SIDE
from generation.image_imports.requests import MOST_FILES_AT_ONCE
from generation.image_imports.rows import MOST_FILE_BYTES, Layout
from generation.image_imports.sources import MOST_ZIP_ENTRIES

PAGE = (settings.BASE_DIR / "docs" / "importing_images.md").read_text()


def test_every_column_name_is_documented_in_the_order_of_its_rank() -> None:
    table = PAGE.split("| meaning | columns |")[1].split("\n\n")[0]
    rows = [re.findall(r"`(\w+)`", line) for line in table.splitlines() if "`" in line]
    assert [tuple(name.replace("_", "") for name in row) for row in rows] == list(COLUMNS.values())


def test_every_layout_is_documented_and_its_example_is_understood() -> None:
    for layout in Layout:
        if layout is Layout.MANIFEST:
            continue
        (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{layout}` |")]
        examples = [example for example in re.findall(r"`([^`]+)`", line) if example.endswith(".png")]
        for example in examples:
            name = example.replace("{prompt text}", "a fox").replace("{prompt}", "3").replace("{sample}", "1")
            assert claims_by_name([name.replace("{number}", "000007")], layout=layout)[0], example


def test_every_limit_is_documented() -> None:
    words = " ".join(PAGE.split())
    pixels = f"{LEAST_SIDE} to {MOST_SIDE:,} pixels a side and {MOST_PIXELS:,} pixels in all"
    for said in (
        f"up to {MOST_FILE_BYTES >> 20} MB",
        pixels,
        f"{MOST_ZIP_ENTRIES:,} entries",
        f"{MOST_FILES_AT_ONCE} images",
    ):
        assert said in words, said
