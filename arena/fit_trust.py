"""Whether a fit can be trusted, as JSON: how votes link contenders, what its first place hangs on, how ties matter."""

from typing import Any, Final

import numpy as np

from arena.fitted_votes import Fitted, number, plain
from arena.ranking import intervals, sequential
from arena.ranking.fitted import ModelFit
from arena.ranking.influence import Unit, fewest_to_flip, leader
from arena.ranking.models import ConvergenceError, fit_model
from arena.ranking.precision import Precision
from arena.ranking.tallies import LEFT, RIGHT, Votes, tally

Told = dict[str, Any]

# At most this share of votes, raters or prompts is taken away in search of another first place.
SEARCHED: Final = 0.5
# Raters, counted as if all voted alike often, at which the intervals that hold at every look are narrowest. Fixed
# before any study, or looking at the votes would choose it.
PLANNED_RATERS: Final = 100
_UNITS: Final[tuple[Unit, ...]] = ("vote", "rater", "prompt")


def trust_of(found: Fitted, *, baseline: int) -> Told:
    """Everything of the panel that must be worked out from the votes; null where it rests on what they do not say."""
    unknown = found.counted.unknown
    return {
        "pairs": _pairs(found),
        "sides": [] if "sides" in unknown else _sides(found),
        "separable": _separable(found),
        "flips": {unit: None if f"{unit}s" in unknown else _flip(found, unit) for unit in _UNITS},
        "searched": SEARCHED,
        "ties": _tie_policies(found, baseline),
        "stop": None if "raters" in unknown else _stop(found),
        "unknown": sorted(unknown),
    }


def _pairs(found: Fitted) -> Told:
    """Votes on each pair of contenders, whoever stood left."""
    votes = found.counted.said.unordered().sum(axis=2)
    each = votes[np.triu_indices(len(votes), 1)]
    met = each[each > 0]
    return {
        "possible": len(each),
        "met": len(met),
        "fewest": int(met.min()) if len(met) else 0,
        "median": float(np.median(met)) if len(met) else 0.0,
        "most": int(met.max(initial=0)),
        "boards": sum(len(board) > 1 for board in found.boards),
        "alone": sum(len(board) == 1 for board in found.boards),
    }


def _sides(found: Fitted) -> list[list[int]]:
    """Each contender with how often its votes saw it on the left and on the right."""
    seen = found.counted.said.counts.sum(axis=2)
    columns = (found.counted.contenders, seen.sum(axis=1).tolist(), seen.sum(axis=0).tolist())
    return [list(each) for each in zip(*columns, strict=True)]


def _separable(found: Fitted) -> Told:
    """Pairs that intervals for all pairs at once tell apart, and who may be first."""
    ends = intervals.difference_intervals(found.precision, level=found.level, simultaneous=True)
    upper = np.triu_indices(len(found.labels), 1)
    low, high = ends.low[upper], ends.high[upper]
    known = ~np.isnan(low) & ~np.isnan(high)
    first = leader(found.fit)
    rivals = [] if first is None else [one for one in found.boards[0] if one != first and not ends.low[first, one] > 0]
    ids = found.counted.contenders
    return {
        "pairs": int(known.sum()),
        "apart": int(((low > 0) | (high < 0))[known].sum()),
        "first": None if first is None else ids[first],
        "may_be_first": [ids[one] for one in rivals],
    }


def _flip(found: Fitted, unit: Unit) -> Told | None:
    """The fewest units whose removal puts another first; None where up to the share searched do not."""
    flip = fewest_to_flip(found.fit, found.votes, unit=unit, most=SEARCHED)
    if flip is None:
        return None
    ids = found.counted.contenders
    return {
        "count": flip.count,
        "of": round(flip.count / flip.share),
        "before": ids[flip.before],
        "after": ids[flip.after],
    }


def _tie_policies(found: Fitted, baseline: int) -> Told | None:
    """The same votes with ties left out, as half wins and by Davidson's model; None where nobody tied."""
    if not found.tie_models:
        return None
    policies = {"half": (found.fit, found.precision)}
    if (decisive := _decisive(found)) is not None:
        policies["decisive"] = decisive
    davidson = found.tie_models["davidson"]
    policies["davidson"] = (davidson, found.tie_precision("davidson"))
    return {name: _policy(*each, found.level, baseline) for name, each in policies.items()}


def _decisive(found: Fitted) -> tuple[ModelFit, Precision] | None:
    """A fit to decisive votes alone; None where there are none."""
    votes = found.votes
    rows = np.flatnonzero((votes.outcome == LEFT) | (votes.outcome == RIGHT))
    if not len(rows) or votes.rater is None or votes.prompt is None:
        return None
    weight = None if votes.weight is None else votes.weight[rows]
    columns = (votes.left[rows], votes.right[rows], votes.outcome[rows], votes.contenders)
    decisive = Votes(*columns, votes.rater[rows], votes.prompt[rows], weight)
    try:
        fit = fit_model(tally(decisive), side_bias=found.fit.problem.side)
    except ConvergenceError:
        return None
    return fit, found.precision_of(fit, decisive)


def _policy(fit: ModelFit, precision: Precision, level: float, baseline: int) -> Told:
    win = intervals.win_probability_intervals(precision, level=level)
    columns = [plain(each[:, baseline]) for each in (win.estimate, win.low, win.high)]
    return {
        "log_strength": plain(fit.strengths),
        "against_baseline": [list(each) for each in zip(*columns, strict=True)],
    }


def _stop(found: Fitted) -> Told:
    """Whether voting may stop: intervals by rater that hold however often one looks (arena/ranking/sequential.py).

    Raters come one after another and prompts are what they are, so that this is about other people on these prompts.
    All of it is about the largest board: nothing can be said of a contender that no vote links to it.
    """
    precision = found.precision_by_rater
    ends = sequential.difference_sequences(precision, planned=PLANNED_RATERS, level=found.level)
    board = found.boards[0] if found.boards else []
    block = np.ix_(board, board)
    linked = intervals.Intervals(ends.estimate[block], ends.low[block], ends.high[block])
    upper = np.triu_indices(len(board), 1)
    low, high = linked.low[upper], linked.high[upper]
    settled = sequential.settled(linked)
    clusters = float(precision.effective[board[0]]) if board else 0.0
    needed = _raters_to_name_the_first(found, precision, board, clusters)
    return {
        "planned": PLANNED_RATERS,
        "raters": number(clusters),
        "settled": None if settled is None else found.counted.contenders[board[settled]],
        "apart": int(((low > 0) | (high < 0)).sum()),
        "pairs": int(len(board) * (len(board) - 1) / 2),
        "unlinked": len(found.labels) - len(board),
        "times": None if needed is None or not clusters else number(needed / clusters),
    }


def _raters_to_name_the_first(found: Fitted, precision: Precision, board: list[int], clusters: float) -> float | None:
    """Effective raters after which the first would surely be first, if all stays as it looks; None if unknown."""
    if len(board) < 2 or not clusters > 0:
        return None
    strengths, errors = found.fit.strengths[board], precision.difference_errors[np.ix_(board, board)]
    pairs = len(board) * (len(board) - 1) / 2
    level = 1 - (1 - found.level) / pairs
    each: list[float] = []
    for rival in range(1, len(board)):
        error = float(errors[0, rival])
        if np.isnan(error):
            return None
        gap = float(strengths[0] - strengths[rival])
        each.append(sequential.clusters_to_tell(gap, error, clusters, planned=PLANNED_RATERS, level=level))
    return max(each)
