"""A newcomer's first minutes: `make up`, vote by the printed link, sign in as printed, Ctrl-C, all gone."""

import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


class WalkError(Exception):
    """What a newcomer would have stumbled over."""


class Visitor:
    """A browser without JavaScript: cookies, redirects, forms."""

    def __init__(self, site: str) -> None:
        self.site = site
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)

    def get(self, path: str) -> tuple[str, str, bytes]:
        """Final address, content type and body."""
        return self._open(path, None)

    def page(self, path: str) -> str:
        """The body of a page."""
        return self.get(path)[2].decode()

    def submit(self, path: str, **fields: str) -> str:
        """Fetch a page with a form and send it with these fields; the page that follows."""
        token = found(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page(path), f"a form on {path}")
        data = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token}).encode()
        return self._open(path, data)[2].decode()

    def _open(self, path: str, data: bytes | None) -> tuple[str, str, bytes]:
        url = urllib.parse.urljoin(self.site, path)
        try:
            with self._opener.open(url, data, timeout=30) as answer:
                return answer.url, answer.headers.get_content_type(), answer.read()
        except urllib.error.HTTPError as refusal:
            raise WalkError(f"{url} answered {refusal.code}: {refusal.read()[:500]!r}") from refusal


def found(pattern: str, text: str, what: str) -> str:
    """The first group of a pattern that must occur."""
    if (match := re.search(pattern, text)) is None:
        raise WalkError(f"{what} is missing in:\n{text[-3000:]}")
    return match[1]


def wait_for(look: Callable[[], T | None], *, seconds: float, what: str) -> T:
    """Look again and again until something is there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (seen := look()) is not None:
            return seen
        time.sleep(0.5)
    raise WalkError(f"{what} did not come within {seconds:g} seconds")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def strict_health(site: str) -> str | None:
    """ "ok", or None where something is not well or nothing answers."""
    try:
        with urllib.request.urlopen(f"{site}/healthz?strict=1", timeout=5) as answer:  # noqa: S310 - our own address
            status: str = json.load(answer)["status"]
    except OSError:
        return None
    return status


def left_behind(data_folder: Path) -> list[str]:
    """Processes that still belong to the data folder. Redis hides its environment, but works in its folder."""
    lines = []
    for entry in Path("/proc").iterdir():
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            is_ours = f"WINRATE_DATA_DIR={data_folder}".encode() in variables
            if is_ours or (entry / "cwd").readlink().is_relative_to(data_folder):
                lines.append(f"{entry.name} {(entry / 'cmdline').read_bytes().decode().replace(chr(0), ' ')}")
        except OSError:
            continue
    return lines


def vote_page(visitor: Visitor, link: str) -> None:
    """Join, and look at a ballot with two images as soon as there is one."""
    visitor.submit(link)
    address = visitor.get(link)[0]

    def images() -> set[str] | None:
        pair = set(re.findall(r"/ballots/[0-9a-f]{32}/(?:left|right)\.webp", visitor.page(address)))
        return pair if len(pair) == 2 else None

    for path in wait_for(images, seconds=300, what="a ballot with two images"):
        _, kind, body = visitor.get(path)
        if kind != "image/webp" or not (body[:4] == b"RIFF" and body[8:12] == b"WEBP"):
            raise WalkError(f"{path} is no WebP image but {kind}")


def study_page(visitor: Visitor, *, name: str, password: str) -> None:
    """Sign in and open the demo study."""
    visitor.submit("/accounts/login/", username=name, password=password, next="/")
    address, _, body = visitor.get("/studies/demo/")
    if not address.endswith("/studies/demo/") or b"<h1" not in body:
        raise WalkError(f"the study page is not there: {address}")


def walk(site: str, printed: Callable[[], str]) -> None:
    """Everything a newcomer does, with the time it took."""
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"  {time.monotonic() - began:6.1f} s  {what}", flush=True)

    wait_for(lambda: "Winrate is running." in printed() or None, seconds=600, what="the welcome")
    say("the welcome is printed")
    link = found(r"Vote\s+(http\S+/join/\S+)", printed(), "a rater link")
    name = found(r"name (\S+), password \S+", printed(), "a name")
    password = found(r"name \S+, password (\S+)", printed(), "a password")
    wait_for(lambda: strict_health(site), seconds=120, what="/healthz?strict=1")
    say("every part is well")
    vote_page(Visitor(site), link)
    say("a rater sees two images")
    study_page(Visitor(site), name=name, password=password)
    say("the administrator sees the study page")


def main() -> int:
    """The exit code."""
    port, data_folder = free_port(), Path(tempfile.mkdtemp(prefix="winrate-walk-"))
    variables = {name: value for name, value in os.environ.items() if name != "CELERY_BROKER_URL"}
    variables |= {"PORT": str(port), "WINRATE_DATA_DIR": str(data_folder)}
    log = data_folder / "printed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", "up"],  # noqa: S607 - whichever make a newcomer would use
            cwd=ROOT,
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    problem = ""
    try:
        walk(f"http://127.0.0.1:{port}", lambda: _printed(log, process))
    except WalkError as error:
        problem = str(error)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(90)
    problem = problem or "; ".join(left_behind(data_folder))
    if "Stopped. Everything is kept" not in log.read_text():
        problem = problem or "it did not stop in order"
    print(log.read_text())
    for part in sorted((data_folder / "logs").glob("*.log")) if problem else []:
        print(f"--- {part.name}\n{part.read_text()[-3000:]}")
    print(f"The walk failed: {problem}" if problem else "The walk was a pleasure; nothing was left behind.")
    return int(bool(problem))


def _printed(log: Path, process: "subprocess.Popen[bytes]") -> str:
    if process.poll() is not None:
        raise WalkError(f"make up ended with code {process.returncode}")
    return log.read_text()


if __name__ == "__main__":
    sys.exit(main())
