"""What a study's design may say, and its canonical form, which is hashed when the study opens."""

from collections import defaultdict
from typing import Any

from arena import privacy_rules
from arena.models import Criterion, Study, StudyPrompt
from arena.pair_designs import ALL_PAIRS, PAIR_DESIGNS, joined_later
from arena.phase_rules import PHASE_RULES, check_phase_rules
from arena.planning_assumptions import check_assumptions
from arena.refusals import StudyError as StudyError
from generation.models import Prompt
from generation.provenance import digest_of

UNIFORM, BALANCED, ADAPTIVE, LMARENA = "uniform", "balanced", "adaptive", "lmarena"
PAIR_RULES = (UNIFORM, BALANCED, ADAPTIVE, LMARENA)
PLANNED_RULES = (ADAPTIVE, LMARENA)  # those that look at the votes so far
IMPORTED = "imported"  # of votes from a file: nobody here chose their pairs
FORMER_NAMES = {"prompt_then_least_seen": BALANCED}  # what studies that opened earlier have in their frozen design
DEFAULT_DESIGN: dict[str, Any] = {"pair_rule": BALANCED, "samples": 1}
# ballots_wanted is what the study hopes for in all, target_votes what it wants of each pair on each prompt and
# criterion before it stops asking; sampling says how its prompts were drawn from a larger set.
SWITCHES = ("counts_rule_ties", "counts_anonymous")
# unknown: what votes from elsewhere do not say, so that no fit may take what stands in its place for true.
# pairs says which pairs are compared at all (arena/pair_designs.py); protocol which published one it began from;
# planning what the plan assumes and hypotheses what its owner expects (arena/planning_assumptions.py); analysis is
# written when the study opens (arena/analysis_plans.py).
KNOWN_DESIGN = {
    *(*DEFAULT_DESIGN, *SWITCHES, "pairs", "ballots_wanted", "target_votes", "sampling", "unknown"),
    *("protocol", "planning", "hypotheses", "analysis"),
}
UNKNOWNS = ("sides", "raters", "prompts")
DEFAULT_RATER_RULES: dict[str, Any] = {"ballots_per_rater": 40, "instructions": True}
# one_question_at_a_time: the page shows a ballot's questions one after the other; left out, all on one screen.
# gold_share, repeat_share: which share of a rater's ballots has a known answer, and which repeats an earlier one.
# gold_bar: which share of the known answers a panel's rater must have right for the panel's "completed" code.
SHARES = ("gold_share", "repeat_share")
KNOWN_RATER_RULES = {*DEFAULT_RATER_RULES, *SHARES, "gold_bar", "one_question_at_a_time"}
MOST_CHECKED = 0.5
MOST_SAMPLES = 16
MOST_TARGET = 10_000


def frozen_design(study: Study) -> dict[str, Any]:
    """Everything that decides what raters are asked and shown, without database ids, so that two hosts agree on it.

    As it was when the study opened: contenders that joined later stand in the amendments.
    """
    joined = joined_later(study)
    asked: dict[int, list[str]] = defaultdict(list)
    links = StudyPrompt.criteria.through._default_manager.filter(studyprompt__study=study)
    for prompt, key in links.values_list("studyprompt_id", "criterion__key").iterator(chunk_size=10_000):
        asked[prompt].append(key)
    prompts = study.study_prompts.values_list("pk", "prompt__text", "prompt__target_text", "stratum")
    return {
        "design": study.design,
        "display_rule": study.display_rule,
        "rater_rules": study.rater_rules,
        "criteria": [
            {
                "key": criterion.key,
                "question": criterion.question,
                "allows_tie": criterion.allows_tie,
                "allows_both_bad": criterion.allows_both_bad,
                "shows_prompt": criterion.shows_prompt,
                "applies_to": criterion.applies_to,
                "categories": criterion.categories,
            }
            for criterion in study.criteria.order_by("position")
        ],
        "contenders": [
            {"label": contender.label, "recipe": contender.recipe.digest, "is_baseline": contender.is_baseline}
            for contender in study.contenders.select_related("recipe").order_by("position")
            if contender.pk not in joined
        ],
        "prompts": [
            {
                "text": text,
                "target_text": target_text,
                "stratum": stratum,
                "criteria": sorted(asked[pk]),
            }
            for pk, text, target_text, stratum in prompts.order_by("position")
        ],
    }


def design_digest(study: Study) -> str:
    """sha256 of the canonical design; equals `frozen_digest` as long as nobody reached behind the acts."""
    return digest_of(frozen_design(study))


def criterion_applies(criterion: Criterion, prompt: Prompt) -> bool:
    """Whether this question makes sense for this prompt."""
    if criterion.applies_to == Criterion.AppliesTo.HAS_TEXT:
        return bool(prompt.target_text)
    if criterion.applies_to == Criterion.AppliesTo.CATEGORIES:
        return prompt.category in criterion.categories
    return True


