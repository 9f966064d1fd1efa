"""What one vote says: log-likelihoods of left, tie and right, and everything Newton's method needs of them.

With eta = theta_left - theta_right + delta, delta the side bias, and phi the tie parameter:
    half         P(left) = sigma(eta); a tie is half a win for each (Bradley & Terry 1952, Biometrika 39:324)
    davidson     odds left : tie : right = e^(eta/2) : e^phi : e^(-eta/2), phi = log nu (Davidson 1970, JASA 65:317)
    rao-kupper   P(left) = sigma(eta - phi), P(right) = sigma(-eta - phi), phi = tau (Rao & Kupper 1967, JASA 62:194)
All are concave in (eta, phi). Arrays are of one shape, that of eta; phi is broadcast to it.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
Link = Literal["half", "davidson", "rao-kupper"]
TRINOMIAL: Final[tuple[Link, ...]] = ("davidson", "rao-kupper")


class Chances(NamedTuple):
    """Probabilities of the three outcomes; under "half" a tie has none, for it is not an outcome of that model."""

    left: Floats
    tie: Floats
    right: Floats


class Slopes(NamedTuple):
    """First derivatives of the log-likelihood of one outcome."""

    eta: Floats
    phi: Floats


class Bend(NamedTuple):
    """Negative second derivatives of a log-likelihood, or their expectation."""

    eta: Floats
    cross: Floats
    phi: Floats


class Steepening(NamedTuple):
    """How the expected information of one vote changes with eta and with phi."""

    by_eta: Bend
    by_phi: Bend


def chances(link: Link, eta: Floats, phi: Floats) -> Chances:
    if link == "half":
        return Chances(expit(eta), np.zeros_like(eta), expit(-eta))
    if link == "davidson":
        # Scaled by the likeliest outcome, so that nothing overflows.
        top = np.maximum(np.abs(eta) / 2, phi)
        left, tie, right = np.exp(eta / 2 - top), np.exp(phi - top), np.exp(-eta / 2 - top)
        total = left + tie + right
        return Chances(left / total, tie / total, right / total)
    left, right = expit(eta - phi), expit(-eta - phi)
    # sinh(tau) / (cosh(eta) + cosh(tau)), which does not cancel where ties are rare.
    tie = -np.expm1(-2 * phi) * expit(eta + phi) * expit(phi - eta)
    return Chances(left, tie, right)


def slopes(link: Link, chance: Chances, phi: Floats) -> tuple[Slopes, Slopes, Slopes]:
    """Derivatives of the log-likelihoods of left, tie and right."""
    left, tie, right = chance
    none = np.zeros_like(left)
    if link == "half":
        return Slopes(right, none), Slopes((right - left) / 2, none), Slopes(-left, none)
    lean = left - right
    if link == "davidson":
        return Slopes((1 - lean) / 2, -tie), Slopes(-lean / 2, 1 - tie), Slopes(-(1 + lean) / 2, -tie)
    return Slopes(1 - left, left - 1), Slopes(-lean, 1 / np.tanh(phi) - tie), Slopes(right - 1, right - 1)


def bends(link: Link, chance: Chances, phi: Floats) -> tuple[Bend, Bend, Bend]:
    """Negative second derivatives of the log-likelihoods of left, tie and right."""
    left, tie, right = chance
    if link == "rao-kupper":
        for_left, for_right = left * (1 - left), right * (1 - right)
        both = for_left + for_right
        return (
            Bend(for_left, -for_left, for_left),
            Bend(both, for_right - for_left, both + np.sinh(phi) ** -2.0),
            Bend(for_right, for_right, for_right),
        )
    # Log-linear models bend alike whatever the outcome.
    alike = expected_bend(link, chance, phi)
    return alike, alike, alike


def expected_bend(link: Link, chance: Chances, phi: Floats) -> Bend:
    """Expected information of one vote about (eta, phi)."""
    left, tie, right = chance
    if link == "half":
        none = np.zeros_like(left)
        return Bend(left * right, none, none)
    lean = left - right
    if link == "davidson":
        return Bend((left + right - lean**2) / 4, -lean * tie / 2, tie * (1 - tie))
    for_left, for_right = left * (1 - left) * (1 - right), right * (1 - right) * (1 - left)
    both = for_left + for_right
    return Bend(both, for_right - for_left, both + tie * np.sinh(phi) ** -2.0)


def steepening(link: Link, chance: Chances, phi: Floats) -> Steepening:
    """Derivatives of expected_bend: what Firth's correction is made of."""
    left, tie, right = chance
    if link == "half":
        none = np.zeros_like(left)
        return Steepening(Bend(left * right * (right - left), none, none), Bend(none, none, none))
    if link == "davidson":
        return _third_moments(chance)
    slope_left, slope_right = left * (1 - left), right * (1 - right)
    each = []
    for change_left, change_right in ((slope_left, -slope_right), (-slope_left, -slope_right)):
        # Of left (1 - left) (1 - right) and of right (1 - right) (1 - left).
        for_left = (1 - 2 * left) * (1 - right) * change_left - slope_left * change_right
        for_right = (1 - 2 * right) * (1 - left) * change_right - slope_right * change_left
        barrier = -(change_left + change_right) * np.sinh(phi) ** -2.0
        each.append(Bend(for_left + for_right, for_right - for_left, for_left + for_right + barrier))
    sharper = -2 * tie / np.tanh(phi) * np.sinh(phi) ** -2.0
    by_eta, by_phi = each
    return Steepening(by_eta, Bend(by_phi.eta, by_phi.cross, by_phi.phi + sharper))


def log_likelihoods(link: Link, eta: Floats, phi: Floats) -> tuple[Floats, Floats, Floats]:
    """Logarithms of the three chances; under "half" that of a tie is half of the two others."""
    if link == "half":
        left, right = -np.logaddexp(0, -eta), -np.logaddexp(0, eta)
        return left, (left + right) / 2, right
    if link == "davidson":
        total = np.logaddexp(np.abs(eta) / 2, np.logaddexp(-np.abs(eta) / 2, phi))
        return eta / 2 - total, phi - total, -eta / 2 - total
    tie = np.log(-np.expm1(-2 * phi)) - np.logaddexp(0, -eta - phi) - np.logaddexp(0, eta - phi)
    return -np.logaddexp(0, phi - eta), tie, -np.logaddexp(0, eta + phi)


def _third_moments(chance: Chances) -> Steepening:
    """Central third moments of (half the lean, tied or not), which a log-linear model's information changes by."""
    left, tie, right = chance
    mean = (left - right) / 2
    moments = []
    for powers in ((3, 0), (2, 1), (1, 2), (0, 3)):
        parts = [
            probability * (lean - mean) ** powers[0] * (tied - tie) ** powers[1]
            for probability, lean, tied in ((left, 0.5, 0.0), (tie, 0.0, 1.0), (right, -0.5, 0.0))
        ]
        moments.append(parts[0] + parts[1] + parts[2])
    eta3, eta2, eta1, eta0 = moments
    return Steepening(Bend(eta3, eta2, eta1), Bend(eta2, eta1, eta0))
