"""The words of the scene world and what they look like."""

from typing import Final

import numpy as np

# Far enough apart that the nearest colour is the named one even on a slightly blurred picture.
COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (214, 39, 40),
    "green": (38, 160, 75),
    "blue": (40, 90, 215),
    "yellow": (247, 215, 50),
    "orange": (243, 134, 30),
    "purple": (132, 58, 180),
    "white": (245, 245, 245),
    "black": (24, 24, 26),
    "pink": (247, 150, 190),
    "brown": (122, 72, 38),
    "grey": (132, 132, 132),
    "cyan": (60, 200, 212),
}

SHAPES: Final[tuple[str, ...]] = ("circle", "square", "triangle", "star", "cross", "diamond", "heart", "ring")
PLURALS: Final[dict[str, str]] = {shape: f"{shape}es" if shape == "cross" else f"{shape}s" for shape in SHAPES}

# Where the centre of the object is, as a share of width and height.
POSITIONS: Final[dict[str, tuple[float, float]]] = {
    "in the centre": (0.5, 0.5),
    "on the left": (0.28, 0.5),
    "on the right": (0.72, 0.5),
    "at the top": (0.5, 0.28),
    "at the bottom": (0.5, 0.72),
}

# For two objects: where the first and the second are.
RELATIONS: Final[dict[str, tuple[tuple[float, float], tuple[float, float]]]] = {
    "left of": ((0.28, 0.5), (0.72, 0.5)),
    "right of": ((0.72, 0.5), (0.28, 0.5)),
    "above": ((0.5, 0.28), (0.5, 0.72)),
    "below": ((0.5, 0.72), (0.5, 0.28)),
}

# Several equal objects: where their centres are.
COUNTS: Final[dict[str, tuple[tuple[float, float], ...]]] = {
    "two": ((0.28, 0.5), (0.72, 0.5)),
    "three": ((0.5, 0.27), (0.26, 0.72), (0.74, 0.72)),
    "four": ((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)),
    "five": ((0.24, 0.24), (0.76, 0.24), (0.5, 0.5), (0.24, 0.76), (0.76, 0.76)),
}

LETTERS: Final[str] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LONGEST_WORD: Final[int] = 4

TRAINING_WORDS: Final[tuple[str, ...]] = (
    *("GO", "NO", "UP", "ON", "IN", "OK", "TEA", "CAT", "DOG", "SUN", "BUS", "CAR"),
    *("HAT", "ICE", "MAP", "OWL", "PEN", "RED", "SKY", "TOY", "VAN", "ZOO", "FOX", "JAM"),
    *("KEY", "LOG", "NUT", "PIE", "BOOK", "DOOR", "FISH", "GAME", "HAND", "JUMP", "KITE", "LAMP"),
    *("MILK", "NEST", "PARK", "QUIZ", "RAIN", "SHOP", "TREE", "VIEW", "WAVE", "YARD", "EXIT", "HOME"),
    *("STAR",),
)
HELD_OUT_WORDS: Final[tuple[str, ...]] = (
    *("HI", "BY", "ANT", "BOX", "CUP", "EGG", "FAN", "JAR", "OPEN", "MOON", "BIRD", "LOVE"),
    *("WIND",),
)

# Every word of the grammar; the tokenizer gives each one token of its own and spells everything else.
GRAMMAR_WORDS: Final[tuple[str, ...]] = (
    *COLOURS,
    *SHAPES,
    *PLURALS.values(),
    *COUNTS,
    *("a", "an", "on", "in", "at", "the", "left", "right", "top", "bottom", "centre", "of", "above", "below"),
    *("background", "sign", "that", "says"),
)


def _glyphs() -> dict[str, np.ndarray]:
    rows = {
        "A": ".###. #...# #...# ##### #...# #...# #...#",
        "B": "####. #...# #...# ####. #...# #...# ####.",
        "C": ".#### #.... #.... #.... #.... #.... .####",
        "D": "####. #...# #...# #...# #...# #...# ####.",
        "E": "##### #.... #.... ####. #.... #.... #####",
        "F": "##### #.... #.... ####. #.... #.... #....",
        "G": ".#### #.... #.... #.### #...# #...# .####",
        "H": "#...# #...# #...# ##### #...# #...# #...#",
        "I": "##### ..#.. ..#.. ..#.. ..#.. ..#.. #####",
        "J": "..### ...#. ...#. ...#. ...#. #..#. .##..",
        "K": "#...# #..#. #.#.. ##... #.#.. #..#. #...#",
        "L": "#.... #.... #.... #.... #.... #.... #####",
        "M": "#...# ##.## #.#.# #.#.# #...# #...# #...#",
        "N": "#...# ##..# ##..# #.#.# #..## #..## #...#",
        "O": ".###. #...# #...# #...# #...# #...# .###.",
        "P": "####. #...# #...# ####. #.... #.... #....",
        "Q": ".###. #...# #...# #...# #.#.# #..#. .##.#",
        "R": "####. #...# #...# ####. #.#.. #..#. #...#",
        "S": ".#### #.... #.... .###. ....# ....# ####.",
        "T": "##### ..#.. ..#.. ..#.. ..#.. ..#.. ..#..",
        "U": "#...# #...# #...# #...# #...# #...# .###.",
        "V": "#...# #...# #...# #...# .#.#. .#.#. ..#..",
        "W": "#...# #...# #...# #.#.# #.#.# ##.## #...#",
        "X": "#...# #...# .#.#. ..#.. .#.#. #...# #...#",
        "Y": "#...# #...# .#.#. ..#.. ..#.. ..#.. ..#..",
        "Z": "##### ....# ...#. ..#.. .#... #.... #####",
    }
    return {letter: np.array([[c == "#" for c in row] for row in text.split()]) for letter, text in rows.items()}


GLYPHS: Final[dict[str, np.ndarray]] = _glyphs()
"""A-Z as boolean arrays of shape (7, 5)."""
