"""What a caption says: scenes as data, written to a caption and read back from one."""

import re
from dataclasses import dataclass

from generation.scenes.vocabulary import (
    COLOURS,
    COUNTS,
    LETTERS,
    LONGEST_WORD,
    PLURALS,
    POSITIONS,
    RELATIONS,
    SHAPES,
)


class CaptionError(ValueError):
    """The caption is not one of the scene grammar's sentences."""


@dataclass(frozen=True)
class SceneObject:
    """A filled shape; x and y are the centre as a share of the picture's width and height."""

    colour: str
    shape: str
    x: float
    y: float


@dataclass(frozen=True)
class Sign:
    """A board in the middle of the picture with one word on it."""

    colour: str
    text: str


@dataclass(frozen=True)
class Scene:
    """One object, two different ones, two to five equal ones, or one sign, on a plain background.

    `place` is in POSITIONS, RELATIONS or COUNTS; '' for a sign.
    """

    background: str
    objects: tuple[SceneObject, ...] = ()
    sign: Sign | None = None
    place: str = ""


def single(*, colour: str, shape: str, position: str, background: str) -> Scene:
    """One object at one of POSITIONS."""
    x, y = POSITIONS[position]
    return Scene(background=background, objects=(SceneObject(colour, shape, x, y),), place=position)


def pair(*, first: tuple[str, str], relation: str, second: tuple[str, str], background: str) -> Scene:
    """Two objects, each (colour, shape), in one of RELATIONS."""
    (x1, y1), (x2, y2) = RELATIONS[relation]
    objects = (SceneObject(*first, x1, y1), SceneObject(*second, x2, y2))
    return Scene(background=background, objects=objects, place=relation)


def several(*, count: str, colour: str, shape: str, background: str) -> Scene:
    """Two to five equal objects, spread as COUNTS says."""
    objects = tuple(SceneObject(colour, shape, x, y) for x, y in COUNTS[count])
    return Scene(background=background, objects=objects, place=count)


def _with_article(colour: str) -> str:
    return f"an {colour}" if colour[0] in "aeiou" else f"a {colour}"


def caption_of(scene: Scene) -> str:
    """The one sentence that describes the scene; `parse_caption` is its inverse."""
    ending = f"on {_with_article(scene.background)} background"
    if scene.sign is not None:
        return f'{_with_article(scene.sign.colour)} sign that says "{scene.sign.text}" {ending}'
    if scene.place in COUNTS:
        return f"{scene.place} {scene.objects[0].colour} {PLURALS[scene.objects[0].shape]} {ending}"
    names = [f"{_with_article(thing.colour)} {thing.shape}" for thing in scene.objects]
    if len(names) == 1:
        return f"{names[0]} {scene.place} {ending}"
    return f"{names[0]} {scene.place} {names[1]} {ending}"


_COLOUR = "|".join(COLOURS)
_SHAPE = "|".join(SHAPES)
_END = rf"on an? (?P<background>{_COLOUR}) background"
_SINGLE = re.compile(rf"an? (?P<colour>{_COLOUR}) (?P<shape>{_SHAPE}) (?P<position>{'|'.join(POSITIONS)}) {_END}")
_PAIR = re.compile(
    rf"an? (?P<c1>{_COLOUR}) (?P<s1>{_SHAPE}) (?P<relation>{'|'.join(RELATIONS)})"
    rf" an? (?P<c2>{_COLOUR}) (?P<s2>{_SHAPE}) {_END}"
)
_SEVERAL = re.compile(
    rf"(?P<count>{'|'.join(COUNTS)}) (?P<colour>{_COLOUR}) (?P<shapes>{'|'.join(PLURALS.values())}) {_END}"
)
_SINGULAR = {plural: shape for shape, plural in PLURALS.items()}
_SIGN = re.compile(rf'an? (?P<colour>{_COLOUR}) sign that says "(?P<text>[{LETTERS}]{{1,{LONGEST_WORD}}})" {_END}')


def parse_caption(text: str) -> Scene:
    """Read a caption of the scene grammar. Raises CaptionError for any other sentence."""
    scene = _read(text)
    # The patterns take either article; "an red circle" is no caption all the same.
    if scene is None or caption_of(scene) != text:
        raise CaptionError(f"not a caption of the scene world: {text!r}")
    return scene


def _read(text: str) -> Scene | None:
    if found := _SINGLE.fullmatch(text):
        return single(**found.groupdict())
    if found := _PAIR.fullmatch(text):
        word = found.groupdict()
        return pair(
            first=(word["c1"], word["s1"]),
            relation=word["relation"],
            second=(word["c2"], word["s2"]),
            background=word["background"],
        )
    if found := _SEVERAL.fullmatch(text):
        word = found.groupdict()
        return several(shape=_SINGULAR[word.pop("shapes")], **word)
    if found := _SIGN.fullmatch(text):
        word = found.groupdict()
        return Scene(background=word["background"], sign=Sign(word["colour"], word["text"]))
    return None
