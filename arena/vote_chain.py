"""Each rater's votes chained by hashes, so that a changed, missing or inserted row is noticed and named."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Count

from arena.models import Ballot, Rater, Vote

GENESIS = "0" * 64
# As `canonical_json` writes it, for rows of nothing but numbers and texts, at half of what that costs.
_AS_TEXT: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

_HASHED: Final = (
    *("study_id", "rater_id", "ballot_id", "criterion_id", "choice", "skip_reason", "study_prompt_id", "stratum"),
    *("left_contender_id", "right_contender_id", "is_ordinary", "cast_at", "page_milliseconds", "sequence"),
)


@dataclass(frozen=True)
class ChainProblem:
    """One break in a rater's chain, with the place and a sentence about it."""

    sequence: int
    sentence: str


def chain_hash(*, previous: str, vote: Vote, ballot: Ballot) -> str:
    """sha256 of the hash before and this vote's row. The row holds ids and the choice, never personal data."""
    row = {name: getattr(vote, name) for name in _HASHED}
    return row_hash(previous, row, left_image=ballot.left_image_id, right_image=ballot.right_image_id)


def row_hash(previous: str, vote: Mapping[str, Any], *, left_image: int | None, right_image: int | None) -> str:
    """The same of a vote that is no more than its values, and of the images that its ballot showed."""
    row = {
        "study": vote["study_id"],
        "rater": vote["rater_id"],
        "ballot": vote["ballot_id"],
        "criterion": vote["criterion_id"],
        "choice": str(vote["choice"]),
        "skip_reason": vote["skip_reason"],
        "study_prompt": vote["study_prompt_id"],
        "left_contender": vote["left_contender_id"],
        "right_contender": vote["right_contender_id"],
        "left_image": left_image,
        "right_image": right_image,
        "stratum": vote["stratum"],
        "is_ordinary": vote["is_ordinary"],
        "cast_at": round(vote["cast_at"].timestamp() * 1_000_000),
        "page_milliseconds": vote["page_milliseconds"],
        "sequence": vote["sequence"],
    }
    return hashlib.sha256(f"{previous}{_AS_TEXT(row)}".encode()).hexdigest()


def check_chain(rater: Rater) -> list[ChainProblem]:
    """Every break in this rater's chain of votes; an empty list when it is whole.

    The chain itself cannot tell that its end was cut off, so answered ballots are compared with the votes they need.
    """
    problems = []
    previous, expected = GENESIS, 1
    for vote in rater.votes.select_related("ballot").order_by("sequence").iterator():
        if vote.sequence != expected:
            gone = str(expected) if vote.sequence == expected + 1 else f"{expected} to {vote.sequence - 1}"
            problems.append(ChainProblem(expected, f"Vote {gone} of {rater} is missing."))
        elif chain_hash(previous=previous, vote=vote, ballot=vote.ballot) != vote.chain_hash:
            problems.append(
                ChainProblem(vote.sequence, f"Vote {vote.sequence} of {rater} (row {vote.pk}) is not as it was cast.")
            )
        # Going on from the stored hash names each wrong row once instead of all that follow it.
        previous, expected = vote.chain_hash, vote.sequence + 1
    return problems + _cut_off(rater, after=expected)


def _cut_off(rater: Rater, *, after: int) -> list[ChainProblem]:
    states = (Ballot.State.ANSWERED, Ballot.State.SUPERSEDED)  # a ballot is undone after it was answered
    answered = rater.ballots.filter(state__in=states, origin=Ballot.Origin.ISSUED)
    counted = answered.annotate(
        stored=Count("votes", distinct=True), asked=Count("study_prompt__criteria", distinct=True)
    ).order_by("position")
    return [
        ChainProblem(after, f"{ballot} of {rater} was answered but has {ballot.stored} of its {ballot.asked} votes.")
        for ballot in counted
        if ballot.stored != ballot.asked
    ]
