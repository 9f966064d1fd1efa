"""A pytest plugin that acts before Django's settings are read: a temporary data folder, `--postgres`."""

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.missing import is_ci

DATABASE_FIXTURES = frozenset(("db", "transactional_db"))
TORCH = ("torch", "diffusers", "transformers", "safetensors", "peft")
PIPELINES = frozenset(("tiny_model", "family_folders"))
"""Fixtures that make small pipelines."""
# Whole boxes and crews, image workers included.
DRAWING = ("tests/faults/", "tests/evalsite/test_single_box.py", "tests/test_whole_path.py")
ROOM_FOR_TESTS = 512 * 1024 * 1024
data_folder = pytest.StashKey[Path]()
postgres_server = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which database."""
    group = parser.getgroup("winrate")
    group.addoption("--postgres", action="store_true", help="run the tests that use a database, on a real PostgreSQL")
    group.addoption(
        "--without-torch", action="store_true", help="leave out what draws images: torch and diffusers are not there"
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Set the environment; a wrapper, because pytest-django reads the settings in this same hook."""
    folder = early_config.stash[data_folder] = Path(tempfile.mkdtemp(prefix="winrate-tests-", dir=_fast_folder()))
    atexit.register(_clean_up, early_config)  # also where pytest gives up before it is configured
    # Other users (PostgreSQL's, where we are root) must be able to pass through to their own folder.
    folder.chmod(0o711)
    (folder / "data" / "static").mkdir(parents=True, mode=0o700)
    os.environ["WINRATE_DATA_DIR"] = str(folder / "data")
    os.environ["WINRATE_HASHED_STATIC"] = "off"  # the live server finds static files by their own names
    os.environ["CELERY_BROKER_URL"] = "memory://"  # tests about a real broker ask for one
    # Before NumPy and torch are there. The sums of tests are small, and the other cores have tests of their own.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    for name in ("DATABASE_URL", "STORAGE_URL", "CACHE_URL", "ALLOWED_HOSTS", "DEBUG"):
        os.environ.pop(name, None)
    if early_config.known_args_namespace.postgres:
        _start_postgres(early_config, folder)
    yield


def _fast_folder() -> str | None:
    memory = Path("/dev/shm")  # noqa: S108 - a unique folder is made below it
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_FOR_TESTS:
        return str(memory)
    return None


def _start_postgres(config: pytest.Config, folder: Path) -> None:
    from tests.servers.postgres import PostgresServer, find_postgres

    if (binaries := find_postgres()) is None:
        pytest.exit("PostgreSQL cannot be had on this machine: its pass is left out.", returncode=1 if is_ci() else 0)
    if getattr(config.known_args_namespace, "numprocesses", None) and "PYTEST_XDIST_WORKER" not in os.environ:
        return  # this process runs no tests; each of those that do has a server of its own
    place = folder / "postgres"
    place.mkdir()
    server = config.stash[postgres_server] = PostgresServer(binaries, place)
    os.environ["DATABASE_URL"] = server.url


def _clean_up(config: pytest.Config) -> None:
    if server := config.stash.get(postgres_server, None):
        server.stop()
    shutil.rmtree(config.stash[data_folder], ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With `--without-torch`, a module that cannot be imported for want of torch holds no tests."""
    report = yield
    is_asked = collector.config.getoption("--without-torch")
    if is_asked and report.failed and any(f"No module named '{name}" in str(report.longrepr) for name in TORCH):
        report.outcome, report.longrepr, report.result = "passed", None, []
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL only tests that use the database count as collected: the others have run on SQLite already.

    Tests of what only PostgreSQL can do (several writers at a time) are collected there alone.
    """
    if config.getoption("--without-torch"):
        items[:] = [item for item in items if not _draws(item)]
    if config.getoption("--postgres"):
        items[:] = [item for item in items if _uses_database(item) and not item.get_closest_marker("once")]
    else:
        items[:] = [item for item in items if not item.get_closest_marker("postgres")]


def pytest_collection_finish() -> None:
    """What was imported stays; the garbage collector need not look at half a million objects again and again."""
    gc.collect()
    gc.freeze()


def _draws(item: pytest.Item) -> bool:
    asked = PIPELINES.intersection(getattr(item, "fixturenames", ()))
    return bool(asked or item.get_closest_marker("torch")) or item.nodeid.startswith(DRAWING)


def _uses_database(item: pytest.Item) -> bool:
    return bool(DATABASE_FIXTURES.intersection(getattr(item, "fixturenames", ()))) or bool(
        item.get_closest_marker("django_db")
    )
