"""The test machinery itself: what was left out is noticed, and append-only tables can be emptied between tests."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from arena.models import AuditEvent
from tests.shares import share_of

NOTHING: dict[str, list[str]] = {
    "failed": [],
    "error": [],
    "skipped": [],
    "xfailed": [],
    "xpassed": [],
    "deselected": [],
    "unreported": [],
}
OF_EVERY_OUTCOME = """
import pytest

def test_passes(): pass
def test_fails(): raise AssertionError
def test_is_skipped(): pytest.skip("for a reason")
def test_is_left_out(): pass
@pytest.mark.xfail
def test_is_expected_to_fail(): raise AssertionError
@pytest.mark.xfail
def test_is_expected_to_fail_and_passes(): pass
@pytest.fixture
def broken(): raise OSError
def test_stands_on_something_broken(broken): pass
"""


@pytest.mark.parametrize(
    ("passed", "tests", "code"),
    [
        (3, {}, 0),
        (3, {"skipped": ["tests/gpu/test_sd3.py::test_on_a_gpu"]}, 0),
        (3, {"skipped": ["tests/arena/test_voting.py::test_one"]}, 1),
        (3, {"deselected": ["tests/test_readme.py::test_one"]}, 1),
        (3, {"xfailed": ["tests/test_readme.py::test_one"]}, 1),
        (3, {"unreported": ["tests/test_readme.py::test_one"]}, 1),
        (0, {}, 1),
    ],
)
def test_ci_fails_where_a_test_was_left_out(
    passed: int, tests: dict[str, list[str]], code: int, tmp_path: Path
) -> None:
    named = NOTHING | tests
    counts = {"passed": passed} | {outcome: len(found) for outcome, found in named.items()}
    (tmp_path / "outcomes.json").write_text(json.dumps({"counts": counts, "tests": named}))
    ended = subprocess.run(
        [sys.executable, ".ci/outcomes.py", str(tmp_path / "outcomes.json")], cwd=settings.BASE_DIR, capture_output=True
    )
    assert ended.returncode == code


def outcomes_of_a_run(folder: Path, *options: str) -> Any:
    """What `--outcomes` says about the tests in a folder, run by a pytest of their own."""
    (folder / "pytest.ini").write_text("[pytest]")
    plugins = ("no:django", "no:cacheprovider", "tests.outcomes", "tests.shares")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--outcomes=outcomes.json"),
            *(word for plugin in plugins for word in ("-p", plugin)),
            *options,
        ],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(settings.BASE_DIR)},
        capture_output=True,
    )
    return json.loads((folder / "outcomes.json").read_text())


@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_was_left_out_is_written_down_whichever_process_left_it_out(processes: str, tmp_path: Path) -> None:
    for name in ("test_one.py", "test_two.py"):
        (tmp_path / name).write_text(OF_EVERY_OUTCOME)
    (tmp_path / "test_skipped_as_a_whole.py").write_text("import pytest\npytest.skip(allow_module_level=True)")
    outcomes = outcomes_of_a_run(tmp_path, "-n", processes, "-k", "not is_left_out")

    def twice(test: str) -> list[str]:
        return [f"test_one.py::test_{test}", f"test_two.py::test_{test}"]

    assert outcomes == {
        "counts": {
            "passed": 2,
            "failed": 2,
            "error": 2,
            "skipped": 3,
            "xfailed": 2,
            "xpassed": 2,
            "deselected": 2,
            "unreported": 0,
        },
        "tests": {
            "failed": twice("fails"),
            "error": twice("stands_on_something_broken"),
            "skipped": sorted([*twice("is_skipped"), "test_skipped_as_a_whole.py"]),
            "xfailed": twice("is_expected_to_fail"),
            "xpassed": twice("is_expected_to_fail_and_passes"),
            "deselected": twice("is_left_out"),
            "unreported": [],
        },
    }


def test_a_file_is_one_share_and_all_fault_tests_are_another() -> None:
    assert share_of("tests/test_readme.py::test_one") == share_of("tests/test_readme.py::test_two[a/b::c]")
    assert share_of("tests/faults/test_redis_faults.py::test_one") == share_of(
        "tests/faults/test_killed_workers.py::test_two"
    )
    assert share_of("tests/faults/test_redis_faults.py::test_one") != share_of("tests/test_readme.py::test_one")


def test_a_test_that_no_process_reported_is_not_forgotten(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_fails(): raise AssertionError\ndef test_comes_later(): pass")
    outcomes = outcomes_of_a_run(tmp_path, "-x")
    assert outcomes["tests"]["unreported"] == ["test_one.py::test_comes_later"]


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_emptying_the_database_keeps_the_triggers_that_refuse_changes() -> None:
    def triggers() -> set[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            return {name for (name,) in cursor.fetchall()}

    before = triggers()
    AuditEvent.objects.create(act="something")
    call_command("flush", interactive=False, verbosity=0)
    assert AuditEvent.objects.count() == 0
    assert {"arena_vote_refuses_delete", "arena_vote_refuses_update"} <= before == triggers()
