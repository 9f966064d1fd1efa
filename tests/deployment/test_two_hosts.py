"""Two hosts, one site: pages here, images there, and nothing between them but PostgreSQL, Redis and a bucket."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import Count
from pytest_django.fixtures import Settings

from arena import fitting, raters, vote_chain
from arena.counted_votes import counts_by_criterion
from arena.models import Ballot, Rater, Study, Vote
from generation.models import Image
from tests.deployment.host import ROOT, Host
from tests.deployment.typed import played
from tests.generation.conftest import tiny_model as tiny_model
from tests.generation.test_image_store import use_s3
from tests.servers import celery_worker
from tests.servers.addresses import wait_until
from tests.servers.redis_server import RedisServer
from tests.servers.s3_server import CREDENTIALS, S3Server
from tests.servers.visitor import Answer, VisitError, Visitor, found
from tests.test_whole_path import PROMPTS, open_study

pytestmark = [pytest.mark.postgres, pytest.mark.torch]
PAIRS = 3
BUCKET = "both-hosts"


@pytest.fixture
def study(
    transactional_db: None, broker: RedisServer, s3_server: S3Server, settings: Settings, tmp_path: Path
) -> Study:
    """An open study whose images are wanted; nobody has made any."""
    use_s3(s3_server, settings, bucket=BUCKET)
    (tmp_path / "three.csv").write_text(PROMPTS)
    call_command("import_prompts", str(tmp_path / "three.csv"), "--name", "Three")
    return open_study(User.objects.create_superuser("ada", password="a long secret"), ballots_per_rater=PAIRS)


@pytest.fixture
def hosts(
    study: Study, broker: RedisServer, s3_server: S3Server, tiny_model: Path, tmp_path: Path
) -> Iterator[tuple[Host, Host]]:
    """One that serves, with the default worker and beat; and one with a GPU, as far as its settings know."""
    places = {
        "SECRET_KEY": str(site.SECRET_KEY),
        "DATABASE_URL": celery_worker.test_database_url(),
        "CELERY_BROKER_URL": broker.url,
        "CACHE_URL": broker.url.replace("/0", "/1"),
        "STORAGE_URL": f"s3://{BUCKET}?endpoint_url={s3_server.endpoint_url}&addressing_style=path",
        "WINRATE_HASHED_STATIC": "off",
        "WEB_CONCURRENCY": "1",
        **CREDENTIALS,
    }
    serving = Host(tmp_path / "serving", places)
    drawing = Host(tmp_path / "drawing", places | {"WINRATE_MODELS_ROOT": str(tiny_model.parent)})
    try:
        add_gpu_host(drawing)
        for unit in ("winrate-web", "winrate-worker", "winrate-beat"):
            serving.start(unit)
        drawing.start("winrate-web")
        wait_until(lambda: is_well(serving) and is_well(drawing), seconds=300, what="both hosts are well")
        yield serving, drawing
    finally:
        Host.stop(serving, drawing)


def add_gpu_host(host: Host) -> None:
    """The last of the three commands of docs/production.md, with the processor in place of a GPU that tests lack."""
    page = (ROOT / "docs" / "production.md").read_text().partition("## A GPU host more")[2].partition("\n## ")[0]
    commands = re.findall(r"^# (.+)$", page.partition("```console")[2].partition("```")[0], re.MULTILINE)
    assert len(commands) == 3 and "add-image-worker gpu0 cuda:0 " in commands[-1]
    told = played(commands[-1].replace("cuda:0", "cpu"), host.place, folder=host.data.parent)
    assert [line for line in told if line.startswith("pip ")] == [
        f"pip install --requirement {ROOT}/requirements-worker.txt --constraint {ROOT}/constraints.txt"
    ]
    assert told[-2:] == ["systemctl daemon-reload", "systemctl enable --now winrate.target winrate-images@gpu0"]
    host.start("winrate-images@gpu0")


def is_well(host: Host) -> bool:
    """Whether its web server answers and sees workers of both kinds; fails where a process has ended."""
    assert host.is_whole(), host.said()
    try:
        with urllib.request.urlopen(f"{host.url}/healthz", timeout=10) as answer:  # noqa: S310 - our own
            return bool(json.load(answer)["status"] == "ok")
    except (urllib.error.URLError, TimeoutError):
        return False


def vote(visitor: Visitor, *, at: Host, other: Host, slug: str) -> Answer:
    """Look at a pair on one host, fetch its images from both, and answer there."""
    address = f"{at.url}/vote/{slug}/"
    page = Answer(url="", content_type="", body=b"")

    def sees_a_pair() -> bool:
        nonlocal page
        page = visitor.get(address)
        return 'name="ballot"' in page.text

    wait_until(sees_a_pair, seconds=120, what="the next pair is there")
    ballot = found(r'name="ballot" value="([0-9a-f]{32})"', page.text, "a ballot")
    for side in ("left", "right"):
        one, same = (visitor.get(f"{host.url}/ballots/{ballot}/{side}.webp") for host in (at, other))
        assert one.content_type == "image/webp" and one.body == same.body
    asked = set(re.findall(r'type="radio" name="(answer\.[a-z-]+)"', page.text))
    return visitor.send(page, address, dict.fromkeys(asked, "left") | {"ballot": ballot})


def all_votes_are_fitted(study: Study) -> bool:
    fits = fitting.newest_fits(study)
    return {criterion: fit.vote_count for criterion, fit in fits.items()} == counts_by_criterion(study)


def test_two_hosts_are_one_site(study: Study, hosts: tuple[Host, Host]) -> None:
    serving, drawing = hosts
    _, token = raters.invite(study=study, most_uses=2)
    visitors = [Visitor(host.url) for host in hosts]
    for visitor, host in zip(visitors, hosts, strict=True):
        visitor.join(f"{host.url}/join/{token}/")
    for host in hosts:  # the invitation was used up here and there
        with pytest.raises(VisitError, match="answered 4"):
            Visitor(host.url).join(f"{host.url}/join/{token}/")

    # Each goes on where the other host left off, the session being in the database.
    for turn in range(PAIRS):
        for visitor in visitors:
            vote(visitor, at=hosts[turn % 2], other=hosts[1 - turn % 2], slug=study.slug)
    for visitor in visitors:
        for host in hosts:  # nobody gets a fourth pair on either
            assert visitor.get(f"{host.url}/vote/{study.slug}/").url.endswith(f"/vote/{study.slug}/done/")

    answered = (
        Ballot.objects.filter(state=Ballot.State.ANSWERED).values("rater").annotate(count=Count("pk")).order_by("rater")
    )
    assert [row["count"] for row in answered] == [PAIRS, PAIRS]
    assert Vote.objects.values("ballot").distinct().count() == 2 * PAIRS
    assert [problem for rater in Rater.objects.all() for problem in vote_chain.check_chain(rater)] == []
    assert Image.objects.count() == 9
    wait_until(lambda: all_votes_are_fitted(study), seconds=120, what="every criterion is fitted to all of its votes")
    for host in hosts:
        kept = [path.name for path in host.data.rglob("*") if path.suffix in (".png", ".webp", ".sqlite3")]
        assert kept == [] and not (host.data / "images").exists()
