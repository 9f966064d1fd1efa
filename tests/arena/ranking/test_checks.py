from __future__ import annotations

import numpy as np
import pytest

from arena.ranking import checks
from arena.ranking.checks import circular_triads, lack_of_fit, linkage, share_intervals, supported_cycles
from arena.ranking.models import fit_model
from arena.ranking.tallies import LEFT, tally
from tests.arena.ranking.tables import BASEBALL, CITATIONS, tallies_of
from tests.arena.ranking.worlds import simulate_votes, some_votes

CYCLE = [(0, 1, 70, 0, 30), (1, 2, 70, 0, 30), (2, 0, 70, 0, 30)]


def test_a_complete_graph_of_equals_is_linked_as_theory_says() -> None:
    rows = [(i, j, 50, 0, 50) for i in range(5) for j in range(i)]
    (link,) = linkage(fit_model(tallies_of(rows), side_bias=False))

    # Every pair has information 100 / 4: eigenvalue K * 25, and resistance 2 / (K * 25).
    assert link.second_eigenvalue == pytest.approx(125)
    assert link.largest_resistance == pytest.approx(2 / 125)
    assert link.members.tolist() == [0, 1, 2, 3, 4]


def test_the_loosest_difference_is_across_the_bridge() -> None:
    rows = [(0, 1, 50, 0, 50), (1, 2, 1, 0, 1), (2, 3, 50, 0, 50)]
    fit = fit_model(tallies_of(rows), side_bias=False)
    (link,) = linkage(fit)

    # Resistances in a row add up: 1/25 + 1/0.5 + 1/25.
    assert link.loosest == (0, 3)
    assert link.largest_resistance == pytest.approx(2.08)
    assert link.sentence(["a", "b", "c", "d"]) == (
        "The least sure difference is that between a and d: its standard error would be 1.4 log units even if votes "
        "were independent."
    )
    assert link.second_eigenvalue < 1


def test_boards_apart_are_linked_each_on_its_own() -> None:
    fit = fit_model(tallies_of([(0, 1, 5, 0, 5), (2, 3, 5, 0, 5)], contenders=5), side_bias=False)

    assert [(link.members.tolist(), link.loosest) for link in linkage(fit)] == [([0, 1], (0, 1)), ([2, 3], (2, 3))]


def test_a_cycle_is_found_where_the_votes_support_it_and_leaves_equal_strengths() -> None:
    fit = fit_model(tallies_of(CYCLE), side_bias=False)

    np.testing.assert_allclose(fit.strengths, 0, atol=1e-12)
    assert fit.deviance > 40
    assert supported_cycles(tallies_of(CYCLE)) == [(0, 1, 2)]
    # Were people all of one opinion ten at a time, this would be nothing.
    assert supported_cycles(tallies_of(CYCLE), design_effect=10) == []
    assert circular_triads(tallies_of(CYCLE)) == 1


def test_a_cycle_of_bare_majorities_is_a_triad_and_no_more() -> None:
    rows = [(0, 1, 6, 3, 5), (1, 2, 6, 0, 5), (2, 0, 6, 0, 5)]

    assert (supported_cycles(tallies_of(rows)), circular_triads(tallies_of(rows))) == ([], 1)


def test_circular_triads_of_a_tournament_are_those_of_kendalls_formula() -> None:
    rng = np.random.default_rng(0)
    pairs = [(i, j) for i in range(8) for j in range(i)]
    rows = [(i, j, int(won), 0, int(not won)) for (i, j), won in zip(pairs, rng.random(28) < 0.5, strict=True)]
    wins = np.zeros(8)
    for left, right, won, _, lost in rows:
        wins[left] += won
        wins[right] += lost

    assert circular_triads(tallies_of(rows)) == 8 * 7 * 15 // 12 - (wins**2).sum() / 2


def test_honest_orders_seldom_look_like_cycles() -> None:
    found = 0
    for seed in range(200):
        votes = simulate_votes(np.random.default_rng(seed), np.zeros(5), votes=600)
        found += bool(supported_cycles(tally(votes)))
    assert found <= 4


def test_shares_have_wilsons_interval() -> None:
    table = fit_model(tallies_of([(0, 1, 7, 0, 3)]), side_bias=False).pairs
    intervals = share_intervals(table)

    # Any table of Wilson's interval: 7 of 10.
    np.testing.assert_allclose([intervals.low[0], intervals.high[0]], [0.3968, 0.8922], atol=1e-4)
    wider = share_intervals(table, design_effect=4)
    assert wider.low[0] < intervals.low[0]
    assert wider.high[0] > intervals.high[0]


def test_lack_of_fit_is_the_tail_of_the_published_deviance() -> None:
    citations = fit_model(tallies_of(CITATIONS), side_bias=False)

    assert lack_of_fit(citations) == pytest.approx(0.2314, abs=5e-4)
    assert lack_of_fit(citations, design_effect=2) == pytest.approx(0.543, abs=2e-3)
    # Three games a cell are too few for the approximation, and two contenders leave nothing to test.
    assert lack_of_fit(fit_model(tallies_of(BASEBALL))) is None
    assert lack_of_fit(fit_model(tallies_of([(0, 1, 70, 0, 30)]), side_bias=False)) is None


def test_what_no_ranking_can_say_is_said() -> None:
    rows = [(0, 1, LEFT), (1, 2, LEFT), (2, 0, LEFT)] * 40
    tallies = tally(some_votes(rows, 3))
    sentences = checks.contradictions(fit_model(tallies, side_bias=False), tallies, ["Ash", "Birch", "Cedar"])

    assert sentences == [
        "Ash beats Birch, Birch beats Cedar and Cedar beats Ash: no ranking can say so.",
        "The model fits badly by the deviance (p < 0.001): differences rest on a form that does not hold.",
    ]


@pytest.mark.parametrize("effect", [60.0, np.nan])
def test_a_design_effect_softens_contradictions_and_an_unknown_one_does_not(effect: float) -> None:
    tallies = tally(some_votes([(0, 1, LEFT), (1, 2, LEFT), (2, 0, LEFT)] * 40, 3))
    sentences = checks.contradictions(
        fit_model(tallies, side_bias=False), tallies, ["Ash", "Birch", "Cedar"], design_effect=effect
    )

    assert len(sentences) == (0 if effect == 60 else 2)
