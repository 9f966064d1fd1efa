"""What one fit found, as JSON: every number a page shows, null where there is none, and sentences that say why."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from arena import fit_sweeps, fit_trust, fit_views
from arena.counted_votes import CountedVotes
from arena.fit_sweeps import StepSweeps
from arena.fit_views import PromptGroups
from arena.fitted_pairs import MOST_LISTED, packed_pairs
from arena.fitted_votes import Fitted, TieModel, number, plain
from arena.ranking import checks, intervals
from arena.ranking.cross_check import LARGEST_DIFFERENCE, choix_difference
from arena.ranking.models import ConvergenceError
from arena.ranking.precision import Precision
from arena.ranking.structure import NotComparable
from arena.ranking.tallies import BOTH_BAD, LOSS, TIE, WIN

Results = dict[str, Any]

VERSION: Final = 3
"""Of the results' shape. Version 1 had no such number, and `group` where `board` is now. Early fits of version 2 lack
`covariance`, which correlations with metrics use; all of them lack `findings`. Of more than MOST_LISTED contenders the
tables of all pairs are null and `pairs` has them packed (`arena/fitted_pairs.py`)."""

_ESTIMATES: Final = ("log_strength", "standard_error", "low", "high", "rank_low", "rank_high", "tier", "board")
_OUTCOMES: Final = ("win", "tie", "loss")
_NOT_YET: Final = (
    *("estimator", "side_bias", "ties", "covariance", "goodness", "cluster", "choix_difference", "findings"),
)
_NO_BASELINE: Final = "No contender is marked as the baseline, so the first one serves as it."
_TOO_FEW: Final = {
    "too_few_raters": "nearly all votes come from one rater, and raters differ",
    "too_few_prompts": "nearly all votes are on one prompt, and prompts differ",
}


def results_of(
    counted: CountedVotes,
    *,
    labels: Sequence[str],
    options: dict[str, Any],
    groups: PromptGroups | None = None,
    sweeps: StepSweeps = (),
) -> Results:
    """Fit the counted votes. `labels` are the contenders' in the order of the selection.

    groups: of prompts, by which the votes are also looked at apart; None leaves all findings beyond the estimates out
    sweeps: contenders that differ in the number of steps only
    """
    results = _without_estimates(counted, labels)
    if not len(counted):
        results["not_comparable"] = ["No votes are counted yet."]
        return results
    found = Fitted(counted, labels, options)
    try:
        results = {**results, **_estimates(found, results)}
        if groups is not None:
            results["findings"] = _findings(found, results, groups, sweeps)
        return results
    except ConvergenceError as error:
        results["not_comparable"] = [f"No estimate: {error}."]
        return results


def _without_estimates(counted: CountedVotes, labels: Sequence[str]) -> Results:
    """Everything that is counted, with null for everything that is estimated."""
    counts = counted.said.unordered()
    is_listed = len(labels) <= MOST_LISTED
    blank = [[None] * len(labels) for _ in labels] if is_listed else []
    ids = counted.contenders
    baseline = ids.index(counted.selection["baseline"]) if counted.selection["baseline"] is not None else 0
    contenders: list[Results] = [
        {
            "id": pk,
            "label": label,
            **dict.fromkeys(_ESTIMATES),
            "flags": [],
            "votes": int(counts[index].sum()),
            "wins": int(counts[index, :, WIN].sum()),
            "ties": int(counts[index, :, [TIE, BOTH_BAD]].sum()),
            "losses": int(counts[index, :, LOSS].sum()),
            "note": "" if counts[index].any() else "no votes yet",
        }
        for index, (pk, label) in enumerate(zip(ids, labels, strict=True))
    ]
    return {
        "version": VERSION,
        "baseline": ids[baseline] if ids else None,
        "contenders": contenders,
        "win_probability": {"estimate": blank, "low": blank, "high": blank} if is_listed else None,
        "against_baseline": [{"id": pk, "estimate": None, "low": None, "high": None, "outcomes": None} for pk in ids],
        "observed": {
            "wins": counts[:, :, WIN].astype(int).tolist(),
            "ties": counts[:, :, [TIE, BOTH_BAD]].sum(axis=2).astype(int).tolist(),
        }
        if is_listed
        else None,
        "both_bad": counted.said.n_both_bad,
        "skips": counted.skips,
        "simulated_votes": counted.simulated,
        "rule_ties": len(counted.rule_ties) if len(counted) else 0,
        "not_comparable": [],
        "unbounded": [],
        "warnings": [] if counted.selection["baseline"] is not None else [_NO_BASELINE],
        **dict.fromkeys(_NOT_YET),
    }


def _estimates(found: Fitted, counts: Results) -> Results:
    """What replaces the nulls."""
    fit, precision = found.fit, found.precision
    ids = [entry["id"] for entry in counts["contenders"]]
    baseline = ids.index(counts["baseline"])
    contenders = [
        {**entry, **numbers, "flags": list(flags), "note": entry["note"] or note}
        for entry, numbers, flags, note in zip(
            counts["contenders"], _numbers(found), fit.flags, _notes(found, baseline), strict=True
        )
    ]
    win = intervals.win_probability_intervals(precision, level=found.level)
    ties, outcomes = _ties(found, baseline)
    reasons = _reasons(found)
    difference = choix_difference(found.counted.tallies)
    columns = [plain(each[:, baseline]) for each in (win.estimate, win.low, win.high)]
    return {
        "contenders": contenders,
        **_pairs(found, win),
        "against_baseline": [
            {"id": pk, "estimate": value, "low": low, "high": high, "outcomes": chances}
            for pk, value, low, high, chances in zip(ids, *columns, outcomes, strict=True)
        ],
        "not_comparable": [reason.sentence(found.labels) for reason in reasons if reason.kind == "unlinked"],
        "unbounded": [reason.sentence(found.labels) for reason in reasons if reason.kind != "unlinked"],
        "warnings": [*counts["warnings"], *_warnings(found, difference)],
        "estimator": fit.estimator,
        "side_bias": _side_bias(found),
        "ties": ties,
        "goodness": {
            "log_likelihood": fit.log_likelihood,
            "deviance": fit.deviance,
            "degrees_of_freedom": fit.degrees_of_freedom,
        },
        "cluster": {
            "by": list(precision.by),
            "effective": plain(precision.effective),
            "degrees_of_freedom": plain(precision.degrees_of_freedom),
            "design_effect": number(precision.design_effect),
        },
        "choix_difference": difference,
    }


def _pairs(found: Fitted, win: intervals.Intervals) -> Results:
    """What is estimated of all pairs."""
    known = len(found.labels)
    covariance = found.precision.shape[:known, :known]
    if known <= MOST_LISTED:
        return {
            "win_probability": {"estimate": plain(win.estimate), "low": plain(win.low), "high": plain(win.high)},
            "covariance": plain(covariance),
        }
    counts = found.counted.said.unordered()
    seen = np.stack([counts[:, :, WIN], counts[:, :, [TIE, BOTH_BAD]].sum(axis=2)], axis=2)
    gaps = intervals.difference_intervals(found.precision, level=found.level)
    return {"pairs": packed_pairs(gaps, covariance, seen)}


def _findings(found: Fitted, results: Results, groups: PromptGroups, sweeps: StepSweeps) -> Results:
    """What else the votes say: whether the numbers can be trusted, and how they look by parts."""
    baseline = found.counted.contenders.index(results["baseline"])
    return {
        "trust": fit_trust.trust_of(found, baseline=baseline),
        "agreement": fit_views.agreement_of(found),
        "prompts": fit_views.prompts_of(found.counted),
        "sweeps": fit_sweeps.sweeps_of(found, sweeps),
        # A fit of each part would take as long as that of all.
        "views": fit_views.views_of(found, groups, baseline=baseline) if len(found.labels) <= MOST_LISTED else {},
    }


def _numbers(found: Fitted) -> list[dict[str, Any]]:
    """What is estimated of each contender."""
    precision = found.precision
    strengths = intervals.strength_intervals(precision, level=found.level)
    ranks = intervals.rank_ranges(precision, level=found.level)
    board_of = {one: number for number, board in enumerate(found.boards) for one in board}
    columns = zip(
        plain(strengths.estimate),
        plain(precision.standard_errors),
        plain(strengths.low),
        plain(strengths.high),
        _told(ranks.best, precision),
        _told(ranks.worst, precision),
        _told(intervals.tiers(precision, level=found.level), precision),
        (board_of[one] for one in range(len(found.labels))),
        strict=True,
    )
    return [dict(zip(_ESTIMATES, values, strict=True)) for values in columns]


def _side_bias(found: Fitted) -> dict[str, float | None] | None:
    """How much likelier the left image is chosen, in log odds, with its interval; null where none was fitted."""
    estimate, error = found.fit.side_bias, found.precision.side_bias_error
    if estimate is None:
        return None
    known = found.precision.degrees_of_freedom[~np.isnan(found.precision.standard_errors)]
    if error is None or not len(known):
        return {"estimate": estimate, "standard_error": None, "low": None, "high": None}
    # It is common to all boards, and no surer than the one with the fewest clusters.
    reach = float(intervals.t_quantile(np.array(known.min()), found.level)) * error
    return {"estimate": estimate, "standard_error": error, "low": estimate - reach, "high": estimate + reach}


def _ties(found: Fitted, baseline: int) -> tuple[Results | None, list[dict[str, list[float | None]] | None]]:
    """Both models of ties, and by the likelier one each contender's chances to win, tie and lose against the baseline.

    The chances are [estimate, low, high] each; they are null where nobody tied and for who cannot be compared.
    """
    if not found.tie_models:
        return None, [None] * len(found.labels)
    name: TieModel = max(found.tie_models, key=lambda each: found.tie_models[each].log_likelihood)
    precision = found.tie_precision(name)
    chances = intervals.outcome_probability_intervals(precision, level=found.level)
    told = {
        "model": name,
        "log_likelihoods": {each: model.log_likelihood for each, model in found.tie_models.items()},
        "parameter": precision.fit.tie_parameter,
        "standard_error": precision.tie_parameter_error,
    }
    each = np.stack([chances.estimate, chances.low, chances.high], axis=-1)[:, baseline]
    known = ~np.isnan(chances.estimate[:, baseline, 0])
    return told, [
        dict(zip(_OUTCOMES, plain(own), strict=True)) if is_known else None
        for own, is_known in zip(each, known, strict=True)
    ]


def _reasons(found: Fitted) -> list[NotComparable]:
    """Each reason once: of two that say the same from either side, the one about fewer contenders."""
    kept: dict[frozenset[tuple[int, ...]], NotComparable] = {}
    for reason in sorted(found.fit.reasons, key=lambda reason: len(reason.contenders)):
        kept.setdefault(frozenset((reason.contenders, reason.others)), reason)
    return list(kept.values())


def _notes(found: Fitted, baseline: int) -> list[str]:
    """Why a contender stands apart from the baseline, or is kept finite by the penalty alone; else empty."""
    notes = [""] * len(found.labels)
    for reason in found.fit.reasons:
        for one in reason.contenders:
            is_apart = found.fit.components[one] != found.fit.components[baseline]
            if is_apart == (reason.kind == "unlinked"):
                notes[one] = reason.sentence(found.labels)
    return notes


def _warnings(found: Fitted, choix_difference: float | None) -> list[str]:
    """What a reader must know before believing the numbers."""
    labels, precision = found.labels, found.precision
    unnamed = [name for name in found.options["clusters"] if f"{name}s" in found.counted.unknown]
    told = {reason.sentence(labels) for reason in found.fit.reasons}
    sentences = [sentence for sentence in found.fit.warnings(labels) if sentence not in told]
    sentences += [
        f"The votes name no {name}s: intervals say nothing about how {name}s differ, and may be too narrow."
        for name in unnamed
    ]
    for reason, ground in _TOO_FEW.items():
        lacking = [label for label, given in zip(labels, precision.no_interval, strict=True) if given == reason]
        if len(lacking) == len(labels) - precision.no_interval.count("alone") and lacking:
            sentences.append(f"No intervals yet: {ground}.")
        elif lacking:
            sentences.append(f"No interval yet for {', '.join(lacking)}: {ground}.")
    sentences += checks.contradictions(
        found.fit, found.counted.tallies, labels, design_effect=found.precision.design_effect
    )
    if len(found.boards) > 1:
        sentences.append("Ranks count only contenders that can be compared with one another.")
    if choix_difference is not None and choix_difference > LARGEST_DIFFERENCE:
        sentences.append(
            f"choix's estimate from the same votes differs by {choix_difference:.1e} log units: one of the two is off."
        )
    return sentences


def _told(places: NDArray[np.intp], precision: Precision) -> list[int | None]:
    """A rank without an interval behind it says nothing, so it is left out."""
    return [int(place) if reason is None else None for place, reason in zip(places, precision.no_interval, strict=True)]
