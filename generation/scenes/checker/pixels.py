"""Pixels as colours: the nearest names, the background in the corners, and how clean the whole looks."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from generation.scenes.vocabulary import COLOURS

SIZE: Final = 64
NAMES: Final = tuple(COLOURS)
FARTHEST: Final = 75.0
"""RGB distance beyond which a pixel or an area has none of the vocabulary's colours."""

_PALETTE: Final = np.array([COLOURS[name] for name in NAMES], dtype=np.float32)
_CORNER = 7  # no object or sign reaches the corners, so they show the background
_EVEN = 48.0  # how far a pixel of an even area may be from the area's colour; noise of 12 levels stays within
_EVEN_SHARE = 0.7
_USUAL = 12.0  # distance that the usual variation of a shade makes


@dataclass(frozen=True)
class Background:
    """`name` is None where the corners are no even area of one known colour. `colour`: float32 (3,), as measured."""

    name: str | None
    colour: np.ndarray


def at_working_size(picture: np.ndarray) -> np.ndarray:
    """float32 (64, 64, 3) of a uint8 picture of shape (h, w, 3). Raises ValueError for other arrays."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture is a uint8 array of shape (h, w, 3), not {picture.dtype} {picture.shape}")
    if picture.shape[:2] != (SIZE, SIZE):
        picture = np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BOX))
    return picture.astype(np.float32)


def smoothed(pixels: np.ndarray) -> np.ndarray:
    """Every pixel averaged with its eight neighbours by 1-2-1 weights: noise falls to three eighths."""
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return np.asarray((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4)


def nearest_colours(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For pixels (..., 3) the index in NAMES of the nearest colour and the distance to it, both of shape (...)."""
    flat = pixels.reshape(-1, 3)
    squares = (flat * flat).sum(axis=1)[:, None] - 2 * flat @ _PALETTE.T + (_PALETTE * _PALETTE).sum(axis=1)
    nearest = squares.argmin(axis=1)
    distances = np.sqrt(np.maximum(squares[np.arange(len(flat)), nearest], 0))
    return nearest.reshape(pixels.shape[:-1]), distances.reshape(pixels.shape[:-1])


def background_of(pixels: np.ndarray) -> Background:
    """The colour of the four corners; without a name unless all four are even and have it."""
    near, far = slice(0, _CORNER), slice(-_CORNER, None)
    corners = np.stack([pixels[rows, columns].reshape(-1, 3) for rows in (near, far) for columns in (near, far)])
    colour = np.median(corners.reshape(-1, 3), axis=0)
    is_even = (np.linalg.norm(corners - colour, axis=2) < _EVEN).mean(axis=1).min() >= _EVEN_SHARE
    name, distance = nearest_name(colour)
    return Background(name if is_even and distance < FARTHEST else None, colour)


def nearest_name(colour: np.ndarray) -> tuple[str, float]:
    """The vocabulary's nearest colour to one of shape (3,), and the distance."""
    nearest, distance = nearest_colours(colour[None])
    return NAMES[int(nearest[0])], float(distance[0])


def purity(colour: np.ndarray, name: str) -> float:
    """1 for the named colour or a usual variation of it, less the further it is off, 0.5 at FARTHEST."""
    off = float(np.linalg.norm(colour - COLOURS[name]))
    return 1.0 - 0.5 * min(1.0, max(0.0, off - _USUAL) / (FARTHEST - _USUAL))


def cleanliness(pixels: np.ndarray) -> float:
    """1 for flat areas of full colour with sharp edges; falls with noise, soft transitions and a washed-out look."""
    padded = np.pad(pixels.astype(np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    variance = np.maximum(_ninth_of_neighbours(padded**2) - _ninth_of_neighbours(padded) ** 2, 0)
    spread = np.sqrt(variance).mean(axis=2).ravel()
    calm = int(0.6 * spread.size)  # the calmest pixels: outlines and letters are no grain
    grain = float(np.partition(spread, calm)[:calm].mean())
    _, distances = nearest_colours(pixels)
    softness = float((distances > 45).mean())
    washed_out = float(distances.mean())
    return float(np.exp(-grain / 2 - softness / 0.25 - washed_out / 25))


def _ninth_of_neighbours(padded: np.ndarray) -> np.ndarray:
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9)
