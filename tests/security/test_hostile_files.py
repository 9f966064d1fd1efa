"""Files with each of their parts made wrong in turn: taken, or refused with a sentence, and nothing half-written."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from arena.design_files import design_file_of, planned_study, read_design
from arena.refusals import Refusal
from tests.arena.api.test_hostile_bodies import RAW, places, with_one_wrong
from tests.arena.dumps import dump
from tests.arena.factories import make_study, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.once]
WRONG: Final[tuple[Any, ...]] = (
    None,
    -1,
    10**30,
    1.5,
    True,
    "",
    "x" * 100_000,
    "\ud800",
    "a\0",
    [],
    [[]],
    {},
    {"x": 10**400},
)
CELLS: Final = ("9" * 400, "-1", "1e400", "NaN", "-Infinity", "0x10", "١٢", '"', "a\0b", "\ufeff", "=cmd|' /C calc'!A0")


def test_no_part_of_a_design_file_is_a_fault_of_ours() -> None:
    ada = make_user("ada")
    whole = json.loads(json.dumps(design_file_of(make_study(owner=ada, contenders=3, prompts=2))))
    asked, before = 0, dump()
    for data in designs(whole):
        asked += 1
        try:
            planned_study(read_design(data), owner=ada)
        except Refusal as refusal:
            assert refusal.sentence and len(refusal.sentence) < 1000, refusal.sentence[:200]
    assert asked > 300 and dump() == before


def designs(whole: Any) -> Iterator[bytes]:
    for place in places(whole):
        for value in WRONG:
            yield json.dumps(with_one_wrong(whole, place, value)).encode()
    for raw in RAW:
        yield json.dumps(whole | {"name": "HERE"}).replace('"HERE"', raw, 1).encode("utf-8", "surrogateescape")
    yield from (b"", b"\xff\xfe", b"[]", b'{"format": 1, "format": 2}', b"null")


TABLES: Final[dict[str, tuple[str, list[str], dict[str, str]]]] = {
    "import_losses": ("checkpoint,loss,step\n", ["early", "0.5", "1"], {}),
    "import_metrics": ("contender,metric,value\n", ["a", "clip", "0.5"], {"study": "hers"}),
    "import_votes": ("left,right,choice,rater\n", ["a", "b", "left", "r"], {}),
}


@pytest.mark.parametrize("command", TABLES)
@pytest.mark.parametrize("cell", CELLS)
def test_no_cell_of_a_table_is_a_fault_of_ours(command: str, cell: str, tmp_path: Path) -> None:
    header, row, options = TABLES[command]
    make_study(slug="hers", contenders=2, prompts=1)
    for place in range(len(row)):
        spoilt = [*row[:place], cell, *row[place + 1 :]]
        path = tmp_path / f"{place}.csv"
        path.write_text(header + ",".join(row) + "\n" + ",".join(spoilt) + "\n")
        before = dump()
        more = [f"elsewhere-{place}"] if command == "import_votes" else []
        try:
            call_command(command, str(path), *more, **options)
        except CommandError as refusal:
            assert path.name in str(refusal) and dump() == before, refusal
