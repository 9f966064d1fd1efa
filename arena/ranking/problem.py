"""The likelihood of pairwise results under any of the models, for many data sets over the same pairs at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from arena.ranking import likelihoods
from arena.ranking.likelihoods import TRINOMIAL, Chances, Link

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

# Numbers that are worked on at a time: a few arrays of so many stay in the processor's cache.
CACHED: Final = 1 << 14


@dataclass(frozen=True, eq=False)
class Problem:
    """B data sets of results over the same P ordered pairs of K contenders, and the model they are fitted by.

    A parameter vector holds m strength parameters, then the side bias if there is one, then the tie parameter if the
    model has one: p in all. Strengths are the parameters themselves, or basis @ them.

    left, right: intp (P,), each ordered pair at most once
    masses:      float64 (3, P, B), weight of the votes for left, tie and right; under "half" ties are already halved
    groups:      intp (K,), labels of contenders whose strengths have a common zero; without meaning under a basis
    basis:       float64 (K, m) or None, strengths = basis @ parameters; must be identified
    """

    link: Link
    contenders: int
    left: Integers
    right: Integers
    masses: Floats
    side: bool
    groups: Integers
    basis: Floats | None = None

    @classmethod
    def of(cls, counts: Floats, *, link: Link, side: bool, groups: Integers, basis: Floats | None = None) -> Problem:
        """One data set from counts (K, K, 3) of left, tie and right in each ordered pair.

        Without a side bias the two orders of a pair are alike and are counted together.
        """
        if not side:
            counts = counts + counts.transpose(1, 0, 2)[:, :, ::-1]
            counts = counts * np.triu(np.ones(counts.shape[:2]), 1)[:, :, None]
        left, right = np.nonzero(counts.sum(axis=2))
        masses = counts[left, right].T[:, :, None]
        return cls(link, len(counts), left, right, halved(masses) if link == "half" else masses, side, groups, basis)

    @property
    def n_sets(self) -> int:
        return int(self.masses.shape[2])

    @property
    def n_strengths(self) -> int:
        return self.contenders if self.basis is None else int(self.basis.shape[1])

    @property
    def has_ties(self) -> bool:
        return self.link in TRINOMIAL

    @property
    def size(self) -> int:
        """p, the length of a parameter vector."""
        return self.n_strengths + self.side + self.has_ties

    def select(self, columns: Integers) -> Problem:
        """Some of the data sets."""
        return self.with_masses(self.masses[:, :, columns])

    def with_masses(self, masses: Floats) -> Problem:
        fresh = replace(self, masses=masses)
        # What depends on the pairs alone is not worked out again.
        if "incidence" in self.__dict__:
            fresh.__dict__["incidence"] = self.incidence
        return fresh

    @cached_property
    def totals(self) -> Floats:
        """(P, B) votes of each pair."""
        summed: Floats = self.masses.sum(axis=0)
        return summed

    @cached_property
    def incidence(self) -> sparse.csr_array:
        """(K [+ 1], P): +1 for the contender on the left, -1 for the one on the right, and a row of 1 for the side."""
        pairs = len(self.left)
        rows = [self.left, self.right] + [np.full(pairs, self.contenders)] * self.side
        signs = [np.ones(pairs), -np.ones(pairs)] + [np.ones(pairs)] * self.side
        places = (np.concatenate(rows), np.tile(np.arange(pairs), len(rows)))
        return sparse.csr_array((np.concatenate(signs), places), shape=(self.contenders + self.side, pairs))

    def strengths(self, parameters: Floats) -> Floats:
        """(K, ...) of parameters (p, ...)."""
        free = parameters[: self.n_strengths]
        return free if self.basis is None else self.basis @ free

    def log_odds(self, parameters: Floats) -> Floats:
        """(P, B) eta of each pair under parameters (p, B)."""
        strengths = self.strengths(parameters)
        eta: Floats = strengths[self.left] - strengths[self.right]
        return eta + parameters[self.n_strengths] if self.side else eta

    def tie_levels(self, parameters: Floats) -> Floats:
        """(B,) phi; zeros where the model has none."""
        level: Floats = parameters[-1] if self.has_ties else np.zeros(parameters.shape[1:])
        return level

    def chances(self, parameters: Floats) -> Chances:
        """(P, B) probabilities of the outcomes of each pair."""
        if self.link != "half":
            return likelihoods.chances(self.link, self.log_odds(parameters), self.tie_levels(parameters))
        # One exponential per contender instead of one per pair.
        strengths = self.strengths(parameters)
        odds = np.exp(strengths - strengths.max(axis=0, initial=-np.inf))
        left, right = odds[self.left], odds[self.right]
        if self.side:
            left *= np.exp(parameters[self.n_strengths])
        total = left + right
        left /= total
        right /= total
        return Chances(left, np.zeros((1, 1)), right)

    def log_likelihood(self, parameters: Floats) -> Floats:
        """(B,) natural logarithm of the likelihood."""
        levels = self.tie_levels(parameters)
        each = likelihoods.log_likelihoods(self.link, self.log_odds(parameters), levels)
        total: Floats = sum((mass * part).sum(axis=0) for mass, part in zip(self.masses, each, strict=True))
        return total

    def gradient(self, parameters: Floats) -> Floats:
        """(p, B) derivatives of the log-likelihood."""
        if self.link == "half":
            return self.spread(self._points_above_expected(parameters), None)
        chance = self.chances(parameters)
        slope = likelihoods.total_slopes(self.link, self.masses, chance, self.tie_levels(parameters))
        return self.spread(slope.eta, slope.phi)

    def _points_above_expected(self, parameters: Floats) -> Floats:
        """(P, B) wins of the left one above expectation under "half"; most of the time of a thousand replicates."""
        strengths = self.strengths(parameters)
        odds = np.exp(strengths - strengths.max(axis=0, initial=-np.inf))
        odds_left = odds * np.exp(parameters[self.n_strengths]) if self.side else odds
        above = np.empty((len(self.left), parameters.shape[1]))
        rows = max(1, CACHED // max(1, parameters.shape[1]))
        for first in range(0, len(self.left), rows):
            part = slice(first, first + rows)
            left, right = odds_left.take(self.left[part], axis=0), odds.take(self.right[part], axis=0)
            total = left + right
            # Wins times the chance of losing less losses times that of winning, with one division for both.
            right *= self.masses[0][part]
            left *= self.masses[2][part]
            right -= left
            np.divide(right, total, out=above[part])
        return above

    def spread(self, by_eta: Floats, by_phi: Floats | None) -> Floats:
        """(p, B) derivatives in the parameters from those in eta and phi of each pair (P, B)."""
        flat = self.incidence @ by_eta
        parts = [flat] if self.basis is None else [self.basis.T @ flat[: self.contenders], flat[self.contenders :]]
        if by_phi is not None:
            parts.append(by_phi.sum(axis=0, keepdims=True))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def information(self, parameters: Floats) -> Floats:
        """(B, p, p) negative second derivatives of the log-likelihood."""
        chance = self.chances(parameters)
        if self.link == "half":
            return self.assembled(self.totals * chance.left * chance.right, None, None)
        each = likelihoods.bends(self.link, chance, self.tie_levels(parameters))
        eta, cross, phi = (
            sum((mass * part[which] for mass, part in zip(self.masses, each, strict=True)), np.zeros(()))
            for which in range(3)
        )
        return self.assembled(eta, cross, phi)

    def expected_information(self, parameters: Floats) -> Floats:
        """(B, p, p) the same averaged over what the votes might have been."""
        bend = likelihoods.expected_bend(self.link, self.chances(parameters), self.tie_levels(parameters))
        if self.link == "half":
            return self.assembled(self.totals * bend.eta, None, None)
        return self.assembled(self.totals * bend.eta, self.totals * bend.cross, self.totals * bend.phi)

    def assembled(self, eta: Floats, cross: Floats | None, phi: Floats | None) -> Floats:
        """(B, p, p) matrices from the weights (P, B) of eta with eta, eta with phi and phi with phi in each pair."""
        known, sets = self.contenders, eta.shape[1]
        whole = np.zeros((sets, known + self.side + self.has_ties, known + self.side + self.has_ties))
        laplacian = whole[:, :known, :known]
        laplacian[:, self.left, self.right] = -eta.T
        laplacian += laplacian.transpose(0, 2, 1).copy()
        diagonal = np.arange(known)
        laplacian[:, diagonal, diagonal] = -laplacian.sum(axis=2)
        if self.side:
            flat = (self.incidence @ eta).T
            whole[:, known, : known + 1] = flat
            whole[:, : known + 1, known] = flat
        if cross is not None and phi is not None:
            last = known + self.side
            flat = (self.incidence @ cross).T
            whole[:, last, :last] = whole[:, :last, last] = flat
            whole[:, last, last] = phi.sum(axis=0)
        return whole if self.basis is None else self.reduced(whole)

    def reduced(self, whole: Floats) -> Floats:
        """(..., p, p) from matrices over strengths, side bias and tie parameter."""
        expand = self.expansion
        return expand.T @ whole @ expand

    @cached_property
    def expansion(self) -> Floats:
        """(K [+ 1] [+ 1], p): strengths, side bias and tie parameter from the parameters."""
        extra = self.side + self.has_ties
        block = np.zeros((self.contenders + extra, self.size))
        block[: self.contenders, : self.n_strengths] = np.eye(self.contenders) if self.basis is None else self.basis
        block[self.contenders :, self.n_strengths :] = np.eye(extra)
        return block

    @cached_property
    def shifts(self) -> Floats:
        """(p, p) matrix of the directions in which the likelihood is flat: a common shift of each group."""
        flat = np.zeros((self.size, self.size))
        if self.basis is None:
            flat[: self.contenders, : self.contenders] = self.groups[:, None] == self.groups[None, :]
        return flat

    def grounded(self, information: Floats) -> Floats:
        """Information (..., p, p) made invertible without favouring a contender.

        The inverse acts as the pseudo-inverse on everything that sums to zero in each group.
        """
        if self.basis is not None or not self.contenders:
            return information
        scale = np.trace(information, axis1=-2, axis2=-1) / self.contenders**2
        lifted: Floats = information + np.where(scale > 0, scale, 1.0)[..., None, None] * self.shifts
        return lifted

    def centred(self, parameters: Floats) -> Floats:
        """Parameters (p, ...) with the strengths of each group averaging zero."""
        if self.basis is not None:
            return parameters
        fresh = parameters.copy()
        members = self.shifts[: self.contenders, : self.contenders]
        fresh[: self.contenders] -= (
            members @ parameters[: self.contenders] / members.sum(axis=1).reshape(-1, *[1] * (parameters.ndim - 1))
        )
        return fresh


def halved(masses: Floats) -> Floats:
    """Masses (3, ...) with half of each tie counted as a win of either side."""
    half = masses[1] / 2
    return np.stack([masses[0] + half, np.zeros_like(half), masses[2] + half])
