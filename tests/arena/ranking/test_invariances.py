"""What must not change anything, from votes to intervals and ranks: sides, names, copies, company; by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from arena.ranking.cluster_scores import ClusterBy
from arena.ranking.fitted import Ties
from arena.ranking.intervals import difference_intervals, rank_ranges, tiers, win_probability_intervals
from arena.ranking.models import fit_model
from arena.ranking.precision import Precision, estimate_precision
from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE, Votes, tally

Floats = NDArray[np.float64]
# The same examples in every run: a test that fails now and then tells nobody anything.
PINNED = settings(deadline=None, max_examples=25, derandomize=True, database=None)
SWAPPED = np.array([RIGHT, TIE, LEFT, BOTH_BAD])[np.argsort([LEFT, TIE, RIGHT, BOTH_BAD])]


@dataclass(frozen=True, eq=False)
class Study:
    """Votes and how they are to be fitted. Every ordered pair met once at least with every outcome."""

    votes: Votes
    ties: Ties
    side: bool
    by: tuple[ClusterBy, ...]

    def run(self, votes: Votes | None = None) -> Precision:
        own = self.votes if votes is None else votes
        return estimate_precision(fit_model(tally(own), ties=self.ties, side_bias=self.side), own, by=self.by)


@st.composite
def studies(draw: st.DrawFn) -> Study:
    contenders, extra = draw(st.integers(2, 4)), draw(st.integers(0, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    met = [(a, b, o) for a in range(contenders) for b in range(contenders) if a != b for o in range(3)]
    rows = np.array(met + [met[place] for place in rng.integers(len(met), size=extra)])
    rows = rng.permutation(rows)
    rater, prompt = rng.integers(5, size=len(rows)), rng.integers(6, size=len(rows))
    weight = rng.uniform(0.5, 2, len(rows)) if draw(st.booleans()) else None
    votes = Votes(rows[:, 0], rows[:, 1], rows[:, 2], contenders, rater, prompt, weight)
    ties: list[Ties] = ["half", "davidson", "rao-kupper", "drop"]
    ways: list[tuple[ClusterBy, ...]] = [(), ("rater",), ("prompt",), ("rater", "prompt")]
    return Study(votes, draw(st.sampled_from(ties)), draw(st.booleans()), draw(st.sampled_from(ways)))


def changed(votes: Votes, **columns: Any) -> Votes:
    names = ("left", "right", "outcome", "contenders", "rater", "prompt", "weight")
    return Votes(**({name: getattr(votes, name) for name in names} | columns))


def alike(found: Precision, expected: Precision, order: NDArray[np.intp] | None = None) -> None:
    """Strengths, errors, chances, ranks and tiers are equal; contender i of found is order[i] of expected."""
    order = np.arange(expected.fit.contenders) if order is None else order
    block = np.ix_(order, order)
    np.testing.assert_allclose(found.fit.strengths, expected.fit.strengths[order], atol=1e-8)
    np.testing.assert_allclose(found.standard_errors, expected.standard_errors[order], rtol=1e-6)
    np.testing.assert_allclose(found.difference_errors, expected.difference_errors[block], rtol=1e-6)
    here, there = win_probability_intervals(found), win_probability_intervals(expected)
    for end in ("estimate", "low", "high"):
        np.testing.assert_allclose(getattr(here, end), getattr(there, end)[block], atol=1e-6)


@given(studies())
@PINNED
def test_swapping_all_sides_turns_the_side_bias_and_nothing_else(study: Study) -> None:
    votes = study.votes
    one = study.run()
    other = study.run(changed(votes, left=votes.right, right=votes.left, outcome=SWAPPED[votes.outcome]))

    alike(other, one)
    np.testing.assert_array_equal(tiers(other), tiers(one))
    assert rank_ranges(other).best.tolist() == rank_ranges(one).best.tolist()
    if study.side:
        assert other.fit.side_bias == pytest.approx(-(one.fit.side_bias or 0), abs=1e-9)
        errors = [np.nan if run.side_bias_error is None else run.side_bias_error for run in (other, one)]
        np.testing.assert_allclose(errors[0], errors[1], rtol=1e-6)


@given(studies(), st.randoms(use_true_random=False))
@PINNED
def test_names_of_contenders_raters_and_prompts_and_the_order_of_votes_do_not_matter(study: Study, random: Any) -> None:
    votes = study.votes
    place = list(range(votes.contenders))
    random.shuffle(place)
    rows = list(range(len(votes)))
    random.shuffle(rows)
    assert votes.rater is not None and votes.prompt is not None
    number = np.argsort(place)
    renamed = Votes(
        left=number[votes.left][rows],
        right=number[votes.right][rows],
        outcome=votes.outcome[rows],
        contenders=votes.contenders,
        rater=(97 - 3 * votes.rater)[rows],
        prompt=(votes.prompt * 1_000_003)[rows],
        weight=None if votes.weight is None else votes.weight[rows],
    )
    alike(study.run(renamed), study.run(), np.array(place))


@given(studies(), st.integers(2, 5))
@PINNED
def test_copies_of_votes_change_no_estimate_and_errors_only_where_they_are_new_evidence(
    study: Study, times: int
) -> None:
    votes = study.votes
    rows = np.tile(np.arange(len(votes)), times)
    columns = {name: getattr(votes, name)[rows] for name in ("left", "right", "outcome", "rater", "prompt")}
    weight = None if votes.weight is None else votes.weight[rows]
    one, many = study.run(), study.run(changed(votes, **columns, weight=weight))

    np.testing.assert_allclose(many.fit.strengths, one.fit.strengths, atol=1e-8)
    np.testing.assert_allclose(many.fit.bread * times, one.fit.bread, rtol=1e-6, atol=1e-9)
    if study.by:
        # The same people said it more often: the sandwich knows that nothing new was learnt.
        np.testing.assert_allclose(many.covariance, one.covariance, rtol=1e-5, atol=1e-9)
    elif study.ties != "half":
        np.testing.assert_allclose(many.standard_errors * np.sqrt(times), one.standard_errors, rtol=1e-6)


@given(studies(), studies())
@PINNED
def test_two_studies_in_one_file_are_two_boards_each_as_if_alone(one: Study, other: Study) -> None:
    assert one.votes.rater is not None and other.votes.rater is not None
    assert one.votes.prompt is not None and other.votes.prompt is not None
    shift = one.votes.contenders
    parts = [
        (one.votes.left, other.votes.left + shift),
        (one.votes.right, other.votes.right + shift),
        (one.votes.outcome, other.votes.outcome),
    ]
    left, right, outcome = (np.concatenate(part) for part in parts)
    rater = np.concatenate([one.votes.rater, other.votes.rater + 100])
    prompt = np.concatenate([one.votes.prompt, other.votes.prompt + 100])
    ties: Ties = "drop" if "drop" in (one.ties, other.ties) else "half"
    union = Study(Votes(left, right, outcome, shift + other.votes.contenders, rater, prompt), ties, False, one.by)
    both = union.run()
    start = 0
    for part in (one, other):
        members = np.arange(start, start + part.votes.contenders)
        alone = Study(changed(part.votes, weight=None), ties, False, one.by).run()
        np.testing.assert_allclose(both.fit.strengths[members], alone.fit.strengths, atol=1e-8)
        if union.by == () and ties == "drop":
            np.testing.assert_allclose(both.standard_errors[members], alone.standard_errors, rtol=1e-8)
        start += part.votes.contenders
    gaps = difference_intervals(both)
    assert np.isnan(gaps.low[:shift, shift:]).all() and np.isnan(both.fit.win_probabilities()[:shift, shift:]).all()


@given(studies(), st.data())
@PINNED
def test_one_more_win_on_either_side_never_makes_the_winner_weaker(study: Study, data: st.DataObject) -> None:
    votes = study.votes
    winner, loser = data.draw(st.permutations(range(votes.contenders)))[:2]
    on_left = data.draw(st.booleans())
    pair = (winner, loser, LEFT) if on_left else (loser, winner, RIGHT)
    left, right, outcome = (
        np.append(column, own) for column, own in zip((votes.left, votes.right, votes.outcome), pair, strict=True)
    )
    more = Votes(left, right, outcome, votes.contenders)
    before = fit_model(tally(changed(votes, weight=None)), ties=study.ties, side_bias=study.side)
    after = fit_model(tally(more), ties=study.ties, side_bias=study.side)

    assert after.strengths[winner] - after.strengths[loser] > before.strengths[winner] - before.strengths[loser]
    if not study.side:
        assert after.strengths[winner] > before.strengths[winner]
