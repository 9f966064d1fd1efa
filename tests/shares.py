"""A pytest plugin for `-n`: which of several processes runs which tests, and what comes first."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# One process takes all tests of such a folder, because they share what is slow to start.
TOGETHER = ("tests/faults/",)
# What takes long goes first, so that all processes have enough to do until the end.
FIRST = (
    "tests/faults/",
    "tests/deployment/test_two_hosts.py",
    "tests/evalsite/test_single_box.py",
    "tests/test_whole_path.py",
    "tests/browser/test_researchers_walk.py",
    "tests/browser/test_vote_",
    "tests/browser/",
    "tests/deployment/",
    "tests/generation/training/",
    "tests/generation/",
    "tests/arena/",
)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Whole files go to one process, for the sake of what their tests share."""

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


def share_of(nodeid: str) -> str:
    """A test's file, or the folder that is kept together."""
    path = nodeid.partition("::")[0]
    return next((folder for folder in TOGETHER if path.startswith(folder)), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Shares are handed out in the order of collection."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put them into that order; a process that runs all tests keeps pytest-django's."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.nodeid))


def _turn(nodeid: str) -> int:
    return next((turn for turn, start in enumerate(FIRST) if nodeid.startswith(start)), len(FIRST))
