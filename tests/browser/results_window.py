"""What a researcher sees on the results page, for tests: signed in, its charts drawn."""

from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.arena.factories import make_user


def sign_in(page: Page) -> None:
    """As the owner of the tests' studies."""
    client = Client()
    client.force_login(make_user())
    page.goto(reverse("arena:login"))
    site = page.evaluate("location.origin")
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": f"{site}/"}])


def draw_charts(page: Page) -> int:
    """Bring every chart that is not folded away into sight and wait until it is drawn; returns how many there are."""
    expect(page.locator("#results")).to_be_visible()
    page.wait_for_load_state()  # the whole page has arrived, so that all charts can be counted
    charts = page.locator("figure img").filter(visible=True)
    number = charts.count()
    for chart in (charts.nth(each) for each in range(number)):
        chart.scroll_into_view_if_needed()  # charts load when they come near the window
        expect(chart).to_have_js_property("complete", True)
        expect(chart).not_to_have_js_property("naturalWidth", 0)
    page.evaluate("scrollTo(0, 0)")
    return number
