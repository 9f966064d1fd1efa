"""A scene drawn as pixels, with the small variations of place, size and shade that a model is trained on."""

import math
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from generation.scenes.grammar import Scene, SceneObject, Sign
from generation.scenes.vocabulary import COLOURS, GLYPHS

OVERSAMPLING = 2  # smooth edges at little cost


def draw(scene: Scene, *, size: int = 64, rng: np.random.Generator | None = None) -> np.ndarray:
    """Draw the scene: uint8 (size, size, 3). Without `rng` the canonical picture, with it a varied one."""
    full = size * OVERSAMPLING
    image = Image.new("RGB", (full, full), _shade(scene.background, rng))
    canvas = ImageDraw.Draw(image)
    for thing in scene.objects:
        _draw_object(canvas, thing, full=full, count=len(scene.objects), rng=rng)
    if scene.sign is not None:
        _draw_sign(canvas, scene.sign, full=full, rng=rng)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))


def _shade(colour: str, rng: np.random.Generator | None) -> tuple[int, int, int]:
    red, green, blue = COLOURS[colour]
    if rng is None:
        return red, green, blue
    red, green, blue = (int(np.clip(value + rng.integers(-6, 7), 0, 255)) for value in (red, green, blue))
    return red, green, blue


def outline(shape: str, *, x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """The corners of a shape around (x, y); a circle is a polygon of 40.

    A ring goes once around outside and once back inside: filled by the even-odd rule, as Pillow does.
    """

    def ring(count: int, radii: tuple[float, ...], turn: float) -> list[tuple[float, float]]:
        points = []
        for k in range(count):
            angle = 2 * math.pi * k / count + turn
            length = radius * radii[k % len(radii)]
            points.append((x + length * math.cos(angle), y + length * math.sin(angle)))
        return points

    if shape == "circle":
        return ring(40, (1.0,), 0.0)
    if shape == "square":
        return ring(4, (1.25,), math.pi / 4)
    if shape == "triangle":
        return ring(3, (1.25,), -math.pi / 2)
    if shape == "star":
        return ring(10, (1.3, 0.52), -math.pi / 2)
    if shape == "diamond":
        return ring(4, (1.2, 1.2), 0.0)
    if shape == "heart":
        return _heart(x, y, 1.2 * radius)
    if shape == "ring":
        outer, inner = ring(40, (1.15,), 0.0), ring(40, (0.58,), 0.0)
        return [*outer, outer[0], inner[0], *reversed(inner)]
    if shape == "cross":
        arm, half = 1.1 * radius, 0.4 * radius
        corners = [(-half, -arm), (half, -arm), (half, -half), (arm, -half), (arm, half), (half, half)]
        corners += [(half, arm), (-half, arm), (-half, half), (-arm, half), (-arm, -half), (-half, -half)]
        return [(x + dx, y + dy) for dx, dy in corners]
    raise ValueError(f"unknown shape {shape!r}")


def _heart(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    points = []
    for k in range(48):
        turn = 2 * math.pi * k / 48
        across = 16 * math.sin(turn) ** 3
        up = 13 * math.cos(turn) - 5 * math.cos(2 * turn) - 2 * math.cos(3 * turn) - math.cos(4 * turn)
        points.append((x + radius * across / 16.5, y - radius * (up + 2.5) / 16.5))
    return points


RADII: Final[dict[int, float]] = {1: 0.18, 2: 0.155, 3: 0.135, 4: 0.135, 5: 0.12}
"""The usual radius by the number of objects, as a share of the picture."""


def _draw_object(
    canvas: ImageDraw.ImageDraw, thing: SceneObject, *, full: int, count: int, rng: np.random.Generator | None
) -> None:
    x, y, radius = thing.x, thing.y, RADII[count]
    if rng is not None:
        reach = 0.02 if count <= 2 else 0.012
        x, y = x + rng.uniform(-reach, reach), y + rng.uniform(-reach, reach)
        radius *= rng.uniform(0.93, 1.07)
    corners = outline(thing.shape, x=x * full, y=y * full, radius=radius * full)
    canvas.polygon(corners, fill=_shade(thing.colour, rng))


def text_colour(board: str) -> str:
    """Black letters, or white ones on a dark board (by its luma, Rec. 601)."""
    red, green, blue = COLOURS[board]
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 120 else "black"


GLYPH_WIDTH, GLYPH_HEIGHT, LETTER_PITCH = 10, 21, 13
"""Pixels of a letter at 64 x 64, and from one letter to the next: one size for all words."""


def word_corner(text: str) -> tuple[int, int]:
    """(left, top) of a centred word at 64 x 64. Words of two and of four letters share their letters' places."""
    return 33 - (LETTER_PITCH * len(text)) // 2, 22


def letters_mask(text: str, *, size: int = 64) -> np.ndarray:
    """Where the letters of a sign are: boolean array of shape (height, width), 21/64 of the picture high."""
    unit = size // 64
    glyphs = [np.kron(GLYPHS[letter], np.ones((3 * unit, 2 * unit), dtype=bool)).astype(bool) for letter in text]
    gap = np.zeros((GLYPH_HEIGHT * unit, (LETTER_PITCH - GLYPH_WIDTH) * unit), dtype=bool)
    columns: list[np.ndarray] = []
    for glyph in glyphs:
        columns += [glyph, gap]
    return np.concatenate(columns[:-1], axis=1)


def _draw_sign(canvas: ImageDraw.ImageDraw, sign: Sign, *, full: int, rng: np.random.Generator | None) -> None:
    # Whole pixels of the finished picture: half pixels would blur the letters' edges.
    unit = full // 64
    shift_x, shift_y = (0, 0) if rng is None else (int(rng.integers(-1, 2)), int(rng.integers(-1, 2)))
    left, top, right, bottom = (3 + shift_x) * unit, (17 + shift_y) * unit, (61 + shift_x) * unit, (48 + shift_y) * unit
    canvas.rectangle((left, top, right - 1, bottom - 1), fill=_shade(sign.colour, rng))
    word_left, word_top = word_corner(sign.text)
    stencil = Image.fromarray(letters_mask(sign.text, size=full))
    canvas.bitmap(
        ((word_left + shift_x) * unit, (word_top + shift_y) * unit), stencil, fill=COLOURS[text_colour(sign.colour)]
    )
