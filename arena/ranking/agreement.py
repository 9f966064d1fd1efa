"""Whether raters agree: Krippendorff's alpha with an interval, the share of equal answers, and the most one can expect.

A unit is a pair of contenders on one prompt; its values are -1, 0 and 1 for the higher-numbered contender, a tie and
the lower-numbered one. Close contenders cap alpha well below 1 however careful raters are: the ceiling says at what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import krippendorff
import numpy as np
from numpy.typing import NDArray

from arena.ranking.fitted import ModelFit
from arena.ranking.likelihoods import TRINOMIAL
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, TIE, Votes

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Metric = Literal["nominal", "ordinal", "interval", "ratio"]

VALUES: Final = np.array([-1.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Units:
    """Answers by unit.

    counts: intp (U, V), how many raters gave each value
    values: (V,) ascending
    pairs:  intp (U, 2), the contenders; None for units that are not of pairs
    """

    counts: Integers
    values: Floats
    pairs: Integers | None = None


@dataclass(frozen=True, eq=False)
class Agreement:
    """alpha: 1 perfect, 0 as by chance; low, high: over resampled units; same: share of equal answers of two raters.

    units: those with two answers or more, the only ones that tell; expected_by_chance: same, if answers were shuffled
    All but units are NaN where there is no such unit; alpha is NaN where everybody always gave the same answer.
    """

    alpha: float
    low: float
    high: float
    same: float
    expected_by_chance: float
    units: int


def units_of(votes: Votes) -> Units:
    """Answers by prompt and pair; "both bad" is a tie. A rater's second answer on a unit is left out.

    Raises ValueError where votes carry no raters or prompts.
    """
    if votes.rater is None or votes.prompt is None:
        raise ValueError("agreement needs to know the rater and the prompt of each vote")
    rows = np.flatnonzero(votes.rater != NOBODY)
    left, right = votes.left[rows].astype(np.intp), votes.right[rows].astype(np.intp)
    first, second = np.minimum(left, right), np.maximum(left, right)
    prompt = np.unique(votes.prompt[rows], return_inverse=True)[1]
    # One number for each unit, and for each rater on each unit, for sorting rows of several is slow.
    codes = (prompt * votes.contenders + first) * votes.contenders + second
    units, shown, number = np.unique(codes, return_index=True, return_inverse=True)
    raters, rater = np.unique(votes.rater[rows], return_inverse=True)
    once = np.unique(number * len(raters) + rater, return_index=True)[1]
    place = np.array([2, 1, 0, 1])[[LEFT, TIE, RIGHT, BOTH_BAD]][votes.outcome[rows]]
    place = np.where(left < right, place, 2 - place)
    flat = number[once] * 3 + place[once]
    counts = np.bincount(flat, minlength=3 * len(units)).reshape(-1, 3)
    return Units(counts, VALUES, np.stack([first[shown], second[shown]], axis=1))


def agreement(
    units: Units,
    *,
    metric: Metric = "ordinal",
    level: float = 0.95,
    replicates: int = 1000,
    rng: np.random.Generator | None = None,
) -> Agreement:
    """Krippendorff's alpha (2019, Content Analysis, 4th ed., ch. 12) and its bootstrap interval over units."""
    told = units.counts[units.counts.sum(axis=1) > 1]
    nothing = float("nan")
    if not len(told):
        return Agreement(nothing, nothing, nothing, nothing, nothing, 0)
    coincidences = _coincidences(told)
    table = coincidences.sum(axis=0)
    margins = table.sum(axis=0)
    same = float(np.trace(table) / table.sum())
    chance = float((margins * (margins - 1)).sum() / (margins.sum() * (margins.sum() - 1)))
    if np.count_nonzero(margins) < 2:
        return Agreement(nothing, nothing, nothing, same, chance, len(told))
    alpha = krippendorff.alpha(value_counts=told, value_domain=units.values, level_of_measurement=metric)
    # Units with the same counts are alike, and there are few kinds: drawing how many of each is all there is to draw.
    kinds, number = np.unique(told, axis=0, return_counts=True)
    own = _coincidences(kinds)
    generator = np.random.default_rng(0) if rng is None else rng
    drawn = generator.multinomial(len(told), number / number.sum(), size=replicates)
    replicated = _alphas(np.tensordot(drawn.astype(np.float64), own, axes=1), units.values, metric)
    low, high = np.nanquantile(replicated, [(1 - level) / 2, (1 + level) / 2])
    return Agreement(float(alpha), float(low), float(high), same, chance, len(told))


def ceiling(units: Units, fit: ModelFit, *, metric: Metric = "ordinal") -> float:
    """The alpha to expect if every rater drew from the fitted model, at zero side bias and on the same units.

    The fit must be of a model with ties where there are ties. NaN where the model says the same of every answer.
    """
    if units.pairs is None:
        raise ValueError("the ceiling needs units of pairs")
    told = units.counts.sum(axis=1) > 1
    if fit.ties not in TRINOMIAL and units.counts[told, 1].any():
        raise ValueError("there are ties: the ceiling needs a fit of a model with ties, Davidson's or Rao and Kupper's")
    first, second = units.pairs[told].T
    chances = fit.outcome_probabilities()[first, second][:, ::-1]
    if fit.ties not in TRINOMIAL:
        chances[:, 1] = 0
    raters = units.counts[told].sum(axis=1).astype(np.float64)
    # Two of m raters coincide m (m - 1) q q' times in expectation, and each counts 1 / (m - 1).
    table = np.einsum("u,ui,uj->ij", raters, chances, chances)
    return float(_alphas(table[None], units.values, metric)[0])


def _coincidences(counts: Integers) -> Floats:
    """(U, V, V) ordered pairs of answers within each unit, over its raters less one."""
    raters = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1], dtype=np.intp)
    shares: Floats = pairs / (raters - 1)[:, None, None]
    return shares


def _alphas(tables: Floats, values: Floats, metric: Metric) -> Floats:
    """(B,) alpha of coincidence tables (B, V, V); NaN where only one value was given."""
    margins = tables.sum(axis=1)
    total = margins.sum(axis=1)
    distance = _distances(margins, values, metric)
    observed = (tables * distance).sum(axis=(1, 2))
    expected = (margins[:, :, None] * margins[:, None, :] * distance).sum(axis=(1, 2))
    found = np.full(len(tables), np.nan)
    known = expected > 0
    found[known] = 1 - (total[known] - 1) * observed[known] / expected[known]
    return found


def _distances(margins: Floats, values: Floats, metric: Metric) -> Floats:
    """(B or 1, V, V) squared distances of values."""
    if metric == "ordinal":
        # Ranks that are tied within a value lie in its middle.
        middle = margins.cumsum(axis=1) - margins / 2
        ranked: Floats = (middle[:, :, None] - middle[:, None, :]) ** 2
        return ranked
    apart = values[:, None] - values[None, :]
    if metric == "nominal":
        return np.asarray(apart != 0, dtype=np.float64)[None]
    if metric == "interval":
        return (apart**2)[None]
    total = values[:, None] + values[None, :]
    ratio: Floats = np.divide(apart, total, out=np.zeros_like(apart), where=total != 0)[None] ** 2
    return ratio
