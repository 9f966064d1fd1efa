"""Browser fixtures: rater's and researcher's windows in a real Chromium that may talk to our own server only."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.open_requests import OpenRequests

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DESK = {"width": 1440, "height": 900}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}

PATIENCE = 30_000  # milliseconds; a test machine may be busy with ten other things

OpenWindow = Callable[..., Page]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: into the documentation where that is asked for, else nowhere that stays."""
    folder = REPOSITORY / "docs" / "images" if os.environ.get("SCREENSHOTS") == "1" else tmp_path / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def open_window(chromium: Browser, live_server: LiveServer) -> Iterator[OpenWindow]:
    """A function that opens a fresh window (no cookies). At the end: no script error, no refused or foreign request.

    LATENCY=700 lets every request take so many milliseconds longer: a test that presses keys before the script is
    there fails then every time, instead of once in a hundred runs. (Tests that take the line away do not run with it.)
    """
    expect.set_options(timeout=PATIENCE)
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def watch_console(message: ConsoleMessage) -> None:
        # A failed request is a console error too; tests that make requests fail look at the page instead.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def watch_request(request: Request) -> None:
        if not request.url.startswith((f"{live_server.url}/", "data:")):
            complaints.append(f"a request to {request.url}")

    def open_one(**options: Any) -> Page:
        context = chromium.new_context(base_url=live_server.url, **{"viewport": DESK, **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", watch_console)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", watch_request)
        if milliseconds := int(os.environ.get("LATENCY", "0")):
            network = context.new_cdp_session(page)
            network.send("Network.enable")
            slow = {"offline": False, "latency": milliseconds, "downloadThroughput": -1, "uploadThroughput": -1}
            network.send("Network.emulateNetworkConditions", slow)
        return page

    with OpenRequests() as requests:
        yield open_one
        for context in contexts:
            context.close()
        assert requests.are_answered_within(PATIENCE / 1000), "a request is unanswered long after its window was closed"
    assert complaints == []
