"""Votes come in: each answer is one short transaction on a ballot that can be used once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from django.db import transaction
from django.db.models import CharField, DateTimeField
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena import asked
from arena.issuing import (
    LEASE,
    expire_abandoned,
    lock,
    mark_shown,
    open_ballots,
    quota_of,
    release,
    resume,
    withdrawn,
)
from arena.kept_queries import KeptInsert, KeptQuery, KeptUpdate, Parameter
from arena.models import Ballot, Criterion, Rater, Study, Vote
from arena.refusals import Refusal
from arena.vote_chain import GENESIS, chain_hash, check_chain
from generation import log_context

__all__ = [
    "LEASE",
    "Receipt",
    "VotingError",
    "answer",
    "ballot_of",
    "cast_votes",
    "check_chain",
    "checked_answers",
    "expire_abandoned",
    "mark_shown",
    "open_ballots",
    "quota_of",
    "release",
    "resume",
    "why_not",
    "withdrawn",
]

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

ANSWERS = (Vote.Choice.LEFT, Vote.Choice.RIGHT, Vote.Choice.TIE, Vote.Choice.BOTH_BAD)
TOKEN = re.compile(r"[0-9a-f]{32}")
LONGEST_PAGE_MILLISECONDS = 2**31 - 1

# Whoever reports an image leaves its pair by the same act: it is stored as skipped for one of these reasons.
REPORT_REASONS: dict[str, "StrOrPromise"] = {
    "not_shown": gettext_lazy("An image is broken or does not show"),
    "disturbing": gettext_lazy("An image disturbs me"),
}
SKIP_REASONS: dict[str, "StrOrPromise"] = {
    "cannot_tell": gettext_lazy("I cannot tell"),
    "unclear_prompt": gettext_lazy("I do not understand the text"),
}


_OWN = KeptQuery(
    lambda: Ballot.objects.filter(
        rater=Parameter("rater"),
        study=Parameter("study"),
        origin=Ballot.Origin.ISSUED,
        token=Parameter("token", CharField()),
    ).order_by()
)
_ANSWER = KeptUpdate(
    lambda: Ballot.objects.filter(
        pk=Parameter("ballot"),
        state=Ballot.State.OPEN,
        lease_until__gt=Parameter("now", DateTimeField()),
        study__in=Study.objects.filter(state=Study.State.OPEN),
    ),
    {"state": Ballot.State.ANSWERED, "answered_at": Parameter("now", DateTimeField())},
)
_TAIL = KeptQuery(
    lambda: (
        Vote.objects.filter(rater=Parameter("rater")).order_by("-sequence").values_list("sequence", "chain_hash")[:1]
    )
)
_VOTES = KeptInsert(Vote)


class VotingError(Refusal):
    """An answer that cannot be taken; nothing of it was stored."""


@dataclass(frozen=True)
class Receipt:
    """That a ballot is answered and its votes are stored; `already` when that had happened before this call."""

    ballot_token: str
    already: bool
    answered_at: datetime


def cast_votes(
    *,
    rater: Rater,
    ballot_token: str,
    answers: Mapping[str, object],
    skip_reason: str = "",
    page_milliseconds: int | None = None,
) -> Receipt:
    """Store one vote for each criterion that applies, all or none. A ballot already answered keeps its first answers.

    `answers` maps criterion keys to choices. With a skip reason the answers are not looked at: a page without
    JavaScript sends both when a rater changes their mind. Answers given before the prompt was shown stand.
    """
    ballot = ballot_of(rater, ballot_token)
    return answer(ballot, answers=answers, skip_reason=skip_reason, page_milliseconds=page_milliseconds)


def answer(
    ballot: Ballot, *, answers: Mapping[str, object], skip_reason: str = "", page_milliseconds: int | None = None
) -> Receipt:
    """The same for a ballot that `ballot_of` has just given."""
    log_context.note(ballot=ballot.pk)
    if ballot.state == Ballot.State.ANSWERED:
        return _receipt(ballot, already=True)
    criteria = asked.asked_on(ballot)
    answers = {**answers, **(ballot.first_answers or {})}
    choices = _skips(criteria, skip_reason) if skip_reason else checked_answers(criteria, answers)
    now = timezone.now()
    with transaction.atomic():
        lock(ballot.rater_id)
        is_ours = _ANSWER.run(ballot=ballot.pk, now=now)
        if is_ours:
            _append_votes(ballot, choices, skip_reason=skip_reason, now=now, page_milliseconds=_sane(page_milliseconds))
    if is_ours:
        return Receipt(ballot_token=ballot.token, already=False, answered_at=now)
    ballot.refresh_from_db(fields=["state", "answered_at"])
    if ballot.state != Ballot.State.ANSWERED:
        raise why_not(ballot)
    return _receipt(ballot, already=True)


def ballot_of(rater: Rater, token: str) -> Ballot:
    """The rater's own ballot. Someone else's and an invented one get the same answer, which confirms nothing."""
    is_token = isinstance(token, str) and TOKEN.fullmatch(token) is not None
    ballot = _OWN.first(rater=rater.pk, study=rater.study_id, token=token) if is_token else None
    if ballot is None:
        raise VotingError(
            _("This pair is not one of yours: reload the page to see yours."), code="unknown_ballot", field="ballot"
        )
    return asked.put_on([ballot], study=rater.study)[0]


def checked_answers(criteria: list[Criterion], answers: Mapping[str, object]) -> dict[int, str]:
    """Criterion id -> choice, each of them one that the criterion allows."""
    keys = {criterion.key for criterion in criteria}
    for key in answers:
        if key not in keys:
            raise VotingError(
                _("The question {question} is not asked here.").format(question=repr(str(key)[:50])),
                code="unknown_criterion",
                field=str(key)[:50],
            )
    return {criterion.pk: _checked_choice(criterion, answers.get(criterion.key)) for criterion in criteria}


def _checked_choice(criterion: Criterion, choice: object) -> str:
    if choice is None or choice == "":
        problem, code = _("“{question}” has no answer yet: choose one."), "missing_answer"
    elif choice == Vote.Choice.TIE and not criterion.allows_tie:
        problem, code = _("“{question}” takes no tie: choose left or right."), "tie_not_allowed"
    elif choice == Vote.Choice.BOTH_BAD and not criterion.allows_both_bad:
        problem = _("“{question}” does not offer “both bad”: choose another answer.")
        code = "both_bad_not_allowed"
    elif not isinstance(choice, str) or choice not in ANSWERS:
        problem, code = _("The answer to “{question}” is none of its choices: choose again."), "no_such_choice"
    else:
        return str(choice)
    raise VotingError(problem.format(question=criterion.name), code=code, field=criterion.key)


def _skips(criteria: list[Criterion], reason: str) -> dict[int, str]:
    if not isinstance(reason, str) or (reason not in SKIP_REASONS and reason not in REPORT_REASONS):
        raise VotingError(
            _("Choose one of the listed reasons for skipping."), code="unknown_skip_reason", field="skip_reason"
        )
    return {criterion.pk: Vote.Choice.SKIP.value for criterion in criteria}


def _append_votes(
    ballot: Ballot, choices: dict[int, str], *, skip_reason: str, now: datetime, page_milliseconds: int | None
) -> None:
    sequence, previous = _TAIL.first(rater=ballot.rater_id) or (0, GENESIS)
    votes = []
    for criterion_id, choice in choices.items():
        sequence += 1
        vote = Vote(
            ballot=ballot,
            criterion_id=criterion_id,
            choice=choice,
            skip_reason=skip_reason,
            study_id=ballot.study_id,
            rater_id=ballot.rater_id,
            study_prompt_id=ballot.study_prompt_id,
            left_contender_id=ballot.left_contender_id,
            right_contender_id=ballot.right_contender_id,
            stratum=ballot.stratum,
            is_ordinary=ballot.purpose == Ballot.Purpose.ORDINARY,
            cast_at=now,
            page_milliseconds=page_milliseconds,
            sequence=sequence,
        )
        vote.chain_hash = previous = chain_hash(previous=previous, vote=vote, ballot=ballot)
        votes.append(vote)
    _VOTES.store(votes)


def why_not(ballot: Ballot) -> VotingError:
    if ballot.state == Ballot.State.SUPERSEDED:
        return VotingError(_("You have undone this pair: answer it again."), code="ballot_undone", field="ballot")
    state = Study.objects.values_list("state", flat=True).get(pk=ballot.study_id)
    paused = VotingError(_("The study is paused and takes no votes: come back later."), code="study_paused")
    if state == Study.State.PAUSED:
        return paused
    if state != Study.State.OPEN:
        return VotingError(_("The study has ended and takes no more votes. Thank you."), code="study_closed")
    if Ballot.objects.filter(withdrawn(), pk=ballot.pk).exists():
        return VotingError(
            _("An image of this pair was withdrawn meanwhile: reload the page for another pair."),
            code="ballot_expired",
            field="ballot",
        )
    if ballot.state == Ballot.State.OPEN and ballot.lease_until and ballot.lease_until > timezone.now():
        return paused  # it was when the answer came, and goes on by now
    return VotingError(
        _("This pair was open for too long and was taken back: reload the page for another one."),
        code="ballot_expired",
        field="ballot",
    )


def _receipt(ballot: Ballot, *, already: bool) -> Receipt:
    answered_at = cast(datetime, ballot.answered_at)  # a check constraint: an answered ballot has its time
    return Receipt(ballot_token=ballot.token, already=already, answered_at=answered_at)


def _sane(page_milliseconds: int | None) -> int | None:
    """What the page measured, or nothing: a wrong clock in a browser is no reason to lose a vote."""
    if isinstance(page_milliseconds, int) and 0 <= page_milliseconds <= LONGEST_PAGE_MILLISECONDS:
        return page_milliseconds
    return None
