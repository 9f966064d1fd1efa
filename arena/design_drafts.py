"""The designer's forms together: filled from nothing, a protocol or a draft, and read back as a design file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User
from django.http import QueryDict

from arena.contender_wishes import wishes_of
from arena.criteria import PRESETS
from arena.design_files import PlannedStudy, planned_study
from arena.design_forms import CriterionFormSet, DesignForm, rows_of_criteria
from arena.designs import BALANCED
from arena.display import default_display_rule
from arena.models import Study
from arena.pair_designs import ALL_PAIRS
from arena.planning_assumptions import Assumptions
from arena.prompt_forms import SampleForm, initial_of
from arena.protocols import PROTOCOLS, Protocol
from arena.refusals import StudyError
from generation.models import PromptSet, Recipe
from generation.prompt_sampling import SampleError, SampleRule

OWN_RULES: Final = (
    *("ballots_per_rater", "gold_share", "repeat_share", "instructions", "one_question_at_a_time", "requires_login"),
)
USUAL_SIDE: Final = 1024


@dataclass
class DesignDraft:
    """The forms of one page, and the draft they are about; None for a new study."""

    form: DesignForm
    sample: SampleForm
    criteria: Any
    study: Study | None = None

    @property
    def protocol(self) -> Protocol | None:
        return PROTOCOLS.get(str(self.form["protocol"].value() or ""))

    def is_valid(self) -> bool:
        """Whether every field can be read; what only shows together, `planned` refuses."""
        return all([self.form.is_valid(), self.sample.is_valid(), self.criteria.is_valid()])

    def as_design(self) -> dict[str, Any]:
        """The design file that the forms stand for."""
        said = self.form.cleaned_data
        design: dict[str, Any] = {name: said[name] for name in ("pairs", "pair_rule", "samples")}
        for name in ("target_votes", "ballots_wanted", "protocol", "hypotheses"):
            if said[name]:
                design[name] = said[name]
        design["planning"] = _planning(said)
        kept = self.study.design if self.study else {}
        design |= {name: kept[name] for name in ("counts_rule_ties", "counts_anonymous") if name in kept}
        deleted = self.criteria.deleted_forms
        rows = [
            form.as_row() for form in self.criteria.forms if form not in deleted and form.cleaned_data.get("question")
        ]
        return {
            "slug": self.study.slug if self.study else said["slug"],
            "name": said["name"],
            "description": said["description"],
            **self._prompts(),
            **self._display_rule(),
            "contenders": [{"recipe": recipe.digest} for recipe in said["recipes"]],
            "sweeps": _sweeps(said),
            "labels": said["labels"],
            "baseline": said["baseline"],
            "criteria": rows,
            "design": design,
            "rater_rules": _rater_rules(said),
        }

    def planned(self, user: User) -> PlannedStudy:
        """The study that the forms stand for. Raises StudyError."""
        keeps = self.study is not None
        return planned_study(self.as_design(), owner=user, keeps_prompts=keeps, kept_recipes=self._kept())

    def contender_names(self, user: User) -> list[str]:
        """Who may be the baseline; nobody while the forms cannot be read."""
        if not self.is_valid():
            return []
        try:
            return [one.label for one in wishes_of(self.as_design() | {"baseline": ""}, owner=user, kept=self._kept())]
        except (StudyError, SampleError):
            return []

    def _kept(self) -> frozenset[str]:
        """Recipes that the draft has already: they stay, whoever they belong to."""
        return frozenset(self.study.contenders.values_list("recipe__digest", flat=True)) if self.study else frozenset()

    def take_refusal(self, refusal: StudyError) -> None:
        """Put a sentence to the field that it is about."""
        fields = {"contenders": "recipes", "sweeps": "steps", "prompts": "prompt_set", "design": "pairs"}
        name = fields.get(refusal.field, refusal.field)
        self.form.add_error(name if name in self.form.fields else None, refusal.sentence)

    def _display_rule(self) -> dict[str, Any]:
        """A draft's own rule stays; the usual one follows the contenders."""
        if self.study is None:
            return {}
        recipes = [one.recipe for one in self.study.contenders.select_related("recipe")]
        is_usual = recipes and default_display_rule(recipes).to_json() == self.study.display_rule
        return {} if is_usual else {"display_rule": self.study.display_rule}

    def _prompts(self) -> dict[str, Any]:
        prompt_set: PromptSet | None = self.form.cleaned_data["prompt_set"]
        if prompt_set is None:
            return {}
        rule = self.sample.rule()
        return {"prompts": {"set": prompt_set.name, "version": prompt_set.version, "sample": rule.to_json()}}


