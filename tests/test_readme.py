"""The README is held to the code: its settings table, its commands, its pictures. So is the list of attacks."""

import re
from pathlib import Path

from django.conf import settings
from django.core.management import get_commands

from evalsite.environment import as_markdown

ROOT = Path(settings.BASE_DIR)
README = (ROOT / "README.md").read_text()


def test_the_settings_table_is_the_one_in_the_code() -> None:
    shown = [line for line in README.splitlines() if re.match(r"\| (variable|`[A-Z_]+`) \|", line)]
    wanted = [line for line in as_markdown(settings.SETTINGS_TABLE).splitlines() if not line.startswith("|---")]
    assert shown == wanted, f"paste this into README.md:\n{as_markdown(settings.SETTINGS_TABLE)}"


def test_every_command_it_names_exists() -> None:
    named = set(re.findall(r"manage\.py ([a-z_]+)", README))
    assert named and named - set(get_commands()) == set()


def test_every_command_of_ours_is_named() -> None:
    ours = {name for name, app in get_commands().items() if app in ("generation", "arena")}
    assert ours - set(re.findall(r"manage\.py ([a-z_]+)", README)) == set()


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)`", README)) | set(re.findall(r"^\$ make ([a-z-]+)", README, re.MULTILINE))
    assert {"up", "test"} <= named
    assert named - targets == set()


def test_every_file_it_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", README) if "://" not in link]
    assert links and [link for link in links if not (ROOT / link).exists()] == []


def _tests_on(listed: str) -> list[tuple[str, str]]:
    """Files and tests that a page names; they must exist."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", listed)
    assert [name for file, name in named if f"def {name}(" not in (ROOT / file).read_text()] == []
    return named


def test_every_test_that_the_list_of_defences_names_exists() -> None:
    listed = (ROOT / "docs" / "security.md").read_text()
    ids = re.findall(r"\b[ABD][0-3]?\d\b", listed)
    wanted = {f"A{number:02}" for number in range(1, 20)} | {f"B{number:02}" for number in range(1, 31)}
    assert set(ids) == wanted | {f"D{number}" for number in range(1, 6)} and len(ids) == len(set(ids))
    assert len(_tests_on(listed)) >= len(ids) - 10  # some prove several


def test_every_test_that_the_list_of_attacks_names_exists() -> None:
    listed = (ROOT / "docs" / "attacks.md").read_text()
    named = _tests_on(listed)
    ids = set(re.findall(r"\b[VP][01]\d\b", listed))
    assert ids == {f"V{number:02}" for number in range(1, 16)} | {f"P{number:02}" for number in range(1, 7)}
    assert len(named) >= len(ids) - 3  # V06 to V09 share one test
