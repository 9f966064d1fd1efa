"""The picture checker: how much of a caption's scene does this picture show?

It knows nothing of models: it measures pixels. Used by the simulated raters and to evaluate the demo models; it is in
no training loss and picks no sample.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from generation.scenes.drawing import letters_mask, outline, text_colour
from generation.scenes.grammar import Scene, SceneObject, Sign
from generation.scenes.vocabulary import COLOURS, GLYPHS, POSITIONS, SHAPES

SIZE = 64
CORNER = 7  # no object or sign reaches the corners, so they show the background
FARTHEST = 75.0  # RGB distance beyond which a pixel has none of the vocabulary's colours
SMALLEST_SHARE, LARGEST_SHARE = 0.02, 0.30  # of the picture that one object may cover
NEAR = 0.14  # how far from its place an object's centre may lie, as a share of the picture

_NAMES = tuple(COLOURS)
_PALETTE = np.array([COLOURS[name] for name in _NAMES], dtype=np.float32)


@dataclass(frozen=True)
class Findings:
    """Scores from 0 (absent) to 1 (as described); `letters` is None where nothing is to be read.

    background: the corners have the background's colour. colours: things of the other named colours are there. Both are
    0 where the colour is absent, and between 0.5 and 1 by how pure it is. place: how near the things are to their
    places. shape: overlap with the named shapes, halved when another shape fits better. letters: share of the letters
    that read right. cleanliness: flat areas, sharp edges, full colours (noise, blur and a washed-out look lower it).
    """

    background: float
    colours: float
    place: float
    shape: float
    letters: float | None
    cleanliness: float


def check(picture: np.ndarray, scene: Scene) -> Findings:
    """Measure a uint8 picture of shape (h, w, 3) against a scene. Raises ValueError for other arrays."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture is a uint8 array of shape (h, w, 3), not {picture.dtype} {picture.shape}")
    pixels = _at_working_size(picture).astype(np.float32)
    names, distances = _nearest_colours(pixels)
    background = _background_score(pixels, names, distances, scene.background)
    if scene.sign is not None:
        colours, place, letters = _check_sign(pixels, names, distances, scene.sign)
        return Findings(background, colours, place, colours, letters, _cleanliness(pixels))
    found = [_check_object(pixels, names, distances, thing, scene) for thing in scene.objects]
    colours, place, shape = (float(np.mean([scores[k] for scores in found])) for k in range(3))
    return Findings(background, colours, place, shape, None, _cleanliness(pixels))


def _at_working_size(picture: np.ndarray) -> np.ndarray:
    if picture.shape[:2] == (SIZE, SIZE):
        return picture
    return np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BOX))


def _nearest_colours(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every pixel the index of the nearest vocabulary colour and the distance to it, both of shape (h, w)."""
    distances = np.linalg.norm(pixels[:, :, None, :] - _PALETTE, axis=3)
    return distances.argmin(axis=2), distances.min(axis=2)


def _background_score(pixels: np.ndarray, names: np.ndarray, distances: np.ndarray, colour: str) -> float:
    near, far = slice(0, CORNER), slice(-CORNER, None)
    wanted = (names == _NAMES.index(colour)) & (distances < FARTHEST)
    corners = np.zeros_like(wanted)
    for rows in (near, far):
        for columns in (near, far):
            corners[rows, columns] = True
            if wanted[rows, columns].mean() <= 0.7:
                return 0.0
    return _purity(pixels, wanted & corners, colour)


def _purity(pixels: np.ndarray, mask: np.ndarray, colour: str) -> float:
    """1 where the area's median colour is the named one (or a usual variation of it), less the further it is off."""
    off = float(np.linalg.norm(np.median(pixels[mask], axis=0) - COLOURS[colour]))
    return 1.0 - 0.5 * min(1.0, max(0.0, off - 12.0) / (FARTHEST - 12.0))


def _check_object(
    pixels: np.ndarray, names: np.ndarray, distances: np.ndarray, thing: SceneObject, scene: Scene
) -> tuple[float, float, float]:
    """(colour, place, shape) of one object."""
    mask = _largest_blob((names == _NAMES.index(thing.colour)) & (distances < FARTHEST))
    if not SMALLEST_SHARE < mask.mean() < LARGEST_SHARE:
        return 0.0, 0.0, 0.0
    rows, columns = np.nonzero(mask)
    x, y = (columns.mean() + 0.5) / SIZE, (rows.mean() + 0.5) / SIZE
    distance = float(np.hypot(x - thing.x, y - thing.y))
    places = [(other.x, other.y) for other in scene.objects] if len(scene.objects) > 1 else list(POSITIONS.values())
    nearest = min(places, key=lambda at: float(np.hypot(x - at[0], y - at[1])))
    place = 1.0 if distance < NEAR and nearest == (thing.x, thing.y) else max(0.0, 0.8 - 2 * distance)
    overlaps = {shape: _overlap(mask, shape, x=x, y=y) for shape in SHAPES}
    best = max(overlaps, key=lambda shape: overlaps[shape])
    shape = overlaps[thing.shape] * (1.0 if best == thing.shape else 0.5)
    return _purity(pixels, mask, thing.colour), place, shape


def _largest_blob(mask: np.ndarray) -> np.ndarray:
    """The largest 4-connected region of a boolean mask, grown from one pixel of every region in turn."""
    left, largest = mask.copy(), np.zeros_like(mask)
    while left.sum() > largest.sum():
        seed = np.zeros_like(mask)
        seed[np.unravel_index(int(left.argmax()), left.shape)] = True
        region = _grow(seed, left)
        left &= ~region
        if region.sum() > largest.sum():
            largest = region
    return largest


def _grow(seed: np.ndarray, within: np.ndarray) -> np.ndarray:
    region = seed
    while True:
        grown = region.copy()
        grown[1:] |= region[:-1]
        grown[:-1] |= region[1:]
        grown[:, 1:] |= region[:, :-1]
        grown[:, :-1] |= region[:, 1:]
        grown &= within
        if (grown == region).all():
            return region
        region = grown


def _overlap(mask: np.ndarray, shape: str, *, x: float, y: float) -> float:
    """Intersection over union with a drawn shape of the same area and centre."""
    unit = _drawn(shape, x=0.5, y=0.5, radius=0.25)
    radius = 0.25 * float(np.sqrt(mask.sum() / unit.sum()))
    rows, columns = np.nonzero(unit)
    # A triangle's centre of mass is not the centre it is drawn around.
    offset_x = ((columns.mean() + 0.5) / SIZE - 0.5) * radius / 0.25
    offset_y = ((rows.mean() + 0.5) / SIZE - 0.5) * radius / 0.25
    drawn = _drawn(shape, x=x - offset_x, y=y - offset_y, radius=radius)
    return float((mask & drawn).sum() / (mask | drawn).sum())


def _drawn(shape: str, *, x: float, y: float, radius: float) -> np.ndarray:
    full = 4 * SIZE
    image = Image.new("L", (full, full), 0)
    ImageDraw.Draw(image).polygon(outline(shape, x=x * full, y=y * full, radius=radius * full), fill=255)
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX)) > 127


