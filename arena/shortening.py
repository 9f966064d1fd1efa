"""Which lines of a long board a page shows: the first, those about the baseline, and those that somebody looks for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from arena.curves import Curve
from arena.leaderboard import CriterionResults, Row

MOST_WHOLE: Final = 100
"""Contenders up to which a board is shown whole."""
FIRST: Final = 40
MOST_FOUND: Final = 10
MOST_CURVES: Final = 20
"""Checkpoints up to which the step counts of all are shown; of more, those of the first few."""
FIRST_CURVES: Final = 6
# On either side of the baseline, and of each contender found.
_NEIGHBOURS: Final = 2


class Named(Protocol):
    """What is about one contender."""

    @property
    def label(self) -> str: ...


N = TypeVar("N", bound=Named)


@dataclass(frozen=True)
class Line:
    """A contender, and how many stand unshown between it and the one above."""

    row: Row
    skipped: int = 0


@dataclass(frozen=True)
class ShownBoard:
    """skipped: how many contenders stand unshown below the last line"""

    title: str
    lines: tuple[Line, ...]
    skipped: int = 0


def shown_boards(results: CriterionResults, looked_for: str = "") -> tuple[ShownBoard, ...]:
    """The boards of a criterion, shortened where there are many contenders."""
    if len(results.rows) <= MOST_WHOLE:
        return tuple(ShownBoard(board.title, tuple(Line(row) for row in board.rows)) for board in results.boards)
    chosen = {row.contender.pk for row in shown_rows(results.rows, looked_for)}
    return tuple(_shortened(board.title, board.rows, chosen) for board in results.boards)


def shown_rows(rows: Sequence[Row], looked_for: str = "") -> list[Row]:
    """All of few; of many the first, the baseline and those found with their neighbours, in their order."""
    if len(rows) <= MOST_WHOLE:
        return list(rows)
    centres = [place for place, row in enumerate(rows) if row.is_baseline]
    centres += [place for place, row in enumerate(rows) if matches(row.label, looked_for)][:MOST_FOUND]
    kept = set(range(FIRST))
    for place in centres:
        kept.update(range(max(0, place - _NEIGHBOURS), min(len(rows), place + _NEIGHBOURS + 1)))
    return [rows[place] for place in sorted(kept)]


def found_rows(rows: Iterable[Row], looked_for: str) -> list[Row]:
    """Contenders whose names hold what is looked for; one of just that name comes first."""
    found = [row for row in rows if matches(row.label, looked_for)]
    found.sort(key=lambda row: row.label.casefold() != looked_for.strip().casefold())
    return found[:MOST_FOUND]


def first_and_found(rows: Sequence[N], looked_for: str = "") -> Sequence[N]:
    """All of few lines about contenders; of many the first, and those that somebody looks for."""
    if len(rows) <= MOST_WHOLE:
        return rows
    return [row for place, row in enumerate(rows) if place < FIRST or matches(row.label, looked_for)]


def shown_curves(curves: Sequence[Curve], looked_for: str = "") -> tuple[Curve, ...]:
    """Of many checkpoints the first, and those that somebody looks for."""
    is_long = len(curves) > MOST_CURVES
    return tuple(
        curve for place, curve in enumerate(curves) if not is_long or place < FIRST_CURVES or _holds(curve, looked_for)
    )


def _holds(curve: Curve, looked_for: str) -> bool:
    return any(matches(level.contender.label, looked_for) for level in curve.levels)


def matches(label: str, looked_for: str) -> bool:
    """Whether a name holds what is looked for, in capitals or not; nothing is in no name."""
    wanted = looked_for.strip().casefold()
    return bool(wanted) and wanted in label.casefold()


def _shortened(title: str, rows: Sequence[Row], chosen: set[int]) -> ShownBoard:
    lines, skipped = [], 0
    for row in rows:
        if row.contender.pk in chosen:
            lines.append(Line(row, skipped))
            skipped = 0
        else:
            skipped += 1
    return ShownBoard(title, tuple(lines), skipped)
