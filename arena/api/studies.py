"""Studies: made, opened, paused, closed; what they lack, what they found, and their votes as files."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import Field

from arena import external_contenders, fitting, studies
from arena.api.access import person, researchers_only
from arena.api.making import RunOut, visible_recipes
from arena.api.problems import REFUSALS, Problem, ProblemError
from arena.api.prompt_sets import Page
from arena.criteria import PRESETS, CriterionSpec
from arena.models import Study
from generation.models import Prompt, PromptSet, Recipe

router = Router(tags=["studies"])


class Gap(Schema):
    """A contender some of whose images are missing; the first of them are named."""

    contender: str
    is_external: bool
    missing_count: int
    missing: list[str]


class StudyCoverage(Schema):
    """How many images a study has and lacks. Pairs with a missing image are not offered."""

    wanted: int
    made: int
    showable: int
    quarantined: int
    gaps: list[Gap]


class CriterionOut(Schema):
    """One question."""

    key: str
    name: str
    question: str
    allows_tie: bool
    allows_both_bad: bool
    shows_prompt: bool


class StudyContender(Schema):
    """A contender of a study."""

    label: str
    recipe: int = Field(validation_alias="recipe_id")
    is_baseline: bool
    withdrawn_at: datetime | None


class StudyLine(Schema):
    """A study in a list."""

    slug: str
    name: str
    state: str
    created_at: datetime


class Studies(Schema):
    """A part of the list of studies."""

    count: int
    items: list[StudyLine]


class StudyOut(StudyLine):
    """A study with what it asks of whom."""

    description: str
    frozen_digest: str
    opened_at: datetime | None
    closed_at: datetime | None
    design: dict[str, Any]
    rater_rules: dict[str, Any]
    criteria: list[CriterionOut]
    contenders: list[StudyContender]
    prompt_count: int
    vote_count: int

    @staticmethod
    def resolve_criteria(study: Study) -> list[Any]:
        return list(study.criteria.all())

    @staticmethod
    def resolve_contenders(study: Study) -> list[Any]:
        return list(study.contenders.all())

    @staticmethod
    def resolve_prompt_count(study: Study) -> int:
        return study.study_prompts.count()

    @staticmethod
    def resolve_vote_count(study: Study) -> int:
        return study.votes.count()


class StudyContenderIn(Schema):
    """A recipe, or a service of yours whose images you upload, under the name that researchers will see."""

    label: str = Field(min_length=1, max_length=200)
    recipe: int = Field(ge=1, lt=2**63)
    is_baseline: bool = False


class CriterionIn(Schema):
    """A question of your own."""

    key: str = Field(pattern=r"^[-a-zA-Z0-9_]{1,50}$")
    name: str = Field(min_length=1, max_length=100)
    question: str = Field(min_length=1, max_length=2_000)
    allows_tie: bool = True
    allows_both_bad: bool = False
    shows_prompt: bool = True
    applies_to: str = Field("all", pattern="^(all|has_text|categories)$")
    categories: list[str] = Field([], max_length=200)


class StudyIn(Schema):
    """A draft. `preset` names the questions of a published study; `criteria` are your own instead."""

    slug: str = Field(pattern=r"^[-a-zA-Z0-9_]{1,100}$")
    name: str = Field(min_length=1, max_length=200)
    description: str = Field("", max_length=10_000)
    prompt_set: int = Field(ge=1, lt=2**63)
    positions: list[int] | None = Field(None, max_length=100_000, description="Which prompts; all if left out.")
    contenders: list[StudyContenderIn] = Field(min_length=2, max_length=200)
    preset: str = Field("", max_length=50)
    criteria: list[CriterionIn] = Field([], max_length=20)
    design: dict[str, Any] = {}
    rater_rules: dict[str, Any] = {}


class Results(Schema):
    """The newest fit of one criterion; `results` is as documented in docs/statistics.md."""

    criterion: str
    vote_count: int
    rater_count: int
    prompt_count: int
    options: dict[str, Any]
    code_version: str
    created_at: datetime
    results: dict[str, Any]


class AllResults(Schema):
    """One entry for each criterion that was fitted."""

    study: str
    items: list[Results]


@router.get("", response={200: Studies, REFUSALS: Problem})
def list_studies(request: HttpRequest, page: Query[Page]) -> dict[str, Any]:
    """Your studies and those shared with you, newest first."""
    found = Study.objects.visible_to(person(request)).order_by("-pk")
    return {"count": found.count(), "items": list(found[page.offset : page.offset + page.limit])}


@router.post("", response={201: StudyOut, REFUSALS: Problem})
def create_study(request: HttpRequest, payload: StudyIn) -> Status[Study]:
    """A draft study of yours, for whoever designs studies."""
    researchers_only(request)
    study = studies.create_study(
        slug=payload.slug,
        name=payload.name,
        owner=person(request),
        description=payload.description,
        prompts=_prompts(request, payload),
        contenders=_contenders(request, payload),
        criteria=_criteria(payload),
        design=payload.design,
        rater_rules=payload.rater_rules,
    )
    return Status(201, study)


@router.get("/{slug:slug}", response={200: StudyOut, REFUSALS: Problem})
def get_study(request: HttpRequest, slug: str) -> Study:
    """One study."""
    return visible_study(request, slug)


@router.post("/{slug:slug}/open", response={200: StudyOut, REFUSALS: Problem})
def open_study(request: HttpRequest, slug: str) -> Study:
    """Freeze and hash the design and let raters in."""
    return studies.open_study(own_study(request, slug), actor=person(request))


@router.post("/{slug:slug}/pause", response={200: StudyOut, REFUSALS: Problem})
def pause_study(request: HttpRequest, slug: str) -> Study:
    """Hand out and take no ballots for now."""
    return studies.pause_study(own_study(request, slug), actor=person(request))


@router.post("/{slug:slug}/resume", response={200: StudyOut, REFUSALS: Problem})
def resume_study(request: HttpRequest, slug: str) -> Study:
    """Go on after a pause."""
    return studies.resume_study(own_study(request, slug), actor=person(request))


@router.post("/{slug:slug}/close", response={200: StudyOut, REFUSALS: Problem})
def close_study(request: HttpRequest, slug: str) -> Study:
    """End voting for good."""
    return studies.close_study(own_study(request, slug), actor=person(request))


@router.post("/{slug:slug}/images", response={200: RunOut, REFUSALS: Problem})
def ask_for_images(request: HttpRequest, slug: str) -> RunOut:
    """Ask for every image that the study wants and does not have; asking again changes nothing."""
    return RunOut.of(studies.ask_for_images(own_study(request, slug)))


@router.get("/{slug:slug}/coverage", response={200: StudyCoverage, REFUSALS: Problem})
def get_study_coverage(request: HttpRequest, slug: str) -> dict[str, Any]:
    """Which images a study lacks, per contender."""
    study = visible_study(request, slug)
    ready = studies.readiness(study)
    gaps = [
        Gap(
            contender=gap.contender.label,
            is_external=gap.contender.recipe.kind == "external",
            missing_count=gap.count,
            missing=list(gap.named),
        )
        for gap in external_contenders.missing_images(study)
    ]
    counts = {"wanted": ready.wanted, "made": ready.made, "showable": ready.showable, "quarantined": ready.quarantined}
    return counts | {"gaps": gaps}


@router.get("/{slug:slug}/results", response={200: AllResults, REFUSALS: Problem})
def get_results(request: HttpRequest, slug: str) -> dict[str, Any]:
    """The newest fit of each criterion under the settings of now. Fits are made by a worker as votes come in."""
    study = visible_study(request, slug)
    fits = fitting.current_fits(study)
    items = [
        Results(
            criterion=criterion.key,
            vote_count=fit.vote_count,
            rater_count=fit.rater_count,
            prompt_count=fit.prompt_count,
            options=fit.options,
            code_version=fit.code_version,
            created_at=fit.created_at,
            results=fit.results,
        )
        for criterion in study.criteria.order_by("position")
        if (fit := fits.get(criterion.pk)) is not None
    ]
    return {"study": study.slug, "items": items}


def visible_study(request: HttpRequest, slug: str) -> Study:
    """A study that this person may look at; else a 404."""
    return get_object_or_404(Study.objects.visible_to(person(request)), slug=slug)


def own_study(request: HttpRequest, slug: str) -> Study:
    """A study that this person may steer; one that is only shared is a 403."""
    study = visible_study(request, slug)
    if not study.is_owned_by(person(request)):
        raise ProblemError(403, "You may look at this study, but not change it.", code="not_yours")
    return study


def _prompts(request: HttpRequest, payload: StudyIn) -> list[Prompt]:
    prompt_set = PromptSet.objects.visible_to(person(request)).filter(pk=payload.prompt_set).first()
    if prompt_set is None:
        raise ProblemError(404, "There is no such prompt set.", code="not_found", field="prompt_set")
    prompts = list(prompt_set.prompts.order_by("position"))
    if payload.positions is None:
        return prompts
    by_position = {prompt.position: prompt for prompt in prompts}
    if missing := [position for position in payload.positions if position not in by_position]:
        raise ProblemError(422, f"There is no prompt {missing[0]} in this set.", code="no_prompt", field="positions")
    return [by_position[position] for position in payload.positions]


def _contenders(request: HttpRequest, payload: StudyIn) -> list[studies.ContenderSpec]:
    user, wanted = person(request), [row.recipe for row in payload.contenders]
    found = {row.pk: row for row in visible_recipes(user).filter(pk__in=wanted)}
    found |= {row.pk: row for row in Recipe.objects.external_of(user).filter(pk__in=wanted)}
    if missing := [pk for pk in wanted if pk not in found]:
        raise ProblemError(404, f"There is no recipe {missing[0]}.", code="not_found", field="contenders")
    return [
        studies.ContenderSpec(label=row.label, recipe=found[row.recipe], is_baseline=row.is_baseline)
        for row in payload.contenders
    ]


def _criteria(payload: StudyIn) -> list[CriterionSpec]:
    if payload.criteria:
        return [CriterionSpec(**{**row.dict(), "categories": tuple(row.categories)}) for row in payload.criteria]
    name = payload.preset or "sd3"
    if name not in PRESETS:
        raise ProblemError(
            422, f"There is no preset {name!r}; known are {', '.join(PRESETS)}.", code="no_preset", field="preset"
        )
    return list(PRESETS[name])
