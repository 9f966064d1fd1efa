from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, TIE, Tallies, Votes, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes

VOTES = [(0, 1, LEFT), (0, 1, LEFT), (1, 0, LEFT), (1, 0, TIE), (0, 2, RIGHT), (2, 1, BOTH_BAD), (1, 2, TIE)]


def test_each_outcome_of_each_ordered_pair_is_counted() -> None:
    counted = tally(some_votes(VOTES, 3))

    expected = np.zeros((3, 3, 4), dtype=np.int64)
    expected[0, 1] = [2, 0, 0, 0]
    expected[1, 0] = [1, 1, 0, 0]
    expected[0, 2] = [0, 0, 1, 0]
    expected[2, 1] = [0, 0, 0, 1]
    expected[1, 2] = [0, 1, 0, 0]
    np.testing.assert_array_equal(counted.counts, expected)
    assert (counted.n_votes, counted.n_both_bad, counted.contenders) == (7, 1, 3)


def test_half_wins_are_wins_plus_half_of_ties_whatever_the_side() -> None:
    half_wins = tally(some_votes(VOTES, 3)).half_wins()

    np.testing.assert_array_equal(half_wins, [[0, 2.5, 0], [1.5, 0, 1], [1, 1, 0]])


def test_both_bad_can_be_left_out() -> None:
    half_wins = tally(some_votes(VOTES, 3)).half_wins(drop_both_bad=True)

    np.testing.assert_array_equal(half_wins, [[0, 2.5, 0], [1.5, 0, 0.5], [1, 0.5, 0]])


def test_unordered_results_read_from_the_first_contenders_side() -> None:
    results = tally(some_votes(VOTES, 3)).unordered()

    np.testing.assert_array_equal(results[0, 1], [2, 1, 1, 0])
    np.testing.assert_array_equal(results[1, 0], [1, 1, 2, 0])
    np.testing.assert_array_equal(results[1, 2], [0, 1, 0, 1])


def test_votes_added_later_count_as_if_they_had_been_there() -> None:
    first = tally(some_votes(VOTES[:3], 3))
    both = first.add(some_votes(VOTES[3:], 3))

    np.testing.assert_array_equal(both.counts, tally(some_votes(VOTES, 3)).counts)
    assert first.n_votes == 3


def test_votes_taken_out_leave_what_would_be_there_without_them() -> None:
    votes = simulate_votes(np.random.default_rng(0), np.zeros(4), votes=500)
    weight = np.random.default_rng(1).integers(1, 4, 500) / 2
    first = [Votes(votes.left[:200], votes.right[:200], votes.outcome[:200], 4, weight=w) for w in (None, weight[:200])]
    rest = [Votes(votes.left[200:], votes.right[200:], votes.outcome[200:], 4, weight=w) for w in (None, weight[200:])]

    for gone, stays in zip(first, rest, strict=True):
        left_over = tally(stays).add(gone).remove(gone)
        np.testing.assert_array_equal(left_over.counts, tally(stays).counts)
        np.testing.assert_array_equal(left_over.half_wins(), tally(stays).half_wins())


def test_votes_that_were_never_counted_cannot_be_taken_out() -> None:
    with pytest.raises(ValueError, match="only of tallies that they were counted into"):
        tally(some_votes(VOTES, 3)).remove(some_votes([(2, 0, LEFT)], 3))
    with pytest.raises(ValueError, match="tallies of 3 and of 2 contenders cannot be joined"):
        Tallies.empty(3).remove(some_votes([(0, 1, LEFT)], 2))


