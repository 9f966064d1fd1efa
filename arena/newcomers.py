"""A contender joins a study that has opened: an amendment with its reason; votes so far count as before."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from arena import display, studies
from arena.audit import note
from arena.models import Amendment, Contender, Study
from arena.pair_designs import JOINED, Corner, are_connected, corners_of, factors_of, pair_design_of, pairs_by
from arena.refusals import StudyError
from arena.supply import live_contenders
from generation.errors import GenerationError
from generation.models import Recipe

LONGEST_REASON = 2_000
LONGEST_LABEL = 200


def add_contender(study: Study, *, recipe: Recipe, label: str, reason: str, actor: User | None) -> Contender:
    """Let a recipe join an open study, and ask for its images.

    The design stays frozen as it was: the amendment says what came, when, by whom and why. The pairs of the newcomer
    are filled first, because they are behind all others (`Pairing` sees to it under every rule).
    """
    label, reason = label.strip() or recipe.name, reason.strip()
    with transaction.atomic():
        study = Study.objects.select_for_update().get(pk=study.pk)
        _check(study, recipe=recipe, label=label, reason=reason)
        last = study.contenders.aggregate(last=Max("position"))["last"]
        joined = Contender.objects.create(study=study, recipe=recipe, label=label, position=(last or 0) + 1)
        change = {"act": JOINED, "contender": joined.pk, "label": label, "recipe": recipe.digest}
        amendment = Amendment.objects.create(study=study, author=actor, change=change, reason=reason)
        note(study, actor, "contender joined", amendment=amendment.pk, label=label, reason=reason)
    if recipe.kind != Recipe.Kind.EXTERNAL and study.run is not None:
        try:
            studies.ask_for_images(study)
        except GenerationError as error:
            raise StudyError(
                f"{label!r} joined, but its images could not be asked for: {error}", code="no_images", field="recipe"
            ) from error
    return joined


def may_join(study: Study) -> bool:
    """Whether contenders can join by amendment now."""
    return study.state in (Study.State.OPEN, Study.State.PAUSED)


def amendments_of(study: Study) -> list[dict[str, Any]]:
    """Every change since the opening, oldest first, for files and pages."""
    return [
        {
            "at": amendment.created_at.isoformat(),
            "by": amendment.author.get_username() if amendment.author else "the command line",
            "reason": amendment.reason,
            **{key: value for key, value in amendment.change.items() if key != "contender"},
        }
        for amendment in study.amendments.select_related("author").order_by("pk")
    ]


def _check(study: Study, *, recipe: Recipe, label: str, reason: str) -> None:
    if not may_join(study):
        remedy = "edit the draft" if study.state == Study.State.DRAFT else "make a new study"
        raise StudyError(
            f"The study {study.name!r} is {study.state}: contenders join only an open one; {remedy}.",
            code="wrong_state",
        )
    if not reason or len(reason) > LONGEST_REASON:
        raise StudyError(
            f"Say why it joins, in at most {LONGEST_REASON:,} characters: the reason stands in the record for good.",
            code="no_reason",
            field="reason",
        )
    if len(label) > LONGEST_LABEL:
        raise StudyError(f"A label has at most {LONGEST_LABEL} characters.", code="long_label", field="label")
    if recipe.state == Recipe.State.REFUSED:
        raise StudyError(
            f"The recipe {recipe.name!r} was refused: {recipe.refusal}", code="recipe_refused", field="recipe"
        )
    if study.contenders.filter(recipe=recipe).exists():
        raise StudyError(
            f"The recipe {recipe.name!r} is a contender of this study already.", code="twice", field="recipe"
        )
    if study.contenders.filter(label=label).exists():
        raise StudyError(f"A contender is called {label!r} already: choose another label.", code="twice", field="label")
    corners = [*corners_of(study), Corner(False, factors_of(recipe))]
    if not are_connected(len(corners), pairs_by(pair_design_of(study), corners)):
        raise StudyError(
            f"With {label!r} the pairs of this study would fall into groups that nothing ranks together, because they "
            "differ in more than one factor: let a recipe between the groups join first.",
            code="unconnected",
            field="recipe",
        )
    rule = display.rule_of(study)
    others = [one.recipe for one in live_contenders(study).select_related("recipe")]
    if (recipe.width < rule.width or recipe.height < rule.height) and recipe.kind != Recipe.Kind.EXTERNAL and others:
        raise StudyError(
            f"Images of {recipe.name!r} are {recipe.width} x {recipe.height}, smaller than the {rule.width} x "
            f"{rule.height} that raters are shown: their size would betray them. Choose a recipe of that size.",
            code="too_small",
            field="recipe",
        )
