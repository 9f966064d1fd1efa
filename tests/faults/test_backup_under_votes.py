"""A backup taken while people vote, restored elsewhere: everything acknowledged before is there, and fits the same."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from arena import fitting, raters
from arena.models import Ballot, Vote
from generation.models import Image
from tests.arena import factories
from tests.faults.scale import SCALE
from tests.faults.voters import Crowd, assert_nothing_lost_or_doubled
from tests.servers import celery_worker
from tests.servers.mortal_web import WebServer
from tests.servers.postgres import PostgresServer

Measured = Callable[[str], None]
MOST_DIFFERENCE = 1e-9


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings of another machine: an empty data folder, and an empty database of the same kind."""
    environment = {"WINRATE_DATA_DIR": str(tmp_path / "elsewhere"), "SECRET_KEY": settings.SECRET_KEY}
    if connection.vendor == "sqlite":
        yield environment
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    server.administer("CREATE DATABASE elsewhere")
    here = celery_worker.test_database_url()
    yield environment | {"DATABASE_URL": f"{here.rpartition('/')[0]}/elsewhere"}
    server.administer("DROP DATABASE elsewhere")


@pytest.mark.django_db(transaction=True)
def test_f20_a_backup_under_votes_restored_elsewhere_holds_all_and_fits_the_same(
    elsewhere: dict[str, str], measured: Measured, tmp_path: Path
) -> None:
    study = factories.make_study(
        slug="benchmark", contenders=5, prompts=SCALE.images, with_text=SCALE.images, ballots_per_rater=None
    )
    _, token = raters.invite(study=study)
    web = WebServer(database_url=celery_worker.test_database_url(), log=tmp_path / "web.log")
    try:
        crowd = Crowd(web.url, token, study, raters=SCALE.raters, rate=SCALE.vote_rate)
        with crowd.voting() as told:
            crowd.wait_for_answers(5 * SCALE.raters)
            before, began = set(told.acknowledged), time.monotonic()
            call_command("backup", str(tmp_path / "backup"), stdout=StringIO())
            seconds = time.monotonic() - began
            crowd.wait_for_answers(SCALE.raters)
    finally:
        web.stop()
    ballots = assert_nothing_lost_or_doubled(told, questions=len(crowd.questions))
    restored = told_by(elsewhere, tmp_path / "backup")
    assert (restored["problems"], restored["lost"]) == ([], [])
    assert before <= set(restored["ballots"]) <= set(told.acknowledged)
    assert restored["votes"] == len(crowd.questions) * len(restored["ballots"])
    assert restored["images"] == sorted(Image.objects.values_list("file_sha256", flat=True))
    # What came after the dump is set aside here, so that both fit the very same votes.
    Ballot.objects.exclude(token__in=restored["ballots"]).filter(state="answered").update(state="superseded")
    here = {fit.criterion.key: json.loads(json.dumps(fit.results, default=str)) for fit in fitting.refit(study)}
    difference = largest_difference(here, restored["fits"])
    assert difference <= MOST_DIFFERENCE
    assert Vote.objects.count() > restored["votes"], "nobody voted after the dump: it was taken under no load"
    measured(
        f"{len(before)} ballots acknowledged before the backup, {len(restored['ballots'])} in it, {ballots} in all;"
        f" {len(restored['images'])} images, every hash right; fits differ by {difference:.1g};"
        f" the backup took {seconds:.1f} s"
    )


def told_by(environment: dict[str, str], backup: Path) -> dict[str, Any]:
    """What a process with those settings finds after it has restored."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "STORAGE_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.restored_site", str(backup)],
        cwd=settings.BASE_DIR,
        env=inherited | {"DJANGO_SETTINGS_MODULE": "evalsite.settings"} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def largest_difference(one: Any, other: Any, at: str = "fits") -> float:
    """Between all numbers of two nested results; everything else has to be equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), at
        return max((largest_difference(one[key], other[key], f"{at}.{key}") for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other), at
        pairs = enumerate(zip(one, other, strict=True))
        return max((largest_difference(*pair, f"{at}[{place}]") for place, pair in pairs), default=0.0)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other)
    assert one == other, at
    return 0.0
