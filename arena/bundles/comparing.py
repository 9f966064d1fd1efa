"""Whether a study fits to the numbers of its bundle: every number of the one fit beside that of the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from arena import fitting
from arena.bundles import layout
from arena.bundles.archive import Archive
from arena.bundles.telling import placed
from arena.models import Fit, Study

# What another processor or version of a library may change in a sum.
CLOSE: Final = 1e-9


@dataclass(frozen=True)
class Comparison:
    """One criterion. `numbers`: how many were compared; `largest`: the largest difference, 0 where bit for bit equal.

    reason: why the two cannot agree, empty where they were compared
    """

    criterion: str
    numbers: int
    largest: float
    reason: str = ""

    @property
    def is_equal(self) -> bool:
        return not self.reason and self.largest == 0

    @property
    def sentence(self) -> str:
        if self.reason:
            return f"{self.criterion}: {self.reason}."
        if self.is_equal:
            return f"{self.criterion}: {self.numbers:,} numbers, bit for bit those of the bundle."
        is_close = "as other versions or processors give them" if self.largest <= CLOSE else "which is NOT the same fit"
        return f"{self.criterion}: {self.numbers:,} numbers, the largest difference {self.largest:.1e}, {is_close}."


def compare_fits(study: Study, archive: Archive) -> list[Comparison]:
    """Fit the study that a bundle was taken in as, and hold it against the fits of the bundle."""
    fitting.refit(study)
    own = fitting.current_fits(study)
    criteria = list(study.criteria.order_by("position"))
    places = {pk: place for place, pk in enumerate(study.contenders.order_by("position").values_list("pk", flat=True))}
    found = []
    for line in archive.rows(layout.FITS, layout.FitLine):
        criterion = criteria[line.criterion]
        fit = own.get(criterion.pk)
        reason = _why_not(line, fit)
        if reason or fit is None:
            found.append(Comparison(criterion.name, 0, 0.0, reason))
            continue
        # JSON has no infinity and keeps every bit of a number, so the stored form is as good as the one just made.
        gaps = list(_differences(line.results, placed(fit.results, places)))
        found.append(Comparison(criterion.name, len(gaps), max(gaps, default=0.0)))
    return found


def _why_not(line: layout.FitLine, fit: Fit | None) -> str:
    if fit is None:
        return "the bundle has a fit, but nothing is counted here"
    if not line.is_current:
        return "votes came in while the bundle was written, so its fit is of fewer votes"
    if line.options != fit.options:
        return "the bundle was fitted with other options than this version has"
    return ""


def _differences(one: Any, other: Any) -> Iterator[float]:
    """The difference of every number; infinite where the two do not even have the same shape."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            yield math.inf
            return
        for key in one:
            yield from _differences(one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            yield math.inf
            return
        for left, right in zip(one, other, strict=True):
            yield from _differences(left, right)
    elif isinstance(one, int | float) and isinstance(other, int | float) and not isinstance(one, bool):
        yield 0.0 if one == other else abs(one - other)
    elif one != other and not (isinstance(one, str) and isinstance(other, str)):
        # Sentences name numbers in their own words; all else must be the same.
        yield math.inf
