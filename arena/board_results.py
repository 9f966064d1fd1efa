"""What one pooled fit found, as JSON: every number that a board's page shows, null where there is none."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from arena.board_votes import PooledVotes
from arena.fitted_votes import number, plain
from arena.ranking import intervals
from arena.ranking.models import ConvergenceError
from arena.ranking.pooled import Disagreement, Pool, Stratum, disagreements, heterogeneity, pool, pool_ties, together
from arena.ranking.precision import estimate_precision
from arena.ranking.tallies import BOTH_BAD, LOSS, TIE, WIN, tally

Results = dict[str, Any]

VERSION: Final = 2
"""Of the results' shape. Fits of version 1 have no chances to win, tie and lose."""
FEWEST_VOTES: Final = 10
"""Votes for each contender met below which a category is not fitted."""
MOST_CATEGORIES: Final = 40
LEVEL: Final = 0.95
CLEAR: Final = 0.05

_ESTIMATES: Final = ("log_strength", "standard_error", "low", "high", "rank_low", "rank_high", "tier", "board")
_OUTCOMES: Final = ("win", "tie", "loss")
_NOTHING_AGAINST: Final = {"estimate": None, "low": None, "high": None, "outcomes": None}
_TOO_FEW: Final = {"too_few_raters": "raters", "too_few_prompts": "prompts"}


def results_of(votes: PooledVotes, *, reference: str, since: Mapping[str, str], now: str) -> Results:
    """Fit the pooled votes of one question.

    reference: identity of the contender that others are compared with; one that has no votes gives way to another
    since:     when each contender first had votes here, as far as it was known before
    """
    counted = _counted(votes, since, now)
    results: Results = {
        "version": VERSION,
        "contenders": counted,
        "reference": None,
        "studies": [_study_counts(part.source) for part in votes.parts],
        "heterogeneity": None,
        "ties": None,
        "categories": [],
        "not_comparable": [] if len(votes) else ["No votes are counted yet."],
        "warnings": [],
        "design_effect": None,
        "clusters": list(votes.by),
    }
    if not len(votes):
        return results
    results["reference"], told = _reference(votes, counted, reference)
    try:
        pooled = pool(votes.strata, by=votes.by)
    except ConvergenceError as error:
        return {**results, "not_comparable": [f"No estimate: {error}."]}
    return {**results, **_estimates(votes, pooled, results, told)}


def standing_of(results: Results) -> dict[str, list[float | int | None]]:
    """What the history keeps of each contender: strength, its interval, ranks, share against the reference."""
    return {
        entry["id"]: [
            *(entry[name] for name in ("log_strength", "low", "high", "rank_low", "rank_high")),
            *(entry["against"][name] for name in ("estimate", "low", "high")),
        ]
        for entry in results["contenders"]
        if entry["log_strength"] is not None
    }


def _counted(votes: PooledVotes, since: Mapping[str, str], now: str) -> list[Results]:
    """Everything that is counted of contenders with votes, with null for what is estimated."""
    if not votes.parts:
        return []
    counts = tally(together(votes.strata)).unordered()
    met = [np.flatnonzero(stratum.met).tolist() for stratum in votes.strata]
    return [
        {
            "id": member.identity,
            "label": member.label,
            **dict.fromkeys(_ESTIMATES),
            "against": _NOTHING_AGAINST,
            "votes": int(counts[place].sum()),
            "wins": int(counts[place, :, WIN].sum()),
            "ties": int(counts[place, :, [TIE, BOTH_BAD]].sum()),
            "losses": int(counts[place, :, LOSS].sum()),
            "studies": [part.study.pk for part, own in zip(votes.parts, met, strict=True) if place in own],
            "since": since.get(member.identity, now),
            "flags": [],
            "note": "",
        }
        for place, member in enumerate(votes.cast.members)
        if counts[place].any()
    ]


def _study_counts(source: Mapping[str, Any]) -> Results:
    return {**source, "side_bias": None, "disagreement": None, "differs": False, "strengths": {}}


def _reference(votes: PooledVotes, counted: Sequence[Results], wanted: str) -> tuple[str, list[str]]:
    """The contender that others are compared with, and what is to be said of the choice."""
    there = {entry["id"] for entry in counted}
    if wanted in there:
        return wanted, []
    # The most shared one, of several the baseline of most studies; the identity settles what is left. Numbers of votes
    # have no say, or the board would be compared with another contender each week.
    baselines = {member.identity: member.baselines for member in votes.cast.members}
    first = max(counted, key=lambda entry: (len(entry["studies"]), baselines[entry["id"]], entry["id"]))
    if not wanted:
        return first["id"], []
    return first["id"], [f"The board's reference has no votes here, so {first['label']} serves as it."]


