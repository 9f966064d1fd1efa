"""A scene drawn as pixels, with the small variations of place, size and shade that a model is trained on."""

import math

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
        _draw_object(canvas, thing, full=full, alone=len(scene.objects) == 1, rng=rng)
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
    """The corners of a shape around (x, y); a circle is a polygon of 40."""

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
    if shape == "cross":
        arm, half = 1.1 * radius, 0.4 * radius
        corners = [(-half, -arm), (half, -arm), (half, -half), (arm, -half), (arm, half), (half, half)]
        corners += [(half, arm), (-half, arm), (-half, half), (-arm, half), (-arm, -half), (-half, -half)]
        return [(x + dx, y + dy) for dx, dy in corners]
    raise ValueError(f"unknown shape {shape!r}")


def _draw_object(
    canvas: ImageDraw.ImageDraw, thing: SceneObject, *, full: int, alone: bool, rng: np.random.Generator | None
) -> None:
    x, y, radius = thing.x, thing.y, 0.2 if alone else 0.17
    if rng is not None:
        x, y = x + rng.uniform(-0.04, 0.04), y + rng.uniform(-0.04, 0.04)
        radius *= rng.uniform(0.88, 1.12)
    corners = outline(thing.shape, x=x * full, y=y * full, radius=radius * full)
    canvas.polygon(corners, fill=_shade(thing.colour, rng))


def text_colour(board: str) -> str:
    """Black letters, or white ones on a dark board."""
    return "white" if sum(COLOURS[board]) < 350 else "black"


def letters_mask(text: str, *, size: int = 64) -> np.ndarray:
    """Where the letters of a sign are: boolean array of shape (height, width), 21/64 of the picture high."""
    unit = size // 64
    wide = (3 if len(text) <= 3 else 2) * unit
    columns: list[np.ndarray] = []
    for letter in text:
        columns += [GLYPHS[letter], np.zeros((7, 1), dtype=bool)]
    return np.kron(np.concatenate(columns[:-1], axis=1), np.ones((3 * unit, wide), dtype=bool)).astype(bool)


def _draw_sign(canvas: ImageDraw.ImageDraw, sign: Sign, *, full: int, rng: np.random.Generator | None) -> None:
    shift_x, shift_y = (0, 0) if rng is None else (int(rng.integers(-2, 3)), int(rng.integers(-4, 5)))
    middle_x, middle_y = full // 2 + shift_x, full // 2 + shift_y
    half_width, half_height = 29 * full // 64, 15 * full // 64
    board = (middle_x - half_width, middle_y - half_height, middle_x + half_width, middle_y + half_height)
    canvas.rectangle(board, fill=_shade(sign.colour, rng))
    mask = letters_mask(sign.text, size=full)
    stencil = Image.fromarray(mask)
    corner = (middle_x - mask.shape[1] // 2, middle_y - mask.shape[0] // 2)
    canvas.bitmap(corner, stencil, fill=COLOURS[text_colour(sign.colour)])
