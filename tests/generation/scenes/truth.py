"""What a picture does not show, worked out without the checker: from the scene that was drawn."""

import numpy as np

from generation.scenes import Scene
from generation.scenes.vocabulary import COUNTS, POSITIONS, RELATIONS

SAME_PLACE = 0.2  # of the picture: half of the least distance between two positions, and a bit
_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def absent(asked: Scene, *, drawn: Scene) -> set[str]:
    """The attributes that the caption `asked` names and a picture of `drawn` does not have.

    Where it is a matter of opinion (one red star is asked for, two are drawn: which one's place counts?) an attribute
    is left out.
    """
    gone = {"background"} if asked.background != drawn.background else set()
    if asked.sign is not None:
        return gone | _absent_of_sign(asked, drawn)
    colours = {thing.colour for thing in drawn.objects}
    shapes = {(thing.colour, thing.shape) for thing in drawn.objects}
    if any(thing.colour not in colours for thing in asked.objects):
        gone.add("colours")
    if any((thing.colour, thing.shape) not in shapes for thing in asked.objects):
        gone.add("shape")
    if asked.place in COUNTS:
        same = sum(thing.colour == asked.objects[0].colour for thing in drawn.objects)
        return gone | ({"count"} if same != len(asked.objects) else set())
    if asked.place in POSITIONS:
        thing = asked.objects[0]
        near = (np.hypot(t.x - thing.x, t.y - thing.y) < SAME_PLACE for t in drawn.objects if t.colour == thing.colour)
        return gone if any(near) else gone | {"place"}
    return gone if _is_related(asked, drawn) else gone | {"place"}


def _absent_of_sign(asked: Scene, drawn: Scene) -> set[str]:
    assert asked.sign is not None
    if drawn.sign is None:
        return {"colours", "letters", "word"}
    gone = {"colours"} if asked.sign.colour != drawn.sign.colour else set()
    if asked.sign.text != drawn.sign.text:
        gone.add("word")
    # The middle of a longer word may be the asked one, letter by letter.
    return gone if asked.sign.text in drawn.sign.text else gone | {"letters"}


def _is_related(asked: Scene, drawn: Scene) -> bool:
    if drawn.place not in RELATIONS:
        return False
    wanted, shown = ([thing.colour for thing in scene.objects] for scene in (asked, drawn))
    return (shown == wanted and drawn.place == asked.place) or (
        shown == wanted[::-1] and _OPPOSITE[drawn.place] == asked.place
    )