def _estimates(votes: PooledVotes, pooled: Pool, results: Results, told: Sequence[str]) -> Results:
    order = [member.identity for member in votes.cast.members]
    numbers = _numbers(pooled, order.index(results["reference"]))
    ties, outcomes = _ties(votes.with_ties, order.index(results["reference"]))
    labels = [member.label for member in votes.cast.members]
    places = [order.index(entry["id"]) for entry in results["contenders"]]
    reasons = [reason for reason in pooled.fit.reasons if len(reason.contenders) > 1 or reason.contenders[0] in places]
    whole = heterogeneity(votes.strata, pooled)
    studies = _studies(votes, pooled, results["studies"])
    return {
        "contenders": [
            {
                **entry,
                **numbers[place],
                "against": {**numbers[place]["against"], "outcomes": outcomes[place]},
                "flags": list(pooled.fit.flags[place]),
            }
            for entry, place in zip(results["contenders"], places, strict=True)
        ],
        "studies": studies,
        "heterogeneity": None
        if whole is None
        else {
            "q": whole.statistic,
            "degrees_of_freedom": whole.degrees_of_freedom,
            "p": whole.p_value,
            "share": whole.share,
        },
        "ties": ties,
        "categories": _categories(votes, results["reference"]),
        "not_comparable": _unlinked(pooled, labels, places),
        "warnings": [*told, *_warnings(votes, pooled, labels, [one for one in reasons if one.kind != "unlinked"])],
        "design_effect": number(pooled.precision.design_effect),
    }


def _numbers(pooled: Pool, reference: int) -> list[Results]:
    """What is estimated of each contender of the cast."""
    precision = pooled.precision
    strengths = intervals.strength_intervals(precision, level=LEVEL)
    ranks = intervals.rank_ranges(precision, level=LEVEL)
    tiers = intervals.tiers(precision, level=LEVEL)
    win = intervals.win_probability_intervals(precision, level=LEVEL)
    known = [reason is None for reason in precision.no_interval]

    def told(places: NDArray[np.intp]) -> list[int | None]:
        return [int(place) if sure else None for place, sure in zip(places, known, strict=True)]

    columns = zip(
        plain(strengths.estimate),
        plain(precision.standard_errors),
        plain(strengths.low),
        plain(strengths.high),
        told(ranks.best),
        told(ranks.worst),
        told(tiers),
        pooled.fit.components.tolist(),
        strict=True,
    )
    against = zip(*(plain(each[:, reference]) for each in (win.estimate, win.low, win.high)), strict=True)
    return [
        {
            **dict(zip(_ESTIMATES, values, strict=True)),
            "against": {**dict(zip(("estimate", "low", "high"), share, strict=True)), "outcomes": None},
        }
        for values, share in zip(columns, against, strict=True)
    ]


def _ties(votes: PooledVotes, reference: int) -> tuple[Results | None, list[Results | None]]:
    """The model of ties, and by it each contender's chances to win, tie and lose against the reference.

    The chances are [estimate, low, high] each; null where nobody tied and for who cannot be compared.
    """
    nothing: list[Results | None] = [None] * len(votes.cast.members)
    try:
        found = pool_ties(votes.strata, by=votes.by)
    except ConvergenceError:
        return None, nothing
    if found is None:
        return None, nothing
    fit = found.precision.fit
    chances = intervals.outcome_probability_intervals(found.precision, level=LEVEL)
    told = {
        "model": found.model,
        "log_likelihoods": dict(found.log_likelihoods),
        "parameter": fit.tie_parameter,
        "standard_error": found.precision.tie_parameter_error,
        "studies": [part.study.pk for part in votes.parts],
    }
    each = np.stack([chances.estimate, chances.low, chances.high], axis=-1)[:, reference]
    known = ~np.isnan(chances.estimate[:, reference, 0])
    return told, [
        dict(zip(_OUTCOMES, plain(own), strict=True)) if is_known else None
        for own, is_known in zip(each, known, strict=True)
    ]


def _unlinked(pooled: Pool, labels: Sequence[str], places: Sequence[int]) -> list[str]:
    """Groups of contenders with votes that no chain of votes links, each named once."""
    groups: dict[int, list[str]] = {}
    for place in places:
        groups.setdefault(int(pooled.fit.components[place]), []).append(labels[place])
    if len(groups) < 2:
        return []
    told = "; ".join(", ".join(sorted(group)) for group in groups.values())
    return [f"No chain of votes links these groups, so ranks count within each: {told}."]