def new_design(user: User, query: QueryDict, data: QueryDict | None = None) -> DesignDraft:
    """The forms of a new study: from a protocol and a draw that the address names, or from what was sent."""
    if data is not None:
        return _bound(user, data, None)
    protocol = PROTOCOLS.get(query.get("protocol", ""))
    initial = _usual() | (_of_protocol(protocol) if protocol else {})
    prompt_set = _prompt_set(user, query.get("prompts", ""))
    initial["prompt_set"] = prompt_set
    drawn = SampleForm(query, prompt_set=prompt_set)
    sample: dict[str, Any] = {"seed": 1, "stratified": True, "text": "any"}
    if prompt_set is not None and "seed" in query and drawn.is_valid():
        sample = initial_of(drawn.rule())
    elif protocol and protocol.sample:
        sample["count"] = protocol.sample
    criteria = protocol.criteria if protocol else PRESETS["sd3"]
    return DesignDraft(
        form=DesignForm(initial=initial, user=user),
        sample=SampleForm(initial=sample, prompt_set=prompt_set, prefix="sample"),
        criteria=CriterionFormSet(initial=rows_of_criteria(criteria), prefix="criteria"),
    )


def draft_design(user: User, study: Study, data: QueryDict | None = None) -> DesignDraft:
    """The forms of a draft, as it is stored or as they were sent."""
    if data is not None:
        return _bound(user, data, study)
    sampling = study.design.get("sampling", {})
    prompt_set, rule = _sampled(user, sampling)
    return DesignDraft(
        form=DesignForm(initial=_of_study(study) | {"prompt_set": prompt_set}, user=user, study=study),
        sample=SampleForm(initial=initial_of(rule), prompt_set=prompt_set, prefix="sample"),
        criteria=CriterionFormSet(
            initial=rows_of_criteria(list(study.criteria.order_by("position"))), prefix="criteria"
        ),
        study=study,
    )


def _bound(user: User, data: QueryDict, study: Study | None) -> DesignDraft:
    prompt_set = _prompt_set(user, data.get("prompt_set", ""))
    return DesignDraft(
        form=DesignForm(data, user=user, study=study),
        sample=SampleForm(data, prompt_set=prompt_set, prefix="sample"),
        criteria=CriterionFormSet(data, prefix="criteria"),
        study=study,
    )


def _prompt_set(user: User, said: str) -> PromptSet | None:
    if not (said.isascii() and said.isdigit() and len(said) < 10):
        return None
    return PromptSet.objects.visible_to(user).filter(pk=said).first()


def _sampled(user: User, sampling: Mapping[str, Any]) -> tuple[PromptSet | None, SampleRule]:
    """The set and rule of a draft; none where it was made without, or the set can no longer be seen."""
    if not isinstance(sampling, dict) or "set" not in sampling:
        return None, SampleRule(seed=1)
    visible = PromptSet.objects.visible_to(user)
    found = visible.filter(name=str(sampling["set"]), version=int(sampling.get("version", 0))).first()
    try:
        return found, SampleRule.from_json(sampling.get("sample", {}))
    except SampleError:
        return None, SampleRule(seed=1)


