"""The API's page in a real Chromium: Swagger UI under the content security policy, from this site alone."""

from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.signing_in import sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


def test_operations_are_listed_and_open(open_window: OpenWindow, tmp_path: Path) -> None:
    page = open_window()
    sign_in(page)
    page.goto(reverse("arena:api_docs"))
    expect(page.get_by_role("heading", name="API", exact=True)).to_be_visible()
    operation = page.locator("#operations-studies-arena_api_studies_get_results")
    expect(operation).to_be_visible()
    operation.get_by_role("button").first.click()
    expect(operation.get_by_text("The newest fit of each criterion under the settings of now.").last).to_be_visible()
    page.screenshot(path=tmp_path / "api.png")
