"""Judgements of a file into the rows of a study a batch at a time, from where an earlier try ended."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from arena.batches import Claim
from arena.designs import IMPORTED
from arena.imported_prompts import PromptTaker
from arena.models import Ballot, Rater
from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE
from arena.vote_chain import GENESIS, row_hash
from arena.vote_files.judgements import Judgements
from arena.vote_files.shapes import SKIP
from generation.prompt_files import PromptRow
from generation.provenance import canonical_json

_CHOICES: Final = {LEFT: "left", RIGHT: "right", TIE: "tie", BOTH_BAD: "both_bad", SKIP: "skip"}
_PEOPLE: Final = "people"


def name_of_votes(found: Judgements) -> str:
    """Names what a file says, whatever its format: an import that was ended goes on with the same only."""
    said = [found.contenders, found.criteria, found.prompts, found.category, found.raters, found.unknown]
    digest = hashlib.sha256(canonical_json(said).encode())
    for column in (found.left, found.right, found.outcome, found.criterion, found.rater, found.prompt):
        digest.update(np.ascontiguousarray(column).data)
    return f"votes-{digest.hexdigest()}"


def prompt_rows(found: Judgements) -> list[PromptRow]:
    return [PromptRow(text=text, category=each) for text, each in zip(found.prompts, found.category, strict=True)]


class VoteTaker:
    """Rows of judgements as ballots and votes, in their order, under hash chains."""

    def __init__(self, claim: Claim, found: Judgements) -> None:
        self._claim, self._study, self._found = claim, claim.study, found
        self._contenders = list(self._study.contenders.order_by("position").values_list("pk", flat=True))
        self._criteria = list(self._study.criteria.order_by("position").values_list("pk", flat=True))
        # The same after an interruption.
        self._now = self._study.created_at

    def take(self) -> tuple[PromptTaker, int]:
        """Store everything; returns whose prompts are to be made seen, and how many ballots there are."""
        found, study, claim = self._found, self._study, self._claim
        prompts = PromptTaker(claim, prompt_rows(found))
        self._prompts = prompts.take(lambda place: found.category[place])
        prompts.link(self._asked())
        rater = {"study_id": study.pk, "kind": Rater.Kind.PANEL}
        self._raters = claim.fill(study.raters.all(), range(found.raters), lambda _: rater)
        looks, ballot_of = looks_of(found)
        ballots = self._take_ballots(looks)
        self._take_votes(ballots, ballot_of)
        return prompts, len(ballots)

    def _asked(self) -> Iterator[tuple[int, int]]:
        found, criteria = self._found, len(self._criteria)
        for pair in np.unique(found.prompt * criteria + found.criterion):
            prompt, criterion = divmod(int(pair), criteria)
            yield self._prompts[prompt], self._criteria[criterion]

    def _take_ballots(self, looks: NDArray[np.intp]) -> array[int]:
        found = self._found
        places = 1 + turn_of(found.rater[looks])

        shared = {
            "stratum": _PEOPLE,
            "origin": Ballot.Origin.IMPORTED,
            "rule": IMPORTED,
            "state": Ballot.State.ANSWERED,
            "answered_at": self._now,
        }

        def ballot(number: int) -> dict[str, Any]:
            return self._shared(looks[number]) | shared | {"position": int(places[number])}

        number = len(looks)
        return self._claim.fill(self._study.ballots.all(), range(number), ballot, what="ballots", number=number)

    def _take_votes(self, ballots: array[int], ballot_of: NDArray[np.intp]) -> None:
        found, number = self._found, len(self._found)
        sequences = 1 + turn_of(found.rater)
        stored = self._study.votes.order_by("pk")
        ends: dict[int, str] = dict(stored.values_list("rater", "chain_hash").iterator(chunk_size=10_000))

        def vote(row: int) -> dict[str, Any]:
            made = self._shared(row) | {
                "stratum": _PEOPLE,
                "ballot_id": ballots[ballot_of[row]],
                "criterion_id": self._criteria[found.criterion[row]],
                "choice": _CHOICES[int(found.outcome[row])],
                "skip_reason": "",
                "is_ordinary": True,
                "cast_at": self._now,
                "page_milliseconds": None,
                "sequence": int(sequences[row]),
            }
            previous = ends.get(made["rater_id"], GENESIS)
            made["chain_hash"] = ends[made["rater_id"]] = row_hash(previous, made, left_image=None, right_image=None)
            return made

        self._claim.fill(stored, range(number), vote, what="votes", number=number)

    def _shared(self, row: int) -> dict[str, Any]:
        found = self._found
        return {
            "study_id": self._study.pk,
            "rater_id": self._raters[found.rater[row]],
            "study_prompt_id": self._prompts[found.prompt[row]],
            "left_contender_id": self._contenders[found.left[row]],
            "right_contender_id": self._contenders[found.right[row]],
        }


def turn_of(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each value stood before it in the same array."""
    number = len(values)
    order = np.argsort(values, kind="stable")
    is_new = np.ones(number, dtype=bool)
    is_new[1:] = values[order][1:] != values[order][:-1]
    starts = np.maximum.accumulate(np.where(is_new, np.arange(number), 0))
    turns = np.empty(number, dtype=np.int64)
    turns[order] = np.arange(number) - starts
    return turns


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
