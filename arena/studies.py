"""A study's life: create, open (freeze and hash), pause, resume, close; every act leaves an audit event."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from arena import analysis_plans, display, pair_designs
from arena.audit import note
from arena.criteria import CriterionSpec
from arena.designs import StudyError, checked_design, checked_rater_rules, criterion_applies, design_digest
from arena.models import Contender, Criterion, Study, StudyPrompt
from arena.phase_rules import check_against_study
from arena.supply import asked_prompts, images_of, live_contenders, samples_of
from generation import planning
from generation.errors import GenerationError
from generation.models import Checkpoint, Prompt, Recipe, Run
from generation.run_plans import RunPlan, plan_run


@dataclass(frozen=True)
class ContenderSpec:
    """A recipe with the name researchers will see."""

    label: str
    recipe: Recipe
    is_baseline: bool = False


@dataclass(frozen=True)
class Readiness:
    """How far a study's images are: wanted, made, with a rater's copy, and taken out."""

    wanted: int
    made: int
    showable: int
    quarantined: int

    @property
    def is_complete(self) -> bool:
        return self.showable + self.quarantined >= self.wanted


def create_study(
    *,
    slug: str,
    name: str,
    owner: User | None,
    prompts: Sequence[Prompt],
    contenders: Sequence[ContenderSpec],
    criteria: Sequence[CriterionSpec],
    design: dict[str, Any] | None = None,
    display_rule: dict[str, Any] | None = None,
    rater_rules: dict[str, Any] | None = None,
    description: str = "",
    is_imported: bool = False,
) -> Study:
    """A draft study with everything in the order given. What is left out takes its default.

    is_imported: its votes come from elsewhere, so that its design may name what they do not say
    """
    if not re.fullmatch(r"[-a-zA-Z0-9_]{1,100}", slug):
        raise StudyError(
            "The short name has 1 to 100 letters, digits, hyphens or underscores.", code="bad_slug", field="slug"
        )
    if there := Study.objects.filter(slug=slug).first():
        raise StudyError(why_taken(there), code="slug_taken", field="slug")
    _check_parts(prompts=prompts, contenders=contenders, criteria=criteria)
    rule = display_rule or display.default_display_rule(contender.recipe for contender in contenders).to_json()
    with transaction.atomic():
        study = Study.objects.create(
            slug=slug,
            name=name,
            description=description,
            owner=owner,
            design=checked_design(design or {}, is_imported=is_imported),
            display_rule=display.DisplayRule.from_json(rule).to_json(),
            rater_rules=checked_rater_rules(rater_rules or {}),
        )
        _store_parts(study, prompts=prompts, contenders=contenders, criteria=criteria)
        note(study, owner, "study created", slug=slug)
    return study


def why_taken(study: Study) -> str:
    """What to do where this study has the short name that somebody wants."""
    if study.taking_in:
        return (
            f"The short name {study.slug!r} is kept for an import that is not whole yet: "
            "import that file again to go on, or choose another short name."
        )
    return f"There is a study {study.slug!r} already: choose another short name."


def rewrite_draft(
    study: Study,
    *,
    actor: User | None,
    name: str,
    description: str,
    prompts: Sequence[Prompt] | None,
    contenders: Sequence[ContenderSpec],
    criteria: Sequence[CriterionSpec],
    design: dict[str, Any],
    rater_rules: dict[str, Any],
    display_rule: dict[str, Any] | None = None,
) -> Study:
    """Put all parts of a draft anew; without prompts it keeps those that it has. An opened study is frozen."""
    _check_parts(prompts=prompts, contenders=contenders, criteria=criteria)
    rule = display_rule or display.default_display_rule(contender.recipe for contender in contenders).to_json()
    with transaction.atomic():
        study = _locked(study)
        _check_draft(study)
        if study.golds.exists():
            raise StudyError(
                f"The draft {study.name!r} has known answers, which name its contenders and prompts: open it as it is, "
                "or make a new draft from its design file.",
                code="has_golds",
            )
        study.name, study.description = name, description
        study.design, study.rater_rules = checked_design(design), checked_rater_rules(rater_rules)
        study.display_rule = display.DisplayRule.from_json(rule).to_json()
        study.save(update_fields=["name", "description", "design", "rater_rules", "display_rule"])
        study.criteria.all().delete()
        study.contenders.all().delete()
        if prompts is not None:
            study.study_prompts.all().delete()
        _store_parts(study, prompts=prompts or (), contenders=contenders, criteria=criteria)
        note(study, actor, "draft rewritten", contenders=len(contenders), criteria=len(criteria))
    return study


def change_draft(
    study: Study,
    *,
    actor: User | None,
    design: dict[str, Any] | None = None,
    display_rule: dict[str, Any] | None = None,
    rater_rules: dict[str, Any] | None = None,
) -> Study:
    """Change the design of a study that has not opened. An opened one is frozen: its votes were given under it."""
    with transaction.atomic():
        study = _locked(study)
        _check_draft(study)
        if design is not None:
            study.design = checked_design(design)
        if display_rule is not None:
            study.display_rule = display.DisplayRule.from_json(display_rule).to_json()
        if rater_rules is not None:
            study.rater_rules = checked_rater_rules(rater_rules)
        study.save(update_fields=["design", "display_rule", "rater_rules"])
        changed = {"design": design, "display_rule": display_rule, "rater_rules": rater_rules}
        note(study, actor, "draft changed", **{key: value for key, value in changed.items() if value is not None})
    return study


def open_study(study: Study, *, actor: User | None) -> Study:
    """Resolve which criteria apply to which prompt, freeze and hash design and analysis plan, and let raters in.

    Images may still be in the making: a pair is offered as soon as both of its images can be shown.
    """
    with transaction.atomic():
        study = _locked(study)
        _check_state(study, Study.State.DRAFT, act="opened")
        asked = _resolve_criteria(study)
        _check_openable(study, asked=asked)
        study.rater_rules = checked_rater_rules(study.rater_rules)  # a draft may be older than one of the rules
        check_against_study(study)
        pair_designs.check_pairs(pair_designs.pair_design_of(study), pair_designs.corners_of(study))
        study.design = {**study.design, "analysis": analysis_plans.analysis_of(study)}
        study.frozen_digest = design_digest(study)
        study.state = Study.State.OPEN
        study.opened_at = timezone.now()
        study.save(update_fields=["design", "rater_rules", "frozen_digest", "state", "opened_at"])
        note(study, actor, "study opened", frozen_digest=study.frozen_digest, prompts_asked=asked)
    return study


def pause_study(study: Study, *, actor: User | None) -> Study:
    """Stop handing out and taking ballots, for now."""
    return _move(study, actor=actor, sources=(Study.State.OPEN,), target=Study.State.PAUSED, act="paused")


def resume_study(study: Study, *, actor: User | None) -> Study:
    """Go on after a pause."""
    return _move(study, actor=actor, sources=(Study.State.PAUSED,), target=Study.State.OPEN, act="resumed")


def close_study(study: Study, *, actor: User | None) -> Study:
    """End voting for good."""
    sources = (Study.State.OPEN, Study.State.PAUSED)
    return _move(study, actor=actor, sources=sources, target=Study.State.CLOSED, act="closed")


def plan_images(study: Study) -> RunPlan:
    """What asking for the study's images would cost. Raises GenerationError where there is nothing to ask for."""
    return plan_run(**_wanted(study))


