"""What a study can show, kept in the memory of each process: which images stand beside which, prompt by prompt.

Reading it takes as long as there are images, so it is read again only when its stamp says that something changed. What
was chosen from it is looked at once more before it is shown (`is_showable`): it may be a moment old.
"""

import itertools
import time
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from django.db.models import CharField, Q, Subquery

from arena import display, pair_designs
from arena.kept_queries import KeptQuery, Parameter
from arena.models import Contender, DisplayCopy, Study
from arena.supply import asked_prompts, live_contenders, samples_of
from generation.models import Image

ImagePair = tuple[int, int]
ContenderPair = tuple[int, int]
Cell = tuple[tuple[int, str, int], ...]  # image id, hash of its pixels, contender id; all of one prompt text and sample

# A lifted quarantine leaves the stamp as it was: it is believed for so long. (One that is made is seen at once.)
LONGEST_BELIEVED: Final = 60.0
# While images are being made every one of them changes the stamp. A large stock is then read at most once in so many
# seconds; below so many images reading it is quick.
QUIETEST: Final = 5.0
FEW_IMAGES: Final = 2_000


@dataclass(frozen=True)
class Look:
    """Two images of one prompt and sample that may be put side by side; the lower image id first."""

    images: ImagePair
    contenders: ContenderPair

    @property
    def pair(self) -> ContenderPair:
        """The contenders in order."""
        first, second = self.contenders
        return (first, second) if first < second else (second, first)


@dataclass(frozen=True)
class Shelf:
    """What can be compared on one prompt text."""

    cells: tuple[Cell, ...]
    allowed: frozenset[ContenderPair] | None = None
    """The pairs that the study compares; None for every two."""

    @property
    def looks(self) -> list[Look]:
        """Every two different pictures of one sample, of contenders that are compared."""
        looks = (
            Look(images=(low[0], high[0]), contenders=(low[2], high[2]))
            for cell in self.cells
            for low, high in itertools.combinations(cell, 2)
            if low[1] != high[1]
        )
        return [look for look in looks if self.allowed is None or look.pair in self.allowed]

    @cached_property
    def look_count(self) -> int:
        """How many looks that is, without making them where all pairs are compared."""
        if self.allowed is not None:
            return len(self.looks)
        return sum(_different(cell) for cell in self.cells)

    @cached_property
    def pairs(self) -> frozenset[ContenderPair]:
        """The pairs of contenders with a look. Most prompts have the same ones, which are kept once."""
        return _shared(frozenset(look.pair for look in self.looks))

    @cached_property
    def stamp(self) -> int:
        """Differs where other images can be compared, alike in every process."""
        return zlib.crc32(repr(self.cells).encode())


@dataclass(frozen=True)
class Stock:
    """Shelves by text digest, and which asked prompts have one with anything to compare."""

    shelves: dict[str, Shelf]
    text_of: dict[int, str]
    contenders: tuple[int, ...]
    newcomers: frozenset[int] = frozenset()
    """Those of the contenders that joined after the study had opened."""
    most_looks: int = 0
    """How many pairs of images one rater can be asked at most: those there are, or, while some lack, those planned."""

    def shelf_of(self, study_prompt: int) -> Shelf:
        return self.shelves[self.text_of[study_prompt]]


@dataclass(frozen=True)
class _Kept:
    stock: Stock
    stamp: tuple[Any, ...]
    read_at: float
    images: int


_kept: dict[tuple[int, object], _Kept] = {}
_MOST_KEPT = 8


def stock_of(study: Study, *, is_fresh: bool = False) -> Stock:
    """What the study can show. is_fresh: read it now, whatever is kept."""
    key, now, stamp = (study.pk, study.created_at), time.monotonic(), _stamp(study)
    kept = _kept.get(key)
    if kept is not None and not is_fresh:
        age = now - kept.read_at
        is_same = age < LONGEST_BELIEVED and kept.stamp == stamp
        if is_same or (age < QUIETEST and kept.images > FEW_IMAGES and kept.stamp[:2] == stamp[:2]):
            return kept.stock
    stock = read_stock(study)
    if len(_kept) >= _MOST_KEPT and key not in _kept:
        _kept.pop(min(_kept, key=lambda known: _kept[known].read_at), None)
    images = sum(len(cell) for shelf in stock.shelves.values() for cell in shelf.cells)
    _kept[key] = _Kept(stock, stamp, now, images)
    return stock


