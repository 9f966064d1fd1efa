"""The page about the API says what the API does."""

import re

import pytest
from django.conf import settings

from arena.api import access
from arena.api.problems import REFUSALS
from arena.api_tokens import REQUESTS_A_MINUTE, USUAL_DAYS
from tests.arena.api.callers import body_of, caller

PAGE = (settings.BASE_DIR / "docs" / "importing_images.md").read_text().split("# The API\n")[1]


@pytest.mark.django_db
def test_every_address_is_documented() -> None:
    documented = {
        re.sub(r"\{\w+\}", "{}", path)
        for path in re.findall(r"(?:GET |POST |`)(/(?:prompt-sets|contenders|studies)[^`?, ]*)", PAGE)
    }
    described = body_of(caller().get("/openapi.json"))["paths"]
    assert documented == {re.sub(r"\{\w+\}", "{}", path.removeprefix("/api/v1")) for path in described}


def test_every_status_and_limit_is_documented() -> None:
    table = PAGE.split("| status | when |")[1]
    assert {int(status) for status in re.findall(r"\b4\d\d\b", table)} == REFUSALS | {405}
    assert f"{REQUESTS_A_MINUTE} requests a minute" in PAGE and f"({USUAL_DAYS} days if nothing is said)" in PAGE
    assert f"up to {access.MOST_REQUEST_BYTES >> 20} MB" in PAGE
