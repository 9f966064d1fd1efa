from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking import likelihoods
from arena.ranking.likelihoods import Link

Floats = NDArray[np.float64]

LINKS: list[Link] = ["half", "davidson", "rao-kupper"]
ETA = np.linspace(-4, 4, 9)
PHI = np.array(0.7)
STEP = 1e-6


def derivative(function: object, where: str) -> Floats:
    """Central difference of function(eta, phi) in eta or phi."""
    up, down = ((ETA + s * STEP, PHI) if where == "eta" else (ETA, PHI + s * STEP) for s in (1, -1))
    return (np.asarray(function(*up)) - np.asarray(function(*down))) / (2 * STEP)  # type: ignore[operator]


@pytest.mark.parametrize("link", LINKS)
def test_chances_add_up_to_one_and_are_what_the_likelihood_is_the_logarithm_of(link: Link) -> None:
    chance = likelihoods.chances(link, ETA, PHI)
    logarithms = likelihoods.log_likelihoods(link, ETA, PHI)

    np.testing.assert_allclose(chance.left + chance.tie + chance.right, np.ones(9), atol=1e-15)
    np.testing.assert_allclose(np.log(chance.left), logarithms[0], atol=1e-12)
    np.testing.assert_allclose(np.log(chance.right), logarithms[2], atol=1e-12)
    tie = (logarithms[0] + logarithms[2]) / 2 if link == "half" else np.log(chance.tie)
    np.testing.assert_allclose(tie, logarithms[1], atol=1e-12)


def test_davidsons_odds_and_rao_and_kuppers_thresholds_are_as_published() -> None:
    davidson = likelihoods.chances("davidson", np.array(np.log(2.0)), np.array(np.log(0.5)))
    rao_kupper = likelihoods.chances("rao-kupper", np.array(np.log(2.0)), np.array(np.log(1.5)))

    total = 2 + 1 + 0.5 * np.sqrt(2)
    np.testing.assert_allclose(davidson, [2 / total, 0.5 * np.sqrt(2) / total, 1 / total])
    win, loss = 2 / (2 + 1.5), 1 / (1 + 1.5 * 2)
    np.testing.assert_allclose(rao_kupper, [win, 1 - win - loss, loss])


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("where", ["eta", "phi"])
def test_slopes_agree_with_finite_differences(link: Link, where: str) -> None:
    chance = likelihoods.chances(link, ETA, PHI)
    slopes = np.array([getattr(slope, where) for slope in likelihoods.slopes(link, chance, PHI)])

    numeric = derivative(lambda eta, phi: likelihoods.log_likelihoods(link, eta, phi), where)
    np.testing.assert_allclose(slopes, numeric, atol=1e-8)


@pytest.mark.parametrize("link", LINKS)
def test_bends_are_the_negative_derivatives_of_the_slopes(link: Link) -> None:
    bends = likelihoods.bends(link, likelihoods.chances(link, ETA, PHI), PHI)

    def slope(name: str) -> object:
        def of(eta: Floats, phi: Floats) -> list[Floats]:
            return [getattr(s, name) for s in likelihoods.slopes(link, likelihoods.chances(link, eta, phi), phi)]

        return of

    for name, of, where in (("eta", "eta", "eta"), ("cross", "eta", "phi"), ("phi", "phi", "phi")):
        numeric = -derivative(slope(of), where)
        np.testing.assert_allclose([getattr(bend, name) for bend in bends], numeric, atol=1e-8)


@pytest.mark.parametrize("link", LINKS)
def test_expected_information_is_the_average_of_the_bends_and_of_the_squared_slopes(link: Link) -> None:
    chance = likelihoods.chances(link, ETA, PHI)
    expected = likelihoods.expected_bend(link, chance, PHI)
    bends, slopes = likelihoods.bends(link, chance, PHI), likelihoods.slopes(link, chance, PHI)

    for name in ("eta", "cross", "phi"):
        average = sum(p * getattr(bend, name) for p, bend in zip(chance, bends, strict=True))
        np.testing.assert_allclose(getattr(expected, name), average, atol=1e-14)
    for name, one, other in (("eta", "eta", "eta"), ("cross", "eta", "phi"), ("phi", "phi", "phi")):
        square = sum(p * getattr(s, one) * getattr(s, other) for p, s in zip(chance, slopes, strict=True))
        np.testing.assert_allclose(getattr(expected, name), square, atol=1e-14)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("where", ["eta", "phi"])
def test_steepening_is_the_derivative_of_the_expected_information(link: Link, where: str) -> None:
    steeper = likelihoods.steepening(link, likelihoods.chances(link, ETA, PHI), PHI)
    numeric = derivative(
        lambda eta, phi: likelihoods.expected_bend(link, likelihoods.chances(link, eta, phi), phi), where
    )

    np.testing.assert_allclose(steeper.by_eta if where == "eta" else steeper.by_phi, numeric, atol=1e-8)


@pytest.mark.parametrize("link", LINKS)
def test_far_gaps_neither_overflow_nor_vanish(link: Link) -> None:
    far = np.array([-600.0, 600.0])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        logarithms = likelihoods.log_likelihoods(link, far, PHI)
        chance = likelihoods.chances(link, far, PHI)

    assert np.isfinite(logarithms).all()
    np.testing.assert_allclose(chance.left, [0, 1], atol=1e-200)
