"""What one answer costs in a web process, without network, server or clients: the WSGI application called as it is.

    python -m benchmarks.answer_cost --database postgres --answers 300
    python -m benchmarks.answer_cost --database sqlite --answers 300 --profile 60

An answer is a form posted as the vote page posts it, all middleware included; its reply brings the next pair. Printed
are seconds of CPU of the thread that answers, statements of SQL, and with --profile where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import io
import json
import pstats
import re
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.measuring import machine
from benchmarks.serving import cpu_below, database

Body = dict[str, Any]


class Browser:
    """One rater's browser, as far as a WSGI application sees it."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application
        self._cookies: dict[str, str] = {}
        self.status = ""

    def send(self, method: str, path: str, form: Body | None = None) -> bytes:
        """The body of the answer; cookies are kept."""
        said = (form or {}) | ({"csrfmiddlewaretoken": self._cookies.get("csrftoken", "")} if form is not None else {})
        body = urlencode(said, doseq=True).encode() if form is not None else b""
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_ACCEPT": "application/json",
            "HTTP_REFERER": "http://127.0.0.1:8000/",
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        answer = self._application(environ, self._begin)
        try:
            return b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()

    def _begin(self, status: str, headers: list[tuple[str, str]], error: object = None) -> None:
        self.status = status
        for name, value in headers:
            if name.lower() == "set-cookie":
                for key, morsel in SimpleCookie(value).items():
                    self._cookies[key] = morsel.value


class Rater:
    """Joins, then answers one ballot after another."""

    def __init__(self, application: Callable[..., Any], token: str, questions: list[str]) -> None:
        self._browser = Browser(application)
        self._questions = questions
        self._browser.send("GET", f"/join/{token}/")
        self._browser.send("POST", f"/join/{token}/", {})
        self._browser.send("POST", "/vote/benchmark/instructions/", {})
        looked = json.loads(self._browser.send("GET", "/vote/benchmark/queue.json"))
        self._queue = [each["token"] for each in looked["ballots"]]

    def answer(self) -> None:
        """One ballot, all questions."""
        ballot, *known = self._queue
        answers = dict.fromkeys((f"answer.{key}" for key in self._questions), "left")
        form = answers | {"ballot": ballot, "known": known, "page_milliseconds": "900"}
        reply = json.loads(self._browser.send("POST", "/vote/benchmark/", form))
        if not reply["saved"]:
            raise RuntimeError(reply)
        self._queue = [each["token"] for each in reply["ballots"]]


def measure(asked: argparse.Namespace, server: int | None) -> None:
    """Prepare, warm up, answer, print."""
    from arena import raters
    from benchmarks.voting_world import make_world, store_votes
    from evalsite.wsgi import application

    study = make_world(contenders=asked.contenders, prompts=asked.prompts)
    store_votes(study, asked.votes)
    _, token = raters.invite(study=study)
    questions = list(study.criteria.values_list("key", flat=True))
    people = [Rater(application, token, questions) for _ in range(asked.raters)]
    for person in people:
        person.answer()
        person.answer()
    count_statements(people[0])
    gc.collect()
    times, wall, rows = [], time.perf_counter(), cpu_below(server)
    for place in range(asked.answers):
        began = time.thread_time()
        people[place % len(people)].answer()
        times.append(1000 * (time.thread_time() - began))
    wall, rows = time.perf_counter() - wall, cpu_below(server) - rows
    times.sort()
    shares = " / ".join(f"{times[int(share * len(times))]:.2f}" for share in (0.1, 0.5, 0.95))
    print(f"\n{asked.database}, {asked.answers} answers of {len(questions)} questions, {asked.votes:,} votes before:")
    print(f"CPU of the web thread, p10 / p50 / p95 ms: {shares}; mean {sum(times) / len(times):.2f}")
    print(f"CPU of the database server, ms an answer: {1000 * rows / asked.answers:.2f}")
    print(f"Wall, ms an answer: {1000 * wall / asked.answers:.2f}")
    if asked.profile:
        profile(people, asked.profile)


def count_statements(person: Rater) -> None:
    """What one answer asks of the database, in order."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as seen:
        person.answer()
    print(f"\nStatements of one answer: {len(seen.captured_queries)}")
    for each in seen.captured_queries:
        print("  ", re.sub(r"SELECT .* FROM", "SELECT … FROM", each["sql"])[:150])


def profile(people: list[Rater], number: int) -> None:
    """Where the time of so many answers goes."""
    seen = cProfile.Profile(time.thread_time)
    for place in range(number):
        seen.runcall(people[place % len(people)].answer)
    for order, most in (("cumulative", 230), ("tottime", 60)):
        out = io.StringIO()
        pstats.Stats(seen, stream=out).strip_dirs().sort_stats(order).print_stats(most)
        print(f"\n{number} answers\n{out.getvalue()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--answers", type=int, default=300)
    parser.add_argument("--raters", type=int, default=10)
    parser.add_argument("--votes", type=int, default=10_000)
    parser.add_argument("--contenders", type=int, default=12)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--profile", type=int, default=0, help="answers to profile afterwards")
    asked = parser.parse_args()
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {machine()}.", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="winrate-answer-") as folder,
        database(asked.database, Path(folder)) as server,
    ):
        measure(asked, server)


if __name__ == "__main__":
    main()
