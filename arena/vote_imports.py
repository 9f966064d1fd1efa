"""Votes and ratings from elsewhere become a closed study without images, to be analysed like any other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify
from numpy.typing import NDArray

from arena import studies
from arena.audit import note
from arena.criteria import CriterionSpec
from arena.designs import IMPORTED, design_digest
from arena.models import Ballot, Rater, Study, StudyPrompt, Vote
from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE
from arena.refusals import Refusal
from arena.vote_chain import GENESIS, chain_hash
from arena.vote_files.judgements import Judgements, VoteFileError, read_judgements
from arena.vote_files.shapes import SKIP
from generation.image_imports import ImageImportError, get_external_recipe
from generation.models import Prompt
from generation.prompt_files import PromptRow
from generation.prompt_sets import save_prompt_set

ROWS_AT_ONCE: Final = 1_000
MOST_JUDGEMENTS: Final = 5_000_000
_CHOICES: Final = {LEFT: "left", RIGHT: "right", TIE: "tie", BOTH_BAD: "both_bad", SKIP: "skip"}


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
    path: Path, *, slug: str, name: str = "", owner: User | None = None, baseline: str = "", source: str = ""
) -> ImportedVotes:
    """A closed study of the votes or ratings in a file, all of them or none. Raises Refusal with file and line.

    Contenders are services of the owner, raters are numbers: what names them in the file is not kept. Votes on
    different criteria by one rater on one pair and prompt share a ballot. Answers have the time of the import.
    """
    try:
        found = read_judgements(path, most_rows=MOST_JUDGEMENTS)
    except VoteFileError as error:
        raise VoteImportError(str(error), code="bad_votes_file", field="file") from error
    _check(found, path, baseline)
    try:
        with transaction.atomic():
            study = _study(found, slug=slug, name=name or slug, owner=owner, baseline=baseline)
            ballots = _Writer(study, found).write()
            _close(study)
            detail = {"file": path.name, "source": source, "shape": found.shape, "votes": len(found)}
            note(study, owner, "votes imported", **detail)
    except ImageImportError as error:
        raise VoteImportError(f"{path.name}: {error}", code="bad_contender", field="file") from error
    skips = int((found.outcome == SKIP).sum())
    return ImportedVotes(study, found.shape, len(found) - skips, skips, ballots, _notes(found))


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


def _study(found: Judgements, *, slug: str, name: str, owner: User | None, baseline: str) -> Study:
    contenders = []
    for label in found.contenders:
        recipe, _ = get_external_recipe(name=label, owner=owner)
        contenders.append(studies.ContenderSpec(label=label, recipe=recipe, is_baseline=label == baseline))
    criteria = [
        CriterionSpec(
            key=key,
            name=label,
            question=f"Imported: {label}",
            allows_both_bad=bool((found.outcome[found.criterion == place] == BOTH_BAD).any()),
        )
        for place, (label, key) in enumerate(zip(found.criteria, _keys(found.criteria), strict=True))
    ]
    return studies.create_study(
        slug=slug,
        name=name,
        owner=owner,
        prompts=_prompts(found, name, owner),
        contenders=contenders,
        criteria=criteria,
        design={"unknown": list(found.unknown)} if found.unknown else {},
        rater_rules={"ballots_per_rater": None},
        is_imported=True,
    )


def _keys(names: tuple[str, ...]) -> list[str]:
    keys: list[str] = []
    for number, name in enumerate(names, start=1):
        key = slugify(name)[:40] or f"criterion-{number}"
        keys.append(key if key not in keys else f"{key}-{number}")
    return keys


def _prompts(found: Judgements, name: str, owner: User | None) -> list[Prompt]:
    rows = [
        PromptRow(text=text, category=category) for text, category in zip(found.prompts, found.category, strict=True)
    ]
    prompt_set = save_prompt_set(name=f"{name[:180]} (imported)", rows=rows, source="Imported votes", owner=owner)
    return list(prompt_set.prompts.order_by("position"))


class _Writer:
    """Rows of judgements as ballots and votes, in their order, under hash chains."""

    def __init__(self, study: Study, found: Judgements) -> None:
        self._study, self._found = study, found
        self._contenders = list(study.contenders.order_by("position").values_list("pk", flat=True))
        self._criteria = list(study.criteria.order_by("position").values_list("pk", flat=True))
        self._prompts = list(study.study_prompts.order_by("position").values_list("pk", flat=True))
        self._now = timezone.now()

    def write(self) -> int:
        """Store everything; returns how many ballots that made."""
        found = self._found
        through = StudyPrompt.criteria.through
        asked = np.unique(np.stack([found.prompt, found.criterion]), axis=1).T.tolist()
        links = (
            through(studyprompt_id=self._prompts[prompt], criterion_id=self._criteria[criterion])
            for prompt, criterion in asked
        )
        through._default_manager.bulk_create(links, batch_size=ROWS_AT_ONCE)
        raters = (Rater(study=self._study, kind=Rater.Kind.PANEL) for _ in range(found.raters))
        self._raters = [row.pk for chunk in _chunks(raters) for row in Rater.objects.bulk_create(chunk)]
        looks, ballot_of = looks_of(found)
        ballots = [row.pk for chunk in _chunks(self._ballots(looks)) for row in Ballot.objects.bulk_create(chunk)]
        for chunk in _chunks(self._votes(ballots, ballot_of)):
            Vote.objects.bulk_create(chunk)
        return len(ballots)

    def _ballots(self, looks: NDArray[np.intp]) -> Iterator[Ballot]:
        found, places = self._found, defaultdict[int, int](int)
        for row in looks.tolist():
            rater = int(found.rater[row])
            places[rater] += 1
            yield Ballot(
                **self._shared(row),
                origin=Ballot.Origin.IMPORTED,
                rule=IMPORTED,
                position=places[rater],
                state=Ballot.State.ANSWERED,
                answered_at=self._now,
            )

    def _votes(self, ballots: list[int], ballot_of: NDArray[np.intp]) -> Iterator[Vote]:
        found, ends = self._found, dict[int, tuple[int, str]]()
        bare = Ballot()  # no images to hash
        for row in range(len(found)):
            rater = int(found.rater[row])
            sequence, previous = ends.get(rater, (0, GENESIS))
            vote = Vote(
                **self._shared(row),
                ballot_id=ballots[ballot_of[row]],
                criterion_id=self._criteria[found.criterion[row]],
                choice=_CHOICES[int(found.outcome[row])],
                cast_at=self._now,
                sequence=sequence + 1,
            )
            vote.chain_hash = chain_hash(previous=previous, vote=vote, ballot=bare)
            ends[rater] = vote.sequence, vote.chain_hash
            yield vote

    def _shared(self, row: int) -> dict[str, Any]:
        found = self._found
        return {
            "study_id": self._study.pk,
            "rater_id": self._raters[found.rater[row]],
            "study_prompt_id": self._prompts[found.prompt[row]],
            "left_contender_id": self._contenders[found.left[row]],
            "right_contender_id": self._contenders[found.right[row]],
            "stratum": "people",
        }


def looks_of(found: Judgements) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(first row of each ballot in order, ballot of each row).

    Answers to different criteria about one pair on one prompt by one rater are one look; the second answer to the same
    criterion begins another one.
    """
    number = len(found)
    pair = found.left * len(found.contenders) + found.right
    same = np.lexsort((np.arange(number), found.criterion, pair, found.prompt, found.rater))
    keys = np.stack([found.rater, found.prompt, pair, found.criterion])[:, same]
    is_new = np.ones(number, dtype=bool)
    is_new[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    starts = np.maximum.accumulate(np.where(is_new, np.arange(number), 0))
    turn = np.empty(number, dtype=np.int64)
    turn[same] = np.arange(number) - starts
    look = np.stack([found.rater, found.prompt, pair, turn])
    _, first, ballot = np.unique(look, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    return first[order], place[ballot.ravel()]


def _close(study: Study) -> None:
    study.state, study.opened_at, study.closed_at = Study.State.CLOSED, timezone.now(), timezone.now()
    study.frozen_digest = design_digest(study)
    study.save(update_fields=["state", "opened_at", "closed_at", "frozen_digest"])


def _chunks(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        yield chunk
