"""A guesser: told everything about some pictures but their pixels, can it name the contender of others?"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

FOLDS = 5


@dataclass(frozen=True)
class Look:
    """Who made a picture, and what a rater could note about it: names of facts with their values."""

    contender: int
    facts: frozenset[tuple[str, str]]


def share_guessed(looks: Sequence[Look]) -> float:
    """How often naive Bayes over all facts names the right contender of looks it was not told about (by folds)."""
    right = 0
    for fold in range(FOLDS):
        learnt = _learn([look for place, look in enumerate(looks) if place % FOLDS != fold])
        right += sum(look.contender == _guess(learnt, look) for look in looks[fold::FOLDS])
    return right / len(looks)


def telling_facts(looks: Sequence[Look]) -> set[str]:
    """Names of facts that have one value for all looks of a contender and another for some other contender."""
    values: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for look in looks:
        for name, value in look.facts:
            values[name][look.contender].add(value)
    return {
        name
        for name, by_contender in values.items()
        if all(len(own) == 1 for own in by_contender.values())
        and len({next(iter(own)) for own in by_contender.values()}) > 1
    }


_Learnt = tuple[Counter[int], dict[tuple[str, str], Counter[int]]]


def _learn(looks: Sequence[Look]) -> _Learnt:
    each: Counter[int] = Counter(look.contender for look in looks)
    met: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for look in looks:
        for fact in look.facts:
            met[fact][look.contender] += 1
    return each, met


def _guess(learnt: _Learnt, look: Look) -> int:
    each, met = learnt
    scores = {contender: math.log(number) for contender, number in each.items()}
    for fact in look.facts:
        if (seen := met.get(fact)) is None:
            continue
        for contender, number in each.items():
            scores[contender] += math.log((seen[contender] + 0.5) / (number + 1))
    return max(scores, key=lambda contender: (scores[contender], contender))
