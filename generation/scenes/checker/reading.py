"""What a picture shows, without a caption to look for."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from generation.scenes.checker.blobs import Blob, find_blobs, is_board
from generation.scenes.checker.lettering import UNREADABLE, Lettering, read_board
from generation.scenes.checker.pixels import SIZE, Background, at_working_size, background_of
from generation.scenes.checker.shapes import Fit, centre_of, fit, offset_of
from generation.scenes.grammar import Scene, Sign, caption_of, pair, several, single
from generation.scenes.vocabulary import COUNTS, POSITIONS

SHAPE_IS_THERE: Final = 0.75
"""Overlap with the best fitting shape from which a thing has that shape."""

LIKE_A_THING: Final = 0.55
"""Overlap with the best fitting shape below which a blob is a smear: nothing that a caption could mean."""

BLURRED: Final = 1.6
"""Width of a thing's edges, 1 being sharp, from which it is a blur."""

NEAR: Final = 0.14
"""How far from its place a thing's centre may lie, as a share of the picture."""

_APART = 0.2  # distance from which two things are beside or above each other, as a share of the picture
_LARGEST = 0.30  # of the picture that one thing may cover


@dataclass(frozen=True)
class SeenThing:
    """One blob. `shape` is None where none fits; x and y are the centre it would be drawn at, as shares of the picture.

    A blur fits none. `share` is the part of the picture it covers, `fit` how it compares with every shape.
    """

    colour: str
    shape: str | None
    x: float
    y: float
    share: float
    fit: Fit

    @property
    def is_smear(self) -> bool:
        """Whether it is so far from every shape that nobody would call it a thing."""
        return self.fit.overlaps[self.fit.best] < LIKE_A_THING

    @property
    def is_sharp(self) -> bool:
        """Whether its edges are: a blur has no shape, and how many blurs there are is nobody's to say."""
        return self.fit.edge < BLURRED


@dataclass(frozen=True)
class Seen:
    """Everything the checker reads in a picture; `background` and `board` are colours or None, `word` '' if none."""

    background: str | None
    things: tuple[SeenThing, ...]
    board: str | None
    word: str

    @property
    def counts(self) -> dict[tuple[str, str | None], int]:
        """How many things there are of each (colour, shape)."""
        kinds = [(thing.colour, thing.shape) for thing in self.things]
        return {kind: kinds.count(kind) for kind in kinds}

    @property
    def scene(self) -> Scene | None:
        """The scene of the grammar that the picture shows; None where it shows none.

        A pair is named from its left or upper thing.
        """
        if self.background is None:
            return None
        if self.board is not None:
            is_readable = bool(self.word) and UNREADABLE not in self.word and not self.things
            return Scene(self.background, sign=Sign(self.board, self.word)) if is_readable else None
        if len(self.things) == 1:
            return self._single(self.background)
        if len(self.counts) == 1 and str(len(self.things)) in _COUNT_NAMES:
            return self._several(self.background)
        return self._pair(self.background) if len(self.things) == 2 else None

    @property
    def caption(self) -> str | None:
        """The sentence of the grammar that says what the picture shows; None where none does."""
        return None if self.scene is None else caption_of(self.scene)

    def _single(self, background: str) -> Scene | None:
        thing, position = self.things[0], position_of(self.things[0].x, self.things[0].y)
        if thing.shape is None or position is None:
            return None
        return single(colour=thing.colour, shape=thing.shape, position=position, background=background)

    def _several(self, background: str) -> Scene | None:
        ((colour, shape),) = self.counts
        if shape is None:
            return None
        count = _COUNT_NAMES[str(len(self.things))]
        return several(count=count, colour=colour, shape=shape, background=background)

    def _pair(self, background: str) -> Scene | None:
        for first, second in (self.things, self.things[::-1]):
            relation = relation_of((first.x, first.y), (second.x, second.y))
            if relation in ("left of", "above") and first.shape is not None and second.shape is not None:
                one, two = (first.colour, first.shape), (second.colour, second.shape)
                return pair(first=one, relation=relation, second=two, background=background)
        return None


_COUNT_NAMES: Final = {str(len(places)): name for name, places in COUNTS.items()}


@dataclass(frozen=True)
class Measured:
    """The same as Seen, with the colours and masks as measured: `things` and `blobs` are in the same order."""

    pixels: np.ndarray
    background: Background
    things: tuple[SeenThing, ...]
    blobs: tuple[Blob, ...]
    board: Blob | None
    lettering: Lettering | None


def read(picture: np.ndarray) -> Seen:
    """Read a uint8 picture of shape (h, w, 3). Raises ValueError for other arrays."""
    found = measure(picture)
    return Seen(
        background=found.background.name,
        things=found.things,
        board=None if found.board is None else found.board.name,
        word="" if found.lettering is None else found.lettering.word,
    )


def measure(picture: np.ndarray) -> Measured:
    """Everything that can be measured without a caption. Raises ValueError for anything but a uint8 (h, w, 3)."""
    pixels = at_working_size(picture)
    background = background_of(pixels)
    blobs = find_blobs(pixels, background)
    board = next((blob for blob in blobs if is_board(blob)), None)
    things = tuple(blob for blob in blobs if blob.share < _LARGEST and not is_board(blob))
    lettering = None if board is None else read_board(pixels, board)
    return Measured(pixels, background, tuple(_thing(blob) for blob in things), things, board, lettering)


def _thing(blob: Blob) -> SeenThing:
    found = fit(blob.amount)
    x, y = centre_of(blob.amount)
    off_x, off_y = offset_of(found.best)
    side = float(np.sqrt(blob.amount.sum()))
    return SeenThing(
        colour=blob.name,
        shape=found.best if found.overlaps[found.best] >= SHAPE_IS_THERE and found.edge < BLURRED else None,
        x=(x - off_x * side) / SIZE,
        y=(y - off_y * side) / SIZE,
        share=blob.share,
        fit=found,
    )


def position_of(x: float, y: float) -> str | None:
    """The name of the nearest of POSITIONS, None where none is near."""
    distances = {name: float(np.hypot(x - at[0], y - at[1])) for name, at in POSITIONS.items()}
    nearest = min(distances, key=lambda name: distances[name])
    return nearest if distances[nearest] < NEAR else None


def relation_of(first: tuple[float, float], second: tuple[float, float]) -> str | None:
    """Where the first is as seen from the second, both (x, y); None where they are too close or on a diagonal."""
    across, down = first[0] - second[0], first[1] - second[1]
    if max(abs(across), abs(down)) < _APART or 0.6 * max(abs(across), abs(down)) < min(abs(across), abs(down)):
        return None
    if abs(across) > abs(down):
        return "left of" if across < 0 else "right of"
    return "above" if down < 0 else "below"
