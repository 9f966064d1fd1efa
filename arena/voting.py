"""Ballots go out and votes come in: each answer is one short transaction on a ballot that can be used once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena import pairing, qualification, special_ballots
from arena.admission import Phase, gate
from arena.designs import target_of
from arena.models import Ballot, Criterion, Rater, Study, Vote
from arena.refusals import Refusal
from arena.vote_chain import GENESIS, chain_hash, check_chain

__all__ = [
    "Receipt",
    "VotingError",
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

LEASE = timedelta(hours=2)
MOST_OPEN = 3  # one before the rater and two prefetched
MOST_TRIES = 50  # a pair that another rater took meanwhile is followed by another one
ANSWERS = (Vote.Choice.LEFT, Vote.Choice.RIGHT, Vote.Choice.TIE, Vote.Choice.BOTH_BAD)
TOKEN = re.compile(r"[0-9a-f]{32}")
_IMAGES = ("left_image", "right_image")
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


class VotingError(Refusal):
    """An answer that cannot be taken; nothing of it was stored."""


@dataclass(frozen=True)
class Receipt:
    """That a ballot is answered and its votes are stored; `already` when that had happened before this call."""

    ballot_token: str
    already: bool
    answered_at: datetime


def open_ballots(*, rater: Rater, wanted: int = MOST_OPEN) -> list[Ballot]:
    """This rater's open ballots in queue order, up to `wanted` (at most three), the one to answer now first.

    New ones are issued as long as the rater's quota and the study's pairs last. Empty when there is nothing (more) to
    do, the study is not open, or something stands before the ballots. Until a rater has qualified, where the study
    asks for it, these are pairs with known answers.
    """
    study = Study.objects.get(pk=rater.study_id)
    if study.state != Study.State.OPEN:
        return []
    stands = gate(rater)
    if stands == Phase.QUALIFICATION:
        return _known_pairs(rater, wanted=min(wanted, MOST_OPEN))
    if stands != Phase.BALLOTS:
        return []
    wanted = min(wanted, MOST_OPEN)
    queue = list(_standing(rater)[:wanted])
    if len(queue) == wanted or not _quota_left(rater, study):
        return queue
    choices = pairing.Pairing(rater=rater, study=study)
    # Under a target every ballot has its own transaction, because each holds the prompt that it counts for.
    at_once = wanted if choices.target is None else 1
    for _try in range(MOST_TRIES):
        with transaction.atomic():
            _lock(rater)
            _retire(rater)
            short = min(wanted - _standing(rater).count(), _quota_left(rater, study))
            choices.load_history()
            issued = _issue(choices, rater=rater, most=min(short, at_once))
        if not choices.is_undecided and (issued == short or issued < at_once):
            break
    return list(_standing(rater)[:wanted])


def _known_pairs(rater: Rater, *, wanted: int) -> list[Ballot]:
    """The open ballots of a qualification attempt."""
    known = _standing(rater).filter(purpose=Ballot.Purpose.QUALIFICATION)
    if known.count() < wanted:
        with transaction.atomic():
            _lock(rater)
            _retire(rater)
            qualification.issue(rater=rater, most=wanted - known.count(), lease=LEASE)
    return list(known.all()[:wanted])


def resume(rater: Rater) -> int:
    """Put back before a rater what they left unanswered and nobody took from the study since; returns how many.

    A rater who comes back after a long gap goes on at the very pair they left, within their quota. Under a target, what
    was taken back may have been given to somebody else since, so there only pairs that still count for them return.
    """
    given_up = [] if target_of(rater.study) else [Ballot.State.EXPIRED]
    own = Ballot.objects.filter(rater=rater)
    with transaction.atomic():
        _lock(rater)
        last = own.filter(state=Ballot.State.ANSWERED).aggregate(last=Max("position"))["last"] or 0
        if _standing(rater).exists():
            return 0
        left = own.filter(state__in=[Ballot.State.OPEN, *given_up], position__gt=last).exclude(withdrawn())
        rows = left.order_by("-position").values_list("pk", "purpose", *_IMAGES)
        once = {frozenset(images): (pk, purpose) for pk, purpose, *images in rows}
        room = _quota_left(rater, rater.study)
        chosen = []
        for pk, purpose in sorted(once.values())[:MOST_OPEN]:
            room -= (is_within := purpose in special_ballots.WITHIN_QUOTA)
            chosen += [pk] if room >= 0 or not is_within else []
        return Ballot.objects.filter(pk__in=chosen).update(state=Ballot.State.OPEN, lease_until=timezone.now() + LEASE)


def release(rater: Rater) -> int:
    """Free the pairs that stand before a rater who gave their place back; answers stay. Returns how many."""
    with transaction.atomic():
        _lock(rater)
        return Ballot.objects.filter(rater=rater, state=Ballot.State.OPEN).update(state=Ballot.State.EXPIRED)


def mark_shown(ballot: Ballot) -> None:
    """Note that the page with this ballot went out, once; its lease runs anew from then."""
    now = timezone.now()
    unseen = Ballot.objects.filter(pk=ballot.pk, state=Ballot.State.OPEN, shown_at__isnull=True)
    if unseen.update(shown_at=now, lease_until=now + LEASE):
        ballot.shown_at, ballot.lease_until = now, now + LEASE


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
    if ballot.state == Ballot.State.ANSWERED:
        return _receipt(ballot, already=True)
    criteria = list(ballot.study_prompt.criteria.order_by("position"))
    answers = {**answers, **(ballot.first_answers or {})}
    choices = _skips(criteria, skip_reason) if skip_reason else checked_answers(criteria, answers)
    now = timezone.now()
    with transaction.atomic():
        _lock(rater)
        is_ours = Ballot.objects.filter(
            pk=ballot.pk,
            state=Ballot.State.OPEN,
            lease_until__gt=now,
            study__in=Study.objects.filter(state=Study.State.OPEN),
        ).update(state=Ballot.State.ANSWERED, answered_at=now)
        if is_ours:
            _append_votes(ballot, choices, skip_reason=skip_reason, now=now, page_milliseconds=_sane(page_milliseconds))
    ballot.refresh_from_db(fields=["state", "answered_at"])
    if not is_ours and ballot.state != Ballot.State.ANSWERED:
        raise why_not(ballot)
    return _receipt(ballot, already=not is_ours)


def expire_abandoned() -> int:
    """Take back open ballots whose lease has run out, so that their pairs can be asked again; returns how many."""
    overdue = Ballot.objects.filter(state=Ballot.State.OPEN, lease_until__lte=timezone.now())
    return overdue.update(state=Ballot.State.EXPIRED)


def quota_of(study: Study) -> int | None:
    """How many ballots each rater answers at most; None for no limit."""
    quota = study.rater_rules.get("ballots_per_rater")
    return None if quota is None else int(quota)


def _standing(rater: Rater) -> QuerySet[Ballot]:
    """Open ballots that can still be answered, ready for a page."""
    return (
        Ballot.objects.filter(rater=rater, state=Ballot.State.OPEN, lease_until__gt=timezone.now())
        .exclude(withdrawn())
        .select_related(
            "study", "study_prompt__prompt", "left_image", "right_image", "left_contender", "right_contender"
        )
        .prefetch_related("study_prompt__criteria")
        .order_by("position")
    )


def withdrawn() -> Q:
    """Ballots that went out before one of their images or contenders was taken out."""
    return (
        Q(left_image__is_quarantined=True)
        | Q(right_image__is_quarantined=True)
        | Q(left_contender__withdrawn_at__isnull=False)
        | Q(right_contender__withdrawn_at__isnull=False)
    )


def _retire(rater: Rater) -> None:
    stale = Ballot.objects.filter(rater=rater, state=Ballot.State.OPEN)
    stale.filter(withdrawn() | Q(lease_until__lte=timezone.now())).update(state=Ballot.State.EXPIRED)


def _quota_left(rater: Rater, study: Study) -> int:
    quota = quota_of(study)
    if quota is None:
        return MOST_OPEN
    # Gold and repeats count too, as in the progress that the rater sees: nothing may tell them apart. Open ballots that
    # nobody can answer any more use up nothing, whether or not they were taken back yet.
    own = Ballot.objects.filter(rater=rater, purpose__in=special_ballots.WITHIN_QUOTA)
    answered = own.filter(state=Ballot.State.ANSWERED).count()
    return max(0, quota - answered - _standing(rater).filter(purpose__in=special_ballots.WITHIN_QUOTA).count())


def _lock(rater: Rater) -> None:
    """One act of a rater at a time: it orders the queue, the quota and the chain. (SQLite locks the whole database.)"""
    Rater.objects.select_for_update().get(pk=rater.pk)


def _issue(choices: pairing.Pairing, *, rater: Rater, most: int) -> int:
    """Store up to `most` new ballots; returns how many there were pairs for."""
    if most <= 0:
        return 0
    last = Ballot.objects.filter(rater=rater).aggregate(last=Max("position"))["last"] or 0
    for position in range(last + 1, last + 1 + most):
        special = special_ballots.next_special(rater=rater, study=choices.study, position=position)
        if (choice := special.pair if special else choices.choose()) is None:
            return position - last - 1
        ballot = Ballot.objects.create(
            study_id=rater.study_id,
            rater=rater,
            study_prompt_id=choice.study_prompt_id,
            left_contender_id=choice.left_contender_id,
            right_contender_id=choice.right_contender_id,
            left_image_id=choice.left_image_id,
            right_image_id=choice.right_image_id,
            stratum=rater.stratum,
            purpose=special.purpose if special else Ballot.Purpose.ORDINARY,
            rule=choice.rule,
            probability=choice.probability,
            position=position,
            lease_until=timezone.now() + LEASE,
        )
        if special:
            special.note_on(ballot)
    return most


def ballot_of(rater: Rater, token: str) -> Ballot:
    """The rater's own ballot. Someone else's and an invented one get the same answer, which confirms nothing."""
    own = Ballot.objects.filter(rater=rater, study=rater.study_id, origin=Ballot.Origin.ISSUED)
    is_token = isinstance(token, str) and TOKEN.fullmatch(token) is not None
    ballot = own.select_related("study_prompt").filter(token=token).first() if is_token else None
    if ballot is None:
        raise VotingError(
            _("This pair is not one of yours: reload the page to see yours."), code="unknown_ballot", field="ballot"
        )
    return ballot


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
    tail = (
        Vote.objects.filter(rater=ballot.rater_id).order_by("-sequence").values_list("sequence", "chain_hash").first()
    )
    sequence, previous = tail or (0, GENESIS)
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
    Vote.objects.bulk_create(votes)


def why_not(ballot: Ballot) -> VotingError:
    if ballot.state == Ballot.State.SUPERSEDED:
        return VotingError(_("You have undone this pair: answer it again."), code="ballot_undone", field="ballot")
    state = Study.objects.values_list("state", flat=True).get(pk=ballot.study_id)
    if state == Study.State.PAUSED:
        return VotingError(_("The study is paused and takes no votes: come back later."), code="study_paused")
    if state != Study.State.OPEN:
        return VotingError(_("The study has ended and takes no more votes. Thank you."), code="study_closed")
    if Ballot.objects.filter(withdrawn(), pk=ballot.pk).exists():
        return VotingError(
            _("An image of this pair was withdrawn meanwhile: reload the page for another pair."),
            code="ballot_expired",
            field="ballot",
        )
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
