"""What a bundle says about its raters and images beside the votes: known answers, checks, suspicions, metrics."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Protocol

from arena.bundles import layout
from arena.bundles.archive import Archive
from arena.bundles.layout import CheckLine, Design, FlagLine, GoldLine, MetricLine

_MOST_METRIC = 1e300


@dataclass(frozen=True, eq=False)
class Images:
    """Contender and text of each image, by place; and the text of each prompt. Texts are numbered."""

    contender: array[int]
    text: array[int]
    text_of_prompt: list[int]

    def __len__(self) -> int:
        return len(self.contender)


class Ballots(Protocol):
    """What checks need to know of the ballots, by place."""

    rater: array[int]
    is_ordinary: array[int]

    def __len__(self) -> int: ...


def check_findings(archive: Archive, design: Design, *, raters: int, ballots: Ballots, images: Images) -> None:
    """Raises BundleError with the first line that is wrong."""
    golds = _check_golds(archive, design, images)
    _check_checks(archive, ballots, golds=golds)
    _check_flags(archive, raters=raters, criteria=len(design.criteria))
    _check_metrics(archive, contenders=len(design.contenders), images=len(images))


def _check_golds(archive: Archive, design: Design, images: Images) -> int:
    seen: set[tuple[int, int, int]] = set()
    keys = {row.key for row in design.criteria}
    for line, row in enumerate(archive.rows(layout.GOLD, GoldLine), start=1):
        at = f"{layout.GOLD}, line {line}"
        _below(archive, at, "prompt", row.prompt, len(design.prompts))
        if unknown := sorted(set(row.answers) - keys):
            raise archive.fault(at, f"answers {unknown[0]!r}, which nobody is asked")
        for image in (row.first_image, row.second_image):
            _below(archive, at, "image", image, len(images))
            if images.text[image] != images.text_of_prompt[row.prompt]:
                raise archive.fault(at, "shows an image of another prompt")
        if images.contender[row.first_image] == images.contender[row.second_image]:
            raise archive.fault(at, "compares a contender with itself")
        if (pair := (row.prompt, row.first_image, row.second_image)) in seen:
            raise archive.fault(at, "is there twice")
        seen.add(pair)
    return len(seen)


def _check_checks(archive: Archive, ballots: Ballots, *, golds: int) -> None:
    checked = bytearray(len(ballots))
    for line, row in enumerate(archive.rows(layout.CHECKS, CheckLine), start=1):
        at = f"{layout.CHECKS}, line {line}"
        _below(archive, at, "ballot", row.ballot, len(ballots))
        if (row.gold is None) == (row.repeats is None):
            raise archive.fault(at, "names neither a known answer nor a ballot, or both")
        if row.gold is not None:
            _below(archive, at, "gold", row.gold, golds)
        if row.repeats is not None:
            _below(archive, at, "ballot", row.repeats, len(ballots))
            if ballots.rater[row.repeats] != ballots.rater[row.ballot]:
                raise archive.fault(at, "repeats a ballot of another rater")
        if ballots.is_ordinary[row.ballot] or checked[row.ballot]:
            raise archive.fault(at, "checks an ordinary ballot, or one a second time")
        checked[row.ballot] = 1


def _check_flags(archive: Archive, *, raters: int, criteria: int) -> None:
    for line, row in enumerate(archive.rows(layout.FLAGS, FlagLine), start=1):
        at = f"{layout.FLAGS}, line {line}"
        if row.rater is not None:
            _below(archive, at, "rater", row.rater, raters)
        if (row.rater is None) == (row.cohort == ""):
            raise archive.fault(at, "is about neither a rater nor a cohort, or both")
        if row.criterion is not None:
            _below(archive, at, "criterion", row.criterion, criteria)


def _check_metrics(archive: Archive, *, contenders: int, images: int) -> None:
    for line, row in enumerate(archive.rows(layout.METRICS, MetricLine), start=1):
        at = f"{layout.METRICS}, line {line}"
        if (row.image is None) == (row.contender is None):
            raise archive.fault(at, "is of neither an image nor a contender, or both")
        if row.image is not None:
            _below(archive, at, "image", row.image, images)
        if row.contender is not None:
            _below(archive, at, "contender", row.contender, contenders)
        if abs(row.value) > _MOST_METRIC:
            raise archive.fault(at, "value: is no number that can be kept")


def _below(archive: Archive, at: str, what: str, place: int, number: int) -> None:
    if place >= number:
        raise archive.fault(at, f"{what} {place} is not there: there are {number:,}")
