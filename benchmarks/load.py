"""Many people at once, by Locust over the loopback interface, against gunicorn with two processes.

    python3.11 -m venv .venv-load && .venv-load/bin/pip install -r benchmarks/requirements-load.txt
    python -m benchmarks.load steady --database postgres --seconds 600     # raters with think time, 50 votes a second
    python -m benchmarks.load mixed --database postgres --seconds 120      # besides: readers, a large import, fits
    python -m benchmarks.load flat-out --database sqlite --seconds 60      # hasty voters, and the bare transaction

Afterwards every acknowledged answer is looked up in the database. The bare transaction is one update and one insert
(benchmarks/bare_vote.py), measured in the same run: by four processes that do nothing else, behind the same gunicorn
with as many clients, and there once more as a plain Django view (benchmarks/bare_django.py). Numbers count from the
moment at which all have joined and answer. Everything is bounded in time and stays on this machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measuring import machine
from benchmarks.serving import HERE, cpu_below, database, served

if TYPE_CHECKING:
    from arena.models import Study

_LOCUST: Final = HERE / ".venv-load" / "bin" / "locust"
_BARE_SECONDS: Final = 15.0
_COLUMNS: Final = ("Request Count", "Failure Count", "50%", "95%", "99%", "Max Response Time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["steady", "mixed", "flat-out"])
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--raters", type=int, default=100, help="with think time (steady, mixed)")
    parser.add_argument("--rate", type=float, default=50, help="votes a second of all of them together")
    parser.add_argument("--hasty", type=int, default=8, help="clients without think time (flat-out)")
    parser.add_argument("--readers", type=int, default=2, help="of a results page, one look a second (mixed)")
    parser.add_argument("--stored", type=int, default=10_000, help="votes stored before")
    parser.add_argument("--rows", type=int, default=100_000, help="of the file that is imported (mixed)")
    parser.add_argument("--questions", type=int, choices=[1, 2, 3], default=2, help="that a ballot asks")
    parser.add_argument("--contenders", type=int, default=12)
    parser.add_argument("--prompts", type=int, default=100)
    asked = parser.parse_args()
    if not _LOCUST.exists():
        sys.exit(
            "Locust is not there: python3.11 -m venv .venv-load"
            " && .venv-load/bin/pip install -r benchmarks/requirements-load.txt"
        )
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {machine()}.", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="winrate-load-") as folder,
        database(asked.database, Path(folder)) as server,
    ):
        _load(asked, Path(folder), server)


def _load(asked: argparse.Namespace, folder: Path, server: int | None) -> None:
    from arena import raters
    from arena.models import Vote
    from benchmarks.voting_world import make_world, store_votes

    study = make_world(contenders=asked.contenders, prompts=asked.prompts, questions=asked.questions)
    store_votes(study, asked.stored)
    _, token = raters.invite(study=study)
    questions = list(study.criteria.values_list("key", flat=True))
    people = {"steady": {"Rater": asked.raters}, "flat-out": {"Hasty": asked.hasty}}.get(
        asked.what, {"Rater": asked.raters, "Reader": asked.readers}
    )
    told = {
        "LOAD_TOKEN": token,
        "LOAD_QUESTIONS": ",".join(questions),
        "LOAD_EVERY": str(every := asked.raters * len(questions) / asked.rate),
        "LOAD_RAMP": str(every + 2 if "Rater" in people else 3.0),
        "LOAD_COOKIE": _signed_in(),
        "LOAD_RESULTS": f"/studies/{study.slug}/",
        "LOAD_SAVED": str(folder / "saved"),
    }
    stored = Vote.objects.filter(study=study).count()
    with served() as (site, web), _beside(asked, study, folder) as other:
        spent = _Spent({"web": web, "database": server})
        rows = _locust(site, people, asked.seconds, told, folder, spent)
    votes = Vote.objects.filter(study=study).count() - stored
    print(f"\n### {asked.what}, {asked.database}, {asked.seconds:g} s, {json.dumps(people)}\n")
    print(f"{stored:,} votes stored before, {votes:,} cast, {len(questions)} questions a ballot.")
    _print_rows(rows, questions=len(questions))
    _print_truth(folder / "saved", questions=len(questions))
    spent.print(answers=len((folder / "saved").read_text().splitlines()))
    for line in other:
        print(line)
    if asked.what == "flat-out":
        _bare(asked, folder, told, answers=_of(rows, "answer and next pair"), questions=len(questions))


def _locust(
    site: str, people: dict[str, int], seconds: float, told: dict[str, str], folder: Path, spent: _Spent
) -> list[dict[str, str]]:
    """Locust's own table of so many seconds after all have joined: a row for each kind of request."""
    told = told | {"LOAD_USERS": json.dumps(people)}
    number = sum(people.values())
    each_second = max(number // 5, 4)  # joining costs as much as several answers
    lasts = seconds + float(told["LOAD_RAMP"]) + number / each_second
    command = [
        _LOCUST,
        "-f",
        HERE / "benchmarks" / "load_users.py",
        "--headless",
        "--host",
        site,
        "--csv",
        folder / "t",
    ]
    command += ["-u", str(number), "-r", str(each_second), "-t", f"{round(lasts)}s", "--stop-timeout", "30"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | told
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*map(str, command), "--only-summary", "--exit-code-on-error", "0", "-L", "WARNING"],
        env=environment,
        cwd=folder,
        stdout=(folder / "locust.log").open("ab"),
        stderr=subprocess.STDOUT,
    )
    spent.begin(process.pid)
    try:
        process.wait(lasts + 120)
    finally:
        process.kill()
    spent.end(time.perf_counter() - started)
    table = folder / "t_stats.csv"
    if not table.exists():
        sys.exit((folder / "locust.log").read_text()[-2000:])
    with table.open() as file:
        return list(csv.DictReader(file))


