"""Which letters stand on a sign's board: every place where a letter may be, compared with all 26 at once."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from generation.scenes.checker.blobs import Blob
from generation.scenes.checker.pixels import SIZE
from generation.scenes.drawing import GLYPH_HEIGHT, GLYPH_WIDTH, LETTER_PITCH, letters_mask, text_colour, word_corner
from generation.scenes.vocabulary import COLOURS, LETTERS, LONGEST_WORD

UNREADABLE: Final = "?"
_BOARD_CORNER = (3, 17)  # (left, top) of a board that is not shifted
_SLACK = 2  # pixels that a letter may be off the place it has on its board
_ALIKE = 0.7  # correlation from which a letter reads; of two different glyphs most have less
_STRENGTH = 0.5  # ink from which a letter reads, 1 being full black or white
_FAINT = 0.15  # spread of ink below which a place is empty and its correlation means nothing
_WORD = 0.5  # mean correlation from which there is a word at all


@dataclass(frozen=True)
class Lettering:
    """What a board says. `cells`: for each length of a word the letter at each of its places, UNREADABLE if none.

    `length` is that of the word that is there, 0 for an empty or scribbled board.
    """

    cells: dict[int, str]
    length: int

    @property
    def word(self) -> str:
        """The word that is there, with UNREADABLE for letters that cannot be read; '' for none."""
        return self.cells.get(self.length, "")


def read_board(pixels: np.ndarray, board: Blob) -> Lettering:
    """Read the letters on a board in float32 pixels (64, 64, 3)."""
    left, top, _, _ = board.box
    shift = _bounded(left - _BOARD_CORNER[0]), _bounded(top - _BOARD_CORNER[1])
    inked = _inked(pixels, board)
    alike, letters = _match(inked, shift)
    cells, scores = {}, {}
    for length in range(1, LONGEST_WORD + 1):
        places = _places(length)
        cells[length] = "".join(letters[x] for x in places)
        scores[length] = float(np.mean([alike[x] for x in places])) - _ink_elsewhere(inked, places, shift)
    best = max(scores, key=lambda length: scores[length])
    return Lettering(cells, best if scores[best] > _WORD else 0)


def _bounded(shift: int) -> int:
    return max(-_SLACK, min(_SLACK, shift))


def _places(length: int) -> tuple[int, ...]:
    """Left edges of the letters of a word of this length, on a board that is not shifted."""
    left, _ = word_corner("A" * length)
    return tuple(left + LETTER_PITCH * k for k in range(length))


_ALL_PLACES: Final = tuple(sorted({x for length in range(1, LONGEST_WORD + 1) for x in _places(length)}))
_TOP: Final = word_corner("A")[1]


def _inked(pixels: np.ndarray, board: Blob) -> np.ndarray:
    """How much of every pixel is ink, 0 to 1: where it is between the board's colour, as measured, and the ink's."""
    line = np.array(COLOURS[text_colour(board.name)], dtype=np.float32) - board.colour
    return np.asarray(np.clip((pixels - board.colour) @ (line / (line @ line)), 0.0, 1.0))


@lru_cache
def _glyphs() -> np.ndarray:
    """(26, GLYPH_HEIGHT * GLYPH_WIDTH), each with mean 0 and length 1."""
    flat = np.stack([letters_mask(letter).astype(np.float32).ravel() for letter in LETTERS])
    flat -= flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True))


@lru_cache
def _glyph_spreads() -> np.ndarray:
    """(26,), the standard deviation of each glyph's pixels."""
    return np.stack([letters_mask(letter).astype(np.float32).std() for letter in LETTERS])


def _match(inked: np.ndarray, shift: tuple[int, int]) -> tuple[dict[int, float], dict[int, str]]:
    """For every place the highest correlation within _SLACK pixels, and the letter that has it if it reads."""
    near = np.arange(-_SLACK, _SLACK + 1)
    columns = (np.array(_ALL_PLACES)[:, None] + shift[0] + near).ravel()
    rows = _TOP + shift[1] + near
    windows = np.lib.stride_tricks.sliding_window_view(inked, (GLYPH_HEIGHT, GLYPH_WIDTH))[np.ix_(rows, columns)]
    flat = windows.reshape(-1, GLYPH_HEIGHT * GLYPH_WIDTH)
    flat = flat - flat.mean(axis=1, keepdims=True)
    spread = flat.std(axis=1, keepdims=True)
    alike = flat @ _glyphs().T / (np.maximum(spread, _FAINT) * np.sqrt(flat.shape[1]))
    strength = alike * spread / _glyph_spreads()
    by_place, strength_by_place = _by_place(alike), _by_place(strength)
    best = by_place.argmax(axis=1)
    scores, letters = {}, {}
    for place, (x, at) in enumerate(zip(_ALL_PLACES, best.tolist(), strict=True)):
        scores[x] = float(by_place[place, at])
        reads = scores[x] > _ALIKE and strength_by_place[place, at] > _STRENGTH
        letters[x] = LETTERS[at % len(LETTERS)] if reads else UNREADABLE
    return scores, letters


def _by_place(values: np.ndarray) -> np.ndarray:
    """(rows x places x columns, letters) -> (places, rows x columns x letters)."""
    near, places = 2 * _SLACK + 1, len(_ALL_PLACES)
    return values.reshape(near, places, near, len(LETTERS)).transpose(1, 0, 2, 3).reshape(places, -1)


def _ink_elsewhere(inked: np.ndarray, places: tuple[int, ...], shift: tuple[int, int]) -> float:
    """Share of the ink in the letters' rows that lies outside these places."""
    top = _TOP + shift[1]
    strip = inked[top : top + GLYPH_HEIGHT, _ALL_PLACES[0] : _ALL_PLACES[-1] + GLYPH_WIDTH]
    columns = np.where(strip > 0.3, strip, 0).sum(axis=0)  # noise is no ink
    is_outside = np.ones(SIZE, dtype=bool)
    for x in places:
        is_outside[x + shift[0] - 1 : x + shift[0] + GLYPH_WIDTH + 1] = False
    outside = columns[is_outside[_ALL_PLACES[0] : _ALL_PLACES[-1] + GLYPH_WIDTH]].sum()
    return float(outside / max(float(columns.sum()), 1.0))
