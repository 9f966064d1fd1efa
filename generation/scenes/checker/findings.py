"""A picture held against a caption: which of the caption's attributes does it show?"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from generation.scenes.checker.pixels import cleanliness, purity
from generation.scenes.checker.reading import NEAR, Measured, measure, position_of, relation_of
from generation.scenes.drawing import RADII
from generation.scenes.grammar import Scene, SceneObject, Sign
from generation.scenes.vocabulary import COUNTS, POSITIONS

_SMALLEST, _LARGEST = 0.8, 6.0  # area of a thing to be counted by the square of the usual radius: 1.7 to 3.6 as drawn


@dataclass(frozen=True)
class ThingFound:
    """One of the scene's things: `colour` 0 where nothing of it is there, 0.5 to 1 by its purity; `shape` the overlap.

    The shape counts half where another one fits better. `has_shape`: the named shape fits best, and fits.
    """

    colour: float
    shape: float
    has_shape: bool


_ABSENT: Final = ThingFound(0.0, 0.0, has_shape=False)


@dataclass(frozen=True)
class Findings:
    """Scores from 0 (absent) to 1 (as described), None for what the caption does not name.

    background: 0 where the corners have another colour or none, else 0.5 to 1 by its purity. things: the objects, or
    the sign's board as the only one. place: 1 for the named position or relation, else by how far off. count: 1 for the
    named number, less by a half for each too many or missing. letters: share of the letters that read right. word: 1
    where the whole word, and nothing else, reads. cleanliness: flat areas, sharp edges, full colours.
    """

    background: float
    things: tuple[ThingFound, ...]
    has_shapes: bool
    place: float | None
    count: float | None
    letters: float | None
    word: float | None
    cleanliness: float

    @property
    def colours(self) -> float:
        """Mean over the things."""
        return float(np.mean([thing.colour for thing in self.things]))

    @property
    def shape(self) -> float | None:
        """Mean over the things; None for a sign."""
        return float(np.mean([thing.shape for thing in self.things])) if self.has_shapes else None

    @property
    def background_is_right(self) -> bool:
        return self.background > 0

    @property
    def colours_are_right(self) -> bool:
        return all(thing.colour > 0 for thing in self.things)

    @property
    def shape_is_right(self) -> bool | None:
        return all(thing.has_shape for thing in self.things) if self.has_shapes else None

    @property
    def place_is_right(self) -> bool | None:
        return None if self.place is None else self.place == 1

    @property
    def count_is_right(self) -> bool | None:
        return None if self.count is None else self.count == 1

    @property
    def letters_are_right(self) -> bool | None:
        return None if self.letters is None else self.letters == 1

    @property
    def word_is_right(self) -> bool | None:
        return None if self.word is None else self.word == 1

    def verdicts(self) -> dict[str, bool]:
        """Whether each attribute that the caption names is right: the one definition for evaluation and tests."""
        verdicts = {
            "background": self.background_is_right,
            "colours": self.colours_are_right,
            "shape": self.shape_is_right,
            "place": self.place_is_right,
            "count": self.count_is_right,
            "letters": self.letters_are_right,
            "word": self.word_is_right,
        }
        return {name: verdict for name, verdict in verdicts.items() if verdict is not None}


def check(picture: np.ndarray, scene: Scene) -> Findings:
    """Measure a uint8 picture of shape (h, w, 3) against a scene. Raises ValueError for other arrays."""
    seen = measure(picture)
    background = purity(seen.background.colour, scene.background) if seen.background.name == scene.background else 0.0
    things, place, count = _check_things(seen, scene)
    letters, word = (None, None) if scene.sign is None else _check_letters(seen, scene.sign)
    return Findings(
        background=background,
        things=things,
        has_shapes=scene.sign is None,
        place=place,
        count=count,
        letters=letters,
        word=word,
        cleanliness=cleanliness(seen.pixels),
    )


def _check_things(seen: Measured, scene: Scene) -> tuple[tuple[ThingFound, ...], float | None, float | None]:
    """(things, place, count)."""
    if scene.sign is not None:
        return (_check_board(seen, scene.sign),), None, None
    if scene.place in COUNTS:
        things, count = _check_several(seen, scene.objects)
        return things, None, count
    found: list[int | None] = []
    for thing in scene.objects:
        found.append(_find(seen, thing, taken=found))
    things = tuple(
        _ABSENT if index is None else _compare(seen, index, thing)
        for index, thing in zip(found, scene.objects, strict=True)
    )
    return things, _check_place(seen, scene, found), None


def _check_board(seen: Measured, sign: Sign) -> ThingFound:
    if seen.board is None or seen.board.name != sign.colour:
        return _ABSENT
    return ThingFound(purity(seen.board.colour, sign.colour), 1.0, has_shape=True)


def _things_of(seen: Measured, colour: str) -> list[int]:
    return [index for index, other in enumerate(seen.things) if other.colour == colour and not other.is_smear]


def _find(seen: Measured, thing: SceneObject, *, taken: list[int | None]) -> int | None:
    """The blob that is most likely meant: of the colour, if possible of the shape, then the largest."""
    own = [k for k in _things_of(seen, thing.colour) if k not in taken]
    return max(own, key=lambda k: (seen.things[k].shape == thing.shape, seen.things[k].share), default=None)


def _compare(seen: Measured, index: int, thing: SceneObject) -> ThingFound:
    other = seen.things[index]
    overlap = other.fit.overlaps[thing.shape] * (1.0 if other.fit.best == thing.shape else 0.5)
    colour = purity(seen.blobs[index].colour, thing.colour)
    return ThingFound(colour, overlap, has_shape=other.shape == thing.shape)


def _check_several(seen: Measured, objects: tuple[SceneObject, ...]) -> tuple[tuple[ThingFound, ...], float]:
    """(things, count): all blobs of the colour and about the size are the things, however many."""
    thing, unit = objects[0], RADII[len(objects)] ** 2
    is_of_size = [_SMALLEST * unit < other.share < _LARGEST * unit for other in seen.things]
    own = [index for index in _things_of(seen, thing.colour) if is_of_size[index]]
    sharp = sum(seen.things[index].is_sharp for index in own)
    count = max(0.0, 1.0 - 0.5 * abs(sharp - len(objects))) if sharp else 0.0
    return tuple(_compare(seen, index, thing) for index in own) or (_ABSENT,), count


def _check_place(seen: Measured, scene: Scene, found: list[int | None]) -> float:
    centres = [(seen.things[index].x, seen.things[index].y) for index in found if index is not None]
    if len(centres) < len(scene.objects):
        return 0.0
    named = position_of(*centres[0]) if scene.place in POSITIONS else relation_of(centres[0], centres[1])
    if named == scene.place:
        return 1.0
    wanted = [(thing.x, thing.y) for thing in scene.objects]
    off = np.mean([np.hypot(x - at[0], y - at[1]) for (x, y), at in zip(centres, wanted, strict=True)])
    return float(max(0.0, 0.8 - 2 * max(off, NEAR)))


def _check_letters(seen: Measured, sign: Sign) -> tuple[float, float]:
    """(letters, word)."""
    if seen.lettering is None:
        return 0.0, 0.0
    there = seen.lettering.cells[len(sign.text)]
    right = sum(letter == wanted for letter, wanted in zip(there, sign.text, strict=True))
    return right / len(sign.text), float(seen.lettering.word == sign.text)
