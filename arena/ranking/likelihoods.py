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
# Place of ties among left, tie and right.
_TIED: Final = 1
_LN2: Final = float(np.log(2))
_FARTHEST: Final = 300.0


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
    lean, decided = left - right, left + right
    # One less a chance is the sum of the two others: taken from 1 it would be rounding where nearly all tie, or none.
    if link == "davidson":
        return Slopes(right + tie / 2, -tie), Slopes(-lean / 2, decided), Slopes(-left - tie / 2, -tie)
    not_left, not_right = tie + right, tie + left
    return Slopes(not_left, -not_left), Slopes(-lean, decided + _beyond_one(phi)), Slopes(-not_right, -not_right)


def total_slopes(link: Link, masses: Floats, chance: Chances, phi: Floats) -> Slopes:
    """Derivatives of the log-likelihood of votes (3, ...) for left, tie and right.

    From those in the odds of single outcomes: where one outcome is rare, what its few votes say would be lost in the
    rounding of all others if these were added first.
    """
    left, tie, right = chance
    if link == "half":
        return Slopes(masses[0] * right - masses[2] * left + masses[1] * (right - left) / 2, np.zeros_like(left))
    if link == "davidson":
        for_left = masses[0] * (tie + right) - (masses[1] + masses[2]) * left
        for_tie = masses[1] * (left + right) - (masses[0] + masses[2]) * tie
        for_right = masses[2] * (left + tie) - (masses[0] + masses[1]) * right
        # They sum to zero, but for rounding, and that of the most frequent outcome is left to follow from the others.
        most = masses.argmax(axis=0)
        by_eta = np.choose(most, [-for_right - for_tie / 2, (for_left - for_right) / 2, for_left + for_tie / 2])
        return Slopes(by_eta, np.where(most == _TIED, -(for_left + for_right), for_tie))
    barrier = _beyond_one(phi) / 2
    for_left = masses[0] * (tie + right) - masses[1] * (left + barrier)
    for_right = masses[2] * (tie + left) - masses[1] * (right + barrier)
    return Slopes(for_left - for_right, -(for_left + for_right))


def bends(link: Link, chance: Chances, phi: Floats) -> tuple[Bend, Bend, Bend]:
    """Negative second derivatives of the log-likelihoods of left, tie and right."""
    left, tie, right = chance
    if link == "rao-kupper":
        for_left, for_right = left * (tie + right), right * (tie + left)
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
        return Bend(left * right + tie * (left + right) / 4, -lean * tie / 2, tie * (left + right))
    for_left, for_right = (one * (tie + right) * (tie + left) for one in (left, right))
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
    not_left, not_right = tie + right, tie + left
    slope_left, slope_right = left * not_left, right * not_right
    each = []
    for change_left, change_right in ((slope_left, -slope_right), (-slope_left, -slope_right)):
        # Of left (1 - left) (1 - right) and of right (1 - right) (1 - left).
        for_left = (not_left - left) * not_right * change_left - slope_left * change_right
        for_right = (not_right - right) * not_left * change_right - slope_right * change_left
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
    # Each by the odds against it, and so exact even where it is nearly certain: times millions of votes it counts.
    if link == "davidson":
        left = -np.logaddexp(0, np.logaddexp(phi - eta / 2, -eta))
        tie = -np.logaddexp(0, np.logaddexp(eta / 2, -eta / 2) - phi)
        return left, tie, -np.logaddexp(0, np.logaddexp(phi + eta / 2, eta))
    never = np.where(phi > _LN2, np.log1p(-np.exp(-2 * phi)), np.log(-np.expm1(-2 * phi)))
    tie = never - np.logaddexp(0, -eta - phi) - np.logaddexp(0, eta - phi)
    return -np.logaddexp(0, phi - eta), tie, -np.logaddexp(0, eta + phi)


def _beyond_one(phi: Floats) -> Floats:
    """coth(phi) - 1."""
    # Beyond the largest exponent it is nothing.
    rest: Floats = 2 / np.expm1(2 * np.minimum(phi, _FARTHEST))
    return rest


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
