"""What stands before the background: connected areas of one colour, with soft edges."""

from dataclasses import dataclass

import numpy as np

from generation.scenes.checker.pixels import FARTHEST, NAMES, SIZE, Background, nearest_colours, smoothed

_STANDS_OUT = 30.0  # RGB distance from the background; colours are at least 80 apart, smoothed noise stays below 20
_OF_THE_MIX = 45.0  # how far a pixel may be from a mixture of background and blob to count as the blob's edge
_MOST_COLOURS = 4  # a scene has three; more only lengthens the search in a bad picture
_SMALLEST = 60  # pixels; the smallest star of five has 100
_THICK = 0.25  # share of a blob that lies inside its outline; a seam between two colours has none
_GRAIN = 48.0  # median distance of a blob's pixels from its colour that is noise no more
_REACH = 2  # pixels that a soft edge goes beyond its blob


@dataclass(frozen=True)
class Blob:
    """A connected area of one colour.

    `inside`: bool (64, 64). `amount`: float32 (64, 64), how much of each pixel is the blob's, 0 to 1, soft at the
    edges and 0 far from it. `colour`: float32 (3,), as measured.
    """

    name: str
    colour: np.ndarray
    inside: np.ndarray
    amount: np.ndarray

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in pixels, right and bottom beyond the last."""
        rows, columns = np.flatnonzero(self.inside.any(axis=1)), np.flatnonzero(self.inside.any(axis=0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    @property
    def share(self) -> float:
        """Of the picture."""
        return float(self.amount.sum()) / SIZE**2


@dataclass(frozen=True)
class _Layer:
    """One colour before the background: which pixels it covers by more than half, and how much of every pixel."""

    colour: np.ndarray
    covers: np.ndarray
    amount: np.ndarray
    is_mix: np.ndarray


def find_blobs(pixels: np.ndarray, background: Background) -> list[Blob]:
    """All blobs of float32 pixels (64, 64, 3), colour by colour, the most frequent colour first.

    Thin seams, where two colours mix to a third, and grainy areas are left out.
    """
    smooth = smoothed(pixels)
    nearest, distances = nearest_colours(smooth)
    left = np.linalg.norm(smooth - background.colour, axis=2) > _STANDS_OUT
    known = np.where(distances < FARTHEST, nearest, len(NAMES))
    found: list[Blob] = []
    tried: set[int] = set()
    for _ in range(_MOST_COLOURS):
        frequency = np.bincount(known[left], minlength=len(NAMES))[: len(NAMES)]
        frequency[list(tried)] = 0
        index = int(frequency.argmax())
        if frequency[index] < _SMALLEST // 2:
            break
        tried.add(index)
        layer = _layer(smooth, left & (known == index), background)
        if layer is None:
            continue
        blobs = _blobs_of(layer, NAMES[index], left, pixels)
        if board := next((blob for blob in blobs if is_board(blob)), None):
            # Letters, and what they enclose, belong to the board and are read elsewhere.
            x1, y1, x2, y2 = board.box
            left[y1:y2, x1:x2] = False
            blobs = [blob for blob in blobs if blob is board or not blob.inside[y1:y2, x1:x2].any()]
        for blob in blobs:
            left = left & ~(_grown(blob.inside, _REACH) & layer.is_mix)
        found += blobs
    return found


def _layer(smooth: np.ndarray, named: np.ndarray, background: Background) -> _Layer | None:
    """The layer of the colour that `named` pixels have: mixtures on the line from the background's colour to it."""
    core = _shrunk(named)
    if not core.any():
        return None
    colour = np.median(smooth[core], axis=0)
    line = colour - background.colour
    difference = smooth - background.colour
    along = difference @ line / max(float(line @ line), 1.0)
    amount = np.clip(along, 0.0, 1.0)
    is_mix = np.linalg.norm(difference - amount[:, :, None] * line, axis=2) < _OF_THE_MIX
    return _Layer(colour, is_mix & (amount > 0.5), amount, is_mix)


def _blobs_of(layer: _Layer, name: str, left: np.ndarray, pixels: np.ndarray) -> list[Blob]:
    blobs = []
    for inside in components(layer.covers & left, smallest=_SMALLEST):
        core = _shrunk(inside)
        if core.sum() < _THICK * inside.sum():
            continue
        if float(np.median(np.linalg.norm(pixels[core] - layer.colour, axis=1))) > _GRAIN:
            continue
        amount = np.where(_grown(inside, _REACH) & layer.is_mix, layer.amount, 0).astype(np.float32)
        blobs.append(Blob(name, layer.colour, inside, amount))
    return blobs


BOARD_WIDTH, BOARD_HEIGHT = 58, 31
_BAND = 4  # rows of a board above and below its letters that are all board


def is_board(blob: Blob) -> bool:
    """Whether this is a sign's board: of its size, and filled above and below the letters."""
    left, top, right, bottom = blob.box
    if abs(right - left - BOARD_WIDTH) > 6 or abs(bottom - top - BOARD_HEIGHT) > 6:
        return False
    bands = np.concatenate(
        [blob.inside[top : top + _BAND, left:right], blob.inside[bottom - _BAND : bottom, left:right]]
    )
    return bool(bands.mean() > 0.85)


def components(mask: np.ndarray, *, smallest: int) -> list[np.ndarray]:
    """The 4-connected regions of a boolean mask with at least `smallest` pixels, as masks, from the top down.

    Runs of pixels along the rows are joined where they touch, which is fast without compiled code.
    """
    steps = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    parent = _joined(rows.tolist(), starts.tolist(), ends.tolist())
    sizes: dict[int, int] = {}
    for run, length in enumerate((ends - starts).tolist()):
        sizes[parent[run]] = sizes.get(parent[run], 0) + length
    regions = []
    for root, size in sizes.items():
        if size < smallest:
            continue
        region = np.zeros_like(mask)
        for run, first in enumerate(parent):
            if first == root:
                region[rows[run], starts[run] : ends[run]] = True
        regions.append(region)
    return regions


def _joined(rows: list[int], starts: list[int], ends: list[int]) -> list[int]:
    """For every run the first run of its region, by union-find over runs that touch from one row to the next."""
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    above = 0
    for run in range(len(rows)):
        while rows[above] < rows[run] - 1 or (rows[above] == rows[run] - 1 and ends[above] <= starts[run]):
            above += 1
        other = above
        while rows[other] == rows[run] - 1 and starts[other] < ends[run]:
            one, two = root(other), root(run)
            parent[max(one, two)] = min(one, two)
            other += 1
    return [root(run) for run in range(len(rows))]


def _shrunk(mask: np.ndarray) -> np.ndarray:
    """Without the pixels that have a neighbour (of four) outside."""
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return inner


def _grown(mask: np.ndarray, steps: int) -> np.ndarray:
    """With the neighbours (of four), and theirs, up to `steps` pixels away."""
    for _ in range(steps):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        grown[:, 1:] |= mask[:, :-1]
        grown[:, :-1] |= mask[:, 1:]
        mask = grown
    return mask
