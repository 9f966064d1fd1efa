"""Contenders whose images were made elsewhere: into a draft, and which images a study still lacks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from arena.audit import note
from arena.designs import StudyError
from arena.models import Contender, Study
from arena.supply import asked_prompts, images_of, live_contenders, samples_of
from generation.image_imports import PromptIndex, find_external_recipe
from generation.image_imports.placing import PromptCell
from generation.models import Prompt

__all__ = ["MissingImages", "add_to_draft", "missing_images", "prompts_of", "samples_of"]

NAMED_AT_MOST = 12


@dataclass(frozen=True)
class MissingImages:
    """A contender's gaps in a study: pairs with one of these cells are never offered."""

    contender: Contender
    count: int
    named: tuple[str, ...]

    @property
    def more(self) -> int:
        return self.count - len(self.named)


def prompts_of(study: Study, *, first_index: int = 0) -> PromptIndex:
    """The prompts that a study asks about, for an import to be matched with."""
    asked = asked_prompts(study).values("prompt")
    return PromptIndex(Prompt.objects.filter(pk__in=asked), first_index=first_index)


def add_to_draft(study: Study, *, names: Sequence[str], owner: User | None) -> list[str]:
    """Make contenders of the services of these names that the draft does not have; returns the names added.

    An opened study is frozen: there, every name must be a contender already.
    """
    with transaction.atomic():
        study = Study.objects.select_for_update().get(pk=study.pk)
        known = set(study.contenders.values_list("recipe__digest", flat=True))
        recipes = [find_external_recipe(name=name, owner=owner) for name in names]
        new = [recipe for recipe in recipes if recipe and recipe.digest not in known]
        if new and study.state != Study.State.DRAFT:
            raise StudyError(
                f"The study {study.name!r} has opened and its contenders are frozen: {new[0].name!r} is none of them. "
                "The images are kept; make a new study with it.",
                code="study_frozen",
                field="contenders",
            )
        taken = set(study.contenders.values_list("label", flat=True))
        if clash := [recipe.name for recipe in new if recipe.name in taken]:
            raise StudyError(
                f"The study {study.name!r} has a contender {clash[0]!r} already: choose another name.",
                code="twice",
                field="contenders",
            )
        last = study.contenders.aggregate(last=Max("position"))["last"]
        first = 0 if last is None else last + 1
        Contender.objects.bulk_create(
            Contender(study=study, position=first + place, recipe=recipe, label=recipe.name)
            for place, recipe in enumerate(new)
        )
        if new:
            note(study, owner, "contenders added", names=[recipe.name for recipe in new])
    return [recipe.name for recipe in new]


def missing_images(study: Study) -> list[MissingImages]:
    """Per contender with gaps: how many images no rater can be shown, and of which prompts.

    Quarantined images count as missing; images that only wait for their rater's copy do not.
    """
    cells = _cells(study)
    samples = range(samples_of(study))
    there: dict[int, set[tuple[str, int]]] = defaultdict(set)
    images = images_of(study).filter(is_quarantined=False)
    for recipe, digest, sample in images.values_list("recipe", "prompt_digest", "sample"):
        there[recipe].add((digest, sample))
    found = []
    for contender in live_contenders(study).select_related("recipe").order_by("position"):
        have = there[contender.recipe_id]
        gaps = [(cell, sample) for digest, cell in cells.items() for sample in samples if (digest, sample) not in have]
        if gaps:
            named = tuple(f"{cell.shown}, sample {sample}" if len(samples) > 1 else cell.shown for cell, sample in gaps)
            found.append(MissingImages(contender, len(gaps), named[:NAMED_AT_MOST]))
    return found


def _cells(study: Study) -> dict[str, PromptCell]:
    """Text digest -> the first prompt with that text."""
    cells: dict[str, PromptCell] = {}
    rows = asked_prompts(study).order_by("position").values_list("prompt__text_digest", "position", "prompt__text")
    for digest, position, text in rows:
        cells.setdefault(digest, PromptCell(position, text))
    return cells
