"""One image before researchers: how it was made, line by line, and which votes it got in a study."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Q

from arena.counted_votes import counted_votes
from arena.models import Study, Vote
from generation.models import Checkpoint, Image


@dataclass(frozen=True)
class Fact:
    """One line of an image's provenance."""

    name: str
    said: str
    is_code: bool = False


@dataclass(frozen=True)
class VotesOnImage:
    """The counted votes of one criterion on ballots that showed the image."""

    criterion: str
    preferred: int = 0
    other_preferred: int = 0
    even: int = 0
    """Ties and "both bad"."""


def facts_of(image: Image) -> list[Fact]:
    """What is known of the way an image was made; lines that its record does not have are left out."""
    recipe = image.recipe
    made: dict[str, Any] = image.provenance.get("made") or {}
    imported: dict[str, Any] = image.provenance.get("imported") or {}
    # Of an import only what its manifest said, which nobody has checked.
    told = (image.provenance.get("told") or {}).get("seed")
    texts = {
        "model": _model(recipe.checkpoint, made) if recipe.checkpoint else recipe.name,
        "schedule": str(recipe.schedule or ""),
        "steps": _steps(recipe.schedule.steps, recipe.evaluations) if recipe.schedule else "",
        "guidance": f"{recipe.guidance:g}" if recipe.schedule else "",
        "seed": f"{told}, as the import says" if image.seed is None and told is not None else _number(image.seed),
        "size": f"{image.width} x {image.height}" + (f", {recipe.dtype}" if recipe.schedule else ""),
        "file it came from": str(imported.get("file", "")),
        "made": f"{image.created_at:%Y-%m-%d %H:%M} UTC" + (f" in {image.seconds:.1f} s" if image.seconds else ""),
        "on": _place(made),
        "with": ", ".join(f"{name} {made['versions'][name]}" for name in _SHOWN if name in made.get("versions", {})),
    }
    facts = [Fact(name, said) for name, said in texts.items() if said]
    return [
        *facts,
        Fact("sha256 of the file", image.file_sha256, is_code=True),
        Fact("sha256 of the pixels", image.pixels_sha256, is_code=True),
    ]


def votes_on(image: Image, *, study: Study) -> list[VotesOnImage]:
    """For each criterion that applies to the image's prompt, how those decided who saw it; one query for each part."""
    votes = counted_votes(study).filter(Q(ballot__left_image=image) | Q(ballot__right_image=image)).order_by()
    counts: dict[int, Counter[str]] = {}
    for criterion, choice, left in votes.values_list("criterion", "choice", "ballot__left_image"):
        counts.setdefault(criterion, Counter())[_OUTCOME[Vote.Choice(choice), left == image.pk]] += 1
    asked = study.criteria.filter(study_prompts__prompt__text_digest=image.prompt_digest).distinct()
    return [VotesOnImage(one.name, **counts.get(one.pk, Counter())) for one in asked.order_by("position")]


_SHOWN: Final = ("diffusers", "torch")
_OUTCOME: Final = {
    (Vote.Choice.LEFT, True): "preferred",
    (Vote.Choice.RIGHT, False): "preferred",
    (Vote.Choice.LEFT, False): "other_preferred",
    (Vote.Choice.RIGHT, True): "other_preferred",
    **{(choice, is_left): "even" for choice in (Vote.Choice.TIE, Vote.Choice.BOTH_BAD) for is_left in (True, False)},
}


def _model(checkpoint: Checkpoint, made: dict[str, Any]) -> str:
    source, revision = made.get("source", checkpoint.source), made.get("revision", checkpoint.revision)
    place = f"{source}@{revision[:12]}" if revision else source
    return checkpoint.name if place == checkpoint.name else f"{checkpoint.name} ({place})"


def _steps(steps: int, evaluations: int | None) -> str:
    return f"{steps}" if evaluations in (None, steps) else f"{steps}, {evaluations} function evaluations"


def _place(made: dict[str, Any]) -> str:
    batch = made.get("batch_size", 1)
    return str(made.get("device", "")) + (f", {batch} at once" if batch > 1 else "")


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