def checked_design(design: dict[str, Any], *, is_imported: bool = False) -> dict[str, Any]:
    """The design with its defaults filled in. is_imported: votes come from elsewhere and may leave things unsaid."""
    full = {**DEFAULT_DESIGN, **design}
    if unknown := sorted(set(full) - KNOWN_DESIGN):
        raise StudyError(
            f"The design has an unknown entry {unknown[0]!r}; known are {', '.join(sorted(KNOWN_DESIGN))}.",
            code="unknown_design_entry",
            field="design",
        )
    full["pair_rule"] = _checked_pair_rule(full["pair_rule"])
    if not _is_count(full["samples"]) or full["samples"] > MOST_SAMPLES:
        raise StudyError(
            f"The number of samples must be a whole number from 1 to {MOST_SAMPLES}.",
            code="bad_samples",
            field="design",
        )
    target = full.get("target_votes")
    if target is not None and (not _is_count(target) or target > MOST_TARGET):
        raise StudyError(
            f"The design's target_votes must be a whole number from 1 to {MOST_TARGET:,}, or left out for no target.",
            code="bad_target",
            field="design",
        )
    if full.get("pairs", ALL_PAIRS) not in PAIR_DESIGNS:
        raise StudyError(
            f"The design's pairs must be one of {', '.join(PAIR_DESIGNS)}, not {str(full['pairs'])[:50]!r}.",
            code="unknown_pairs",
            field="design",
        )
    wanted = full.get("ballots_wanted")
    if wanted is not None and not _is_count(wanted):
        raise StudyError(
            "The design's ballots_wanted must be a whole number above 0, or left out.",
            code="bad_ballots_wanted",
            field="design",
        )
    check_assumptions(full)
    unknown_parts = full.get("unknown", [])
    if not isinstance(unknown_parts, list) or [part for part in unknown_parts if part not in UNKNOWNS]:
        raise StudyError(
            f"The design's unknown is a list of {', '.join(UNKNOWNS)}; leave it out where all is known.",
            code="bad_unknown",
            field="design",
        )
    if unknown_parts and not is_imported:
        raise StudyError(
            "The design's unknown is for imported votes alone: votes given here say all. Leave it out.",
            code="bad_unknown",
            field="design",
        )
    for switch in SWITCHES:
        if not isinstance(full.get(switch, True), bool):
            raise StudyError(f"The design's {switch} must be true or false.", code="bad_switch", field="design")
    return full


def pair_rule_of(study: Study) -> str:
    """The rule by which the study's pairs are chosen, under its name of now."""
    rule = str(study.design.get("pair_rule", BALANCED))
    return FORMER_NAMES.get(rule, rule)


def newcomers_first(rule: str) -> str:
    """The rule's name where contenders that joined late were behind."""
    return f"{rule}, newcomers first"


def balanced_so_far(rule: str) -> str:
    """The name of a rule with a plan while there is none that knows all contenders."""
    return f"{rule}, {BALANCED} so far"


def target_of(study: Study) -> int | None:
    """How many raters shall compare each pair of contenders on each prompt; None for no limit."""
    target = study.design.get("target_votes")
    return None if target is None else int(target)


def _checked_pair_rule(rule: object) -> str:
    name = FORMER_NAMES.get(rule, rule) if isinstance(rule, str) else rule
    if name not in PAIR_RULES:
        raise StudyError(
            f"The design's pair_rule must be one of {', '.join(PAIR_RULES)}, not {str(rule)[:50]!r}.",
            code="unknown_pair_rule",
            field="design",
        )
    return str(name)


def checked_rater_rules(rules: dict[str, Any]) -> dict[str, Any]:
    """The rater rules with their defaults filled in."""
    full = {**DEFAULT_RATER_RULES, **rules}
    if unknown := sorted(set(full) - KNOWN_RATER_RULES - privacy_rules.PRIVACY_RULES - PHASE_RULES):
        raise StudyError(
            f"The rater rules have an unknown entry {unknown[0]!r}.", code="unknown_rule", field="rater_rules"
        )
    if full["ballots_per_rater"] is not None and not _is_count(full["ballots_per_rater"]):
        raise StudyError(
            "Ballots per rater must be a whole number above 0, or empty for no limit.",
            code="bad_quota",
            field="rater_rules",
        )
    check_phase_rules(full)
    if not isinstance(full.get("one_question_at_a_time", False), bool):
        raise StudyError("One question at a time must be true or false.", code="bad_question_rule", field="rater_rules")
    for code, sentence in privacy_rules.faults(full):
        raise StudyError(sentence, code=code, field="rater_rules")
    shares = [full.get(name, 0) for name in SHARES]
    if not all(_is_share(share) for share in shares) or sum(shares) > MOST_CHECKED:
        raise StudyError(
            f"The rater rules {' and '.join(SHARES)} must be shares from 0 on, at most {MOST_CHECKED} together: "
            "the rest of the ballots is what a study is about.",
            code="bad_shares",
            field="rater_rules",
        )
    bar = full.get("gold_bar")
    if bar is not None and not (_is_share(bar) and bar > 0):
        raise StudyError(
            "The rater rule gold_bar must be a share above 0 and up to 1, or left out.",
            code="bad_gold_bar",
            field="rater_rules",
        )
    return full


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
