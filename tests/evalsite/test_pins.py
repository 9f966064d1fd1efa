"""Every dependency is pinned exactly, and a package that is not as pinned is named."""

from importlib.metadata import distribution
from pathlib import Path

import pytest
from django.conf import settings

from evalsite import pins


def test_every_requirement_is_an_exact_version_and_the_files_agree() -> None:
    found, problems = pins.read_pins(Path(settings.BASE_DIR))
    assert problems == [] and len(found) > 100
    assert found["django"].startswith("5.2.")


@pytest.mark.parametrize("line", ["django", "django>=5", "django==5.*", "django @ https://elsewhere.example/x.whl"])
def test_a_line_that_leaves_a_choice_is_named(line: str) -> None:
    assert pins.pins_of(f"# all\nattrs==1.0\n{line}\n", "r.txt") == (
        {"attrs": "1.0"},
        [f"r.txt line 3: {line!r} is no exact version: write name==version."],
    )


def test_what_is_installed_otherwise_is_named(tmp_path: Path) -> None:
    pinned = {"django": "5.2.19", "typing-extensions": "4.0", "torch": "2.13.0"}
    installed = [("Django", "5.2.1"), ("typing_extensions", "4.0"), ("torch", "2.13.0+cpu"), ("left-pad", "1")]
    assert pins.not_as_pinned(pinned, installed) == [
        "Django is installed in version 5.2.1, pinned to 5.2.19.",
        "left-pad 1 is installed and not pinned.",
    ]


def test_files_that_disagree_are_named(tmp_path: Path) -> None:
    for name in (*pins.REQUIREMENTS, pins.CONSTRAINTS):
        (tmp_path / name).write_text("attrs==1.0\n")
    (tmp_path / "requirements.txt").write_text("attrs==2.0 ; python_version < '3'\n")
    assert pins.read_pins(tmp_path)[1] == ["requirements.txt: attrs is 2.0, in constraints.txt it is 1.0."]


def test_a_file_that_nobody_reads_is_named(tmp_path: Path) -> None:
    for name in (*pins.REQUIREMENTS, pins.CONSTRAINTS, "requirements-gpu.txt"):
        (tmp_path / name).write_text("attrs==1.0\n")
    assert pins.read_pins(tmp_path)[1] == ["requirements-gpu.txt is not read: name it in evalsite/pins.py."]


def test_requirements_of_benchmarks_are_exact_too_and_may_be_other_versions(tmp_path: Path) -> None:
    for name in (*pins.REQUIREMENTS, pins.CONSTRAINTS):
        (tmp_path / name).write_text("attrs==1.0\n")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "requirements-load.txt").write_text("attrs==2.0\nlocust>=2\n")
    assert pins.read_pins(tmp_path) == (
        {"attrs": "1.0"},
        ["benchmarks/requirements-load.txt line 2: 'locust>=2' is no exact version: write name==version."],
    )


def test_a_licence_is_told_in_words() -> None:
    assert pins.licence_of(distribution("Django")) == "BSD-3-Clause"
