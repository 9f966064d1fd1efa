from __future__ import annotations

from dataclasses import replace

import krippendorff
import numpy as np
import pytest

from arena.ranking.agreement import VALUES, Metric, Units, agreement, ceiling, units_of
from arena.ranking.models import fit_model
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, TIE, Votes, tally
from tests.arena.ranking.worlds import some_votes

# Krippendorff's example: four raters and twelve units, 0 where there is no answer.
EXAMPLE = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)
PUBLISHED: dict[Metric, float] = {"nominal": 0.743, "ordinal": 0.815, "interval": 0.849, "ratio": 0.797}


def example() -> Units:
    counts = np.array([[(unit == value).sum() for value in range(1, 6)] for unit in EXAMPLE.T])
    return Units(counts, np.arange(1.0, 6.0))


def crowd(rng: np.random.Generator, gaps: np.ndarray, *, prompts: int, raters: int, agree: float = 0.0) -> Votes:
    """Every rater on every prompt and pair of three contenders; some units have one answer that all repeat."""
    rows = []
    for prompt in range(prompts):
        for left, right in ((0, 1), (0, 2), (1, 2)):
            odds = np.exp([(gaps[left] - gaps[right]) / 2, -0.5, (gaps[right] - gaps[left]) / 2])
            answers = rng.choice([LEFT, TIE, RIGHT], p=odds / odds.sum(), size=raters)
            if rng.random() < agree:
                answers[:] = answers[0]
            for rater, answer in enumerate(answers.tolist()):
                turned = rng.random() < 0.5
                sides = (right, left, RIGHT - answer) if turned else (left, right, answer)
                rows.append((*sides, rater, prompt))
    return some_votes(rows, 3)


@pytest.mark.parametrize("metric", list(PUBLISHED))
def test_published_example(metric: Metric) -> None:
    found = agreement(example(), metric=metric)
    assert found.alpha == pytest.approx(PUBLISHED[metric], abs=5e-4)
    assert found.low < found.alpha < found.high
    assert found.units == 11


@pytest.mark.parametrize("metric", list(PUBLISHED))
def test_replicates_are_the_alphas_of_the_package(metric: Metric) -> None:
    # One replicate: both ends of the interval are it, and the units it drew are known from the seed.
    units = example()
    told = units.counts[units.counts.sum(axis=1) > 1]
    kinds, number = np.unique(told, axis=0, return_counts=True)
    drawn = np.random.default_rng(5).multinomial(len(told), number / number.sum())
    expected = krippendorff.alpha(
        value_counts=np.repeat(kinds, drawn, axis=0), value_domain=units.values, level_of_measurement=metric
    )
    found = agreement(units, metric=metric, replicates=1, rng=np.random.default_rng(5))
    assert (found.low, found.high) == pytest.approx((expected, expected), rel=1e-9)


def test_share_of_equal_answers() -> None:
    units = Units(np.array([[0, 0, 2], [1, 0, 1], [0, 1, 2], [0, 0, 1]]), VALUES)
    # Coincidences: 2 of 2, 0 of 2, and 2 of 6 over two for three answers, which is 1 of 3.
    assert agreement(units).same == pytest.approx((2 + 0 + 1) / 7)


def test_units_are_prompts_and_pairs_whichever_side_was_left() -> None:
    votes = some_votes(
        [
            (0, 1, LEFT, 1, 5),
            (1, 0, RIGHT, 2, 5),
            (1, 0, LEFT, 3, 5),
            (1, 0, LEFT, 3, 5),
            (1, 0, LEFT, NOBODY, 5),
            (0, 1, BOTH_BAD, 1, 6),
            (2, 1, TIE, 1, 6),
        ],
        3,
    )
    found = units_of(votes)
    assert found.pairs is not None
    assert found.pairs.tolist() == [[0, 1], [0, 1], [1, 2]]
    assert found.counts.tolist() == [[1, 0, 2], [0, 1, 0], [0, 1, 0]]


def test_interval_covers_the_alpha_of_the_population() -> None:
    gaps = np.array([1.0, 0.0, -1.0])
    everybody = agreement(units_of(crowd(np.random.default_rng(0), gaps, prompts=4000, raters=4, agree=0.3))).alpha
    covered = 0
    for seed in range(1, 61):
        found = agreement(units_of(crowd(np.random.default_rng(seed), gaps, prompts=25, raters=4, agree=0.3)))
        covered += found.low <= everybody <= found.high
    assert covered >= 53


def test_ceiling_is_what_raters_who_draw_from_the_model_reach() -> None:
    votes = crowd(np.random.default_rng(1), np.array([1.5, 0.0, -1.5]), prompts=3000, raters=3)
    units, fit = units_of(votes), fit_model(tally(votes), ties="davidson")
    for metric in ("nominal", "ordinal", "interval"):
        assert ceiling(units, fit, metric=metric) == pytest.approx(agreement(units, metric=metric).alpha, abs=0.01)


def test_ceiling_of_close_contenders_is_near_zero_and_agreement_may_exceed_it() -> None:
    votes = crowd(np.random.default_rng(2), np.zeros(3), prompts=200, raters=3, agree=0.8)
    units = units_of(votes)
    assert abs(ceiling(units, fit_model(tally(votes), ties="rao-kupper"))) < 0.05
    assert agreement(units).alpha > 0.6


def test_ceiling_without_ties_needs_no_model_of_them() -> None:
    votes = crowd(np.random.default_rng(3), np.array([2.0, 0.0, -2.0]), prompts=300, raters=3)
    decisive = replace(votes, outcome=np.where(votes.outcome == TIE, LEFT, votes.outcome))
    assert -1 < ceiling(units_of(decisive), fit_model(tally(decisive))) < 1
    with pytest.raises(ValueError, match="there are ties"):
        ceiling(units_of(votes), fit_model(tally(votes)))
    with pytest.raises(ValueError, match="units of pairs"):
        ceiling(example(), fit_model(tally(votes)))


def test_nothing_to_compare_gives_no_number() -> None:
    alone = agreement(units_of(some_votes([(0, 1, LEFT, 1, 1), (0, 1, LEFT, 1, 2)], 2)))
    assert alone.units == 0
    assert np.isnan([alone.alpha, alone.low, alone.high, alone.same]).all()
    unanimous = agreement(units_of(some_votes([(0, 1, LEFT, rater, 1) for rater in range(4)], 2)))
    assert np.isnan(unanimous.alpha)
    assert (unanimous.same, unanimous.units) == (1, 1)
    with pytest.raises(ValueError, match="rater and the prompt"):
        units_of(some_votes([(0, 1, LEFT)], 2))
