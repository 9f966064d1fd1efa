"""The choice on a prompt with very many looks: the same rules and chances as in `pairing`, on arrays instead of a list.

Of 1,000 contenders 499,500 looks can be made on each prompt: as objects they took .6 s of every answer.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from arena.designs import BALANCED, UNIFORM, balanced_so_far, newcomers_first
from arena.exposure import Exposure, ImagePair
from arena.pair_plans import PairChances
from arena.ranking.design import Choice, choose_balanced, choose_uniform
from arena.stock import Cell, Look, Shelf

MANY: Final = 5_000
"""From so many looks on, arrays are quicker than a list."""

Mask = NDArray[np.bool_]


def is_wide(shelf: Shelf) -> bool:
    """Whether a prompt's looks are too many for a list. Where few pairs are compared, they are few."""
    return shelf.allowed is None and shelf.look_count > MANY


@dataclass(frozen=True)
class WideShelf:
    """All looks of a shelf by number (n,): cell after cell, of each the upper triangle row by row."""

    cells: tuple[Cell, ...]

    def __len__(self) -> int:
        return sum(_pairs(len(cell)) for cell in self.cells)

    def look(self, number: int) -> Look:
        """The look of this number; the lower image id first, as cells are in their order."""
        for cell in self.cells:
            if number < _pairs(len(cell)):
                rows, columns = _triangle(len(cell))
                low, high = cell[rows[number]], cell[columns[number]]
                return Look(images=(low[0], high[0]), contenders=(low[2], high[2]))
            number -= _pairs(len(cell))
        raise IndexError("there is no such look")

    def different(self) -> Mask:
        """(n,) looks whose pictures are not the same."""
        parts = []
        for cell in self.cells:
            kinds = {pixels: kind for kind, pixels in enumerate({pixels for _, pixels, _ in cell})}
            rows, columns = _triangle(len(cell))
            if len(kinds) == len(cell):
                parts.append(np.ones(len(rows), dtype=bool))
                continue
            kind = np.array([kinds[pixels] for _, pixels, _ in cell])
            parts.append(kind[rows] != kind[columns])
        return np.concatenate(parts)

    def with_any_of(self, contenders: Collection[int]) -> Mask:
        """(n,) looks with one of these contenders at least."""
        parts = []
        for cell in self.cells:
            rows, columns = _triangle(len(cell))
            is_one = np.array([contender in contenders for *_, contender in cell])
            parts.append(is_one[rows] | is_one[columns])
        return np.concatenate(parts)

    def numbers(self, pairs: Collection[ImagePair]) -> list[int | None]:
        """Numbers of the looks with these images, lower id first; None for what is no look here."""
        at = {image: (cell, place) for cell, each in enumerate(self.cells) for place, (image, *_) in enumerate(each)}
        sizes = [len(cell) for cell in self.cells]
        starts = [0, *accumulate(map(_pairs, sizes))]
        found: list[int | None] = []
        for low, high in pairs:
            (cell, row), (other, column) = at.get(low, (-1, 0)), at.get(high, (-2, 0))
            in_cell = row * sizes[cell] - row * (row + 1) // 2 + column - row - 1
            found.append(starts[cell] + in_cell if cell == other else None)
        return found

    def free(self, had: Collection[ImagePair]) -> Mask:
        """(n,) looks with different pictures that were not had."""
        free = self.different()
        free[[number for number in self.numbers(had) if number is not None]] = False
        return free

    def shown(self, known: Exposure) -> NDArray[np.int64]:
        """(n,) how often each was shown."""
        counts = np.zeros(len(self), dtype=np.int64)
        for number, times in zip(self.numbers(known.shown), known.shown.values(), strict=True):
            if number is not None:
                counts[number] = times
        return counts

    def weights(self, chances: PairChances, free: Mask) -> NDArray[np.float64] | None:
        """(n,) chances of the free looks, those of a pair shared by its free samples; None without all contenders."""
        places = []
        for cell in self.cells:
            if any(contender not in chances.place_of for *_, contender in cell):
                return None
            place = np.array([chances.place_of[contender] for *_, contender in cell])
            rows, columns = _triangle(len(cell))
            one, other = place[rows], place[columns]
            places.append((np.minimum(one, other), np.maximum(one, other)))
        low, high = (np.concatenate(part) for part in zip(*places, strict=True))
        weights = np.where(free, chances.table[low, high], 0.0)
        if len(self.cells) > 1:
            samples = np.zeros(chances.table.shape)
            np.add.at(samples, (low[free], high[free]), 1)
            weights /= np.maximum(samples[low, high], 1)
        return weights


def choose(
    shelf: WideShelf,
    free: Mask,
    *,
    rule: str,
    weights: NDArray[np.float64] | None,
    known: Exposure | None,
    newcomers: Collection[int],
    random: np.random.Generator,
) -> tuple[Choice, str]:
    """One of the free looks, and the name of the rule that chose it. `known` may lack where the rule has no use for it.

    weights: of a rule with a plan; None without one, then the rule is balanced so far
    """
    counts = None if known is None else shelf.shown(known)
    if counts is not None and rule != BALANCED and len(late := _behind(shelf, free, counts, newcomers)):
        return _of(late, choose_balanced(counts[late], random)), newcomers_first(rule)
    numbers = np.flatnonzero(free)
    if rule == UNIFORM:
        return _of(numbers, choose_uniform(len(numbers), random)), rule
    if weights is not None:
        return _by_weight(weights, random), rule
    if counts is None:
        raise ValueError(f"the rule {rule} needs to know what was shown")
    return _of(numbers, choose_balanced(counts[numbers], random)), rule if rule == BALANCED else balanced_so_far(rule)


def _of(numbers: NDArray[np.intp], chosen: Choice) -> Choice:
    """A choice among some, as one among all."""
    return Choice(int(numbers[chosen.candidate]), chosen.probability)


def _by_weight(weights: NDArray[np.float64], random: np.random.Generator) -> Choice:
    sums = np.cumsum(weights)
    place = int(np.searchsorted(sums, random.random() * sums[-1], side="right"))
    return Choice(place, float(weights[place] / sums[-1]))


def _behind(shelf: WideShelf, free: Mask, counts: NDArray[np.int64], newcomers: Collection[int]) -> NDArray[np.intp]:
    """Free looks with a newcomer that were shown less often than looks without one are on average."""
    if not newcomers:
        return np.zeros(0, dtype=np.intp)
    with_newcomer = shelf.with_any_of(newcomers)
    others = counts[shelf.different() & ~with_newcomer]
    usual = others.mean() if len(others) else 0.0
    return np.flatnonzero(free & with_newcomer & (counts < usual))


def _pairs(size: int) -> int:
    return size * (size - 1) // 2


@lru_cache(maxsize=8)
def _triangle(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each place above the diagonal, row by row."""
    rows, columns = np.triu_indices(size, 1)
    return rows, columns
