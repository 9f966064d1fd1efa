"""Raters as programs over HTTP: they join by an invitation link and answer at a steady pace."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import requests

ANSWER: Final = "answer and next pair"
LOOK: Final = "queue alone"
_VOTE: Final = "/vote/benchmark/"
_TIMEOUT: Final = 30.0
_JSON: Final = {"Accept": "application/json"}


@dataclass
class Seen:
    """What one client saw: seconds of each kind of request, statuses, ballots that the site said it had saved."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {ANSWER: [], LOOK: []})
    statuses: Counter[int] = field(default_factory=Counter)
    saved: list[str] = field(default_factory=list)
    repeated: int = 0
    broken: int = 0
    behind: float = 0.0


class Client:
    """One rater in one browser, who asks what the vote page asks. Every answer is sent once; none is sent again."""

    def __init__(self, site: str, token: str) -> None:
        self.seen = Seen()
        self._site = site
        self._session = requests.Session()
        join = f"{site}/join/{token}/"
        self._session.get(join, timeout=_TIMEOUT).raise_for_status()
        page = self._session.post(join, data=self._form({}), headers={"Referer": join}, timeout=_TIMEOUT)
        if page.url.endswith("/instructions/"):
            page = self._session.post(page.url, data=self._form({}), headers={"Referer": join}, timeout=_TIMEOUT)
        page.raise_for_status()
        self._queue: list[str] = []
        self._look()
        if not self._queue:
            raise RuntimeError(f"{page.url} offers no ballot")

    def turn_to(self, site: str) -> None:
        """Go on at another server of the same database, with nothing seen yet."""
        self._site, self.seen = site, Seen()

    def vote_until(self, end: float, *, every: float, offset: float, questions: list[str]) -> None:
        """Answer once in so many seconds until the end; one who is late goes on at once and is counted as behind."""
        due = time.monotonic() + offset
        while due < end:
            time.sleep(max(0.0, due - time.monotonic()))
            self.seen.behind = max(self.seen.behind, time.monotonic() - due)
            self._answer(questions)
            due += every

    def _answer(self, questions: list[str]) -> None:
        if not self._queue:
            return self._look()
        ballot, *known = self._queue
        answers: dict[str, Any] = dict.fromkeys((f"answer.{key}" for key in questions), "left")
        form = self._form({"ballot": ballot, **answers, "known": known, "page_milliseconds": "900"})
        reply = self._timed(ANSWER, "POST", _VOTE, data=form)
        if reply is None:
            return self._look()
        if reply.get("saved"):
            self.seen.saved.append(ballot)
            self.seen.repeated += bool(reply["already"])
        self._queue = [each["token"] for each in reply.get("ballots", [])]

    def _look(self) -> None:
        reply = self._timed(LOOK, "GET", f"{_VOTE}queue.json")
        self._queue = [each["token"] for each in (reply or {}).get("ballots", [])]

    def _timed(self, what: str, method: str, path: str, **options: Any) -> dict[str, Any] | None:
        started = time.perf_counter()
        try:
            headers = {**_JSON, "Referer": self._site}
            reply = self._session.request(method, self._site + path, headers=headers, timeout=_TIMEOUT, **options)
        except requests.RequestException:
            self.seen.broken += 1
            return None
        self.seen.seconds[what].append(time.perf_counter() - started)
        self.seen.statuses[reply.status_code] += 1
        return dict(reply.json()) if reply.headers.get("Content-Type", "").startswith("application/json") else None

    def _form(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "csrfmiddlewaretoken": self._session.cookies.get("csrftoken") or ""}


def vote_together(clients: list[Client], *, seconds: float, rate: float, questions: list[str]) -> None:
    """All of them at once for so long, `rate` answers a second together, evenly spread."""
    every, end = len(clients) / rate, time.monotonic() + seconds
    threads = [
        threading.Thread(
            target=client.vote_until,
            args=(end,),
            kwargs={"every": every, "offset": place / rate, "questions": questions},
        )
        for place, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
