from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking.structure import NotComparable, estimable_groups, explain, weak_components

NAMES = ["Ash", "Birch", "Cedar", "Dogwood", "Elm"]


def half_wins(contenders: int, *wins: tuple[int, int]) -> NDArray[np.float64]:
    matrix = np.zeros((contenders, contenders))
    for winner, loser in wins:
        matrix[winner, loser] += 1
    return matrix


CYCLE = half_wins(3, (0, 1), (1, 2), (2, 0))
TWO_BOARDS = half_wins(5, (0, 2), (2, 0), (1, 4), (4, 1))
LADDER = half_wins(3, (0, 1), (1, 2))
CHAMPION = half_wins(4, (0, 1), (0, 2), (1, 2), (2, 1), (1, 3), (3, 2))
LAST = half_wins(3, (0, 1), (1, 0), (0, 2))


@pytest.mark.parametrize(
    ("matrix", "components", "groups"),
    [
        (CYCLE, [0, 0, 0], [0, 0, 0]),
        (TWO_BOARDS, [0, 1, 0, 2, 1], [0, 1, 0, 2, 1]),
        (LADDER, [0, 0, 0], [0, 1, 2]),
        (CHAMPION, [0, 0, 0, 0], [0, 1, 1, 1]),
        (half_wins(2), [0, 1], [0, 1]),
    ],
)
def test_contenders_are_grouped_by_what_the_votes_can_compare(
    matrix: NDArray[np.float64], components: list[int], groups: list[int]
) -> None:
    assert weak_components(matrix).tolist() == components
    assert estimable_groups(matrix).tolist() == groups


def test_one_tie_is_enough_to_make_two_contenders_comparable() -> None:
    assert estimable_groups(np.array([[0, 0.5], [0.5, 0]])).tolist() == [0, 0]


def test_nothing_is_to_be_explained_where_all_are_comparable() -> None:
    assert explain(CYCLE) == ()


@pytest.mark.parametrize(
    ("matrix", "reasons"),
    [
        (
            TWO_BOARDS,
            (
                NotComparable("unlinked", (0, 2), (1, 3, 4)),
                NotComparable("unlinked", (1, 4), (0, 2, 3)),
                NotComparable("unlinked", (3,), (0, 1, 2, 4)),
            ),
        ),
        (
            LADDER,
            (
                NotComparable("undefeated", (0,), (1, 2)),
                NotComparable("separated", (1,), (0, 2)),
                NotComparable("winless", (2,), (0, 1)),
            ),
        ),
        (CHAMPION, (NotComparable("undefeated", (0,), (1, 2, 3)), NotComparable("winless", (1, 2, 3), (0,)))),
        (LAST, (NotComparable("undefeated", (0, 1), (2,)), NotComparable("winless", (2,), (0, 1)))),
    ],
)
def test_every_separation_has_its_reason(matrix: NDArray[np.float64], reasons: tuple[NotComparable, ...]) -> None:
    assert explain(matrix) == reasons


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (NotComparable("unlinked", (3,), (0, 1)), "No chain of votes links Dogwood with Ash and Birch."),
        (
            NotComparable("undefeated", (0,), (1, 2, 3)),
            "Ash never lost to or tied with Birch, Cedar and Dogwood: how much stronger is still unbounded.",
        ),
        (
            NotComparable("winless", (1, 2), (0,)),
            "Birch and Cedar never beat or tied with Ash: how much weaker is still unbounded.",
        ),
        (
            NotComparable("separated", (1,), (0, 2)),
            "Birch always beat or always lost to each of Ash and Cedar: the distance is still unbounded.",
        ),
    ],
)
def test_a_reason_reads_as_a_sentence(reason: NotComparable, sentence: str) -> None:
    assert reason.sentence(NAMES) == sentence
