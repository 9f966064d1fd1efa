"""Votes and ratings from elsewhere become a closed study without images, to be analysed like any other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.contrib.auth.models import User
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from arena import studies
from arena.audit import note
from arena.batches import Claim, Progress, unfinished
from arena.criteria import CriterionSpec
from arena.designs import design_digest
from arena.imported_prompts import first_prompt
from arena.models import Study
from arena.ranking.tallies import BOTH_BAD
from arena.refusals import Refusal
from arena.vote_files.judgements import Judgements, VoteFileError, read_judgements
from arena.vote_files.shapes import SKIP
from arena.vote_taking import VoteTaker, name_of_votes, prompt_rows
from generation.image_imports import ImageImportError, get_external_recipes

MOST_JUDGEMENTS: Final = 5_000_000


class VoteImportError(Refusal):
    """A file that no study can be made from; nothing of it was stored."""


@dataclass(frozen=True)
class ImportedVotes:
    """The study, how many votes and skips it got, and what a person should know about how the file was read."""

    study: Study
    shape: str
    votes: int
    skips: int
    ballots: int
    notes: tuple[str, ...]


def import_votes(
    path: Path,
    *,
    slug: str,
    name: str = "",
    owner: User | None = None,
    baseline: str = "",
    source: str = "",
    progress: Progress | None = None,
) -> ImportedVotes:
    """A closed study of the votes or ratings in a file. Raises Refusal with file and line before anything is stored.

    It is stored a batch at a time, so that others can vote meanwhile, into a study that nobody sees until it is whole.
    Where that was ended, importing the same votes again goes on from there, under the short name, name and baseline
    that are given then (see `batches.unfinished` for who may).

    Contenders are services of the owner, raters are numbers: what names them in the file is not kept. Votes on
    different criteria by one rater on one pair and prompt share a ballot. Answers have the time of the import.
    """
    try:
        found = read_judgements(path, most_rows=MOST_JUDGEMENTS)
    except VoteFileError as error:
        raise VoteImportError(str(error), code="bad_votes_file", field="file") from error
    _check(found, path, baseline)
    votes_name = name_of_votes(found)
    begun = unfinished(votes_name, owner=owner, slug=slug)
    _refuse_a_taken_slug(slug, begun)
    try:
        study = begun or _found_study(found, votes_name, slug=slug, name=name or slug, owner=owner, baseline=baseline)
        claim = Claim(study, votes_name, progress=progress)
        if begun:
            _say_anew(claim, slug=slug, name=name or slug, baseline=baseline)
        prompts, ballots = VoteTaker(claim, found).take()
        digest = design_digest(study)  # takes long for many prompts: not while others wait
        end = prompts.ending()
        with claim.batch():
            end()
            _close(study, digest)
            note(study, owner, "votes imported", file=path.name, source=source, shape=found.shape, votes=len(found))
    except ImageImportError as error:
        raise VoteImportError(f"{path.name}: {error}", code="bad_contender", field="file") from error
    except DataError as error:
        raise VoteImportError(
            f"{path.name}: one of its values cannot be stored ({error}).", code="bad_value"
        ) from error
    except IntegrityError as error:
        sentence = f"{path.name}: something of these names was made at the same moment; try it again ({error})."
        raise VoteImportError(sentence, code="conflict") from error
    skips = int((found.outcome == SKIP).sum())
    return ImportedVotes(study, found.shape, len(found) - skips, skips, ballots, _notes(found))


def _refuse_a_taken_slug(slug: str, begun: Study | None) -> None:
    there = Study.objects.filter(slug=slug).first()
    if there is not None and there != begun:
        raise VoteImportError(studies.why_taken(there), code="slug_taken", field="slug")


def _check(found: Judgements, path: Path, baseline: str) -> None:
    if len(found) > MOST_JUDGEMENTS:
        raise VoteImportError(
            f"{path.name}: gives {len(found):,} votes; at most {MOST_JUDGEMENTS:,} are imported at once.",
            code="too_many",
            field="file",
        )
    if baseline and baseline not in found.contenders:
        known = ", ".join(found.contenders)[:300]
        raise VoteImportError(
            f"{path.name}: has no contender {baseline!r}; it has {known}.", code="unknown_baseline", field="baseline"
        )


_UNKNOWN: Final = {
    "sides": "Which image was seen on the left is not known: no side bias is estimated.",
    "raters": "The file names no raters: fits do not cluster by them.",
    "prompts": "The file names no prompts: fits do not cluster by them.",
}


def _notes(found: Judgements) -> tuple[str, ...]:
    left_out = [f"{number:,} rows {reason} and were left out." for reason, number in found.left_out.items()]
    return (*left_out, *(_UNKNOWN[part] for part in found.unknown))


def _found_study(
    found: Judgements, votes_name: str, *, slug: str, name: str, owner: User | None, baseline: str
) -> Study:
    """A draft with the first prompt and without votes, that nobody sees, for it says what is being taken into it."""
    with transaction.atomic():
        recipes = get_external_recipes(names=found.contenders, owner=owner)
        contenders = [
            studies.ContenderSpec(label=label, recipe=recipe, is_baseline=label == baseline)
            for label, recipe in zip(found.contenders, recipes, strict=True)
        ]
        rows, set_name = prompt_rows(found), f"{name[:180]} (imported)"
        study = studies.create_study(
            slug=slug,
            name=name,
            owner=owner,
            prompts=[first_prompt(name=set_name, rows=rows, source="Imported votes", owner=owner)],
            contenders=contenders,
            criteria=_criteria(found),
            design={"unknown": list(found.unknown)} if found.unknown else {},
            rater_rules={"ballots_per_rater": None},
            is_imported=True,
        )
        study.taking_in = votes_name[:64]
        study.save(update_fields=["taking_in"])
    return study


def _criteria(found: Judgements) -> list[CriterionSpec]:
    return [
        CriterionSpec(
            key=key,
            name=label,
            question=f"Imported: {label}",
            allows_both_bad=bool((found.outcome[found.criterion == place] == BOTH_BAD).any()),
        )
        for place, (label, key) in enumerate(zip(found.criteria, _keys(found.criteria), strict=True))
    ]


def _say_anew(claim: Claim, *, slug: str, name: str, baseline: str) -> None:
    """What is said this time holds."""
    claim.name(slug)
    study = claim.study
    with claim.batch():
        study.name = name
        study.save(update_fields=["name"])
        study.contenders.filter(is_baseline=True).update(is_baseline=False)
        study.contenders.filter(label=baseline).update(is_baseline=True)


def _keys(names: tuple[str, ...]) -> list[str]:
    keys: list[str] = []
    for number, name in enumerate(names, start=1):
        key = slugify(name)[:40] or f"criterion-{number}"
        keys.append(key if key not in keys else f"{key}-{number}")
    return keys


def _close(study: Study, digest: str) -> None:
    study.state, study.opened_at, study.closed_at = Study.State.CLOSED, timezone.now(), timezone.now()
    study.frozen_digest, study.taking_in = digest, ""
    study.save(update_fields=["state", "opened_at", "closed_at", "frozen_digest", "taking_in"])
