"""Which scenes: random ones for training, held-out ones for evaluation, and the demo study's prompts."""

import hashlib
from collections import Counter
from collections.abc import Callable

import numpy as np

from generation.scenes.grammar import Scene, Sign, caption_of, pair, several, single
from generation.scenes.vocabulary import (
    COLOURS,
    COUNTS,
    HELD_OUT_WORDS,
    LETTERS,
    LONGEST_WORD,
    POSITIONS,
    RELATIONS,
    SHAPES,
    TRAINING_WORDS,
)

HELD_OUT_SHARE = 0.05
KINDS = ("single", "pair", "several", "sign")
SHARES = (0.27, 0.22, 0.19, 0.32)  # of training; letters are the hardest to learn


def is_held_out(scene: Scene) -> bool:
    """Whether training must never see this caption: 5 % of all by hash, and every sign with a held-out word."""
    if scene.sign is not None:
        return scene.sign.text in HELD_OUT_WORDS
    digest = hashlib.sha256(caption_of(scene).encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def _pick(rng: np.random.Generator, words: tuple[str, ...] | list[str]) -> str:
    return words[int(rng.integers(len(words)))]


def _different_colours(rng: np.random.Generator, count: int) -> list[str]:
    names = list(COLOURS)
    return [names[i] for i in rng.permutation(len(names))[:count]]


def _random_word(rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return _pick(rng, TRAINING_WORDS)
    length = int(rng.integers(1, LONGEST_WORD + 1))
    return "".join(_pick(rng, list(LETTERS)) for _ in range(length))


def _any_scene(rng: np.random.Generator, kind: str) -> Scene:
    if kind == "single":
        colour, background = _different_colours(rng, 2)
        position = _pick(rng, list(POSITIONS))
        return single(colour=colour, shape=_pick(rng, SHAPES), position=position, background=background)
    if kind == "pair":
        one, two, background = _different_colours(rng, 3)
        relation = _pick(rng, list(RELATIONS))
        first, second = (one, _pick(rng, SHAPES)), (two, _pick(rng, SHAPES))
        return pair(first=first, relation=relation, second=second, background=background)
    if kind == "several":
        colour, background = _different_colours(rng, 2)
        count = _pick(rng, list(COUNTS))
        return several(count=count, colour=colour, shape=_pick(rng, SHAPES), background=background)
    colour, background = _different_colours(rng, 2)
    return Scene(background=background, sign=Sign(colour, _random_word(rng)))


def random_scene(rng: np.random.Generator, *, shares: tuple[float, ...] = SHARES) -> Scene:
    """A scene for training: never a held-out one. `shares` of KINDS, in their order."""
    while True:
        scene = _any_scene(rng, KINDS[int(rng.choice(len(KINDS), p=shares))])
        if not is_held_out(scene):
            return scene


def held_out_scenes(count: int, *, seed: int = 0, signs: float = 0.25) -> list[Scene]:
    """`count` different scenes that training never saw, a share `signs` of them with a held-out word."""
    rng = np.random.default_rng(seed)
    found: dict[str, Scene] = {}
    while len(found) < count:
        if len(found) < round(count * signs):
            colour, background = _different_colours(rng, 2)
            scene = Scene(background=background, sign=Sign(colour, _pick(rng, HELD_OUT_WORDS)))
        else:
            scene = _any_scene(rng, _pick(rng, KINDS[:3]))
        if is_held_out(scene):
            found[caption_of(scene)] = scene
    return list(found.values())


def demo_scenes(count: int = 24, *, seed: int = 7) -> list[Scene]:
    """The demo study's prompts: held-out scenes, a third of them signs; the first four already show every kind.

    24 show every position, relation and count, and eight different words.
    """
    pool = held_out_scenes(max(200, 2 * count), seed=seed, signs=0.4)
    signs = _taking_turns([scene for scene in pool if scene.sign is not None], by=_word)[: round(count / 3)]
    places = _taking_turns([scene for scene in pool if scene.sign is None], by=lambda scene: scene.place)
    others = _taking_turns(places, by=_kind)[: count - len(signs)]
    mixed: list[Scene] = []
    while signs or others:
        mixed += others[:2] + signs[:1]
        others, signs = others[2:], signs[1:]
    return mixed


def _taking_turns(scenes: list[Scene], *, by: Callable[[Scene], str]) -> list[Scene]:
    """The same scenes, in rounds: one of each value of `by`, then the next of each."""
    seen: Counter[str] = Counter()
    rounds = []
    for scene in scenes:
        rounds.append(seen[by(scene)])
        seen[by(scene)] += 1
    order = sorted(range(len(scenes)), key=rounds.__getitem__)
    return [scenes[k] for k in order]


def _word(scene: Scene) -> str:
    return "" if scene.sign is None else scene.sign.text


def _kind(scene: Scene) -> str:
    return "several" if scene.place in COUNTS else KINDS[len(scene.objects) - 1]