def ask_for_images(study: Study) -> Run:
    """The study's run, asked for every image that the study wants; repeating it changes nothing.

    A cancelled run is left as it is and a new one takes its place. Images of services are imported, not asked for.
    """
    wanted = _wanted(study)
    if study.run is not None and study.run.cancelled_at is None:
        planning.add_to_run(study.run, **wanted)
        return study.run
    run = planning.start_run(name=study.name, owner=study.owner, **wanted)
    study.run = run
    study.save(update_fields=["run"])
    return run


def _wanted(study: Study) -> dict[str, Any]:
    """Recipes, prompt texts and samples. A recipe that was refused stops none of the others."""
    live = live_contenders(study).select_related("recipe__schedule", "recipe__checkpoint")
    live = live.exclude(recipe__kind=Recipe.Kind.EXTERNAL)
    recipes = [contender.recipe for contender in live.order_by("position")]
    usable = [recipe for recipe in recipes if recipe.state != Recipe.State.REFUSED]
    checkpoints = [recipe.checkpoint for recipe in usable if recipe.checkpoint is not None]
    refused = [one for one in checkpoints if one.state == Checkpoint.State.REFUSED]
    if refused and len(refused) == len(usable):
        raise GenerationError(f"No image of this study can be made here: {refused[0].refusal}")
    texts = asked_prompts(study).order_by("position").values_list("prompt__text", flat=True)
    return {"recipes": usable or recipes, "prompt_texts": list(texts), "samples": samples_of(study)}


def readiness(study: Study) -> Readiness:
    """Images done and wanted. Prompts that share a text share their images."""
    texts = asked_prompts(study).values("prompt__text_digest").distinct().count()
    images = images_of(study)
    return Readiness(
        wanted=texts * live_contenders(study).count() * samples_of(study),
        made=images.count(),
        showable=display.with_copies(images, study=study).count(),
        quarantined=images.filter(is_quarantined=True).count(),
    )


def _locked(study: Study) -> Study:
    study = Study.objects.select_for_update().get(pk=study.pk)
    if study.taking_in:
        raise StudyError(
            f"The study {study.slug!r} is not whole yet: import its file again to go on where that ended.",
            code="being_taken_in",
        )
    return study


