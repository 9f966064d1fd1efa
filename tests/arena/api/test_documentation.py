"""The page about the API says what the API does."""

import json
import re

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client

from arena.api import access
from arena.api.problems import REFUSALS
from arena.api_tokens import REQUESTS_A_MINUTE, USUAL_DAYS
from tests.arena.api.callers import body_of, caller
from tests.arena.factories import make_user

PAGE = (settings.BASE_DIR / "docs" / "api.md").read_text()


@pytest.mark.django_db
def test_every_address_is_documented() -> None:
    rooms = "prompt-sets|checkpoints|recipes|runs|contenders|studies|imports|boards"
    documented = {
        re.sub(r"\{\w+\}", "{}", path)
        for path in re.findall(
            rf"(?:GET |POST |`)(/(?:{rooms})[^`?, ]*)",
            PAGE,
        )
    }
    described = body_of(caller().get("/openapi.json"))["paths"]
    assert documented == {re.sub(r"\{\w+\}", "{}", path.removeprefix("/api/v1")) for path in described}


def test_every_status_and_limit_is_documented() -> None:
    table = PAGE.split("| status | when |")[1]
    assert {int(status) for status in re.findall(r"\b(?:4\d\d|503)\b", table)} == REFUSALS | {405}
    assert f"{REQUESTS_A_MINUTE} requests a minute" in PAGE and f"({USUAL_DAYS} days if nothing is said)" in PAGE
    assert f"up to {access.MOST_REQUEST_BYTES >> 20} MB" in PAGE


@pytest.mark.django_db
def test_the_page_holds_the_description_and_asks_no_other_host() -> None:
    browser = Client()
    assert browser.get("/api/").status_code == 302
    browser.force_login(make_user())
    page = browser.get("/api/").content.decode()
    stored = re.search(r'<script id="api-description" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert stored is not None
    told = json.loads(stored[1])
    assert told["paths"] == body_of(caller().get("/openapi.json"))["paths"] and "/api/v1/studies" in told["paths"]
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources and all(each.startswith(("/", "#")) and not each.startswith("//") for each in sources)
    assert finders.find("ninja/swagger-ui-bundle.js") and finders.find("ninja/swagger-ui.css")
