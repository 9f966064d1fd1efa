"""The table that `manage.py rank` prints for people."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

import numpy as np

from arena.rank_report import Ranking
from arena.ranking import checks

_MODELS = {
    "half": "ties as half wins",
    "davidson": "Davidson's model of ties",
    "rao-kupper": "Rao and Kupper's model of ties",
    "drop": "ties left out",
}
_NAMES = {"davidson": "Davidson", "rao-kupper": "Rao-Kupper"}
# Columns of a terminal that a name may take in the table; the JSON has it whole.
_LONGEST_NAME = 44
_LARGE_RESIDUAL = 3.0
_MOST_RESIDUALS = 10


def table(rankings: Sequence[Ranking]) -> str:
    """Every criterion, one after the other."""
    return "\n\n".join("\n".join(_lines(ranking)) for ranking in rankings)


def printable(text: str) -> str:
    """A name without what would act on a terminal or break a line."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _lines(ranking: Ranking) -> list[str]:
    lines = [printable(f"{ranking.data.criterion}: {_counted(ranking)}"), _method(ranking)]
    boards = [board for board in ranking.boards if len(board) > 1]
    for number, board in enumerate(boards, start=1):
        if len(boards) > 1:
            lines += ["", f"Board {number} of {len(boards)}, which no vote links with the others"]
        lines += ["", *_board(ranking, board)]
    alone = [printable(ranking.data.names[board[0]]) for board in ranking.boards if len(board) == 1]
    if alone:
        lines += ["", f"Compared with nobody: {', '.join(alone)}"]
    lines += ["", *_parameters(ranking)]
    return lines + [printable(f"Note: {sentence}") for sentence in ranking.warnings]


def _counted(ranking: Ranking) -> str:
    data = ranking.data
    parts = [_many(data.number, "vote"), _many(len(data.names), "contender")]
    parts += [_many(number, name) for number, name in ((data.raters, "rater"), (data.prompts, "prompt")) if number]
    if data.both_bad:
        treated = "left out" if ranking.fit.both_bad == "drop" else "as ties"
        parts.append(f'{data.both_bad:,} "both bad" ({treated})')
    if data.skips:
        parts.append(f"{_many(data.skips, 'skip')} besides")
    return ", ".join(parts)


def _method(ranking: Ranking) -> str:
    fit, by = ranking.fit, ranking.precision.by
    alike = f"votes clustered by {' and '.join(by)}" if by else "votes taken for independent"
    if by and ranking.effective is not None:
        alike += f" ({ranking.effective:.1f} effective)"
    side = "with side bias" if fit.side_bias is not None else "without side bias"
    penalty = ", Firth's penalty where there is no maximum" if fit.estimator == "firth" else ""
    return f"Bradley-Terry, {_MODELS[fit.ties]}, {side}{penalty}; 95 % intervals, {alike}"


def _board(ranking: Ranking, board: list[int]) -> list[str]:
    baseline = next((one for one in board if ranking.data.names[one] == ranking.baseline), None)
    against = "beats the others" if baseline is None else f"beats {_name(ranking.data.names[baseline])}"
    head = ["rank", "contender", "log strength", "95 % interval", against]
    head += ["95 % interval"] * (baseline is not None) + ["tier"]
    replicates = ranking.replicates
    errors = replicates.standard_errors() if replicates is not None and len(replicates.strengths) > 1 else None
    head += ["bootstrap error"] * (errors is not None) + ["flags"]
    rows = []
    for one in board:
        strengths = ranking.strengths
        row = [_span(ranking.ranks.best[one], ranking.ranks.worst[one]), _name(ranking.data.names[one])]
        row += [_signed(strengths.estimate[one]), _interval(strengths.low[one], strengths.high[one], _signed)]
        row += _chances(ranking, one, board, baseline) + [str(ranking.tiers[one])]
        row += [f"{errors[one]:.3f}"] if errors is not None else []
        rows.append([*row, ", ".join(ranking.fit.flags[one])])
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    return _aligned(head, rows)


def _chances(ranking: Ranking, one: int, board: list[int], baseline: int | None) -> list[str]:
    """Against the baseline with its interval, or against the mean of the others without one."""
    win = ranking.win_probabilities
    if baseline is None:
        return [_percent(float(np.nanmean(win.estimate[one, board])))]
    if one == baseline:
        return ["baseline", ""]
    low, high = win.low[one, baseline], win.high[one, baseline]
    return [_percent(win.estimate[one, baseline]), _interval(low, high, _percent)]


