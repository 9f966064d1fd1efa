"""For Locust: raters who think, hasty ones, readers of results, and the bare vote; started by benchmarks/load.py.

It runs in an environment of its own, without Django, and is told everything by variables: LOAD_TOKEN (an invitation),
LOAD_QUESTIONS, LOAD_EVERY (seconds between two answers of a rater), LOAD_COOKIE (a signed-in session), LOAD_RESULTS
(the page that readers read), LOAD_SAVED (a file that takes every acknowledged ballot), LOAD_USERS (the kinds as JSON),
LOAD_RAMP (seconds after which all have joined and answer: what was counted until then is forgotten).
"""

from __future__ import annotations

import itertools
import json
import os
import random
from typing import Any, Final

import gevent
from locust import FastHttpUser, constant, constant_pacing, events, task

SAVED: Final = open(os.environ["LOAD_SAVED"], "a", buffering=1)  # noqa: SIM115, PTH123 - as long as the process
QUESTIONS: Final = os.environ["LOAD_QUESTIONS"].split(",")
WANTED: Final[dict[str, int]] = json.loads(os.environ["LOAD_USERS"])
EVERY: Final = float(os.environ["LOAD_EVERY"])
_ballots: Final = itertools.count(int(os.environ.get("LOAD_FIRST_BALLOT", "1")))


class Voter(FastHttpUser):
    """One rater in one browser, who asks what the vote page asks. Every answer is sent once."""

    abstract = True

    def on_start(self) -> None:
        self.queue: list[str] = []
        join = f"/join/{os.environ['LOAD_TOKEN']}/"
        self.client.get(join, name="join")
        page = self._post(join, {}, name="join")
        if page.url.endswith("/instructions/"):
            self._post("/vote/benchmark/instructions/", {}, name="join")

    @task
    def answer(self) -> None:
        if not self.queue:
            return self._look()
        ballot, *known = self.queue
        answers: dict[str, Any] = {f"answer.{key}": random.choice(("left", "right")) for key in QUESTIONS}  # noqa: S311
        form = answers | {"ballot": ballot, "known": known, "page_milliseconds": "900"}
        reply = self._post("/vote/benchmark/", form, name="answer and next pair").json()
        if reply.get("saved"):
            SAVED.write(f"{ballot} {int(reply['already'])}\n")
        self.queue = [each["token"] for each in reply.get("ballots", [])]

    def _look(self) -> None:
        page = self.client.get("/vote/benchmark/queue.json", name="queue", headers=JSON)
        self.queue = [each["token"] for each in page.json().get("ballots", [])]

    def _post(self, path: str, form: dict[str, Any], *, name: str) -> Any:
        token = next((each.value for each in self.client.cookiejar if each.name == "csrftoken"), "")
        said = form | {"csrfmiddlewaretoken": token}
        return self.client.post(path, data=said, headers=JSON | {"Referer": self.host or ""}, name=name)


JSON: Final = {"Accept": "application/json"}


class Rater(Voter):
    """Answers at a steady pace."""

    fixed_count = WANTED.get("Rater", 0)
    wait_time = constant_pacing(EVERY)

    def on_start(self) -> None:
        super().on_start()
        gevent.sleep(random.uniform(0, EVERY))  # noqa: S311 - who begin together would answer together


class Hasty(Voter):
    """Answers as soon as the next pair is there."""

    fixed_count = WANTED.get("Hasty", 0)
    wait_time = constant(0)


class Reader(FastHttpUser):
    """A researcher who looks at a study's results every second."""

    fixed_count = WANTED.get("Reader", 0)
    wait_time = constant_pacing(1)

    @task
    def read(self) -> None:
        cookie = {"Cookie": f"sessionid={os.environ['LOAD_COOKIE']}"}
        self.client.get(os.environ["LOAD_RESULTS"], headers=cookie, name="results page", allow_redirects=False)


class Bare(FastHttpUser):
    """Posts to benchmarks/bare_vote.py as fast as it answers."""

    fixed_count = WANTED.get("Bare", 0)
    wait_time = constant(0)

    @task
    def vote(self) -> None:
        self.client.post("/", data={"ballot": str(next(_ballots)), "choice": "left"}, name="bare vote")


@events.init.add_listener
def only_those_wanted(environment: Any, **_: Any) -> None:
    """Kinds that are not wanted do not take part; a fixed count of zero would mean any number."""
    environment.user_classes = [each for each in environment.user_classes if WANTED.get(each.__name__)]


@events.init.add_listener
def count_once_all_have_joined(environment: Any, **_: Any) -> None:
    """Not before: a rate over the first seconds too would be that of fewer people."""

    def later(**_: Any) -> None:
        gevent.spawn_later(float(os.environ["LOAD_RAMP"]), environment.stats.clear_all)

    environment.events.spawning_complete.add_listener(later)
