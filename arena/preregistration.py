"""The text of a study's plan, for people and for programs: what is asked, how it will be analysed, what was amended."""

from collections.abc import Iterator
from typing import Any, Final

from arena.analysis_plans import analysis_of
from arena.designs import design_digest, frozen_design, pair_rule_of
from arena.models import Criterion, Study
from arena.newcomers import amendments_of
from arena.pair_designs import AGAINST_BASELINE, ALL_PAIRS, ONE_FACTOR, joined_later, pair_design_of
from arena.planning_assumptions import Assumptions, assumptions_of
from arena.protocols import PROTOCOLS

FORMAT: Final = "winrate-plan"
VERSION: Final = 1
PAIRS_IN_WORDS: Final = {
    ALL_PAIRS: "every two contenders",
    AGAINST_BASELINE: "each contender with the baseline",
    ONE_FACTOR: "contenders that differ in one factor",
}


def plan_data(study: Study) -> dict[str, Any]:
    """The plan for programs. sha256 of the canonical JSON of `design` is the digest, once the study has opened."""
    design = frozen_design(study)
    if study.state == Study.State.DRAFT:
        design["design"] = {**study.design, "analysis": analysis_of(study)}
    return {
        "format": FORMAT,
        "version": VERSION,
        "study": study.slug,
        "name": study.name,
        "state": study.state,
        "digest": study.frozen_digest or None,
        "opened_at": study.opened_at.isoformat() if study.opened_at else None,
        "design": design,
        "amendments": amendments_of(study),
    }


def plan_text(study: Study) -> str:
    """The plan for people, in Markdown."""
    return "\n".join(_lines(study)) + "\n"


def _lines(study: Study) -> Iterator[str]:
    yield f"# {_flat(study.name)}: plan of the study"
    yield ""
    yield from _status(study)
    if study.description:
        yield from ("", study.description)
    if hypotheses := study.design.get("hypotheses"):
        yield from ("", "## What is expected", "", hypotheses)
    yield from _protocol(study)
    yield from _questions(study)
    yield from _contenders(study)
    yield from _prompts(study)
    yield from _ballots(study)
    yield from _analysis(study)
    yield from _amendments(study)


def _status(study: Study) -> Iterator[str]:
    if study.state == Study.State.DRAFT:
        yield "Draft: nothing is frozen yet. When the study opens, this text stands and gets a digest."
        return
    opened = study.opened_at.strftime("%Y-%m-%d %H:%M UTC") if study.opened_at else "an unknown time"
    yield f"Frozen at {opened}, before the first vote. Digest (sha256 over the design as canonical JSON):"
    yield f"`{study.frozen_digest}`"
    if design_digest(study) != study.frozen_digest:
        yield "**The design stored now has another digest: it was changed behind the study's acts.**"


def _protocol(study: Study) -> Iterator[str]:
    protocol = PROTOCOLS.get(str(study.design.get("protocol", "")))
    if protocol is None:
        return
    yield from (
        "",
        "## Protocol",
        "",
        f"Begun from the protocol of {protocol.title} ({protocol.paper}). It departs:",
        "",
    )
    yield from (f"- {sentence}" for sentence in protocol.departs)


def _questions(study: Study) -> Iterator[str]:
    yield from ("", "## Questions", "")
    for number, criterion in enumerate(study.criteria.order_by("position"), start=1):
        yield f"{number}. **{_flat(criterion.name)}**: “{_flat(criterion.question)}” {_options(study, criterion)}"


def _options(study: Study, criterion: Criterion) -> str:
    answers = ["left", "right"] + ["tie"] * criterion.allows_tie + ["both bad"] * criterion.allows_both_bad
    asked = {
        Criterion.AppliesTo.ALL: "of every prompt",
        Criterion.AppliesTo.HAS_TEXT: "where the prompt has text to render",
        Criterion.AppliesTo.CATEGORIES: f"of the categories {', '.join(criterion.categories)}",
    }[Criterion.AppliesTo(criterion.applies_to)]
    hidden = "" if criterion.shows_prompt else " Asked before the prompt is shown."
    counted = ""
    if study.state != Study.State.DRAFT:
        counted = f" ({criterion.study_prompts.count():,})"
    return f"Answers: {', '.join(answers)}. Asked {asked}{counted}.{hidden}"


def _contenders(study: Study) -> Iterator[str]:
    yield from ("", "## Contenders", "", "| contender | role | recipe (digest) |", "|---|---|---|")
    joined = joined_later(study)
    for one in study.contenders.select_related("recipe").order_by("position"):
        if one.pk in joined:
            continue
        role = "baseline" if one.is_baseline else ""
        name = one.recipe.name.replace("|", "/")
        yield f"| {_flat(one.label).replace('|', '/')} | {role} | {_flat(name)} (`{one.recipe.digest[:16]}`) |"


