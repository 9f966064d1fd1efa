"""A pytest plugin for `--outcomes`: which tests did not plainly pass, over all processes that ran tests."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
collected = pytest.StashKey[set[str]]()
deselected = pytest.StashKey[set[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to write to."""
    parser.getgroup("winrate").addoption(
        "--outcomes", metavar="FILE", help="write every test that did not plainly pass to this JSON file"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Nothing is known yet."""
    config.stash[collected] = set()
    config.stash[deselected] = set()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Whatever leaves tests out says so here."""
    for item in items:
        item.config.stash[deselected].add(item.nodeid)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is to run, where no other process runs it."""
    session.config.stash[collected].update(item.nodeid for item in session.items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process that runs a share of the tests tells the first one what it was told to leave out."""
    left_out = session.config.stash[deselected]
    if (told := getattr(session.config, "workeroutput", None)) is not None:
        told["deselected"] = list(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Iterable[str]) -> None:
    """Every process collects all tests; each runs a share."""
    node.config.stash[collected].update(ids)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process has ended; one that crashed tells nothing, but its test counts as failed."""
    node.config.stash[deselected].update(getattr(node, "workeroutput", {}).get("deselected", ()))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the outcomes, so that a test that was left out cannot hide in a green run."""
    if not (path := config.getoption("--outcomes")):
        return
    # A module that is skipped as a whole is reported by every process.
    named = {outcome: {report.nodeid for report in terminalreporter.stats.get(outcome, [])} for outcome in OUTCOMES}
    named["deselected"] = config.stash[deselected]
    named["unreported"] = config.stash[collected].difference(*named.values())
    counts = {outcome: len(tests) for outcome, tests in named.items()}
    del named["passed"]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(
        json.dumps({"counts": counts, "tests": {name: sorted(named[name]) for name in named}}, indent=2)
    )
