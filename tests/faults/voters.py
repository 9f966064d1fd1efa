"""Raters as programs that do what the vote page does: an answer is sent again until the site says what became of it."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import requests
from django.db import connection

from arena import raters
from arena.models import Study
from benchmarks.voting_clients import Client
from benchmarks.voting_world import make_world
from tests.servers.addresses import wait_until

_PAUSE: Final = 0.5
_PATIENCE: Final = 60.0
_VOTE: Final = "/vote/benchmark/"
_IMAGE: Final = re.compile(r'<img[^>]* src="([^"]+)"')


@dataclass
class Told:
    """What raters were told, all of them together."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    first: dict[str, float] = field(default_factory=dict)
    recorded_before: set[str] = field(default_factory=set)
    unanswered: int = 0
    refusals: Counter[int] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    slowest: float = 0.0
    images: int = 0


class Voter(Client):
    """One rater whose answer waits in an outbox until it is acknowledged."""

    def __init__(self, site: str, token: str, *, told: Told, questions: list[str], looks: bool) -> None:
        super().__init__(site, token)
        # A connection that the server closes, idle, in the moment of the next request would look like a fault of ours.
        self._session.headers["Connection"] = "close"
        self.told, self.questions, self._looks = told, questions, looks

    def answer_until_told(self, is_over: Callable[[], bool]) -> None:
        """Answer the ballot in turn, again and again where no reply comes, and see which comes next."""
        if not self._queue and not self._take_queue():
            return
        ballot = self._queue[0]
        answers: dict[str, Any] = dict.fromkeys((f"answer.{key}" for key in self.questions), "left")
        tries = 0
        while not is_over():
            tries += 1
            reply = self._ask("POST", _VOTE, data=self._form({"ballot": ballot, **answers, "page_milliseconds": "900"}))
            if reply is not None:
                break
            time.sleep(_PAUSE)
        else:
            return
        if not reply.get("saved"):
            self.told.complaints.append(f"{ballot}: {reply}")
        else:
            self.told.acknowledged[ballot] += 1
            self.told.first[ballot] = time.monotonic()
            if reply["already"]:
                self.told.recorded_before.add(ballot)
            if reply["already"] and tries == 1:
                self.told.complaints.append(f"{ballot} was said to be recorded before it was sent")
        self._turn_to(reply)

    def _turn_to(self, reply: dict[str, Any]) -> None:
        self._queue = [each["token"] for each in reply.get("ballots", [])]
        if self._looks and self._queue:
            for source in _IMAGE.findall(reply["ballots"][0]["html"]):
                self.told.images += self._session.get(self._site + source, timeout=_PATIENCE).ok

    def _take_queue(self) -> bool:
        reply = self._ask("GET", f"{_VOTE}queue.json")
        self._turn_to(reply or {})
        return bool(self._queue)

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any] | None:
        """The reply, or None where the page would try again."""
        began = time.monotonic()
        try:
            headers = {"Accept": "application/json", "Referer": self._site}
            reply = self._session.request(method, self._site + path, headers=headers, timeout=_PATIENCE, **options)
        except requests.RequestException:
            self.told.unanswered += 1
            return None
        self.told.slowest = max(self.told.slowest, time.monotonic() - began)
        if reply.status_code == 503:
            self._check_refusal(reply)
            return None
        if reply.status_code != 200:
            self.told.complaints.append(f"{method} {path}: {reply.status_code} {reply.text[:300]}")
            return None if reply.status_code >= 500 else {}
        return dict(reply.json())

    def _check_refusal(self, reply: requests.Response) -> None:
        self.told.refusals[reply.status_code] += 1
        if not reply.headers.get("Retry-After", "").isdigit() or "Traceback" in reply.text:
            self.told.complaints.append(f"a refusal that is not calm: {dict(reply.headers)} {reply.text[:300]}")


class Crowd:
    """Raters who vote side by side at a steady rate, each from its own thread, until they are told to stop."""

    def __init__(self, site: str, token: str, study: Study, *, raters: int, rate: float, looks: bool = False) -> None:
        self.told = Told()
        self.questions = list(study.criteria.values_list("key", flat=True))
        self._voters = [
            Voter(site, token, told=self.told, questions=self.questions, looks=looks) for _ in range(raters)
        ]
        self._every = raters / rate
        self._ended = threading.Event()

    @contextmanager
    def voting(self) -> Iterator[Told]:
        """They vote for as long as the block lasts; then each waits for the reply to its last answer."""
        threads = [
            threading.Thread(target=self._vote, args=(voter, self._every * place / len(self._voters)))
            for place, voter in enumerate(self._voters)
        ]
        for thread in threads:
            thread.start()
        try:
            yield self.told
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _vote(self, voter: Voter, offset: float) -> None:
        due, given_up = time.monotonic() + offset, [0.0]

        def is_over() -> bool:
            # An answer on its way is finished, but a site that is gone for good ends the test.
            if self._ended.is_set():
                given_up[0] = given_up[0] or time.monotonic() + _PATIENCE
            return bool(given_up[0]) and time.monotonic() > given_up[0]

        while not self._ended.wait(max(0.0, due - time.monotonic())):
            voter.answer_until_told(is_over)
            due = max(due + self._every, time.monotonic())

    def wait_for_answers(self, number: int, *, seconds: float = 120) -> float:
        """Wait until so many more are acknowledged whose request began after now; how long that took."""
        began, before = time.monotonic(), sum(self.told.acknowledged.values())
        wait_until(
            lambda: sum(self.told.acknowledged.values()) >= before + number,
            seconds=seconds,
            what=f"{number} more answers are acknowledged ({self.told.refusals}, {self.told.complaints[:3]})",
        )
        return time.monotonic() - began


def make_study_of_rows(*, contenders: int = 6, prompts: int = 60) -> tuple[Study, str]:
    """An open study without files, and the token of a link by which any number of raters join."""
    study = make_world(contenders=contenders, prompts=prompts)
    _, token = raters.invite(study=study)
    return study, token


Rows = Callable[[str], list[tuple[Any, ...]]]


def rows_here(sql: str) -> list[tuple[Any, ...]]:
    """Of this process's own database."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def assert_nothing_lost_or_doubled(told: Told, *, questions: int, rows: Rows = rows_here) -> int:
    """Every acknowledged ballot has its votes, none has more, and nobody was told anything wrong; how many ballots."""
    assert told.complaints == []
    stored: dict[str, int] = dict(
        rows("SELECT b.token, COUNT(v.id) FROM arena_ballot b JOIN arena_vote v ON v.ballot_id = b.id GROUP BY b.token")
    )
    lost = [token for token in told.acknowledged if stored.get(token, 0) < questions]
    doubled = [token for token, number in stored.items() if number > questions]
    assert (lost, doubled) == ([], [])
    assert max(told.acknowledged.values()) == 1
    chains = rows(
        "SELECT rater_id, COUNT(*), MAX(sequence), COUNT(DISTINCT sequence) FROM arena_vote GROUP BY rater_id"
    )
    assert all(count == last == different for _, count, last, different in chains)
    return len(stored)