def _prompts(study: Study) -> Iterator[str]:
    rows = study.study_prompts
    with_text = rows.exclude(prompt__target_text=None).count()
    yield from ("", "## Prompts", "", f"{rows.count():,} prompts, {with_text:,} of them with text to render.")
    sampling = study.design.get("sampling")
    if not isinstance(sampling, dict) or "set" not in sampling:
        return
    content = str(sampling.get("digest"))[:16]
    yield f"Drawn from “{_flat(str(sampling['set']))}” version {sampling.get('version')} (content `{content}`)."
    rule = sampling.get("sample") or {}
    said = ", ".join(f"{key} {value}" for key, value in rule.items()) if isinstance(rule, dict) else ""
    yield f"Rule of the draw: {said}." if said else "All prompts of the set are taken."


def _ballots(study: Study) -> Iterator[str]:
    design, rules = study.design, study.rater_rules
    samples = int(design.get("samples", 1))
    yield from ("", "## Ballots", "")
    images = f"{samples} sample{'s' if samples > 1 else ''} of each prompt"
    yield f"- Compared are {PAIRS_IN_WORDS[pair_design_of(study)]}, one image a side, {images}."
    yield f"- The next pair is chosen by the rule “{pair_rule_of(study)}”; each ballot keeps the chance of its choice."
    yield "- Sides are drawn by the server. Both images are shown in one size, without metadata."
    if target := design.get("target_votes"):
        yield f"- Wanted: {target} raters for each pair on each prompt."
    if wanted := design.get("ballots_wanted"):
        yield f"- Wanted: {wanted:,} ballots."
    quota = rules.get("ballots_per_rater")
    yield f"- A rater answers at most {quota:,} ballots." if quota else "- A rater may answer any number of ballots."
    for name, words in (
        ("gold_share", "has a known answer"),
        ("repeat_share", "repeats an earlier pair, sides swapped"),
    ):
        if share := rules.get(name):
            yield f"- {float(share):.0%} of a rater's ballots {words}."


def _analysis(study: Study) -> Iterator[str]:
    plan = study.design.get("analysis") or analysis_of(study)
    estimator = plan["estimator"]
    yield from ("", "## Analysis", "")
    yield f"- Outcome: {plan['outcome']}."
    yield f"- Compared: {plan['comparisons']}."
    yield (
        f"- Estimator: {estimator['model']}, ties as {estimator['ties']}, “both bad” as a {estimator['both_bad']}, "
        f"{'with' if estimator['side_bias'] else 'without'} a side bias, {estimator['without_maximum']} where no "
        f"maximum exists (method {estimator['method']})."
    )
    yield (
        f"- Intervals: {float(estimator['level']):.0%}, clustered by {' and '.join(estimator['clusters'])} "
        f"({str(estimator['covariance']).upper()}). {plan['simultaneous']}"
    )
    if "not_worse" in plan:
        yield f"- Steps: {plan['not_worse']}."
    yield f"- Exclusions: {plan['exclusions']}"
    yield f"- Stopping: {plan['stopping']}"
    if planned := plan.get("planned"):
        yield from _power(planned, assumptions_of(study) or Assumptions())


def _power(planned: dict[str, Any], assumptions: Assumptions) -> Iterator[str]:
    raters = f"{assumptions.raters:,} raters" if assumptions.raters else "raters without number"
    yield from ("", "## Power", "")
    yield (
        f"Planned: {planned['ballots']:,} ballots, about {planned['rater_hours']:,} hours of raters' time. Assumed: "
        f"{raters}, {assumptions.ties:.0%} ties, votes on one pair and prompt correlate by {assumptions.rho:g}, those "
        f"of one rater on a pair by {assumptions.rater_rho:g}. Two-sided test at {1 - assumptions.level:.3g} with a "
        f"power of {assumptions.power:.0%}."
    )
    yield from ("", "| question | prompts | votes | design effect | smallest win probability told from 50 % |")
    yield "|---|---|---|---|---|"
    for row in planned["power"]:
        seen = f"{row['win_probability']:.1%}" if row["win_probability"] else f"none: {row['why']}"
        counts = f"{row['prompts']:,} | {row['votes']:,} | {row['design_effect']:.2f}"
        yield f"| {_flat(row['question'])} | {counts} | {seen} |"


def _amendments(study: Study) -> Iterator[str]:
    changes = amendments_of(study)
    if not changes:
        return
    yield from ("", "## Amendments", "")
    for change in changes:
        what = ", ".join(
            f"{key} {value}" for key, value in change.items() if key not in ("at", "by", "reason", "recipe")
        )
        yield f"- {change['at'][:16]} by {_flat(change['by'])}: {_flat(what)}. Reason: {_flat(change['reason'])}"


def _flat(text: str) -> str:
    """On one line, so that nobody's text looks like a part of the plan."""
    return " ".join(text.split())
