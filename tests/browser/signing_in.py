"""A researcher's window, signed in."""

from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page

from tests.arena.factories import make_user


def sign_in(page: Page) -> None:
    """As the owner of the tests' studies."""
    client = Client()
    client.force_login(make_user())
    page.goto(reverse("arena:login"))
    site = page.evaluate("location.origin")
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": f"{site}/"}])
