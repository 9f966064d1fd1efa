"""Every kind of cache that the settings name keeps what pages keep, after `migrate` and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection

from arena.charts import rendering
from evalsite import starting
from evalsite.services import caches_of
from evalsite.settings import SETTINGS_TABLE
from tests.arena.views.test_results import chart_address, client_of, voted_study
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.django_db
SCHEMES = ("file", "redis", "database", "memory")


@pytest.fixture
def address(redis_server: RedisServer, tmp_path: Path) -> dict[str, str]:
    """Of a cache of each kind."""
    return {
        **{"file": f"file://{tmp_path}/cache", "redis": redis_server.url.replace("/0", "/1")},
        **{"database": "database://", "memory": "memory://"},
    }


@pytest.fixture
def _tables_go_again() -> Iterator[None]:
    yield
    with connection.cursor() as cursor:
        for table in ("cache", "cache_sums"):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")


def test_these_are_the_kinds_that_the_readme_names() -> None:
    assert set(re.findall(r"(\w+)://", SETTINGS_TABLE["CACHE_URL"].meaning)) <= set(SCHEMES)


@pytest.mark.usefixtures("_tables_go_again")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_chart_is_drawn_once_and_sums_are_kept_beside_it(
    scheme: str, address: dict[str, str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CACHES = caches_of(address[scheme])
    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0)  # and again, as every upgrade does
    starting.refuse_missing_tables()
    study = voted_study(contenders=2)
    drawn = []

    def draw(*_: object) -> bytes:
        drawn.append(1)
        return b"<svg/>"

    monkeypatch.setattr(rendering, "_drawn", draw)
    viewer = client_of()
    answers = [viewer.get(chart_address(study)) for _ in range(2)]
    assert [(one.status_code, one.content) for one in answers] == [(200, b"<svg/>")] * 2 and len(drawn) == 1
    caches["sums"].set("running-total:x", {"a": 1}, None)
    caches["default"].clear()
    assert caches["sums"].get("running-total:x") == (None if scheme in ("redis", "memory") else {"a": 1})


@pytest.mark.usefixtures("_tables_go_again")
def test_a_start_without_the_tables_of_the_cache_says_what_to_do(settings: Any) -> None:
    settings.CACHES = caches_of("database://")
    with pytest.raises(SystemExit, match="the database lacks cache, cache_sums: run `python manage.py migrate` once"):
        starting.refuse_missing_tables()
    call_command("migrate", "--plan", verbosity=0)
    assert not {"cache", "cache_sums"} & set(connection.introspection.table_names())
