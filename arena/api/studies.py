"""Studies: which images they lack."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema

from arena import external_contenders, studies
from arena.api.access import person
from arena.api.problems import REFUSALS, Problem
from arena.models import Study

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


@router.get("/{slug:slug}/coverage", response={200: StudyCoverage, REFUSALS: Problem})
def get_study_coverage(request: HttpRequest, slug: str) -> dict[str, Any]:
    """Which images a study lacks, per contender."""
    study = get_object_or_404(Study.objects.visible_to(person(request)), slug=slug)
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