def _check_sign(pixels: np.ndarray, names: np.ndarray, distances: np.ndarray, sign: Sign) -> tuple[float, float, float]:
    """(board colour, board place, letters)."""
    board_mask = (names == _NAMES.index(sign.colour)) & (distances < FARTHEST)
    inside = board_mask[24:40, 8:56].mean()
    outside = np.concatenate([board_mask[:8].ravel(), board_mask[-8:].ravel()]).mean()
    if not (inside > 0.3 and outside < 0.1):
        return 0.0, 0.0, 0.0
    rows, columns = np.nonzero(board_mask)
    distance = float(np.hypot(columns.mean() / SIZE - 0.5, rows.mean() / SIZE - 0.5))
    place = float(max(0.0, 1.0 - max(0.0, distance - 0.05) / 0.2))
    return _purity(pixels, board_mask, sign.colour), place, _letters_score(pixels, sign)


def _letters_score(pixels: np.ndarray, sign: Sign) -> float:
    """Share of the letters whose cell looks most like the right glyph, at the best place within 5 pixels."""
    board = np.array(COLOURS[sign.colour], dtype=np.float32)
    ink = np.array(COLOURS[text_colour(sign.colour)], dtype=np.float32)
    axis = (ink - board) / np.dot(ink - board, ink - board)
    inked = np.clip((pixels - board) @ axis, 0.0, 1.0)  # 0 board, 1 letter
    mask = letters_mask(sign.text, size=SIZE).astype(np.float32)
    height, width = mask.shape
    best, best_at = -1.0, (0, 0)
    for top in range((SIZE - height) // 2 - 4, (SIZE - height) // 2 + 5):
        for left in range(max(0, (SIZE - width) // 2 - 4), min(SIZE - width, (SIZE - width) // 2 + 4) + 1):
            score = _correlation(inked[top : top + height, left : left + width], mask)
            if score > best:
                best, best_at = score, (top, left)
    if best < 0.35:
        return 0.0
    window = inked[best_at[0] : best_at[0] + height, best_at[1] : best_at[1] + width]
    wide = 3 if len(sign.text) <= 3 else 2
    right = 0
    for k, letter in enumerate(sign.text):
        cell = window[:, 6 * wide * k : 6 * wide * k + 5 * wide]
        scores = {name: _correlation(cell, np.kron(glyph, np.ones((3, wide)))) for name, glyph in GLYPHS.items()}
        right += max(scores, key=lambda name: scores[name]) == letter and scores[letter] > 0.5
    return right / len(sign.text)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / size if size > 1e-6 else 0.0


def _cleanliness(pixels: np.ndarray) -> float:
    """1 for flat areas of full colour with sharp edges; falls with noise, soft transitions and a washed-out look."""
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
    neighbours = np.stack([padded[r : r + SIZE, c : c + SIZE] for r in range(3) for c in range(3)])
    spread = np.sort(neighbours.std(axis=0).mean(axis=2), axis=None)
    grain = float(spread[: int(0.6 * spread.size)].mean())  # the calmest pixels: outlines and letters are no grain
    _, distances = _nearest_colours(pixels)
    softness = float((distances > 45).mean())
    washed_out = float(distances.mean())
    return float(np.exp(-grain / 2 - softness / 0.25 - washed_out / 25))
