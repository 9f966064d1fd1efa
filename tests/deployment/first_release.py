"""Brings a database of the first release up to date, killed on the way, and tells what is in it then.

`python -m tests.deployment.first_release COPIES KILL_AT KILL_AT ...` on the empty database of DATABASE_URL. The rows
come from `first_release.json`, written by the code of the first complete path (generation 0001, arena 0002): 6 raters
with 121 votes, and 3 fits. Raters, their ballots and votes are put in COPIES times. Each number after that is a
statement of the migration at which one process is ended by kill -9.
"""

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROWS = Path(__file__).with_suffix(".json")
SIDES = ("left", "right")
FIRST = [("generation", "0001_first"), ("arena", "0002_append_only")]
COPIED = {
    "arena.rater": {"id": "arena.rater"},
    "arena.consent": {"id": "arena.consent", "rater_id": "arena.rater"},
    "arena.ballot": {"id": "arena.ballot", "rater_id": "arena.rater", "supersedes_id": "arena.ballot"},
    "arena.vote": {"id": "arena.vote", "rater_id": "arena.rater", "ballot_id": "arena.ballot"},
}
"""What is put in several times, and whose ids its columns hold."""
ROWS_AT_A_TIME = 5000


def main(copies: int, kill_at: list[int]) -> None:
    """Fill, break off, migrate, look, and print what was found as JSON."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")
    import django

    django.setup()
    fill(copies)
    ends = [end_of(number) for number in kill_at]
    began = time.monotonic()
    migrate()
    print(json.dumps({"ends": ends, "seconds": time.monotonic() - began, **found(copies)}))


def fill(copies: int) -> None:
    """The tables and rows of the first release."""
    from django.core.management.color import no_style
    from django.db import connection, transaction
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    theirs = [node for node in executor.loader.graph.leaf_nodes() if node[0] not in ("arena", "generation")]
    executor.migrate(FIRST + theirs)
    apps = executor.loader.project_state(FIRST + theirs).apps
    models = []
    with transaction.atomic():
        for label in (tables := json.loads(ROWS.read_text())):
            model = apps.get_model(label)
            for field in model._meta.concrete_fields:
                field.auto_now = field.auto_now_add = False  # the times are those of the rows
            rows = rows_of(label, tables, copies=copies)
            while some := list(itertools.islice(rows, ROWS_AT_A_TIME)):
                model.objects.bulk_create([model(**row) for row in some])
            models.append(model)
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)
    connection.close()  # what is forked from here must not share it


def rows_of(label: str, tables: dict[str, Any], *, copies: int) -> Iterator[dict[str, Any]]:
    """The rows of a table; those of copies have ids, tokens and hash chains of their own."""
    table = tables[label]
    first = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    yield from first
    largest = {name: max(row[0] for row in tables[name]["rows"]) for name in COPIED}
    columns = tables["arena.ballot"]["columns"]
    ballots = {row[0]: dict(zip(columns, row, strict=True)) for row in tables["arena.ballot"]["rows"]}
    for copy in range(1, copies if label in COPIED else 1):
        hashes: dict[int, str] = {}
        for row in sorted(first, key=lambda row: int(row.get("sequence", 0))):
            shifted = {name: row[name] and row[name] + copy * largest[of] for name, of in COPIED[label].items()}
            new = row | shifted
            for name in {"token", "public_id"} & set(new):
                new[name] = f"{copy:08x}{new[name][8:]}"
            if "chain_hash" in new:
                new["chain_hash"] = chained(new, ballots[row["ballot_id"]], hashes)
            yield new


def chained(vote: dict[str, Any], ballot: dict[str, Any], hashes: dict[int, str]) -> str:
    """The hash of a vote in its rater's chain, which goes on from there."""
    from arena.vote_chain import GENESIS, chain_hash

    row: Any = SimpleNamespace(**vote | {"cast_at": datetime.fromisoformat(vote["cast_at"])})
    images: Any = SimpleNamespace(**ballot)
    rater = vote["rater_id"]
    hashes[rater] = chain_hash(previous=hashes.get(rater, GENESIS), vote=row, ballot=images)
    return hashes[rater]


