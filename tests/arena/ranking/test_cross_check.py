from __future__ import annotations

import choix
import numpy as np
import pytest

from arena.ranking.cross_check import choix_difference
from arena.ranking.tallies import LEFT, Tallies, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes


def voting(seed: int = 0) -> Tallies:
    return tally(simulate_votes(np.random.default_rng(seed), np.linspace(-1, 1, 8), votes=600))


@pytest.mark.parametrize("seed", range(5))
def test_choix_agrees_to_a_billionth(seed: int) -> None:
    difference = choix_difference(voting(seed))

    assert difference is not None
    assert difference < 1e-9


def test_boards_apart_are_compared_each_on_its_own() -> None:
    rows = [(0, 1, LEFT)] * 3 + [(1, 0, LEFT)] + [(2, 3, LEFT)] * 2 + [(3, 2, LEFT)] * 5

    difference = choix_difference(tally(some_votes(rows, 5)))
    assert difference is not None
    assert difference < 1e-9


def test_an_estimate_that_is_off_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choix, "ilsr_pairwise_dense", lambda points, tol: np.linspace(0, 1, len(points)))

    difference = choix_difference(voting())
    assert difference is not None
    assert difference > 0.1


def test_where_no_estimate_exists_there_is_nothing_to_compare() -> None:
    assert choix_difference(tally(some_votes([(0, 1, LEFT)], 2))) is None
    assert choix_difference(Tallies.empty(3)) is None


def test_choix_may_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(*_: object, **__: object) -> None:
        raise RuntimeError("Did not converge after 100 iterations")

    monkeypatch.setattr(choix, "ilsr_pairwise_dense", give_up)
    assert choix_difference(voting()) is None
