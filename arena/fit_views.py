"""The counted votes by parts, as JSON: by category and stratum, how far raters agree, which prompts divide them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from arena.counted_votes import CountedVotes, numbered, row_tallies
from arena.fitted_votes import Fitted, number, plain
from arena.ranking import categories, intervals
from arena.ranking.agreement import Metric, Units, agreement, ceiling, units_of
from arena.ranking.models import ConvergenceError
from arena.ranking.precision import Precision
from arena.ranking.stacked import stack
from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE, Votes
from arena.vote_snapshot import STRATA, Rows

Told = dict[str, Any]
PromptGroups = Mapping[str, Mapping[int, str]]
"""By what prompts are grouped, such as "category": the group of each study prompt id, "" for none."""

STRATUM: Final = "stratum"
EXCLUSIONS: Final = "exclusions"
MOST_PARTS: Final = 40
MOST_LISTED: Final = 10
FEWEST_VOTES: Final = 10
"""Votes for each contender below which a part is not fitted: it would say nothing, and take long to say it."""
FEWEST_PAIRS: Final = 3
"""Pairs of answers below which a prompt is not called hard: raters differ by chance."""

# A stack of more parameters than this, contenders times categories, takes too long for a fit that pages wait for.
_MOST_STACKED: Final = 150
_MOST_STACKED_VOTES: Final = 300_000
# As many pairs of answers as agree like the whole study are added to a prompt's own, or chance would top the list.
_LEANING: Final = 5.0
_METRICS: Final[tuple[Metric, ...]] = ("nominal", "ordinal")

Integers = NDArray[np.intp]


def views_of(found: Fitted, groups: PromptGroups, *, baseline: int) -> Told:
    """Win probabilities against the baseline in each part, where there are two or more parts."""
    views: Told = {}
    for name, group_of in groups.items():
        parts = list(_by_prompt(found.counted, group_of))
        if 2 <= len(parts) <= MOST_PARTS:
            views[name] = _view(found, parts, baseline)
    strata = list(_by_stratum(found.counted))
    if len(strata) > 1:
        views[STRATUM] = _view(found, strata, baseline, by_prompt=False)
    if len(found.counted.excluded):
        both = np.concatenate([found.counted.rows, found.counted.excluded])
        both.sort(order="pk")
        parts = [("as counted", found.counted), ("with what was excluded", _with_rows(found.counted, both))]
        views[EXCLUSIONS] = _view(found, parts, baseline, by_prompt=False)
    return views


def agreement_of(found: Fitted) -> Told | None:
    """Krippendorff's alpha of the answers on one pair and prompt; None where nobody answered what another did.

    None as well where votes name no raters or no prompts: nobody knows then who answered the same.
    """
    if not found.counted.unknown.isdisjoint(("raters", "prompts")):
        return None
    units = units_of(found.votes)
    told = {metric: agreement(units, metric=metric, level=found.level) for metric in _METRICS}
    first = told["nominal"]
    if not first.units:
        return None
    return {
        "units": first.units,
        "same": number(first.same),
        "expected_by_chance": number(first.expected_by_chance),
        "ceiling": _ceiling(found, units),
        **{
            metric: {"alpha": number(each.alpha), "low": number(each.low), "high": number(each.high)}
            for metric, each in told.items()
        },
    }


def prompts_of(counted: CountedVotes) -> Told:
    """Prompts on which raters agree least, and the pairs on a prompt about which most raters contradict one another.

    Nothing of what rests on prompts or raters that the votes do not name.
    """
    if "prompts" in counted.unknown:
        return {"items": {}, "hardest": [], "disagreements": []}
    rows, order = counted.rows, counted.contenders
    left, right = numbered(rows["left"], order), numbered(rows["right"], order)
    low, high = np.minimum(left, right), np.maximum(left, right)
    prompts, prompt = np.unique(rows["prompt"], return_inverse=True)
    outcome = rows["outcome"].astype(np.intp)
    # 0 for the lower-numbered contender, 1 for neither, 2 for the other.
    answer = np.array([0, 1, 2, 1])[[LEFT, TIE, RIGHT, BOTH_BAD]][outcome]
    answer = np.where(left == low, answer, 2 - answer)
    codes, unit = np.unique((prompt * len(order) + low) * len(order) + high, return_inverse=True)
    counts = np.bincount(unit * 3 + answer, minlength=3 * len(codes)).reshape(-1, 3)
    votes = counts.sum(axis=1)
    items = (
        {"fewest": int(votes.min()), "median": float(np.median(votes)), "most": int(votes.max())} if len(votes) else {}
    )
    bad = np.bincount(prompt[outcome == BOTH_BAD], minlength=len(prompts))
    if "raters" in counted.unknown:
        return {"items": {"count": len(codes), **items}, "hardest": [], "disagreements": []}
    return {
        "items": {"count": len(codes), **items},
        "hardest": _hardest(prompts, codes // len(order) ** 2, counts, bad),
        "disagreements": _disagreements(prompts, codes, counts, order),
    }


def _hardest(prompts: NDArray[np.int64], of_unit: Integers, counts: Integers, bad: Integers) -> list[Told]:
    answers = counts.sum(axis=1)
    pairs = np.bincount(of_unit, weights=answers * (answers - 1) / 2, minlength=len(prompts))
    same = np.bincount(of_unit, weights=(counts * (counts - 1) / 2).sum(axis=1), minlength=len(prompts))
    votes = np.bincount(of_unit, weights=answers, minlength=len(prompts))
    ties = np.bincount(of_unit, weights=counts[:, 1], minlength=len(prompts))
    if not pairs.sum():
        return []
    leaned = (same + _LEANING * same.sum() / pairs.sum()) / (pairs + _LEANING)
    ranked = [place for place in np.lexsort((prompts, leaned)) if pairs[place] >= FEWEST_PAIRS]
    return [
        {
            "prompt": int(prompts[place]),
            "votes": int(votes[place]),
            "same": float(same[place] / pairs[place]),
            "pairs": int(pairs[place]),
            "ties": int(ties[place]),
            "both_bad": int(bad[place]),
        }
        for place in ranked[:MOST_LISTED]
    ]


def _disagreements(
    prompts: NDArray[np.int64], codes: NDArray[np.int64], counts: Integers, order: Sequence[int]
) -> list[Told]:
    opposed = counts[:, 0] * counts[:, 2]
    # Most contradicting raters first; among equals the one on which fewer agree.
    ranked = np.lexsort((codes, counts.sum(axis=1), -opposed))
    return [
        {
            "prompt": int(prompts[codes[place] // len(order) ** 2]),
            "pair": [order[codes[place] // len(order) % len(order)], order[codes[place] % len(order)]],
            "answers": counts[place].tolist(),
        }
        for place in ranked[:MOST_LISTED]
        if opposed[place]
    ]


def _ceiling(found: Fitted, units: Units) -> float | None:
    """The ordinal alpha if everybody drew from the fitted model."""
    by_likelihood = sorted(found.tie_models.values(), key=lambda model: -model.log_likelihood)
    fit = by_likelihood[0] if by_likelihood else found.fit
    if not by_likelihood and units.counts[:, 1].any() or np.isnan(fit.strengths).any():
        return None
    return number(ceiling(units, fit))


def _by_prompt(counted: CountedVotes, group_of: Mapping[int, str]) -> Iterator[tuple[str, CountedVotes]]:
    prompts, place = np.unique(counted.rows["prompt"], return_inverse=True)
    names = sorted({group_of.get(prompt, "") for prompt in prompts.tolist()} - {""})
    number = {name: at for at, name in enumerate(names)}
    of_prompt = np.array([number.get(group_of.get(prompt, ""), -1) for prompt in prompts.tolist()], dtype=np.intp)
    of_row = of_prompt[place]
    of_ties = np.array([number.get(group_of.get(pk, ""), -1) for pk in counted.rule_ties["prompt"].tolist()], dtype=int)
    for at, name in enumerate(names):
        part = _with_rows(counted, counted.rows[of_row == at])
        yield name, replace(part, rule_ties=counted.rule_ties[of_ties == at])


def _by_stratum(counted: CountedVotes) -> Iterator[tuple[str, CountedVotes]]:
    for code, name in enumerate(STRATA):
        rows = counted.rows[counted.rows["stratum"] == code]
        if len(rows):
            yield name, _with_rows(counted, rows)


def _with_rows(counted: CountedVotes, rows: Rows) -> CountedVotes:
    return replace(counted, rows=rows, said=row_tallies(rows, counted.contenders))


def _view(found: Fitted, parts: Sequence[tuple[str, CountedVotes]], baseline: int, *, by_prompt: bool = True) -> Told:
    """Parts by prompt may be many and small: those with too few votes are left out, and the others tested."""
    fitted = [(name, Fitted(counted, found.labels, found.options)) for name, counted in parts]
    return {
        "parts": [
            _part(name, own, baseline, is_fitted=not by_prompt or _is_worth_fitting(own)) for name, own in fitted
        ],
        "interaction": _interaction(found, fitted) if by_prompt else None,
    }


def _part(name: str, own: Fitted, baseline: int, *, is_fitted: bool) -> Told:
    counted = own.counted
    told: Told = {"name": name, "votes": len(counted), "raters": counted.raters, "prompts": counted.prompts}
    if not is_fitted:
        return {**told, "against_baseline": [[None, None, None] for _ in own.labels]}
    try:
        win = intervals.win_probability_intervals(own.precision, level=own.level)
    except ConvergenceError:
        return {**told, "against_baseline": [[None, None, None] for _ in own.labels]}
    columns = [plain(each[:, baseline]) for each in (win.estimate, win.low, win.high)]
    return {**told, "against_baseline": [list(each) for each in zip(*columns, strict=True)]}


def _interaction(found: Fitted, parts: Sequence[tuple[str, Fitted]]) -> Told | None:
    """Whether contenders differ otherwise in some parts than in others; None where too few parts can say so."""
    usable = [own for _, own in parts if _can_be_stacked(own)]
    size = len(usable) * len(found.labels)
    if len(usable) < 2 or size > _MOST_STACKED or len(found.counted) > _MOST_STACKED_VOTES:
        return None
    precisions: list[Precision] = [own.precision for own in usable]
    tested = categories.interaction(stack(precisions, _numbered_alike([own.counted for own in usable])))
    return {"p": number(tested.p_value), "parts": len(usable)}


def _is_worth_fitting(own: Fitted) -> bool:
    return len(own.counted) >= FEWEST_VOTES * len(own.labels)


def _can_be_stacked(own: Fitted) -> bool:
    try:
        return _is_worth_fitting(own) and not own.fit.components.any() and not any(own.precision.no_interval)
    except ConvergenceError:
        return False


def _numbered_alike(parts: Sequence[CountedVotes]) -> list[Votes]:
    """Their votes with one number for a rater throughout; prompts are in one part each."""
    raters = np.unique(np.concatenate([own.rows["rater"] for own in parts]))
    found, beyond = [], 0
    for own in parts:
        votes = own.to_ranking()
        if votes.rater is None or votes.prompt is None:
            raise ValueError("votes of a study name their rater and prompt")
        known = np.searchsorted(raters, np.unique(own.rows["rater"]))
        rater = np.where(votes.rater < 0, votes.rater, known[np.maximum(votes.rater, 0)])
        found.append(replace(votes, rater=rater, prompt=votes.prompt + beyond))
        beyond += int(votes.prompt.max(initial=-1)) + 1
    return found
