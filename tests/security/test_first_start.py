"""Nobody can make an account for themselves, and no install comes with a password, a token or open ports."""

import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads

from arena.models import ApiToken, Invitation
from evalsite.box import first_start
from evalsite.celery import app
from tests.security.addresses import routes
from tests.security.cast_of_characters import set_scene
from tests.security.test_access_matrix import address, site_routes

pytestmark = pytest.mark.django_db
WISHES = {
    **dict.fromkeys(("username", "name"), "mallory"),
    **dict.fromkeys(("password", "password1", "password2", "new_password1", "new_password2"), "correct horse battery"),
    **dict.fromkeys(("is_staff", "is_superuser", "is_active"), "on"),
    **{"email": "mallory@elsewhere.example", "kind": "administrator", "role": "owner"},
}


@pytest.mark.once
def test_nobody_signs_up() -> None:
    assert not [name for name in routes() if re.search(r"sign_?up|register", name)]
    scene = set_scene()
    before = list(User.objects.order_by("pk").values())
    for name in site_routes():
        scene.browsers["anonymous"].post(address(name, scene), WISHES)
    for persona in ("owner", "other researcher", "staff"):  # nor do accounts make themselves larger
        for name in ("arena:people", "arena:members", "arena:password_change", "arena:new_study"):
            scene.browsers[persona].post(address(name, scene), WISHES)
    assert list(User.objects.order_by("pk").values()) == before


def test_a_new_database_lets_nobody_in_and_each_first_password_is_another() -> None:
    assert not User.objects.exists() and not ApiToken.objects.exists() and not Invitation.objects.exists()
    told = set()
    for _ in range(3):
        name, password = first_start.ensure_administrator()
        assert password is not None and len(password) >= 16 and Client().login(username=name, password=password)
        told.add(password)
        User.objects.all().delete()
    assert len(told) == 3


def test_no_file_of_the_install_names_a_password_or_a_key() -> None:
    root = Path(settings.BASE_DIR)
    given = re.compile(
        r"(?i)(secret_key|password|passwd|api_?key|token)\s*=\s*[\"']?(?!\"?SECRET_KEY\")[A-Za-z0-9+/_-]{8,}"
    )
    within_an_address = re.compile(r"(?i)://[^\s/@:'\"]*:(?![<$%{\[])[^\s/@'\"]{3,}@")
    site = (f"evalsite/{name}.py" for name in ("settings", "places", "services"))
    names = ("Makefile", "README.md", "manage.py", *site, ".ci/run")
    files = [*(root / name for name in names), *(file for file in (root / "deploy").rglob("*") if file.is_file())]
    read = {str(file.relative_to(root)): file.read_text() for file in files if file.suffix != ".pyc"}
    assert {"deploy/winrate.env.sample", "deploy/compose/compose.yaml", "deploy/compose/Dockerfile"} <= read.keys()
    for name, text in read.items():
        assert [found.group() for found in given.finditer(text)] == [], name
        if name.startswith("deploy/"):
            assert within_an_address.findall(text) == [], name
    # What the patterns are for.
    assert given.search("SECRET_KEY='abcdefgh12345'") and within_an_address.search("redis://:winrate@redis:6379/0")
    assert not within_an_address.search("redis://:<password>@127.0.0.1:6379/0 redis://:${REDIS_PASSWORD}@redis:6379")


class Canary:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_message_that_is_not_json_is_not_opened(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    accepted = app.conf.accept_content
    assert (accepted, app.conf.task_serializer, app.conf.result_accept_content) == (["json"], "json", None)
    message = pickle.dumps(Canary(canary))
    for kind in ("application/x-python-serialize", "pickle", "application/x-yaml", "application/x-msgpack"):
        with pytest.raises(ContentDisallowed):
            loads(message, kind, "binary", accept=accepted)
    assert not canary.exists()
    pickle.loads(message)  # noqa: S301 - the canary sings where somebody opens it
    assert canary.exists()
