"""A pytest plugin for `-n`: which of several processes runs which tests."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Processes of the first kind are shared by all tests of their folder, and they mostly wait.
TOGETHER = ("tests/faults/",)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Whole files go to one process, for the sake of what their tests share; some folders do."""

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


def share_of(nodeid: str) -> str:
    """What a test is kept together with."""
    path = nodeid.partition("::")[0]
    return next((folder for folder in TOGETHER if path.startswith(folder)), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Shares are handed out in the order of collection."""
    config.option.loadscopereorder = False
    return ByFile(config, log)