class _Spent:
    """Seconds of CPU of each part while Locust runs."""

    def __init__(self, processes: dict[str, int | None]) -> None:
        self._processes = dict(processes)
        self._seconds: dict[str, float] = {}
        self._last = 0.0
        self._clients = 0

    def begin(self, clients: int) -> None:
        self._clients = clients
        self._seconds = {name: -cpu_below(process) for name, process in self._processes.items()}
        threading.Thread(target=self._watch, daemon=True).start()

    def end(self, elapsed: float) -> None:
        for name, process in self._processes.items():
            self._seconds[name] += cpu_below(process)
        self._seconds["clients"] = self._last
        self._elapsed = elapsed

    def _watch(self) -> None:
        # Once it has ended nobody can ask it any more.
        while Path(f"/proc/{self._clients}/stat").exists():
            self._last = max(self._last, cpu_below(self._clients))
            time.sleep(0.5)

    def print(self, *, answers: int = 0) -> None:
        """Shares of all cores, joining included, and milliseconds an answer."""
        cores = os.cpu_count() or 1
        parts = (
            f"{name} {100 * spent / self._elapsed / cores:.0f} %" for name, spent in self._seconds.items() if spent
        )
        print(f"CPU, of {cores} cores: {', '.join(parts)}.")
        if answers:
            each = (f"{name} {1000 * spent / answers:.1f} ms" for name, spent in self._seconds.items() if spent)
            print(f"CPU an answer, joining and looking included: {', '.join(each)}.")


@contextmanager
def _beside(asked: argparse.Namespace, study: Study, folder: Path) -> Iterator[list[str]]:
    """In the mixed case, an import and fits of the same study, by processes of their own."""
    lines: list[str] = []
    if asked.what != "mixed":
        yield lines
        return
    votes = folder / "elsewhere.csv"
    votes.write_text(
        "left,right,choice,rater,prompt\n"
        + "".join(
            f"A{k % 7},B{k % 5},{('left', 'right', 'tie')[k % 3]},{k % 500},{k % 97}\n" for k in range(asked.rows)
        )
    )
    ends = threading.Event()
    acts: list[Callable[[], None]] = [
        lambda: lines.append(_command(f"import of {asked.rows:,} votes", "import_votes", str(votes), "elsewhere")),
        lambda: _fit_until(ends, study.slug, lines),
    ]
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    yield lines
    ends.set()
    for thread in threads:
        thread.join(300)


