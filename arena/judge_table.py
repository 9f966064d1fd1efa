"""The judge table of a study, ready to be read: a row a rater, with the flags that stand against each."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from arena.models import Exclusion, Flag, Rater, RaterTable, Study


@dataclass(frozen=True)
class JudgeRow:
    """One rater who answered. Numbers are None where there is nothing to tell yet; shares are from 0 to 1."""

    rater: Rater
    numbers: Mapping[str, Any]
    flags: tuple[Flag, ...]
    exclusion: Exclusion | None

    @property
    def name(self) -> str:
        return self.rater.public_id[:8]

    @property
    def gold_share(self) -> float | None:
        return _share(self.numbers["gold_right"], self.numbers["gold_asked"])

    @property
    def self_agreement(self) -> float | None:
        return _share(self.numbers["repeated_same"], self.numbers["repeats"])

    def __getattr__(self, name: str) -> Any:
        # Everything that was counted reads like a field: `row.votes`, `row.left_share`.
        if name.startswith("_") or name not in NUMBERS:
            raise AttributeError(name)
        return self.numbers.get(name)


@dataclass(frozen=True)
class JudgeTable:
    """All rows in the order asked for, suspicions about cohorts, and when it was counted (None: not yet)."""

    study: Study
    rows: tuple[JudgeRow, ...]
    cohort_flags: tuple[Flag, ...]
    counted_at: datetime | None
    order: str

    @property
    def flagged(self) -> tuple[JudgeRow, ...]:
        """Who is under suspicion and not excluded."""
        return tuple(row for row in self.rows if row.flags and row.exclusion is None)

    @property
    def kinds(self) -> set[str]:
        """Which kinds of suspicions stand against anybody."""
        flags = (*self.cohort_flags, *(flag for row in self.rows for flag in row.flags))
        return {flag.kind for flag in flags}


# What each suspicion means and what may be innocent about it, for whoever decides.
FLAG_WORDS: Final = {
    "target": "One contender wins far more often than with others: votes for it alone, or a strong taste for its look.",
    "target, with others": "The same with less evidence, where more raters than chance allows favour that contender.",
    "against": "One contender loses far more often than with others: votes against it, or a dislike of its look.",
    "disagrees": "Votes go against what the others agree on: clicking at random, inverted answers, or another question "
    "in mind.",
    "one side": "Nearly always the same side, whatever stands there: not looking, or keys that were held down.",
    "too fast": "Many answers within a second: a program, or somebody who does not look at both images.",
    "gold": "Too many known answers missed: look at those pairs, too; the answer may be less certain than it seemed.",
    "gold and disagrees": "Misses known answers and disagrees with the others, each too little to be flagged alone.",
}
NUMBERS: Final = (
    *("votes", "ballots", "median_seconds", "median_gap", "left_share", "tie_share", "gold_asked", "gold_right"),
    *("repeats", "repeated_same", "agreement", "expected", "infit", "first_at", "last_at"),
)
ORDERS: Final[dict[str, Callable[[JudgeRow], Any]]] = {
    "flags": lambda row: (row.exclusion is None, len(row.flags), -min((flag.p for flag in row.flags), default=1)),
    "rater": lambda row: row.name,
    "votes": lambda row: row.votes,
    "median_seconds": lambda row: row.median_seconds,
    "median_gap": lambda row: row.median_gap,
    "left_share": lambda row: row.left_share,
    "tie_share": lambda row: row.tie_share,
    "gold": lambda row: row.gold_share,
    "self_agreement": lambda row: row.self_agreement,
    "agreement": lambda row: row.agreement,
    "infit": lambda row: row.infit,
}


def judge_table(study: Study, *, order: str = "-flags") -> JudgeTable:
    """Read it; five queries however many raters. `order` is a key of ORDERS, with "-" before it for falling."""
    newest: RaterTable | None = study.rater_tables.first()
    entries = newest.results["raters"] if newest else []
    people = {rater.pk: rater for rater in study.raters.select_related("invitation")}
    flags: dict[int, list[Flag]] = defaultdict(list)
    cohort_flags: list[Flag] = []
    for flag in study.flags.filter(faded_at__isnull=True, dismissed_at__isnull=True).select_related("criterion"):
        (cohort_flags if flag.rater_id is None else flags[flag.rater_id]).append(flag)
    excluded = {each.rater_id: each for each in _excluded(study)}
    rows = [
        JudgeRow(people[entry["rater"]], entry, tuple(flags[entry["rater"]]), excluded.get(entry["rater"]))
        for entry in entries
        if entry["rater"] in people
    ]
    key = order.removeprefix("-")
    known = key if key in ORDERS else "flags"
    value = ORDERS[known]
    told = [row for row in rows if value(row) is not None]
    told.sort(key=value, reverse=order.startswith("-") or key not in ORDERS)
    silent = [row for row in rows if value(row) is None]
    kept = order if key in ORDERS else "-flags"
    return JudgeTable(study, (*told, *silent), tuple(cohort_flags), newest.created_at if newest else None, kept)


def as_csv(table: JudgeTable) -> str:
    """The table for a spreadsheet: full precision, rater's public id, flags as sentences."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["rater", "kind", *NUMBERS, "excluded", "flags"])
    for row in table.rows:
        numbers = [row.numbers.get(name) for name in NUMBERS]
        reason = row.exclusion.reason if row.exclusion else ""
        sentences = "; ".join(flag.sentence for flag in row.flags)
        writer.writerow([row.rater.public_id, row.rater.kind, *numbers, _inert(reason), _inert(sentences)])
    return file.getvalue()


def _excluded(study: Study) -> list[Exclusion]:
    standing = Exclusion.objects.standing().filter(study=study, scope=Exclusion.Scope.RATER)
    return list(standing.select_related("author"))


def _inert(text: str) -> str:
    """A cell that a spreadsheet would run as a formula is shown as text."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
