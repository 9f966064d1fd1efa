"""Pages that say no or fail: the same headers as all others, and nothing of our secrets."""

import json
import logging
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from arena import raters
from arena.api import studies as api_studies
from tests.arena.api.callers import caller, problem
from tests.security.test_access_matrix import check_headers

pytestmark = pytest.mark.django_db
PRIVATE = "postgres://winrate:hunter2@db/winrate"


def test_refusals_carry_the_headers_of_every_page() -> None:
    strict, browser = Client(enforce_csrf_checks=True), Client()
    too_long: dict[str, Any] = {"CONTENT_LENGTH": str(10**12)}
    refusals = (
        (400, browser.get("/?q=%00")),
        (400, browser.get("/", headers={"Host": "elsewhere.example"})),
        (401, browser.get("/api/v1/studies")),
        (403, strict.post(reverse("arena:login"))),
        (404, browser.get("/nowhere")),
        (404, browser.get("/static/nothing.svg")),
        (405, browser.get(reverse("arena:logout"))),
        (413, browser.generic("POST", reverse("arena:login"), b"", **too_long)),
    )
    for status, reply in refusals:
        assert reply.status_code == status
        check_headers(reply.headers)


def test_a_fault_tells_nothing_of_its_reason(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        address, _key = PRIVATE, settings.SECRET_KEY  # what a page of Django's own would list
        raise RuntimeError(f"cannot reach {address}")

    monkeypatch.setattr(raters, "invitation_of", fail)
    browser = Client(raise_request_exception=False)
    with caplog.at_level(logging.ERROR):
        reply = browser.get(reverse("arena:join", args=["a-token-of-somebody"]))
    assert reply.status_code == 500 and "on our side" in reply.content.decode()
    check_headers(reply.headers)
    call = caller("ada")
    monkeypatch.setattr(api_studies, "person", fail)
    said = json.dumps(problem(call.get("/studies"), 500))
    for text in (reply.content.decode(), said, str(reply.headers)):
        for secret in (PRIVATE, "hunter2", settings.SECRET_KEY, "RuntimeError", "Traceback", __file__):
            assert secret not in text
    assert settings.SECRET_KEY not in caplog.text  # locals are in no traceback of the log
