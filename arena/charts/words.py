"""Sentences that charts share: what the numbers rest on, and the numbers for those who hear them."""

from collections.abc import Iterable

from arena.leaderboard import CriterionResults, Estimate


def evidence(results: CriterionResults) -> str:
    """The subtitle: criterion, how much was counted, how ties count, and whether simulated raters are in it."""
    parts = [
        results.criterion.name,
        plural(results.votes, "vote"),
        plural(results.raters, "rater"),
        plural(results.prompts, "prompt"),
        "ties count half",
        "95 % intervals",
    ]
    if results.rule_ties:
        parts.append(f"{plural(results.rule_ties, 'identical pair')} counted as ties")
    if results.simulated_votes:
        parts.append("simulated raters included")
    # The space before each dot does not break, so that no line begins with one.
    return "\u00a0· ".join(parts)


def ends(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    """An estimate as three cells of a table."""
    return estimate.value, estimate.low, estimate.high


def rounded(count: float) -> str:
    """To two figures, for what is foretold: "about 9,600" of 9,566, because the others mean nothing."""
    figures = float(f"{count:.2g}")
    return f"{figures:,.0f}"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def described(what: str, values: Iterable[tuple[str, Estimate]]) -> str:
    """What a chart shows as one text: "Probability …: early 38 % (31-45); final 62 % (57-67)"."""
    return f"{what}: " + "; ".join(f"{label} {estimate.percent}" for label, estimate in values) + "."
