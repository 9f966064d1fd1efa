"""The results of a study as a LaTeX table (booktabs): contenders down, criteria across."""

from collections.abc import Sequence
from typing import Final

from arena.leaderboard import CriterionResults, Estimate, Row

_SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}


def latex_table(results: Sequence[CriterionResults], *, label: str) -> str:
    """Win probability against the baseline with its interval, and range of ranks, by criterion; empty without votes.

    Needs the package booktabs. Contenders stand in the order of the first criterion.
    """
    shown = [one for one in results if one.votes]
    if not shown:
        return ""
    baseline = shown[0].baseline
    rows = [{row.contender.pk: row for row in one.rows} for one in shown]
    heads = " & ".join(rf"\multicolumn{{2}}{{c}}{{{escaped(one.criterion.name)}}}" for one in shown)
    rules = "".join(rf"\cmidrule(lr){{{2 * place + 2}-{2 * place + 3}}}" for place in range(len(shown)))
    lines = [
        " & ".join([escaped(row.label), *(_cells(own[row.contender.pk]) for own in rows)]) + r" \\"
        for row in shown[0].rows
    ]
    votes = "; ".join(f"{escaped(one.criterion.name)} {one.votes:,} votes, {one.raters:,} raters" for one in shown)
    against = escaped(baseline.label) if baseline else "the baseline"
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{Probability in \% of being preferred to {against}, with 95\,\% intervals clustered by rater "
            rf"and prompt, and range of ranks at 95\,\%. Ties count half. {votes}.}}",
            rf"  \label{{tab:{_name(label)}}}",
            rf"  \begin{{tabular}}{{l{'rr' * len(shown)}}}",
            r"    \toprule",
            rf"    & {heads} \\",
            rf"    {rules}",
            rf"    Contender & {' & '.join(['preferred & rank'] * len(shown))} \\",
            r"    \midrule",
            *(f"    {line}" for line in lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def _cells(row: Row) -> str:
    share = "baseline" if row.is_baseline else _share(row.against_baseline)
    return f"{share} & {row.ranks.replace('-', '--').replace('–', '--')}"


def _share(estimate: Estimate) -> str:
    if estimate.value is None:
        return "--"
    value = rf"{100 * estimate.value:.1f}"
    if estimate.low is None or estimate.high is None:
        return value
    return rf"{value} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _name(label: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-:") else "-" for letter in label)