def _parameters(ranking: Ranking) -> list[str]:
    fit, precision = ranking.fit, ranking.precision
    lines = []
    if fit.side_bias is not None:
        bias = f"{_signed(fit.side_bias)}{_error(precision.side_bias_error)}"
        lines.append(f"Side bias: {bias} log odds for the left side")
    if fit.tie_parameter is not None:
        name = "nu" if fit.ties == "davidson" else "tau"
        lines.append(f"Tie parameter {name}: {fit.tie_parameter:.4f}{_error(precision.tie_parameter_error)}")
    if not fit.counts.any():
        return lines
    fitted = f"Deviance {fit.deviance:.2f} on {fit.degrees_of_freedom} degrees of freedom"
    if fit.side_bias is None and _has_both_orders(ranking):
        ordered = fit.goodness(ordered=True)
        fitted += f" ({ordered.deviance:.2f} on {ordered.degrees_of_freedom} by ordered pairs)"
    lines.append(f"{fitted}; log-likelihood {fit.log_likelihood:.2f}")
    if ranking.tie_models:
        each = (f"{_NAMES[name]} {model.log_likelihood:.2f}" for name, model in ranking.tie_models.items())
        lines.append(f"Log-likelihood of the models of ties: {', '.join(each)}")
    if ranking.replicates is not None:
        count, penalised = len(ranking.replicates.strengths), ranking.replicates.penalised
        lines.append(f"Bootstrap: {count:,} Bayesian replicates, {penalised:,} of them by Firth's penalty")
        if len(precision.by) > 1:
            lines[-1] += "; by rater and prompt at once they count the noise of single votes three times"
    return lines + [printable(line) for line in _links_and_misses(ranking)]


def _links_and_misses(ranking: Ranking) -> list[str]:
    names, fit = ranking.data.names, ranking.fit
    lines = [link.sentence(names) for link in checks.linkage(fit)]
    pairs = fit.pairs
    for row in pairs.worst(_MOST_RESIDUALS):
        if abs(pairs.residual[row]) > _LARGE_RESIDUAL:
            lines.append(
                f"{names[pairs.left[row]]} took {_percent(pairs.observed_share[row])} from "
                f"{names[pairs.right[row]]} where the model expects {_percent(pairs.predicted_share[row])} "
                f"(z = {pairs.residual[row]:+.1f})"
            )
    return lines


def _has_both_orders(ranking: Ranking) -> bool:
    met = ranking.fit.counts.sum(axis=2) > 0
    return bool((met & met.T).any())


def _aligned(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    lines = [_line(cells, widths) for cells in (head, *rows)]
    return [lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]]


def _line(cells: list[str], widths: list[int]) -> str:
    padded = (cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _width(text: str) -> int:
    """Columns on a terminal."""
    narrow = sum(not unicodedata.combining(one) for one in text)
    return narrow + sum(unicodedata.east_asian_width(one) in "WF" for one in text)


def _name(text: str) -> str:
    """A name that fits a column: long ones, such as paths, differ at their ends as often as at their beginnings."""
    text = printable(text)
    if _width(text) <= _LONGEST_NAME:
        return text
    head, tail = _LONGEST_NAME // 2, _LONGEST_NAME // 2 - 1
    while _width(text[:head]) + _width(text[-tail:]) >= _LONGEST_NAME:
        head, tail = head - 1, max(tail - 1, 1)
    return f"{text[:head]}…{text[-tail:]}"


def _many(number: int, name: str) -> str:
    return f"{number:,} {name}{'s' * (number != 1)}"


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _interval(low: float, high: float, shown: Callable[[float], str]) -> str:
    if np.isnan(low) or np.isnan(high):
        return "not known"
    if np.isinf(low):
        return "no bounds" if np.isinf(high) else f"up to {shown(high)}"
    return f"{shown(low)} or more" if np.isinf(high) else f"{shown(low)} to {shown(high)}"


def _error(value: float | None) -> str:
    return "" if value is None or not np.isfinite(value) else f" (standard error {value:.3g})"
