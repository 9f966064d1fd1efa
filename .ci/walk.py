"""A newcomer's first minutes: `make up`, vote by the printed link, sign in as printed, Ctrl-C, all gone."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.servers.visitor import VisitError, Visitor, found

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


def wait_for(look: Callable[[], T | None], *, seconds: float, what: str) -> T:
    """Look again and again until something is there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (seen := look()) is not None:
            return seen
        time.sleep(0.5)
    raise VisitError(f"{what} did not come within {seconds:g} seconds")


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
    address = visitor.join(link)

    def images() -> set[str] | None:
        pair = set(re.findall(r"/ballots/[0-9a-f]{32}/(?:left|right)\.webp", visitor.get(address).text))
        return pair if len(pair) == 2 else None

    for path in wait_for(images, seconds=300, what="a ballot with two images"):
        image = visitor.get(path)
        if image.content_type != "image/webp" or image.body[8:12] != b"WEBP":
            raise VisitError(f"{path} is no WebP image but {image.content_type}")


def study_page(visitor: Visitor, *, name: str, password: str) -> None:
    """Sign in and open the demo study."""
    visitor.submit("/accounts/login/", username=name, password=password, next="/")
    page = visitor.get("/studies/demo/")
    if not page.url.endswith("/studies/demo/") or "<h1" not in page.text:
        raise VisitError(f"the study page is not there: {page.url}")


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
    except VisitError as error:
        problem = str(error)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                problem = problem or "it did not stop within 90 s of Ctrl-C"
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
        raise VisitError(f"make up ended with code {process.returncode}")
    return log.read_text()


if __name__ == "__main__":
    sys.exit(main())
