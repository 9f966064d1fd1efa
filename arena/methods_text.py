"""A methods section written from a study's frozen design and its votes, with what Otani et al. ask every study to say.

Otani et al. 2023 (arXiv 2304.01816) found that papers on text-to-image leave out how people were asked: who, how many,
with which question and options, how often each item, how fast, what they answered and how far they agreed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from django.db.models import Count

from arena import designs, phase_rules
from arena.breakdowns import agreement_of
from arena.charts.words import plural
from arena.counted_votes import counted_votes
from arena.display import DisplayRule
from arena.leaderboard import CriterionResults
from arena.models import Ballot, Criterion, Exclusion, Rater, Study, Vote
from arena.pair_designs import AGAINST_BASELINE, ALL_PAIRS, ONE_FACTOR, joined_later, pair_design_of
from arena.supply import asked_prompts

_PAIR_RULES: Final = {
    designs.UNIFORM: "drawn with equal chances",
    designs.BALANCED: "the one shown least so far on that prompt, equals drawn by lot",
    designs.ADAPTIVE: "drawn with chances that rise with what a vote is expected to tell, mixed with equal chances",
    designs.LMARENA: "drawn with chances that rise with how much a vote narrows the interval of its pair",
}
_PAIRS: Final = {
    ALL_PAIRS: "every two contenders",
    AGAINST_BASELINE: "each contender with the baseline",
    ONE_FACTOR: (
        "contenders that differ in one factor; who differs so from nobody was compared with the baseline, or with "
        "everybody where there is none"
    ),
}
_KINDS: Final = {
    Rater.Kind.INVITED: "invited by link",
    Rater.Kind.SIGNED_IN: "signed in",
    Rater.Kind.ANONYMOUS: "anonymous visitors",
    Rater.Kind.PANEL: "from a panel",
    Rater.Kind.SIMULATED: "simulated (programs, not people)",
}
_NOT_TOLD: Final = {
    "sides": "which image stood on the left",
    "raters": "who gave which vote",
    "prompts": "on which prompt a vote was given",
}
NOT_KNOWN: Final = (
    "how raters were paid, and for how long",
    "where and by which words they were recruited, their country, language and age",
    "whether an ethics board has seen the study",
)
NOT_IN_A_FILE: Final = "how votes were asked for: the questions, instructions, display, order of pairs and checks"


@dataclass(frozen=True)
class MethodsText:
    """paragraphs, and what only the authors can add."""

    paragraphs: tuple[str, ...]
    to_add: tuple[str, ...] = NOT_KNOWN

    @property
    def text(self) -> str:
        missing = "Not known to this platform, to be added: " + "; ".join(self.to_add) + "."
        return "\n\n".join([*self.paragraphs, missing]) + "\n"


def methods_text(study: Study, results: Sequence[CriterionResults]) -> MethodsText:
    """Everything the rows say, and nothing that they do not. Reads the times of all votes: no page in a hurry."""
    is_imported = _is_imported(study)
    paragraphs = [
        *((_imported(study),) if is_imported else (_task(study), _questions(study), _raters(study))),
        *(_votes(study, one) for one in results if one.votes),
        _exclusions(study),
        _analysis(study, results),
    ]
    to_add = (NOT_IN_A_FILE, *NOT_KNOWN) if is_imported else NOT_KNOWN
    return MethodsText(tuple(paragraph for paragraph in paragraphs if paragraph), to_add)


def _is_imported(study: Study) -> bool:
    """Whether all votes come from a file that was no study: the design says nothing of how they were asked for."""
    ballots = Ballot.objects.filter(study=study)
    return ballots.exists() and not ballots.exclude(rule=designs.IMPORTED).exists()


def _imported(study: Study) -> str:
    contenders = list(study.contenders.all())
    labels = "; ".join(contender.label for contender in contenders)
    baseline = next((contender.label for contender in contenders if contender.is_baseline), None)
    names = ", ".join(criterion.name for criterion in study.criteria.all())
    unknown = study.design.get("unknown", [])
    sentences = [
        f"Votes given elsewhere were imported from a file. They compare {plural(len(contenders), 'contender')} "
        f"({labels}{f'; the baseline is {baseline}' if baseline else ''}) by {names}."
    ]
    if unknown:
        sentences.append(f"The file does not tell {' or '.join(_NOT_TOLD[part] for part in unknown)}.")
    return " ".join(sentences)


def _task(study: Study) -> str:
    contenders = list(study.contenders.all())
    labels = "; ".join(contender.label for contender in contenders)
    baseline = next((contender.label for contender in contenders if contender.is_baseline), None)
    samples = int(study.design.get("samples", 1))
    prompts = asked_prompts(study).count()
    rule = DisplayRule.from_json(study.display_rule) if study.display_rule else None
    sentences = [
        f"Raters saw a prompt and two images of it side by side, made by two of {plural(len(contenders), 'contender')} "
        f"({labels}{f'; the baseline is {baseline}' if baseline else ''}) on {plural(prompts, 'prompt')} "
        f"with {plural(samples, 'image')} of each contender a prompt.",
        "Contenders were not named to raters, all images had one size and format, and the seed of a prompt's images "
        "was the same for all contenders that this platform drew.",
        *_pairs(study),
        "A fair coin decided which of two images stood on the left first; after that their sides alternated.",
    ]
    if rule is not None:
        shown = f"{rule.width * rule.enlarge} x {rule.height * rule.enlarge} pixels"
        sentences.append(f"Images were shown at {shown}, made smaller where they were larger, never sharpened.")
    if withdrawn := sum(contender.withdrawn_at is not None for contender in contenders):
        sentences.append(
            f"{plural(withdrawn, 'contender')} {'was' if withdrawn == 1 else 'were'} withdrawn on the way."
        )
    if sampling := study.design.get("sampling"):
        sentences.append(_sampling(sampling))
    return " ".join(sentences)


def _sampling(said: Any) -> str:
    """Which set the prompts are of, and by what rule they were drawn from it."""
    if not isinstance(said, dict) or "set" not in said:
        return f"How prompts were drawn from a larger set: {said}."
    rule = said.get("sample") or {}
    # In an order of ours: PostgreSQL keeps the keys of a JSON object in another one than they came in.
    parts = sorted(rule.items()) if isinstance(rule, dict) else []
    told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in parts)
    how = f"drawn by {told}" if told else "all of them"
    return f"The prompts are of the set “{said['set']}”, version {said.get('version')}: {how}."


def _pairs(study: Study) -> list[str]:
    """Which pairs were compared, and in which order."""
    rule, target = designs.pair_rule_of(study), designs.target_of(study)
    sentences = [
        f"Compared were {_PAIRS[pair_design_of(study)]}. For each ballot a prompt was drawn with equal chances among "
        f"those on which the rater had a pair left; the pair on it was {_PAIR_RULES[rule]}."
    ]
    if rule in designs.PLANNED_RULES:
        sentences.append("Until votes gave such chances, it was the one shown least so far on that prompt.")
    if target is not None:
        sentences.append(
            f"A pair was no longer shown on a prompt once {plural(target, 'rater')} had been asked about it there, and "
            "never twice to one rater."
        )
    if joined := joined_later(study):
        first = (
            "" if rule == designs.BALANCED else "; their pairs came first until shown as often as others on a prompt"
        )
        sentences.append(f"{plural(len(joined), 'contender')} joined after the study had opened{first}.")
    return sentences


def _questions(study: Study) -> str:
    told = []
    for criterion in study.criteria.all():
        asked = f"{criterion.name}: “{criterion.question}” ({_options(criterion)}"
        asked += "" if criterion.shows_prompt else "; asked before the prompt was shown"
        told.append(f"{asked}; on {plural(criterion.study_prompts.count(), 'prompt')})")
    together = "one after the other" if study.rater_rules.get("one_question_at_a_time") else "together on one screen"
    return (
        f"The questions, verbatim and {together}, were: {'; '.join(told)}. A rater could skip a ballot with a reason."
    )


def _options(criterion: Criterion) -> str:
    options = ["left", "right"]
    options += ["tie"] if criterion.allows_tie else []
    options += ["both bad"] if criterion.allows_both_bad else []
    return f"options {', '.join(options)}"


def _raters(study: Study) -> str:
    voted = Rater.objects.filter(study=study, pk__in=Vote.objects.filter(study=study).values("rater"))
    kinds = dict(voted.order_by().values_list("kind").annotate(number=Count("pk")))
    if not kinds:
        return "Nobody has voted yet."
    who = ", ".join(f"{number:,} {_KINDS[Rater.Kind(kind)]}" for kind, number in sorted(kinds.items()))
    rules = study.rater_rules
    quota = rules.get("ballots_per_rater")
    sentences = [
        f"{plural(sum(kinds.values()), 'rater')} voted: {who}.",
        f"A rater answered at most {plural(quota, 'ballot')}."
        if quota
        else "Raters could answer as many as they liked.",
    ]
    if phase_rules.rules_of(study).has_instructions:
        sentences.append("Each read instructions with an example of every question first.")
    if rules.get("qualification"):
        sentences.append("Who did not pass pairs with known answers was not asked further.")
    if rules.get("screening"):
        sentences.append("Questions about the raters themselves came first and could exclude them.")
    checks = [
        f"{rules[name]:.0%} of the ballots {what}"
        for name, what in (("gold_share", "had a known answer"), ("repeat_share", "repeated an earlier one"))
        if rules.get(name)
    ]
    sentences.append(f"As checks, {' and '.join(checks)}." if checks else "No ballots were planted as checks.")
    return " ".join(sentences)


def _votes(study: Study, results: CriterionResults) -> str:
    votes = counted_votes(study).filter(criterion=results.criterion)
    choices = dict(votes.order_by().values_list("choice").annotate(number=Count("pk")))
    total = sum(choices.values())
    words = {"left": "left", "right": "right", "tie": "tie", "both_bad": "both bad"}
    shares = ", ".join(f"{words[each]} {choices[each] / total:.0%}" for each in words if choices.get(each))
    unknown = study.design.get("unknown", [])
    by = "" if "raters" in unknown else f" by {plural(results.raters, 'rater')}"
    on = "" if "prompts" in unknown else f" on {plural(results.prompts, 'prompt')}"
    sentences = [f"{results.criterion.name}: {plural(total, 'vote')}{by}{on}; answers: {shares}."]
    items = _findings(results).get("prompts", {}).get("items")
    if items and on:
        sentences.append(
            f"{plural(items['count'], 'item')} (a pair on a prompt) had {items['fewest']:,} to {items['most']:,} "
            f"votes, median {items['median']:g}."
        )
    times = np.fromiter(
        votes.filter(page_milliseconds__isnull=False).values_list("page_milliseconds", flat=True).iterator(10_000),
        dtype=np.float64,
    )
    if len(times):
        of = "" if len(times) == total else f" (of {plural(len(times), 'answer')} with a time)"
        sentences.append(f"The median time to an answer was {np.median(times) / 1000:.1f} s{of}.")
    agreement = agreement_of(results)
    if agreement is not None and agreement.ordinal.value is not None:
        sentences.append(
            f"Krippendorff's alpha was {agreement.ordinal.number} as ordinal and {agreement.nominal.number} as nominal "
            f"answers, raw agreement {agreement.same} where {agreement.by_chance} would be chance."
        )
    if results.simulated_votes:
        sentences.append(f"{results.simulated_votes:,} of these votes are by simulated raters.")
    return " ".join(sentences)


def _exclusions(study: Study) -> str:
    standing = Exclusion.objects.standing().filter(study=study)
    by_scope = dict(standing.order_by().values_list("scope").annotate(number=Count("pk")))
    if not by_scope:
        return "No votes were excluded."
    what = ", ".join(plural(number, scope) for scope, number in sorted(by_scope.items()))
    votes = Vote.objects.countable().standing().filter(study=study, pk__in=Exclusion.objects.excluded_vote_ids())
    reasons = sorted(set(standing.order_by().values_list("reason", flat=True)))
    taken = plural(votes.count(), "vote")
    return f"Excluded by a person, with a reason each: {what}, {taken} in all ({'; '.join(reasons)})."


def _analysis(study: Study, results: Sequence[CriterionResults]) -> str:
    fit = next((one.fit for one in results if one.fit), None)
    unknown = study.design.get("unknown", [])
    side = "without" if "sides" in unknown else "with"
    cluster = fit.results.get("cluster") if fit else None
    clusters = cluster["by"] if cluster else [name for name in ("rater", "prompt") if f"{name}s" not in unknown]
    sentences = [
        f"Strengths are maximum likelihood estimates of a Bradley-Terry model {side} a term for the side on which an "
        "image stood; a tie counts as half a win for either, and “both bad” as a tie. Where votes bound no strength, "
        "Firth's penalty does.",
        f"{_intervals(clusters)} Ranges of ranks hold for all contenders at once.",
    ]
    if fit is not None:
        sentences.append(f"Computed with Winrate ({fit.code_version}).")
    if study.frozen_digest and study.opened_at:
        sentences.append(
            f"The design was frozen when the study opened on {study.opened_at:%Y-%m-%d} (SHA-256 {study.frozen_digest})"
            f" and amended {plural(study.amendments.count(), 'time')} since."
        )
    else:
        sentences.append("The design is not frozen yet.")
    return " ".join(sentences)


def _intervals(clusters: Sequence[str]) -> str:
    if not clusters:
        return (
            "Intervals hold 95 % where votes do not hang together: the votes name neither raters nor prompts by which "
            "to cluster."
        )
    others = " and ".join(f"other {name}s" for name in clusters)
    by = " and ".join(f"by {name}" for name in clusters)
    return (
        f"Intervals hold 95 % for {others}: jackknifed (CR3) sandwich covariance clustered {by}, with Student's t at "
        "the effective number of clusters."
    )


def _findings(results: CriterionResults) -> Mapping[str, Any]:
    return (results.fit.results.get("findings") if results.fit else None) or {}
