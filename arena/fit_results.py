"""What one fit found, as JSON: every number a page shows, null where there is none, and sentences that say why."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arena.counted_votes import CountedVotes
from arena.ranking.bradley_terry import ConvergenceError
from arena.ranking.structure import NotComparable, explain, why_not_comparable
from arena.ranking.tallies import BOTH_BAD, LOSS, TIE, WIN, Tallies, tally
from arena.ranking.uncertainty import (
    Bootstrap,
    bootstrap,
    rank_ranges,
    strength_intervals,
    win_probability_intervals,
)

Results = dict[str, Any]

_ESTIMATES = ("log_strength", "standard_error", "low", "high", "rank_low", "rank_high", "group")
_NO_BASELINE = "No contender is marked as the baseline, so the first one serves as it."
_TOO_FEW = {
    "too_few_raters": "nearly all votes come from one rater, and raters differ",
    "too_few_prompts": "nearly all votes are on one prompt, and prompts differ",
}


def results_of(counted: CountedVotes, *, labels: Sequence[str], options: dict[str, Any]) -> Results:
    """Fit the counted votes. `labels` are the contenders' in the order of the selection."""
    said = tally(counted.without_rule_ties())
    results = _without_estimates(counted, labels, said)
    if not len(counted):
        results["not_comparable"] = ["No votes are counted yet."]
        return results
    try:
        found = bootstrap(
            counted.to_ranking(),
            rng=np.random.default_rng(options["seed"]),
            by=tuple(options["clusters"]),
            replicates=options["replicates"],
        )
    except ConvergenceError as error:
        results["not_comparable"] = [f"No estimate: {error}."]
        return results
    return {**results, **_estimates(found, results, labels, said, options["level"])}


def _without_estimates(counted: CountedVotes, labels: Sequence[str], said: Tallies) -> Results:
    """Everything that is counted, with null for everything that is estimated."""
    counts = said.unordered()
    blank = [[None] * len(labels) for _ in labels]
    ids = counted.contenders
    baseline = ids.index(counted.selection["baseline"]) if counted.selection["baseline"] is not None else 0
    contenders = [
        {
            "id": pk,
            "label": label,
            **dict.fromkeys(_ESTIMATES),
            "votes": int(counts[index].sum()),
            "wins": int(counts[index, :, WIN].sum()),
            "ties": int(counts[index, :, [TIE, BOTH_BAD]].sum()),
            "losses": int(counts[index, :, LOSS].sum()),
            "note": "" if counts[index].any() else "no votes yet",
        }
        for index, (pk, label) in enumerate(zip(ids, labels, strict=True))
    ]
    return {
        "baseline": ids[baseline] if ids else None,
        "contenders": contenders,
        "win_probability": {"estimate": blank, "low": blank, "high": blank},
        "against_baseline": [{"id": pk, "estimate": None, "low": None, "high": None} for pk in ids],
        "observed": {
            "wins": counts[:, :, WIN].astype(int).tolist(),
            "ties": counts[:, :, [TIE, BOTH_BAD]].sum(axis=2).astype(int).tolist(),
        },
        "both_bad": said.n_both_bad,
        "skips": counted.skips,
        "simulated_votes": counted.simulated,
        "rule_ties": len(counted.rule_ties) if len(counted) else 0,
        "not_comparable": [],
        "warnings": [] if counted.selection["baseline"] is not None else [_NO_BASELINE],
        "cluster": None,
    }


def _estimates(found: Bootstrap, counts: Results, labels: Sequence[str], said: Tallies, level: float) -> Results:
    """What replaces the nulls."""
    win = win_probability_intervals(found, level=level)
    half_wins = found.fit.half_wins
    baseline = [entry["id"] for entry in counts["contenders"]].index(counts["baseline"])
    contenders = [
        {**entry, **numbers, "note": entry["note"] or _note(half_wins, index, baseline, labels)}
        for index, (entry, numbers) in enumerate(zip(counts["contenders"], _numbers(found, level), strict=True))
    ]
    return {
        "contenders": contenders,
        "win_probability": {"estimate": _plain(win.estimate), "low": _plain(win.low), "high": _plain(win.high)},
        "against_baseline": [
            {"id": entry["id"], "estimate": value, "low": low, "high": high}
            for entry, value, low, high in zip(
                contenders,
                _plain(win.estimate[:, baseline]),
                _plain(win.low[:, baseline]),
                _plain(win.high[:, baseline]),
                strict=True,
            )
        ],
        "not_comparable": [reason.sentence(labels) for reason in _reasons(half_wins)],
        "warnings": [*counts["warnings"], *_warnings(found, labels)],
        "cluster": {
            "by": list(found.by),
            "effective": _plain(found.effective),
            "degrees_of_freedom": _plain(found.degrees_of_freedom),
        },
    }


def _numbers(found: Bootstrap, level: float) -> list[dict[str, Any]]:
    """What is estimated of each contender."""
    strengths = strength_intervals(found, level=level)
    ranks = rank_ranges(found, level=level)
    columns = zip(
        _plain(strengths.estimate),
        _plain(found.standard_errors),
        _plain(strengths.low),
        _plain(strengths.high),
        _ranks(ranks.best, found),
        _ranks(ranks.worst, found),
        found.fit.groups.tolist(),
        strict=True,
    )
    return [dict(zip(_ESTIMATES, values, strict=True)) for values in columns]


def _reasons(half_wins: NDArray[np.float64]) -> list[NotComparable]:
    """Each reason once: of two that say the same from either side, the one about fewer contenders."""
    kept: dict[frozenset[tuple[int, ...]], NotComparable] = {}
    for reason in sorted(explain(half_wins), key=lambda reason: len(reason.contenders)):
        kept.setdefault(frozenset((reason.contenders, reason.others)), reason)
    return list(kept.values())


def _note(half_wins: NDArray[np.float64], index: int, baseline: int, labels: Sequence[str]) -> str:
    """Why a contender with votes stands apart from the baseline; empty where it does not."""
    reason = None if index == baseline else why_not_comparable(half_wins, index, baseline)
    return "" if reason is None else reason.sentence(labels)


def _warnings(found: Bootstrap, labels: Sequence[str]) -> list[str]:
    """Why some contenders that have an estimate have no interval, and over whom ranks run."""
    sentences = []
    for reason, ground in _TOO_FEW.items():
        lacking = [label for label, given in zip(labels, found.no_interval, strict=True) if given == reason]
        if len(lacking) == len(labels) - found.no_interval.count("alone") and lacking:
            sentences.append(f"No intervals yet: {ground}.")
        elif lacking:
            sentences.append(f"No interval yet for {', '.join(lacking)}: {ground}.")
    if found.fit.groups.any():
        sentences.append("Ranks count only contenders that can be compared with one another.")
    return sentences


def _ranks(ranks: NDArray[np.intp], found: Bootstrap) -> list[int | None]:
    """A range without an interval behind it says nothing, so it is left out."""
    return [int(rank) if reason is None else None for rank, reason in zip(ranks, found.no_interval, strict=True)]


def _plain(values: NDArray[Any]) -> list[Any]:
    """Nested lists in which what is not a finite number is None, because JSON has no NaN."""
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return list(plain.tolist())