def _warnings(votes: PooledVotes, pooled: Pool, labels: Sequence[str], reasons: Sequence[Any]) -> list[str]:
    sentences = [reason.sentence(labels) for reason in reasons]
    if pooled.one_bias and len(votes.parts) > 1:
        sentences.append(f"All studies share one side bias here, because {pooled.one_bias}.")
    for name in ("rater", "prompt"):
        if name not in votes.by:
            sentences.append(
                f"The votes of some study name no {name}s: intervals say nothing about how {name}s differ, "
                "and may be too narrow."
            )
    for reason, what in _TOO_FEW.items():
        lacking = [label for label, given in zip(labels, pooled.precision.no_interval, strict=True) if given == reason]
        if lacking:
            sentences.append(f"No interval yet for {', '.join(lacking)}: too few {what}.")
    return sentences


def _studies(votes: PooledVotes, pooled: Pool, counted: Sequence[Results]) -> list[Results]:
    """How each study stands to the pool: its side bias, whether it disagrees, and its own strengths."""
    against = disagreements(votes.strata, pooled) if len(votes.parts) > 1 else [None] * len(votes.parts)
    differing = _differing(against)
    return [
        {
            **entry,
            "side_bias": bias,
            "disagreement": _told(one),
            "differs": place in differing,
            "strengths": _own_strengths(votes, stratum, pooled) if len(votes.parts) > 1 else {},
        }
        for place, (entry, bias, one, stratum) in enumerate(
            zip(counted, pooled.side_biases, against, votes.strata, strict=True)
        )
    ]


def _differing(against: Sequence[Disagreement | None]) -> set[int]:
    """The study that differs most from the others; of two, which differ from one another, both.

    A study of many votes that differs makes all others differ from the rest with it in: they are not to blame.
    """
    asked = {place: one for place, one in enumerate(against) if one is not None}
    # As many chances to differ as studies were asked (Bonferroni).
    sure = {place for place, one in asked.items() if one.p_value * len(asked) < CLEAR}
    if len(against) == 2 or not sure:
        return sure
    return {max(sure, key=lambda place: asked[place].statistic / asked[place].degrees_of_freedom)}


def _told(one: Disagreement | None) -> Results | None:
    if one is None:
        return None
    return {"q": one.statistic, "degrees_of_freedom": one.degrees_of_freedom, "p": one.p_value}


def _own_strengths(votes: PooledVotes, stratum: Stratum, pooled: Pool) -> dict[str, list[float | None]]:
    """A study's own strengths beside the pool's: shifted so that its contenders' mean is the one they have there."""
    try:
        own = stratum.fit
    except ConvergenceError:
        return {}
    precision = estimate_precision(own, stratum.votes, by=pooled.precision.by)
    alone = intervals.strength_intervals(precision, level=LEVEL)
    found: dict[str, list[float | None]] = {}
    for members in own.members():
        shift = float(pooled.fit.strengths[members].mean() - own.strengths[members].mean())
        for place in members.tolist():
            ends = (alone.estimate[place], alone.low[place], alone.high[place])
            found[votes.cast.members[place].identity] = [number(float(end) + shift) for end in ends]
    return found


def _categories(votes: PooledVotes, reference: str) -> list[Results]:
    """The same by category of the prompts: estimates only, of contenders that have votes there."""
    told = []
    for name, own in list(votes.categories())[:MOST_CATEGORIES]:
        counted = _counted(own, {}, "")
        entry: Results = {"name": name, "votes": len(own), "raters": own.raters, "prompts": own.prompts}
        told.append({**entry, "contenders": _category(own, counted, reference)})
    return told


def _category(votes: PooledVotes, counted: Sequence[Results], reference: str) -> list[Results]:
    kept = ("id", *_ESTIMATES, "against", "votes", "wins", "ties", "losses")
    bare = [{name: entry[name] for name in kept} for entry in counted]
    if len(votes) < FEWEST_VOTES * len(counted):
        return bare
    try:
        pooled = pool(votes.strata, by=votes.by)
    except ConvergenceError:
        return bare
    order = [member.identity for member in votes.cast.members]
    there = {entry["id"] for entry in counted}
    place = order.index(reference)
    numbers = _numbers(pooled, place)
    # A reference without votes here compares with nobody, and its column says so.
    return [
        {
            **entry,
            **numbers[order.index(entry["id"])],
            **({} if reference in there else {"against": _NOTHING_AGAINST}),
        }
        for entry in bare
    ]
