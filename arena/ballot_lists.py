"""The ballots behind a number: who saw which two images, what they answered and how fast, a page at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q, QuerySet

from arena.models import Contender, Criterion, Exclusion, Study, Vote

AT_ONCE: Final = 20
_WORDS: Final = {"tie": "tie", "both_bad": "both bad", "skip": "skipped"}


@dataclass(frozen=True)
class BallotFilter:
    """Which votes of a criterion: of one contender or a pair, on one prompt, with these answers; None leaves it open.

    before: the vote id below which the page begins
    """

    criterion: Criterion
    one: Contender | None = None
    other: Contender | None = None
    prompt: int | None = None
    rater: str = ""
    before: int | None = None


@dataclass(frozen=True)
class SeenVote:
    """One answer as its rater gave it. seconds is what the page measured; is_counted whether fits see it."""

    pk: int
    cast_at: datetime
    rater: str
    stratum: str
    prompt: str
    left: Contender
    right: Contender
    left_image: int | None
    right_image: int | None
    choice: str
    winner: Contender | None
    seconds: float | None
    purpose: str
    is_counted: bool


@dataclass(frozen=True)
class BallotPage:
    """The newest votes first. `after` is where the next page begins, None on the last."""

    votes: tuple[SeenVote, ...]
    after: int | None


def ballot_page(study: Study, wanted: BallotFilter) -> BallotPage:
    """A page of votes; skips and what fits leave out are shown and said to be so. Queries: two for any page."""
    votes = _matching(study, wanted)
    if wanted.before is not None:
        votes = votes.filter(pk__lt=wanted.before)
    related = ("ballot", "rater", "study_prompt__prompt", "left_contender", "right_contender")
    found = list(votes.select_related(*related).order_by("-pk")[: AT_ONCE + 1])
    shown = found[:AT_ONCE]
    excluded = _excluded([vote.pk for vote in shown])
    return BallotPage(
        votes=tuple(_seen(vote, is_excluded=vote.pk in excluded) for vote in shown),
        after=shown[-1].pk if len(found) > AT_ONCE else None,
    )


def _matching(study: Study, wanted: BallotFilter) -> QuerySet[Vote]:
    votes = Vote.objects.filter(study=study, criterion=wanted.criterion)
    if wanted.one is not None and wanted.other is not None:
        pair = {wanted.one.pk, wanted.other.pk}
        votes = votes.filter(left_contender__in=pair, right_contender__in=pair)
    elif wanted.one is not None:
        votes = votes.filter(Q(left_contender=wanted.one) | Q(right_contender=wanted.one))
    if wanted.prompt is not None:
        votes = votes.filter(study_prompt=wanted.prompt)
    if wanted.rater:
        votes = votes.filter(rater__public_id=wanted.rater)
    return votes


def _excluded(votes: list[int]) -> set[int]:
    """Which of these standing exclusions take out."""
    if not votes:
        return set()
    return set(Exclusion.objects.excluded_vote_ids().filter(pk__in=votes))


def _seen(vote: Vote, *, is_excluded: bool) -> SeenVote:
    winners: Mapping[str, Contender] = {"left": vote.left_contender, "right": vote.right_contender}
    ballot = vote.ballot
    is_countable = vote.is_ordinary and vote.choice != Vote.Choice.SKIP and ballot.state != ballot.State.SUPERSEDED
    return SeenVote(
        pk=vote.pk,
        cast_at=vote.cast_at,
        rater=vote.rater.public_id,
        stratum=vote.stratum,
        prompt=vote.study_prompt.prompt.text,
        left=vote.left_contender,
        right=vote.right_contender,
        left_image=ballot.left_image_id,
        right_image=ballot.right_image_id,
        choice=_WORDS.get(vote.choice, vote.choice),
        winner=winners.get(vote.choice),
        seconds=None if vote.page_milliseconds is None else vote.page_milliseconds / 1000,
        purpose=ballot.purpose,
        is_counted=is_countable and not is_excluded,
    )
