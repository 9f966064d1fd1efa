"""docs/statistics.md is held to the engine: every module has its place there, and every test it names exists."""

import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PAGE = (ROOT / "docs" / "statistics.md").read_text()
# The fits of study pages as they were before the engine.
FORMER = {"bradley_terry", "clusters", "resampling", "uncertainty"}


def test_every_module_of_the_engine_is_explained() -> None:
    modules = {path.stem for path in (ROOT / "arena" / "ranking").glob("*.py")} - {"__init__"} - FORMER
    named = set(re.findall(r"`([a-z_]+)(?:\.[a-z_]+)?`", PAGE))
    assert modules - named == set()


def test_every_test_that_the_page_names_exists_and_every_test_of_the_engine_is_named() -> None:
    named = {Path(name).name for name in re.findall(r"`([\w/]*test_\w+\.py)`", PAGE)}
    folder = ROOT / "tests" / "arena"
    assert {name for name in named if not list(folder.rglob(name))} == set()
    own = {path.name for path in (folder / "ranking").glob("test_*.py")} - {f"test_{name}.py" for name in FORMER}
    # Half wins have choix's opinion in a module of their own, which the page names without its test.
    assert own - named <= {"test_cross_check.py"}
