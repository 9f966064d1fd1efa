"""Where nearly everybody ties, or nearly nobody: chances next to 0 and 1, times up to 10^12 votes."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.ranking.likelihoods import TRINOMIAL, Link, bends, chances, expected_bend, log_likelihoods, slopes
from arena.ranking.models import fit_model
from arena.ranking.tallies import Tallies
from tests.arena.ranking.tables import tallies_of

COUNTS = st.floats(0, 12).map(lambda power: int(10**power))


@settings(max_examples=60, deadline=None)
@given(wins=COUNTS, ties=COUNTS, losses=COUNTS, side=st.booleans())
def test_davidson_of_two_contenders_is_its_closed_form_at_any_share_of_ties(
    wins: int, ties: int, losses: int, side: bool
) -> None:
    # Shown in both orders alike, so that a side bias is there and zero.
    rows = [(0, 1, wins, ties, losses)] + [(1, 0, losses, ties, wins)] * side
    fit = fit_model(tallies_of(rows), ties="davidson", side_bias=side)

    assert fit.strengths[0] - fit.strengths[1] == pytest.approx(np.log(wins) - np.log(losses), abs=1e-7)
    assert fit.tie_parameter == pytest.approx(ties / np.sqrt(float(wins) * losses), rel=1e-7)
    assert fit.side_bias is None or fit.side_bias == pytest.approx(0, abs=1e-7)


def test_three_to_ten_million_to_five_has_the_strengths_of_three_to_five() -> None:
    fit = fit_model(tallies_of([(0, 1, 3, 10**7, 5)]), ties="davidson", side_bias=False)

    assert fit.strengths[0] - fit.strengths[1] == pytest.approx(np.log(3 / 5), abs=1e-9)
    assert fit.tie_parameter == pytest.approx(1e7 / np.sqrt(15), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    strengths=st.lists(st.floats(-4, 4), min_size=3, max_size=5),
    level=st.floats(-14, 14),
    ties=st.sampled_from(TRINOMIAL),
)
def test_votes_as_a_model_expects_them_give_the_model_back(strengths: list[float], level: float, ties: Link) -> None:
    known = np.array(strengths) - np.mean(strengths)
    level = abs(level) + 1e-4 if ties == "rao-kupper" else level
    expected = np.stack(chances(ties, known[:, None] - known[None, :], np.array(level)), axis=-1)
    # Enough votes for a whole one in the rarest cell; where that is beyond counting, weights stand for them.
    mass = np.zeros((len(known), len(known), 4))
    mass[:, :, :3] = np.triu(np.ones(mass.shape[:2]), 1)[:, :, None] * expected / expected.min()
    fit = fit_model(Tallies(np.ceil(np.minimum(mass, 1e15)).astype(np.int64), mass), ties=ties, side_bias=False)

    found = np.log(fit.tie_parameter or 0) if ties == "davidson" else fit.tie_parameter
    np.testing.assert_allclose(fit.strengths, known, atol=1e-6)
    assert found == pytest.approx(level, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("link", TRINOMIAL)
@pytest.mark.parametrize(("eta", "phi"), [(0.3, 20.0), (-35.0, 20.0), (40.0, 1e-6), (0.1, 1e-8)])
def test_likelihoods_next_to_certainty_lose_no_digits(link: Link, eta: float, phi: float) -> None:
    # Exact odds of the three outcomes; chances and their complements follow without rounding.
    def power(exponent: float) -> Fraction:
        return Fraction(math.exp(exponent))

    if link == "davidson":
        odds = power(eta / 2), power(phi), 1 / power(eta / 2)
    else:
        up, gap = power(phi), power(eta)
        odds = gap * (1 + gap * up), gap * (up * up - 1), up + gap
    left, tie, right = (one / sum(odds) for one in odds)
    chance = chances(link, np.array(eta), np.array(phi))
    np.testing.assert_allclose([float(part) for part in chance], [float(left), float(tie), float(right)], rtol=1e-7)
    slope = slopes(link, chance, np.array(phi))
    exact_left = right + tie / 2 if link == "davidson" else 1 - left
    assert float(slope[0].eta) == pytest.approx(float(exact_left), rel=1e-7)
    assert float(slope[2].eta) == pytest.approx(-float(left + tie / 2 if link == "davidson" else 1 - right), rel=1e-7)
    values = log_likelihoods(link, np.array(eta), np.array(phi))
    for value, exact in zip(values, (left, tie, right), strict=True):
        certain = float(1 - exact)
        wanted = math.log1p(-certain) if certain < 0.5 else math.log(exact)
        assert float(value) == pytest.approx(wanted, rel=1e-7)
    bend = expected_bend(link, chance, np.array(phi))
    assert float(bend.eta) > 0
    assert all(float(part.eta) >= 0 for part in bends(link, chance, np.array(phi)))
