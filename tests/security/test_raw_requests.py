"""Bytes that no browser sends, to a real gunicorn: each is refused or answered, none is a fault, and it goes on."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection

from tests.servers.addresses import free_port, wait_until

pytestmark = pytest.mark.once
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
REQUESTS = {
    "bad UTF-8 in the query": b"GET /?q=%ff%fe&%c0%af=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "raw bytes in the query": b"GET /?q=\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bad UTF-8 in the path": b"GET /studies/%ff%fe/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "raw bytes in the path": b"GET /join/\xff\xfe/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bad UTF-8 in a pass": b"GET /with/%ff:%fe:x/vote/a/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bad UTF-8 in cookies": b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: sessionid=\xff\xfe; csrftoken=\xff\r\n\r\n",
    "a cookie of 64 KB": b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: a=" + b"b" * 65_536 + b"\r\n\r\n",
    "500 headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 500 + b"\r\n",
    "bad UTF-8 in headers": b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Language: \xff\r\nReferer: \xff\r\n"
    b"X-Forwarded-For: \xff, 1\r\nAuthorization: Bearer \xff\r\nOrigin: \xff\r\n\r\n",
    "a bad token": b"GET /api/v1/studies HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer winrate_\xff\xfe\r\n\r\n",
    "a header with NUL": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: a\x00b\r\n\r\n",
    "a bad host": b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: elsewhere.example\r\n\r\n",
    "no host": b"GET / HTTP/1.0\r\n\r\n",
    "a length that is none": b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n",
    "a length below nothing": b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin/ HTTP/1.1\r\n\r\n",
    "a form in bad UTF-8": b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken="
    + b"a" * 32
    + b"\r\nContent-Length: 31\r\n"
    + FORM
    + b"\r\ncsrfmiddlewaretoken=%ff&a=\xff\xfe%00",
    "too much, which is not sent": b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 99999999999\r\n" + FORM + b"\r\n",
    "an address of 20 KB": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another site's address": b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n",
    "a prefix of the site's address": b"GET / HTTP/1.1\r\nHost: localhost\r\nSCRIPT_NAME: /evil\r\n\r\n",
    "another path": b"GET / HTTP/1.1\r\nHost: localhost\r\nPATH_INFO: /admin/\r\nX_Forwarded_For: 1\r\n\r\n",
    "no method": b"\xff\xfe / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
# The database is only made where a test says that it asks it, as this one does by way of the server.
ASKING = {"a bad token": pytest.mark.django_db(transaction=True)}
FINE = b"GET /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def port(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """gunicorn as the single box starts it, reading the database of the tests."""
    folder, chosen = tmp_path_factory.mktemp("gunicorn"), free_port()
    log = folder / "log"
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "evalsite.wsgi",
        "--bind",
        f"127.0.0.1:{chosen}",
        "--config",
        "python:evalsite.gunicorn_hooks",
        "--no-control-socket",
    ]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--worker-class", "gthread", "--threads", "2", "--log-level", "warning"],
            cwd=settings.BASE_DIR,
            env={
                **os.environ,
                "DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}",
                "WINRATE_DATA_DIR": str(folder),  # its start forgets what was counted in the data folder
            },
            stdout=file,
            stderr=file,
        )
        try:
            wait_until(lambda: is_answering(chosen), seconds=120, what=f"gunicorn answered: {log}")
            yield chosen
        finally:
            process.terminate()
            process.wait()
    said = log.read_text()
    assert "Internal Server Error" not in said and "Error handling request" not in said, said[-4000:]


def is_answering(port: int) -> bool:
    try:
        return status_of(port, FINE) == 200
    except OSError:
        return False


def status_of(port: int, request: bytes) -> int:
    """The status of the first answer; 0 where the connection was only closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sent:
        try:
            sent.sendall(request)
            line = sent.makefile("rb").readline()
        except ConnectionError:  # closed before all of it was sent
            return 0
    return int(line.split()[1]) if line else 0


@pytest.mark.parametrize("name", [pytest.param(name, marks=ASKING.get(name, ())) for name in REQUESTS])
def test_no_bytes_are_a_fault(name: str, port: int) -> None:
    found = status_of(port, REQUESTS[name])
    assert found in (0, 200, 302, 400, 401, 403, 404, 413, 414, 431, 505), found
    assert status_of(port, FINE) == 200
