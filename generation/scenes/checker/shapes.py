"""Which shape a blob has: compared with every shape drawn, at the blob's own place and size."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from generation.scenes.drawing import outline
from generation.scenes.vocabulary import SHAPES

_POINTS = 32
_GRID: Final = np.linspace(-1.0, 1.0, _POINTS, dtype=np.float32)  # in units of the square root of the area
_SIDES: Final = (10.5, 14.5, 19.0)  # pixels: square roots of areas that objects have, for five, three and one
_FINE = 8  # template pixels for one of the picture's
_SOFTNESS = 0.85  # pixels: pixel areas and smoothing, and half of the blur that a clean picture may have


@dataclass(frozen=True)
class Fit:
    """How a blob compares with every shape of the same centre and area.

    overlaps: intersection over union of the soft masks, 0 to 1. edge: the width of the blob's edges, 1 being that of
    the best fitting shape drawn sharply; blur widens it.
    """

    overlaps: dict[str, float]
    edge: float

    @property
    def best(self) -> str:
        return max(self.overlaps, key=lambda shape: self.overlaps[shape])


def fit(amount: np.ndarray) -> Fit:
    """Compare a blob's soft mask (h, w), of at least a few pixels, with every shape."""
    side = float(np.sqrt(amount.sum()))
    seen = _resampled(amount, side)
    templates = _templates()[int(np.abs(np.subtract(_SIDES, side)).argmin())]
    common = np.minimum(templates, seen).sum(axis=(1, 2))
    either = np.maximum(templates, seen).sum(axis=(1, 2))
    overlaps = common / either
    edge = _edges(seen) / _edges(templates[int(overlaps.argmax())])
    return Fit(dict(zip(SHAPES, overlaps.tolist(), strict=True)), edge)


def _edges(amount: np.ndarray) -> float:
    """In proportion to the length of the edges times their width; the noise of full and empty areas stays out."""
    between = amount[(amount > 0.12) & (amount < 0.88)]
    return float((between * (1 - between)).sum())


def centre_of(amount: np.ndarray) -> tuple[float, float]:
    """Centre of mass (x, y) in pixels, of the picture's edge and not of pixel centres."""
    area = float(amount.sum())
    x = float(amount.sum(axis=0) @ np.arange(amount.shape[1])) / area + 0.5
    y = float(amount.sum(axis=1) @ np.arange(amount.shape[0])) / area + 0.5
    return x, y


def offset_of(shape: str) -> tuple[float, float]:
    """From a shape's drawing centre to its centre of mass, in units of the square root of its area."""
    return _offsets()[shape]


def _resampled(amount: np.ndarray, side: float) -> np.ndarray:
    """(_POINTS, _POINTS) around the centre of mass, in units of `side`, bilinear; 0 beyond the picture."""
    x, y = centre_of(amount)
    padded = np.pad(amount, 1)
    rows = np.clip(y + 0.5 + _GRID * side, 0, padded.shape[0] - 1.001)
    columns = np.clip(x + 0.5 + _GRID * side, 0, padded.shape[1] - 1.001)
    top, left = rows.astype(int), columns.astype(int)
    down, across = (rows - top)[:, None], (columns - left)[None, :]
    upper = padded[np.ix_(top, left)] * (1 - across) + padded[np.ix_(top, left + 1)] * across
    lower = padded[np.ix_(top + 1, left)] * (1 - across) + padded[np.ix_(top + 1, left + 1)] * across
    return np.asarray(upper * (1 - down) + lower * down)


def _drawn(shape: str, side: float) -> np.ndarray:
    """A shape whose area is about side², drawn _FINE times as large; 0 to 1."""
    full = int(4 * side) * _FINE
    radius = side * _FINE / float(np.sqrt(_unit_area(shape)))
    image = Image.new("L", (full, full), 0)
    ImageDraw.Draw(image).polygon(outline(shape, x=full / 2, y=full / 2, radius=radius), fill=255)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(_SOFTNESS * _FINE)), dtype=np.float32) / 255


@lru_cache
def _unit_area(shape: str) -> float:
    image = Image.new("1", (800, 800), 0)
    ImageDraw.Draw(image).polygon(outline(shape, x=400, y=400, radius=200), fill=1)
    return float(np.asarray(image).sum()) / 200**2


@lru_cache
def _templates() -> np.ndarray:
    """(sizes, shapes, _POINTS, _POINTS)."""
    return np.stack([[_resampled(_drawn(shape, side), side * _FINE) for shape in SHAPES] for side in _SIDES])


@lru_cache
def _offsets() -> dict[str, tuple[float, float]]:
    side = _SIDES[1]
    offsets = {}
    for shape in SHAPES:
        drawn = _drawn(shape, side)
        x, y = centre_of(drawn)
        offsets[shape] = ((x - drawn.shape[1] / 2) / (side * _FINE), (y - drawn.shape[0] / 2) / (side * _FINE))
    return offsets