def migrate(*, kill_at: int | None = None) -> None:
    """To the newest tables, or until kill -9 comes before that statement."""
    from django.core.management import call_command
    from django.db import connection

    seen = 0

    def count(execute: Callable[..., Any], *rest: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(*rest)

    with connection.execute_wrapper(count):
        call_command("migrate", verbosity=0, interactive=False)


def end_of(kill_at: int) -> int:
    """Migrate in a process of its own; the signal that ended it, 0 for none."""
    child = os.fork()
    if not child:
        migrate(kill_at=kill_at)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status)


def found(copies: int) -> dict[str, Any]:
    """Rows per table, breaks in chains, and how far strengths lie apart: of then, of now, of the bare rows."""
    from django.apps import apps

    from arena import fitting, vote_chain, voting
    from arena.models import Fit, Rater, Study, Vote
    from tests.arena.factories import cast

    tables = json.loads(ROWS.read_text())
    then = {label: len(table["rows"]) * (copies if label in COPIED else 1) for label, table in tables.items()}
    study = Study.objects.get()
    old = {fit.criterion_id: strengths(fit.results) for fit in Fit.objects.all()}
    new = {fit.criterion_id: strengths(fit.results) for fit in fitting.refit(study)}
    rows = strengths_of_rows(copies, side_bias=True)
    plain = strengths_of_rows(1, side_bias=False)  # the first release knew no side bias
    counts = {label: apps.get_model(label).objects.count() for label in then if label != "arena.fit"}
    rater = Rater.objects.latest("pk")
    before = Vote.objects.count()
    cast(rater)
    return {
        "then": {label: count for label, count in then.items() if label != "arena.fit"},
        "now": counts,
        "broken": [problem.sentence for one in Rater.objects.all() for problem in vote_chain.check_chain(one)],
        "goes_on": Vote.objects.count() - before in (2, 3) and bool(voting.open_ballots(rater=rater, wanted=1)),
        "from_rows": {criterion: largest_difference(new[criterion], rows[criterion]) for criterion in old},
        "from_then": {criterion: largest_difference(old[criterion], plain[criterion]) for criterion in old},
    }


def strengths(results: dict[str, Any]) -> list[float]:
    """Log strengths of the contenders in order."""
    return [each["log_strength"] for each in sorted(results["contenders"], key=lambda each: int(each["id"]))]


def strengths_of_rows(copies: int, *, side_bias: bool) -> dict[int, list[float]]:
    """The same of the rows as they lie in the file, past every table, by criterion."""
    from arena.ranking.models import fit_model
    from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE, Votes, tally

    tables = json.loads(ROWS.read_text())
    contenders = [row[0] for row in tables["arena.contender"]["rows"]]
    votes = [dict(zip(tables["arena.vote"]["columns"], row, strict=True)) for row in tables["arena.vote"]["rows"]]
    outcomes = {"left": LEFT, "tie": TIE, "right": RIGHT, "both_bad": BOTH_BAD}
    fitted = {}
    for criterion in {vote["criterion_id"] for vote in votes}:
        rows = [vote for vote in votes if vote["criterion_id"] == criterion]
        left, right = (np.array([contenders.index(row[f"{side}_contender_id"]) for row in rows]) for side in SIDES)
        outcome = np.array([outcomes[row["choice"]] for row in rows])
        left, right, outcome = (np.tile(column, copies) for column in (left, right, outcome))
        votes_of_it = Votes(left, right, outcome, contenders=len(contenders))
        fit = fit_model(tally(votes_of_it), side_bias=side_bias)
        fitted[criterion] = [float(value) for value in fit.strengths]
    return fitted


def largest_difference(one: list[float], other: list[float]) -> float:
    """Of two lists of strengths."""
    return max(abs(first - second) for first, second in zip(one, other, strict=True))


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(number) for number in sys.argv[2:]])
