"""Relative CLIP-score decrease over sampling steps, as in SD3's Table 6, with intervals over prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from arena.curves import Curve
from arena.leaderboard import Estimate
from arena.models import Study
from arena.supply import images_of
from generation.measuring import clip
from generation.models import Metric

FEWEST_PROMPTS: Final = 10
"""Below so many, prompts say too little about others for an interval by the normal distribution."""

Cells = dict[tuple[str, int], float]


@dataclass(frozen=True)
class StepDecrease:
    """100 (C_most - C_n) / C_most in percent at one number of steps; no value where no image has both scores."""

    steps: int
    decrease: Estimate
    images: int
    is_reference: bool

    @property
    def text(self) -> str:
        if self.is_reference:
            return "reference"
        low, high = self.decrease.low, self.decrease.high
        if self.decrease.value is None:
            return "–"
        ends = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
        return f"{self.decrease.value:.2f} %{ends}"


@dataclass(frozen=True)
class ClipDecrease:
    """One curve by one CLIP. Levels rise; the last is the reference."""

    name: str
    source: str
    levels: tuple[StepDecrease, ...]


def clip_decreases(study: Study, curves: Sequence[Curve]) -> tuple[ClipDecrease, ...]:
    """Of every curve and every CLIP by which its images were scored; one query."""
    recipes = {level.contender.recipe_id for curve in curves for level in curve.levels}
    if not recipes:
        return ()
    found = (
        Metric.objects.filter(
            name=clip.SCORE, image__in=images_of(study), image__recipe__in=recipes, image__is_quarantined=False
        )
        .order_by("source", "pk")
        .values_list("source", "image__recipe", "image__prompt_digest", "image__sample", "value")
    )
    scores: dict[str, dict[int, Cells]] = {}
    for source, recipe, prompt, sample, value in found:
        scores.setdefault(source, {}).setdefault(recipe, {})[prompt, sample] = value
    return tuple(_decrease(curve, source, cells) for source, cells in scores.items() for curve in curves)


def _decrease(curve: Curve, source: str, cells: Mapping[int, Cells]) -> ClipDecrease:
    most = cells.get(curve.reference.contender.recipe_id, {})
    levels = []
    for level in curve.levels:
        own = cells.get(level.contender.recipe_id, {})
        estimate, images = relative_decrease(own, most)
        levels.append(StepDecrease(level.steps, estimate, images, level.is_reference))
    return ClipDecrease(curve.name, source, tuple(levels))


def relative_decrease(own: Cells, reference: Cells) -> tuple[Estimate, int]:
    """In percent, over the prompts and samples that both have, and how many those are.

    The interval is the delta method's for a ratio of means, with prompts as the units: 95 % for other prompts.
    """
    common = sorted(own.keys() & reference.keys())
    if not common:
        return Estimate(), 0
    mine, base = (np.array([scores[cell] for cell in common]) for scores in (own, reference))
    if base.sum() <= 0:
        return Estimate(), len(common)
    ratio = float(mine.sum() / base.sum())
    prompts, place = np.unique([prompt for prompt, _ in common], return_inverse=True)
    value = 100 * (1 - ratio)
    if len(prompts) < FEWEST_PROMPTS:
        return Estimate(value), len(common)
    shifts = np.bincount(place, weights=mine - ratio * base) / base.sum()
    reach = 1.96 * 100 * float(np.sqrt((shifts**2).sum() * len(prompts) / (len(prompts) - 1)))
    return Estimate(value, value - reach, value + reach), len(common)
