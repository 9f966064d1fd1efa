"""The site as it stands in production: gunicorn and nginx of deploy/, over https."""

import http.client
import re
import socket
import ssl
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers.nginx import HOST, NginxServer, as_it_is
from tests.servers.web_server import WebServer

StartSite = Callable[..., "Site"]
NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Reply:
    """One answer, no redirect followed."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Site:
    """nginx with the web server behind it."""

    nginx: NginxServer

    def browser(self) -> "Browser":
        """Somebody new."""
        return Browser(self)

    def request(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        """One request by https under the site's own name, the path sent as it is."""
        context = ssl.create_default_context(cafile=str(self.nginx.certificate))
        raw = socket.create_connection(("127.0.0.1", self.nginx.https), timeout=60)
        connection = http.client.HTTPSConnection(HOST, timeout=60)
        connection.sock = context.wrap_socket(raw, server_hostname=HOST)
        try:
            connection.request(method, path, body=body or None, headers={"Connection": "close", **(headers or {})})
            answer = connection.getresponse()
            return Reply(answer.status, _joined(answer.getheaders()), answer.read())
        finally:
            connection.close()


def _joined(headers: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


@dataclass
class Browser:
    """A rater's browser without JavaScript; cookies stay with it."""

    site: Site
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Reply:
        """One page; headers are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._kept(self.site.request("GET", path, {"Cookie": self._cookie(), **named}))

    def submit(self, path: str, page: Reply, headers: Mapping[str, str] = NONE, **fields: str) -> Reply:
        """Send the form of a page as a browser does, with the origin that it sees."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert token, page.text
        body = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token[1]}).encode()
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"https://{HOST}", **headers}
        return self._kept(self.site.request("POST", path, {"Cookie": self._cookie(), **sent}, body))

    def join(self, path: str) -> str:
        """Agree to take part; where the vote page is."""
        reply = self.submit(path, self.get(path))
        assert reply.status == 302, reply.text
        return reply.headers["Location"]

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def _kept(self, reply: Reply) -> Reply:
        said = reply.headers.get("Set-Cookie", "")
        self.cookies |= dict(re.findall(r"(?:^|, )(\w+)=([^;]*);", said))
        return reply


@pytest.fixture
def start_site(transactional_db: None, tmp_path: Path) -> Iterator[StartSite]:
    """A function that starts the site on what the test has committed; all ends with the test."""
    with ExitStack() as running:

        def start(
            *,
            bucket_url: str = "http://127.0.0.1:9",
            change: Callable[[str], str] = as_it_is,
            **environment: str,
        ) -> Site:
            production = {"ALLOWED_HOSTS": f"{HOST},127.0.0.1", "WINRATE_HTTPS": "on", "WINRATE_TRUSTED_PROXIES": "1"}
            production |= {"WINRATE_IMAGES_BY_NGINX": "on"}
            web = WebServer(tmp_path, production | environment)
            running.callback(web.stop)
            folder = tmp_path / "nginx"
            folder.mkdir()
            nginx = NginxServer(folder, web=web.address, bucket_url=bucket_url, change=change)
            running.callback(nginx.stop)
            return Site(nginx)

        yield start
