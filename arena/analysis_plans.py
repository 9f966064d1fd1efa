"""What a study's votes will be turned into, written down before there are any: frozen and hashed with the design."""

from typing import Any, Final

from arena import design_summary, fitting
from arena.models import Study
from arena.not_worse import planned_margin
from arena.pair_designs import AGAINST_BASELINE, ONE_FACTOR, pair_design_of

LEVELS: Final = "The interval of one comparison holds with its level by itself; tiers and rank ranges hold together."

NOT_WORSE: Final = (
    "the fewest steps of a checkpoint that surely lose to its most by no more than {points} points of win probability: "
    "one-sided at 95 %, tried in turn from the most down to the first that fails"
)


def analysis_of(study: Study) -> dict[str, Any]:
    """The analysis plan as data; with what the design can resolve, where it says on what that rests."""
    plan: dict[str, Any] = {
        "estimator": fitting.OPTIONS,
        "outcome": "win probability: P(win) + P(tie) / 2 at zero side bias, for each question apart",
        "comparisons": _comparisons(study),
        "simultaneous": LEVELS,
        "exclusions": (
            "Votes leave the analysis only by exclusions with a reason and an author, which can be reversed; results "
            "are shown with and without them. Skips, undone and expired ballots never count. Flags that programs raise "
            "take out no vote by themselves."
        ),
        "not_worse": NOT_WORSE.format(points=f"{100 * planned_margin(study):g}"),
        "stopping": _stopping(study),
    }
    if "planning" in study.design:
        summary = design_summary.summary_of_study(study)
        plan["planned"] = {
            "ballots": summary.ballots,
            "ordinary_ballots": summary.ordinary,
            "rater_hours": round(summary.rater_hours, 2),
            "power": [_rounded(one.to_json()) for one in summary.power],
        }
    return plan


def _comparisons(study: Study) -> str:
    baseline = study.contenders.filter(is_baseline=True).first()
    design = pair_design_of(study)
    if design == AGAINST_BASELINE and baseline is not None:
        return f"each contender with the baseline, {baseline.label}"
    pairs = "the pairs that differ in one factor" if design == ONE_FACTOR else "every two contenders"
    return f"{pairs}; primarily each with the baseline, {baseline.label}" if baseline is not None else pairs


def _stopping(study: Study) -> str:
    target, wanted = study.design.get("target_votes"), study.design.get("ballots_wanted")
    if target:
        return (
            f"A pair is asked on a prompt until {target} raters have compared it; when every pair has its votes the "
            "study asks nobody any more. No result decides when it ends."
        )
    if wanted:
        return f"The owner closes the study at about {wanted:,} ballots. No result decides when it ends."
    return "The owner closes the study; no number of votes was fixed beforehand."


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    # Digits beyond these differ between machines, and the digest of a design must not.
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in row.items()}
