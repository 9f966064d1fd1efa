"""Non-dominated sorting of a study's contenders over its criteria: made beside the fits, kept as rows, read by pages.

SD3 (arXiv 2403.03206, Table 1) sorts by two automatic metrics; here the scores are the log strengths that raters gave.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from arena.counted_votes import CountedVotes, read_votes
from arena.fitted_pairs import MOST_LISTED
from arena.models import Contender, Criterion, Fit, FrontSorting, Study
from arena.ranking.tallies import NOBODY, Votes
from arena.vote_snapshot import StudyVotes, study_votes
from generation.provenance import digest_of

if TYPE_CHECKING:
    from arena.ranking.stacked import Stacked

# The seed is fixed, so that one study gives one answer. A change of method raises "method".
OPTIONS: Final[dict[str, Any]] = {"method": 1, "draws": 4_000, "seed": 1}
FEWEST_CRITERIA: Final = 2

_FEW: Final = "Intervals need more raters and prompts, so it is not known how firmly the fronts hold."
_MANY: Final = "Among so many contenders it is not worked out how firmly the fronts hold."
_APART: Final = "Contenders without a front cannot be compared with the others on every question yet."


@dataclass(frozen=True)
class FrontRow:
    """One contender in the sorting.

    front:     1 for the best and all that nobody beats on every criterion; None where it cannot be compared on all
    shares:    in which share of the resamples it was in front 1, 2, ...; empty where that is not known
    strengths: log strengths in the order of the criteria
    """

    contender: Contender
    front: int | None
    shares: tuple[float, ...]
    strengths: tuple[float | None, ...]

    @property
    def label(self) -> str:
        return self.contender.label

    @property
    def is_withdrawn(self) -> bool:
        return self.contender.withdrawn_at is not None

    @property
    def held(self) -> float | None:
        """The share of the resamples in which it was in the front it is in."""
        return self.shares[self.front - 1] if self.shares and self.front else None

    @property
    def first(self) -> float | None:
        """The share of the resamples in which it was in the first front."""
        return self.shares[0] if self.shares else None

    @property
    def mean(self) -> float | None:
        """Its front on average over the resamples."""
        return sum(number * share for number, share in enumerate(self.shares, 1)) if self.shares else None


@dataclass(frozen=True)
class Fronts:
    """The newest sorting of a study, its best front first; within one, the firmest first."""

    criteria: tuple[Criterion, ...]
    rows: tuple[FrontRow, ...]
    draws: int
    notes: tuple[str, ...]
    is_current: bool

    @property
    def front_count(self) -> int:
        return max((row.front or 0 for row in self.rows), default=0)


def sort_fronts(study: Study, fits: Mapping[int, Fit], votes: StudyVotes | None = None) -> FrontSorting | None:
    """The sorting of these fits, the current ones by criterion id; found where it was made before.

    votes: those that the fits saw, or the newest if left out
    None where fewer than two criteria have estimates, or votes came since the fits: the next fits are sorted then.
    """
    fits = _with_estimates(fits)
    if len(fits) < FEWEST_CRITERIA:
        return None
    digest = _digest(fits.values())
    if known := FrontSorting.objects.filter(study=study, fits_digest=digest).first():
        return known
    started = perf_counter()
    criteria = [criterion for criterion in study.criteria.all() if criterion.pk in fits]
    votes = votes or study_votes(study)
    counted = [read_votes(criterion, votes) for criterion in criteria]
    if any(own.digest != fits[criterion.pk].votes_digest for own, criterion in zip(counted, criteria, strict=True)):
        return None
    results = {"criteria": [criterion.pk for criterion in criteria], **_sorted(counted)}
    sorting, _ = FrontSorting.objects.get_or_create(
        study=study,
        fits_digest=digest,
        defaults={"results": results, "seconds": perf_counter() - started},
    )
    return sorting


def fronts_of(study: Study, fits: Mapping[int, Fit]) -> Fronts | None:
    """What pages show beside these fits: their own sorting, or the newest there is until that is made."""
    sortings = FrontSorting.objects.filter(study=study)
    fits = _with_estimates(fits)
    own = sortings.filter(fits_digest=_digest(fits.values())).first() if len(fits) >= FEWEST_CRITERIA else None
    shown = own or sortings.first()
    if shown is None:
        return None
    results = shown.results
    criteria = {criterion.pk: criterion for criterion in study.criteria.all()}
    contenders = {contender.pk: contender for contender in study.contenders.all()}
    rows = [_row(contenders[entry["id"]], entry) for entry in results["contenders"]]
    rows.sort(key=lambda row: (row.front is None, row.front, row.mean or 0.0, row.contender.position))
    return Fronts(
        criteria=tuple(criteria[pk] for pk in results["criteria"]),
        rows=tuple(rows),
        draws=results["draws"],
        notes=tuple(results["notes"]),
        is_current=own is not None,
    )


def _row(contender: Contender, entry: Mapping[str, Any]) -> FrontRow:
    return FrontRow(contender, entry["front"], tuple(entry["shares"]), tuple(entry["log_strengths"]))


def _with_estimates(fits: Mapping[int, Fit]) -> dict[int, Fit]:
    """A fit without any strength has nothing to be sorted by."""
    return {
        criterion: fit
        for criterion, fit in sorted(fits.items())
        if any(entry["log_strength"] is not None for entry in fit.results["contenders"])
    }


def _digest(fits: Collection[Fit]) -> str:
    seen = [[fit.criterion_id, fit.selection_digest, fit.options_digest, fit.votes_digest] for fit in fits]
    return digest_of({"fits": seen, "options": OPTIONS})


def _sorted(counted: Sequence[CountedVotes]) -> dict[str, Any]:
    # Bring in SciPy: only a process that fits should pay for it.
    from arena.fitted_votes import headline_fit
    from arena.ranking.fronts import fronts, stability
    from arena.ranking.precision import estimate_precision
    from arena.ranking.stacked import stack

    models = [headline_fit(own) for own in counted]
    strengths = np.stack([model.strengths for model in models])
    comparable = _comparable([model.components for model in models], strengths)
    scores = np.where(comparable[:, None], strengths.T, np.nan)
    shares: NDArray[np.float64] = np.empty((len(comparable), 0))
    is_many = len(comparable) > MOST_LISTED
    if not is_many and comparable.sum() > 1:
        votes = _numbered_alike(counted)
        precisions = [estimate_precision(model, own) for model, own in zip(models, votes, strict=True)]
        if not any(np.array(precision.no_interval, dtype=object)[comparable].any() for precision in precisions):
            shares = stability(_resampled(stack(precisions, votes), comparable)).shares
    notes = [] if shares.size else [_MANY if is_many else _FEW]
    if not comparable.all():
        notes.append(_APART)
    entries = [
        {
            "id": pk,
            "front": int(front) or None,
            "shares": [round(float(share), 4) for share in own] if front else [],
            "log_strengths": [None if np.isnan(value) else float(value) for value in values],
        }
        for pk, front, own, values in zip(counted[0].contenders, fronts(scores), shares, strengths.T, strict=True)
    ]
    return {"contenders": entries, "draws": OPTIONS["draws"] if shares.size else 0, "notes": notes}


def _numbered_alike(counted: Sequence[CountedVotes]) -> list[Votes]:
    """The votes of each criterion, with one number for a rater and one for a prompt throughout."""
    raters = [np.unique(own.rows["rater"]) for own in counted]
    prompts = [np.unique(np.concatenate([own.rows["prompt"], own.rule_ties["prompt"]])) for own in counted]
    every_rater, every_prompt = np.unique(np.concatenate(raters)), np.unique(np.concatenate(prompts))
    found = []
    for own, of_rater, of_prompt in zip(counted, raters, prompts, strict=True):
        votes = own.to_ranking()
        if votes.rater is None or votes.prompt is None:
            raise ValueError("votes of a study name their rater and prompt")
        rater = np.searchsorted(every_rater, of_rater)[np.maximum(votes.rater, 0)]
        rater = np.where(votes.rater == NOBODY, NOBODY, rater)
        found.append(replace(votes, rater=rater, prompt=np.searchsorted(every_prompt, of_prompt)[votes.prompt]))
    return found


def _comparable(components: Sequence[NDArray[np.intp]], strengths: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(K,) whether a contender is on the largest board of every criterion: strengths of two boards say nothing."""
    linked = [labels == np.bincount(labels).argmax() for labels in components]
    known: NDArray[np.bool_] = np.all([~np.isnan(strengths).any(axis=0), *linked], axis=0)
    return known


def _resampled(stacked: "Stacked", comparable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(draws, K, C) strengths as other raters and prompts would give them; NaN for who is not sorted."""
    draws = stacked.draw(OPTIONS["draws"], np.random.default_rng(OPTIONS["seed"]))
    draws[:, ~comparable] = np.nan
    return draws
