"""The test machinery itself: what was left out is noticed, and append-only tables can be emptied between tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from arena.models import AuditEvent

NOTHING: dict[str, list[str]] = {
    "failed": [],
    "error": [],
    "skipped": [],
    "xfailed": [],
    "xpassed": [],
    "deselected": [],
}


@pytest.mark.parametrize(
    ("passed", "tests", "code"),
    [
        (3, {}, 0),
        (3, {"skipped": ["tests/gpu/test_sd3.py::test_on_a_gpu"]}, 0),
        (3, {"skipped": ["tests/arena/test_voting.py::test_one"]}, 1),
        (3, {"deselected": ["tests/test_readme.py::test_one"]}, 1),
        (3, {"xfailed": ["tests/test_readme.py::test_one"]}, 1),
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
