"""What no page takes is refused for everybody: more bytes than it reads, before any is read, and the character NUL."""

import re
from typing import Any

import pytest
from django.test import Client
from django.test.client import FakePayload
from django.urls import Resolver404, resolve, reverse

from arena.views.request_limits import USUAL_BYTES
from tests.security.addresses import routes

pytestmark = pytest.mark.django_db
# They take files and ask for the length themselves, once they know who sends them.
ASK_THEMSELVES = ("arena:upload_files", "arena:upload_prompts")
LARGER = {"arena:new_import": 64 * 2**20, "arena:new_study": 20 * 2**20}


class Unread(FakePayload):
    """A body that fails the test that reads it."""

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        raise AssertionError("the body was read")


def send(path: str, *, length: int) -> Any:
    """A form with a file, whose token is looked for by reading all of it."""
    browser = Client(enforce_csrf_checks=True)
    browser.cookies["csrftoken"] = "a" * 32
    said = {"CONTENT_LENGTH": str(length), "CONTENT_TYPE": "multipart/form-data; boundary=x"}
    more: dict[str, Any] = said | {"wsgi.input": Unread(b"--x")}
    return browser.generic("POST", path, **more)


def with_a_view() -> dict[str, tuple[str, Any]]:
    """Addresses of most routes, by name, with their views."""
    found = {}
    for name, pattern in routes().items():
        digits = pattern.replace(r"\d{1,9}", "1").replace("[0-9a-f]{32}", "0" * 32)
        path = "/" + re.sub(r"\(\?P<\w+>([^)|]*)[^)]*\)|<[^>]+>", lambda each: each.group(1) or "1", digits)
        path = re.sub(r"[\\^$]", "", path).replace("[-w]+", "1")
        try:
            found[name] = (path, resolve(path).func)
        except Resolver404:
            continue
    return found


def test_no_page_reads_more_than_it_takes_whoever_sends_it() -> None:
    found = with_a_view()
    assert len(found) > len(routes()) * 0.95
    for name, (path, view) in found.items():
        most = getattr(view, "most_request_bytes", USUAL_BYTES)
        if name in ASK_THEMSELVES or name.startswith("api:"):
            assert most is None and send(path, length=10 * 2**30).status_code in (302, 401, 404, 405), name
        else:
            assert most is not None and most <= LARGER.get(name, USUAL_BYTES), name
    with pytest.raises(AssertionError, match="the body was read"):  # what is small enough is read
        send(reverse("arena:login"), length=USUAL_BYTES)
    for path in (reverse("arena:login"), reverse("arena:join", args=["x"]), "/admin/login/"):
        assert send(path, length=USUAL_BYTES + 1).status_code == 413, path


def test_pages_that_say_no_read_nothing_of_what_they_refuse() -> None:
    for path in ("/nowhere", "/api/v1/nowhere", reverse("arena:upload_prompts"), "/with/a/pass"):
        assert send(path, length=1000).status_code in (302, 401, 404), path
    browser = Client(enforce_csrf_checks=True)
    browser.cookies["csrftoken"] = "a" * 32
    for kind in ("multipart/form-data", "multipart/form-data; boundary=\u00e9", "application/json; charset=nothing"):
        more: dict[str, Any] = {"CONTENT_TYPE": kind}
        assert browser.generic("POST", "/nowhere", b"--x", **more).status_code == 404, kind


def test_too_much_is_a_sentence_that_says_how_much_may_come() -> None:
    page = send(reverse("arena:login"), length=10**12)
    assert "This page takes at most 4 MB at once. Send less." in page.content.decode()
    more: dict[str, Any] = {"CONTENT_LENGTH": "²"}  # a digit to Python, and no number
    assert Client().generic("POST", reverse("arena:login"), b"", **more).status_code in (400, 413)


def test_the_character_nul_is_refused_in_addresses_and_forms() -> None:
    browser = Client()
    for path in (reverse("arena:home"), "/admin/login/", reverse("arena:join", args=["x"])):
        assert browser.get(f"{path}?q=a%00").status_code == 400, path
    assert browser.get("/join/a%00b/").status_code == 400
    assert browser.post(reverse("arena:login"), {"username": "a\0", "password": "x"}).status_code == 400
