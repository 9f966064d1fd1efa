"""Automatic metrics of a study: of which images and prompts they are, and what is measured without being asked."""

import time

from arena.models import Study
from arena.supply import asked_prompts, images_of
from generation.measuring import checker
from generation.measuring.rows import prompts_digest


def texts_of(study: Study) -> list[str]:
    """The texts of the prompts that the study asks about."""
    return list(asked_prompts(study).order_by("position").values_list("prompt__text", flat=True))


def prompts_digest_of(study: Study) -> str:
    """Under which a recipe's number over exactly this study's prompts is kept."""
    return prompts_digest(asked_prompts(study).order_by().values_list("prompt__text_digest", flat=True))


def measure_readable_studies(*, seconds: float) -> int:
    """The picture checker's shares for the images of every study, for a few seconds; how many were measured.

    Where all is measured, or no prompt can be read, this costs a few queries a study.
    """
    ends, count = time.monotonic() + seconds, 0
    for study in Study.objects.filter(taking_in="").order_by("-pk"):
        if time.monotonic() > ends:
            break
        if texts := checker.readable(texts_of(study)):
            count += checker.measure_for(images_of(study), texts=texts, seconds=ends - time.monotonic())
    return count