def _fit_until(ends: threading.Event, slug: str, lines: list[str]) -> None:
    """Fit again and again."""
    done, said = 0, "none"
    while not ends.is_set():
        said = _command("fit", "fit", slug)
        done += 1
    lines.append(f"Fits done meanwhile: {done}; the last: {said}")


def _command(name: str, *words: str) -> str:
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "manage.py", *words], cwd=HERE, capture_output=True, text=True, check=False
    )
    last = "" if done.returncode == 0 else f" FAILED: {done.stderr.strip().splitlines()[-1:]}"
    return f"{name}: {time.perf_counter() - started:.0f} s{last}"


def _signed_in() -> str:
    """A session of a superuser, as a cookie."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    user = User.objects.create_superuser("reader", password="a reader of results")  # noqa: S106 - of this folder only
    session: Any = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session.save()
    return str(session.session_key)


def _print_rows(rows: list[dict[str, str]], *, questions: int) -> None:
    print("\n| request | number | a second | failed | p50 / p95 / p99 / worst ms |\n|---|---|---|---|---|")
    for row in rows:
        count, failed, *times = (float(row[column]) for column in _COLUMNS)
        if row["Name"] != "Aggregated" and count:
            shown = " / ".join(f"{each:.0f}" for each in times)
            print(f"| {row['Name']} | {count:,.0f} | {float(row['Requests/s']):.1f} | {failed:,.0f} | {shown} |")
    answers = _of(rows, "answer and next pair")
    print(f"\nBallots answered a second: {answers:.1f}; votes a second: {questions * answers:.1f}.")


def _of(rows: list[dict[str, str]], name: str) -> float:
    """Successful requests of this name a second."""
    return sum(float(row["Requests/s"]) - float(row["Failures/s"]) for row in rows if row["Name"] == name)


def _print_truth(saved: Path, *, questions: int) -> None:
    from django.db.models import Count

    from arena.models import Ballot

    said = [line.split() for line in saved.read_text().splitlines()]
    answered = Ballot.objects.filter(rater__invitation__isnull=False)
    votes = dict(answered.values_list("token").annotate(number=Count("votes")))
    counts = Counter(token for token, _ in said)
    lost = sum(votes.get(token, 0) < questions for token in counts)
    doubled = sum(number > questions for number in votes.values()) + sum(number > 1 for number in counts.values())
    already = sum(int(flag) for _, flag in said)
    print(f"Acknowledged: {len(said):,}. Lost: {lost}. Doubled: {doubled}. Said to be saved already: {already}.")


def _bare(asked: argparse.Namespace, folder: Path, told: dict[str, str], *, answers: float, questions: int) -> None:
    """The peers, on the same database: alone, then over HTTP."""
    from benchmarks import bare_vote

    bare_vote.prepare()
    found = {"alone": bare_vote.alone(_BARE_SECONDS, first=bare_vote.BALLOTS // 2)}
    peers = {"as WSGI": ("bare_vote", 1), "as a plain Django view": ("bare_django", bare_vote.BALLOTS // 4)}
    for name, (module, first) in peers.items():
        told = told | {"LOAD_FIRST_BALLOT": str(first)}
        with served(app=f"benchmarks.{module}:application", looks_at="/") as (site, web):
            spent = _Spent({"web": web})
            rows = _locust(site, {"Bare": asked.hasty}, _BARE_SECONDS, told, folder, spent)
        print(f"\nThe bare transaction {name}:", end=" ")
        found[name] = _of(rows, "bare vote")
        spent.print()
    print("\n| the bare transaction | a second | votes of this run to it | answers (transactions) |\n|---|---|---|---|")
    for name, number in found.items():
        print(f"| {name} | {number:,.0f} | {questions * answers / number:.2f} | {answers / number:.2f} |")


if __name__ == "__main__":
    main()