def _check_draft(study: Study) -> None:
    if study.state != Study.State.DRAFT:
        raise StudyError(
            f"The study {study.name!r} has opened and its design is frozen: make a new study to change it.",
            code="study_frozen",
        )


def _store_parts(
    study: Study, *, prompts: Sequence[Prompt], contenders: Sequence[ContenderSpec], criteria: Sequence[CriterionSpec]
) -> None:
    Criterion.objects.bulk_create(
        Criterion(
            study=study,
            position=position,
            key=spec.key,
            name=spec.name,
            question=spec.question,
            allows_tie=spec.allows_tie,
            allows_both_bad=spec.allows_both_bad,
            shows_prompt=spec.shows_prompt,
            applies_to=spec.applies_to,
            categories=list(spec.categories),
        )
        for position, spec in enumerate(criteria)
    )
    Contender.objects.bulk_create(
        Contender(study=study, position=position, recipe=spec.recipe, label=spec.label, is_baseline=spec.is_baseline)
        for position, spec in enumerate(contenders)
    )
    StudyPrompt.objects.bulk_create(
        StudyPrompt(study=study, position=position, prompt=prompt, stratum=prompt.category)
        for position, prompt in enumerate(prompts)
    )


def _check_state(study: Study, *allowed: Study.State, act: str) -> None:
    if study.state not in allowed:
        raise StudyError(f"The study {study.name!r} is {study.state} and cannot be {act}.", code="wrong_state")


def _move(
    study: Study, *, actor: User | None, sources: tuple[Study.State, ...], target: Study.State, act: str
) -> Study:
    with transaction.atomic():
        study = _locked(study)
        _check_state(study, *sources, act=act)
        study.state = target
        if target == Study.State.CLOSED:
            study.closed_at = timezone.now()
        study.save(update_fields=["state", "closed_at"])
        note(study, actor, f"study {act}")
    return study


def _resolve_criteria(study: Study) -> int:
    """Store which criteria apply to each prompt; returns on how many prompts anything is asked."""
    criteria = list(study.criteria.all())
    pairs = [
        (row.pk, criterion.pk)
        for row in study.study_prompts.select_related("prompt")
        for criterion in criteria
        if criterion_applies(criterion, row.prompt)
    ]
    through = StudyPrompt.criteria.through
    links = through._default_manager
    links.filter(studyprompt__study=study).delete()
    rows = (through(studyprompt_id=prompt, criterion_id=criterion) for prompt, criterion in pairs)
    links.bulk_create(rows, batch_size=1000)
    return len({prompt for prompt, _ in pairs})


def _check_openable(study: Study, *, asked: int) -> None:
    if not asked:
        raise StudyError(
            f"No criterion of {study.name!r} applies to any of its prompts: add a criterion for all prompts, or "
            "prompts with text to render.",
            code="nothing_to_ask",
            field="criteria",
        )
    live = live_contenders(study).select_related("recipe")
    if len(live) < 2:
        raise StudyError(
            "A study compares at least two contenders: add one.", code="too_few_contenders", field="contenders"
        )
    for contender in live:
        if contender.recipe.state == Recipe.State.REFUSED:
            raise StudyError(
                f"The recipe of {contender.label!r} was refused ({contender.recipe.refusal}): correct or remove it.",
                code="recipe_refused",
                field="contenders",
            )


def _check_parts(
    *, prompts: Sequence[Prompt] | None, contenders: Sequence[ContenderSpec], criteria: Sequence[CriterionSpec]
) -> None:
    if prompts is not None and not prompts:
        raise StudyError("A study needs at least one prompt.", code="no_prompts", field="prompts")
    if not criteria:
        raise StudyError("A study needs at least one criterion.", code="no_criteria", field="criteria")
    if len(contenders) < 2:
        raise StudyError(
            "A study compares at least two contenders: add one.", code="too_few_contenders", field="contenders"
        )
    if sum(contender.is_baseline for contender in contenders) > 1:
        raise StudyError("Only one contender can be the baseline.", code="two_baselines", field="contenders")
    _check_distinct("prompt", [prompt.pk for prompt in prompts or ()], field="prompts")
    _check_distinct("contender label", [contender.label for contender in contenders], field="contenders")
    _check_distinct("recipe", [contender.recipe.pk for contender in contenders], field="contenders")
    _check_distinct("criterion key", [criterion.key for criterion in criteria], field="criteria")


def _check_distinct(what: str, values: Sequence[object], *, field: str) -> None:
    seen: set[object] = set()
    for position, value in enumerate(values, start=1):
        if value in seen:
            raise StudyError(
                f"The {what} in place {position} ({value}) stands twice: remove one.", code="twice", field=field
            )
        seen.add(value)