def forget() -> None:
    """Believe nothing that this process has kept: something can be shown again."""
    _kept.clear()


def read_stock(study: Study) -> Stock:
    """The same from the database alone."""
    contender_of: dict[int, int] = dict(live_contenders(study).order_by().values_list("recipe", "pk"))
    asked = dict(asked_prompts(study).order_by("position").values_list("pk", "prompt__text_digest"))
    images = Image.objects.filter(recipe__in=list(contender_of), sample__lt=samples_of(study))
    rows = display.with_copies(images, study=study).order_by("pk")
    cells: dict[tuple[str, int], list[tuple[int, str, int]]] = defaultdict(list)
    wanted = set(asked.values())
    for digest, sample, pk, pixels, recipe in rows.values_list(
        "prompt_digest", "sample", "pk", "pixels_sha256", "recipe"
    ):
        if digest in wanted:
            cells[digest, sample].append((pk, pixels, contender_of[recipe]))
    by_text: dict[str, list[Cell]] = defaultdict(list)
    for digest, sample in sorted(cells):
        if _different(cell := tuple(cells[digest, sample])):
            by_text[digest].append(cell)
    allowed = pair_designs.allowed_pairs(study)
    shelves = {digest: Shelf(tuple(own), allowed) for digest, own in by_text.items()}
    shelves = {digest: shelf for digest, shelf in shelves.items() if allowed is None or shelf.look_count}
    places = len(wanted) * samples_of(study)
    pairs = len(contender_of) * (len(contender_of) - 1) // 2 if allowed is None else len(allowed)
    is_whole = sum(len(cell) for cell in cells.values()) == places * len(contender_of)
    return Stock(
        shelves=shelves,
        text_of={prompt: digest for prompt, digest in asked.items() if digest in shelves},
        contenders=tuple(sorted(contender_of.values())),
        newcomers=pair_designs.joined_later(study),
        most_looks=sum(shelf.look_count for shelf in shelves.values()) if is_whole else places * pairs,
    )


def known_stock_of(study: Study) -> Stock:
    """The same, as this process last read it: for what need not be exact, and may cost no query."""
    kept = _kept.get((study.pk, study.created_at))
    is_believed = kept is not None and time.monotonic() - kept.read_at < LONGEST_BELIEVED
    return kept.stock if kept is not None and is_believed else stock_of(study)


def is_showable(look: Look, *, study: Study) -> bool:
    """Whether both images can be shown at this moment."""
    (low, high), (first, second) = look.images, look.contenders
    rule = display.rule_of(study).digest
    found = _SHOWABLE.rows(study=study.pk, low=low, high=high, first=first, second=second, rule=rule)
    return len(found) == 2


def _both(one: str, other: str) -> Q:
    return Q(pk=Parameter(one)) | Q(pk=Parameter(other))


_LIVE = Contender.objects.filter(study=Parameter("study"), withdrawn_at__isnull=True)
_SHOWABLE = KeptQuery(
    lambda: (
        Image.objects.filter(
            _both("low", "high"),
            display.is_shown_under(Parameter("rule", CharField())),
            recipe__in=_LIVE.filter(_both("first", "second")).values("recipe"),
        )
        .order_by()
        .values_list("pk")
    )
)
_NEWEST = KeptQuery(
    lambda: (
        _LIVE.order_by("pk")
        .values_list("pk")
        .annotate(
            image=Subquery(Image.objects.order_by("-pk").values("pk")[:1]),
            copy=Subquery(DisplayCopy.objects.order_by("-pk").values("pk")[:1]),
        )
    )
)


def _stamp(study: Study) -> tuple[Any, ...]:
    """Changes with whatever can be newly shown: one query, of a few rows and the ends of two indexes."""
    found = _NEWEST.rows(study=study.pk)
    pairs = pair_designs.pair_design_of(study)
    return (
        tuple(pk for pk, *_ in found),
        (study.state == Study.State.DRAFT, pairs),
        [newest for _, *newest in found[:1]],
    )


@lru_cache(maxsize=64)
def _shared(pairs: frozenset[ContenderPair]) -> frozenset[ContenderPair]:
    return pairs


def _different(cell: Cell | list[tuple[int, str, int]]) -> int:
    """How many pairs of different pictures a cell holds."""
    same = Counter(pixels for _, pixels, _ in cell)
    return len(cell) * (len(cell) - 1) // 2 - sum(number * (number - 1) // 2 for number in same.values())
