"""A web host with the settings of production serves people, and torch has no part in it, installed or not."""

import http.cookiejar
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User

from arena import raters
from tests.arena.factories import make_study, make_user
from tests.deployment.host import Host
from tests.servers import celery_worker
from tests.servers.addresses import wait_until
from tests.servers.redis_server import RedisServer
from tests.servers.visitor import VisitError, Visitor

pytestmark = pytest.mark.once


class VisitorByHttps(Visitor):
    """Somebody whose https ends at a proxy of ours: what the site is told then."""

    def __init__(self, site: str) -> None:
        super().__init__(site)
        policy = http.cookiejar.DefaultCookiePolicy(secure_protocols=("http", "https"))
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar(policy))
        self._opener = urllib.request.build_opener(cookies)
        told = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
        self._opener.addheaders = [*told.items(), ("Referer", site.replace("http:", "https:") + "/")]


@pytest.fixture
def host(transactional_db: None, broker: RedisServer, tmp_path: Path) -> Iterator[Host]:
    """A host that serves the test's database and images."""
    images = settings.STORAGES["images"]["OPTIONS"]["location"]
    host = Host(
        tmp_path,
        {
            "SECRET_KEY": str(settings.SECRET_KEY),
            "ALLOWED_HOSTS": "127.0.0.1",
            "WINRATE_HTTPS": "on",
            "WINRATE_TRUSTED_PROXIES": "1",
            "DATABASE_URL": celery_worker.test_database_url(),
            "CELERY_BROKER_URL": broker.url,
            "STORAGE_URL": f"file://{images}",
            "WINRATE_HASHED_STATIC": "off",
            "WEB_CONCURRENCY": "1",
        },
    )
    yield host
    host.stop()


def is_well(visitor: Visitor, host: Host) -> bool:
    """On a busy machine a part may be silent at first."""
    assert host.is_whole(), host.said()
    try:
        health, ready = (json.loads(visitor.get(path).body) for path in ("/healthz", "/readyz"))
    except (OSError, VisitError):
        return False
    return bool(health["parts"]["database"]["ok"] and ready["ready"])


def test_people_sign_in_and_vote_where_no_torch_is_loaded(host: Host) -> None:
    study = make_study()
    ada = make_user(is_superuser=True)
    password = PBKDF2PasswordHasher().encode("a long secret", "salt")  # the quick ones of tests are not known there
    User.objects.filter(pk=ada.pk).update(password=password)
    _, token = raters.invite(study=study)
    host.start("winrate-web")
    visitor = VisitorByHttps(host.url)
    wait_until(lambda: is_well(visitor, host), seconds=120, what="the web server answers and is well")

    page = visitor.submit("/accounts/login/", username="ada", password="a long secret")
    assert "/accounts/login/" not in page.url and "Sign out" in page.text
    rater = VisitorByHttps(host.url)
    assert 'name="ballot"' in rater.get(rater.join(f"/join/{token}/")).text

    serving = [one for one in psutil.Process().children(recursive=True) if "gunicorn" in " ".join(one.cmdline())]
    assert len(serving) == 2
    for process in serving:
        loaded = Path(f"/proc/{process.pid}/maps").read_text()
        assert "numpy" in loaded and "torch" not in loaded
