"""A visitor without JavaScript, over real HTTP: cookies, redirects and forms, and nothing of Django."""

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass


class VisitError(Exception):
    """What the visitor stumbled over."""


@dataclass(frozen=True)
class Answer:
    """What came back after all redirects."""

    url: str
    content_type: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Visitor:
    """One browser; its cookies stay with it."""

    def __init__(self, site: str) -> None:
        self.site = site
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)

    def get(self, path: str) -> Answer:
        """Look at an address of the site."""
        return self._open(path, None)

    def submit(self, path: str, **fields: str) -> Answer:
        """Look at a page that has a form and send it with these fields."""
        return self.send(self.get(path), path, fields)

    def send(self, page: Answer, path: str, fields: dict[str, str]) -> Answer:
        """Send the form of a page that was looked at before."""
        token = found(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text, f"a form on {path}")
        return self._open(path, urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token}).encode())

    def join(self, link: str) -> str:
        """Agree to take part and say that the instructions were read; returns the address of the vote page."""
        page = self.submit(link)
        if 'name="read"' in page.text:
            page = self.send(page, page.url, {"read": "1"})
        return page.url

    def _open(self, path: str, data: bytes | None) -> Answer:
        url = urllib.parse.urljoin(self.site, path)
        try:
            with self._opener.open(url, data, timeout=30) as reply:
                return Answer(url=reply.url, content_type=reply.headers.get_content_type(), body=reply.read())
        except urllib.error.HTTPError as refusal:
            raise VisitError(f"{url} answered {refusal.code}: {refusal.read()[:500]!r}") from refusal


def found(pattern: str, text: str, what: str) -> str:
    """The first group of a pattern that must occur."""
    if (match := re.search(pattern, text)) is None:
        raise VisitError(f"{what} is missing in:\n{text[-3000:]}")
    return match[1]