def _usual() -> dict[str, Any]:
    newest = Recipe.objects.filter(kind=Recipe.Kind.GENERATED).order_by("-pk").values_list("width", "height").first()
    width, height = newest or (USUAL_SIDE, USUAL_SIDE)
    return {
        **{"pairs": ALL_PAIRS, "pair_rule": BALANCED, "samples": 1, "target_votes": 3, "ballots_per_rater": 40},
        **{"instructions": True, "width": width, "height": height},
        **_assumed(Assumptions()),
    }


def _assumed(assumptions: Assumptions) -> dict[str, Any]:
    return {
        "raters": assumptions.raters,
        "seconds_per_ballot": assumptions.seconds_per_ballot,
        "ties": round(100 * assumptions.ties, 6),
        "rho": assumptions.rho,
        "rater_rho": assumptions.rater_rho,
        "margin": round(100 * assumptions.margin, 6),
    }


def _of_protocol(protocol: Protocol) -> dict[str, Any]:
    ties = any(one.allows_tie for one in protocol.criteria)
    return {
        "protocol": protocol.name,
        **protocol.design,
        **_rules_as_typed(protocol.rater_rules),
        **({} if ties else {"ties": 0}),
    }


def _of_study(study: Study) -> dict[str, Any]:
    contenders = list(study.contenders.select_related("recipe").order_by("position"))
    design = study.design
    return {
        "name": study.name,
        "slug": study.slug,
        "description": study.description,
        "recipes": [one.recipe_id for one in contenders],
        "labels": "\n".join(f"{one.recipe.name} = {one.label}" for one in contenders if one.label != one.recipe.name),
        "baseline": next((one.label for one in contenders if one.is_baseline), ""),
        "pairs": design.get("pairs", ALL_PAIRS),
        **{name: design.get(name) for name in ("pair_rule", "samples", "target_votes", "ballots_wanted")},
        **{name: design.get(name, "") for name in ("protocol", "hypotheses")},
        "instructions": True,
        **_rules_as_typed(study.rater_rules),
        **_assumed(Assumptions.from_json(design.get("planning", {}))),
        "width": contenders[0].recipe.width if contenders else USUAL_SIDE,
        "height": contenders[0].recipe.height if contenders else USUAL_SIDE,
    }


def _rules_as_typed(rules: Mapping[str, Any]) -> dict[str, Any]:
    typed = {name: rules[name] for name in OWN_RULES if name in rules}
    for name in ("gold_share", "repeat_share"):
        if name in typed:
            typed[name] = round(100 * typed[name], 6)
    rest = {name: value for name, value in rules.items() if name not in OWN_RULES}
    return typed | ({"more_rules": json.dumps(rest, ensure_ascii=False, indent=1)} if rest else {})


def _planning(said: Mapping[str, Any]) -> dict[str, Any]:
    names = ("raters", "seconds_per_ballot", "rho", "rater_rho")
    planned = {name: said[name] for name in names} | {"ties": (said["ties"] or 0) / 100}
    return planned | ({"margin": said["margin"] / 100} if said["margin"] else {})


def _sweeps(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not said["checkpoints"]:
        return []
    row: dict[str, Any] = {name: said[name] for name in ("steps", "shifts", "guidances", "width", "height")}
    if said["scheduler_class"]:
        row["scheduler_class"] = said["scheduler_class"]
    return [row | {"checkpoints": [one.name for one in said["checkpoints"]]}]


def _rater_rules(said: Mapping[str, Any]) -> dict[str, Any]:
    rules: dict[str, Any] = {"ballots_per_rater": said["ballots_per_rater"]}
    for name in ("gold_share", "repeat_share"):
        if said[name]:
            rules[name] = said[name] / 100
    rules |= {name: True for name in ("one_question_at_a_time", "requires_login") if said[name]}
    if not said["instructions"]:
        rules["instructions"] = False
    if clash := sorted(set(said["more_rules"]) & set(OWN_RULES)):
        raise StudyError(
            f"“{clash[0]}” has a field of its own: take it out of the other rules.", code="twice", field="more_rules"
        )
    rules.update(said["more_rules"])
    return rules