def test_rows_of_counts_add_up_to_the_tallies_of_their_votes() -> None:
    votes = simulate_votes(np.random.default_rng(0), np.zeros(3), votes=300)
    whole = tally(votes)
    # Two rows for each ordered pair, as two raters would give.
    left, right = np.nonzero(whole.counts.sum(axis=2))
    half = whole.counts[left, right] // 2
    rows = np.concatenate([half, whole.counts[left, right] - half])
    columns = dict(
        zip(("wins_left", "ties", "wins_right", "both_bad"), rows[:, [LEFT, TIE, RIGHT, BOTH_BAD]].T, strict=True)
    )
    added = Tallies.from_counts(np.tile(left, 2), np.tile(right, 2), **columns, contenders=3)

    np.testing.assert_array_equal(added.counts, whole.counts)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((0, 3, 1, 0, 0), "right must be between 0 and 2"),
        ((1, 1, 1, 0, 0), "row 0 compares contender 1 with itself"),
        ((0, 1, -1, 0, 0), "counts must be 0 or more"),
    ],
)
def test_wrong_rows_of_counts_are_refused(row: tuple[int, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Tallies.from_counts(*np.array([row]).T, contenders=3)


def test_cells_of_a_grouped_query_add_up_to_the_tallies_of_their_votes() -> None:
    votes = some_votes([(0, 1, LEFT)] * 3 + [(1, 0, TIE)] * 2 + [(2, 1, RIGHT), (0, 2, BOTH_BAD)], 3)
    cells = np.array([(2, 1, RIGHT, 1), (0, 1, LEFT, 2), (1, 0, TIE, 2), (0, 2, BOTH_BAD, 1), (0, 1, LEFT, 1)])

    np.testing.assert_array_equal(Tallies.from_cells(*cells.T, contenders=3).counts, tally(votes).counts)
    nothing = np.empty((0, 4), dtype=np.int64)
    np.testing.assert_array_equal(Tallies.from_cells(*nothing.T, contenders=3).counts, Tallies.empty(3).counts)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ((0, 3, LEFT, 1), "right must be between 0 and 2"),
        ((0, 1, 4, 1), "outcome must be between 0 and 3"),
        ((0, 1, LEFT, -1), "counts must be 0 or more"),
        ((1, 1, TIE, 1), "with itself"),
    ],
)
def test_wrong_cells_are_refused(cell: tuple[int, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Tallies.from_cells(*np.array([cell]).T, contenders=3)


def test_outcomes_count_both_bad_as_a_tie_or_not_at_all() -> None:
    counted = tally(some_votes(VOTES, 3))

    assert counted.outcomes()[2, 1].tolist() == [0, 1, 0]
    assert counted.outcomes(drop_both_bad=True)[2, 1].tolist() == [0, 0, 0]


def test_no_votes_give_empty_tallies() -> None:
    empty = np.array([], dtype=np.int64)

    np.testing.assert_array_equal(tally(Votes(empty, empty, empty, 2)).counts, np.zeros((2, 2, 4)))


def test_narrow_columns_do_not_overflow() -> None:
    left, right = np.array([99, 98], dtype=np.uint8), np.array([98, 99], dtype=np.uint8)
    counted = tally(Votes(left, right, np.array([LEFT, LEFT], dtype=np.uint8), 100))

    assert np.argwhere(counted.counts).tolist() == [[98, 99, LEFT], [99, 98, LEFT]]


def test_many_chunks_count_like_one() -> None:
    votes = simulate_votes(np.random.default_rng(0), np.zeros(5), votes=200_001)

    expected = np.zeros((5, 5, 4), dtype=np.int64)
    np.add.at(expected, (votes.left, votes.right, votes.outcome), 1)
    np.testing.assert_array_equal(tally(votes).counts, expected)


def test_counting_takes_no_memory_that_grows_with_the_votes() -> None:
    votes = 2_000_000
    left = np.zeros(votes, dtype=np.uint8)
    tracemalloc.start()
    try:
        tally(Votes(left, left + np.uint8(1), left, 20, rater=left, prompt=left))
        # left + 1 is the caller's; everything else together is under a byte a vote.
        assert tracemalloc.get_traced_memory()[1] < 2 * votes
    finally:
        tracemalloc.stop()


def test_weights_change_points_but_not_counts() -> None:
    votes = some_votes([(0, 1, LEFT), (1, 0, LEFT), (0, 1, TIE)], 2, weight=np.array([0.5, 2.0, 1.0]))
    counted = tally(votes)

    assert counted.n_votes == 3
    np.testing.assert_array_equal(counted.half_wins(), [[0, 1.0], [2.5, 0]])


def test_weighted_votes_join_plain_ones() -> None:
    counted = tally(some_votes([(0, 1, LEFT)], 2)).add(some_votes([(0, 1, LEFT)], 2, weight=np.array([0.25])))

    np.testing.assert_array_equal(counted.half_wins(), [[0, 1.25], [0, 0]])
    assert counted.n_votes == 2


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"right": [0, 0]}, "vote 0 compares contender 0 with itself"),
        ({"right": [1]}, "right has 1 rows and left has 2"),
        ({"right": [1, 2]}, "right must be between 0 and 1, found 1 to 2"),
        ({"left": [-1, 0]}, "left must be between 0 and 1, found -1 to 0"),
        ({"outcome": [0, 4]}, "outcome must be between 0 and 3, found 0 to 4"),
        ({"outcome": [0.0, 1.0]}, "outcome must be a one-dimensional array of integers"),
        ({"rater": [NOBODY - 1, 0]}, "rater must be -1 or more, found -2 to 0"),
        ({"prompt": [-1, 0]}, "prompt must be 0 or more, found -1 to 0"),
        ({"weight": [1.0, 0.0]}, "weight must be finite and above 0"),
        ({"weight": [1.0, np.nan]}, "weight must be finite and above 0"),
        ({"weight": [1.0]}, "weight has 1 rows and left has 2"),
    ],
)
def test_wrong_columns_are_refused(columns: dict[str, list[float]], reason: str) -> None:
    right_ones = {"left": [0, 0], "right": [1, 1], "outcome": [0, 0]}
    with pytest.raises(ValueError, match=f"^{reason}$"):
        Votes(contenders=2, **{name: np.array(column) for name, column in {**right_ones, **columns}.items()})


def test_votes_without_contenders_are_refused() -> None:
    empty = np.array([], dtype=np.int64)
    with pytest.raises(ValueError, match="at least one contender, not 0"):
        Votes(empty, empty, empty, 0)


def test_tallies_of_other_contenders_are_refused() -> None:
    with pytest.raises(ValueError, match="tallies of 3 and of 2 contenders cannot be joined"):
        Tallies.empty(3).add(some_votes([(0, 1, LEFT)], 2))


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (np.zeros((2, 2, 3), dtype=np.int64), "counts must be int64 of shape"),
        (np.zeros((2, 2, 4)), "counts must be int64 of shape"),
        (np.full((2, 2, 4), -1), "counts must not be negative"),
        (np.ones((2, 2, 4), dtype=np.int64), "counts compare a contender with itself"),
    ],
)
def test_wrong_counts_are_refused(counts: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Tallies(counts)
