"""Who can be compared with whom: connectivity of the votes, and the reason where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
# Names up to which all are told: a sentence about a thousand contenders would be a page, and there may be a thousand.
_MOST_NAMED = 60
_FIRST_NAMED = 10
Kind = Literal["unlinked", "undefeated", "winless", "separated"]


@dataclass(frozen=True)
class NotComparable:
    """Why no finite difference of strength exists between some contenders and others.

    unlinked:   no chain of votes leads from contenders to others
    undefeated: others never took a win or a tie from contenders, so nothing bounds their lead from above
    winless:    contenders never took a win or a tie from others, so nothing bounds their lag from below
    separated:  contenders beat some of others every time and lost to the rest every time

    contenders, others: indices in rising order
    """

    kind: Kind
    contenders: tuple[int, ...]
    others: tuple[int, ...]

    def sentence(self, names: Sequence[str]) -> str:
        """The reason in words, names being those of all K contenders."""
        these, those = _listed(self.contenders, names), _listed(self.others, names)
        if self.kind == "unlinked":
            return f"No chain of votes links {these} with {those}."
        if self.kind == "undefeated":
            return f"{these} never lost to or tied with {those}: how much stronger is still unbounded."
        if self.kind == "winless":
            return f"{these} never beat or tied with {those}: how much weaker is still unbounded."
        return f"{these} always beat or always lost to each of {those}: the distance is still unbounded."


def weak_components(half_wins: Floats) -> Integers:
    """(K,) labels: equal where a chain of votes joins two contenders. Numbered from 0 by first member."""
    return _labels(half_wins, "weak")


def estimable_groups(half_wins: Floats) -> Integers:
    """(K,) labels: equal where the difference of two strengths has a finite estimate. Numbered from 0 by first member.

    These are the strongly connected components of the graph with an edge from i to j where i took a win or a tie
    from j (Zermelo 1929; Ford 1957, Amer. Math. Monthly 64:28).
    """
    return _labels(half_wins, "strong")


def explain(half_wins: Floats) -> tuple[NotComparable, ...]:
    """Every reason why contenders are not comparable; empty where all are.

    One per weak component if there are several, then one per estimable group inside a component that has several.
    """
    components, groups = weak_components(half_wins), estimable_groups(half_wins)
    reasons = []
    if components.any():
        for component in range(components.max() + 1):
            reasons.append(NotComparable("unlinked", _where(components == component), _where(components != component)))
    for group in range(groups.max() + 1 if len(groups) else 0):
        component = components[groups == group][0]
        others = (components == component) & (groups != group)
        if others.any():
            reasons.append(_one_way(half_wins, groups == group, others))
    return tuple(reasons)


def _one_way(half_wins: Floats, inside: NDArray[np.bool_], others: NDArray[np.bool_]) -> NotComparable:
    taken = half_wins[np.ix_(inside, others)].any()
    given = half_wins[np.ix_(others, inside)].any()
    kind: Kind = "separated" if taken and given else "undefeated" if taken else "winless"
    return NotComparable(kind, _where(inside), _where(others))


def _labels(half_wins: Floats, connection: Literal["weak", "strong"]) -> Integers:
    count, labels = connected_components(csr_array(half_wins > 0), directed=True, connection=connection)
    # SciPy numbers components by the order of its own walk; by first member the numbers mean something to a reader.
    _, first = np.unique(labels, return_index=True)
    rank = np.empty(count, dtype=np.intp)
    rank[np.argsort(first)] = np.arange(count)
    renumbered: Integers = rank[labels]
    return renumbered


def _where(members: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.flatnonzero(members))


def _listed(contenders: tuple[int, ...], names: Sequence[str]) -> str:
    if len(contenders) > _MOST_NAMED:
        first = ", ".join(names[index] for index in contenders[:_FIRST_NAMED])
        return f"{first} and {len(contenders) - _FIRST_NAMED:,} others"
    listed = [names[index] for index in contenders]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
