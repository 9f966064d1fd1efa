"""The last ballot once more: a new ballot in place of the answered one, whose votes stay and do not count any more."""

import copy
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import DateTimeField, F, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from arena.issuing import LEASE, is_withdrawn
from arena.kept_queries import KeptQuery, Parameter
from arena.models import Ballot, BallotCheck, Rater, Study
from arena.models.tokens import random_token
from arena.voting import TOKEN, VotingError

UNDO_WITHIN = timedelta(minutes=10)  # an answer is corrected while the pair is in mind, not after a look at the others


def undoable(rater: Rater) -> Ballot | None:
    """The ballot that `undo` would take back now: the last answered one, if it is young enough and not a second try."""
    last = _last_answered(rater)
    return last if last is not None and _why_not(last) is None else None


def undoable_after(answered: Ballot, queue: Sequence[Ballot]) -> Ballot | None:
    """The same right after this ballot was answered, without asking again; `queue` are the rater's open ballots.

    An image that was withdrawn within that moment is noticed by `undo`.
    """
    is_second_try = answered.supersedes_id is not None or any(ballot.supersedes_id is not None for ballot in queue)
    return None if is_second_try or answered.purpose == Ballot.Purpose.QUALIFICATION else answered


def undo(*, rater: Rater, ballot_token: str) -> Ballot:
    """Put the rater's last answered ballot before them again: the same images on the same sides, as a new ballot.

    The old ballot is superseded and its votes count no more; no vote is changed. Asked twice for one ballot (a double
    click, a repeated request), it gives the ballot of the first time. A pair is undone once: neither the new ballot
    nor one before it can be undone. Raises VotingError with the reason where nothing can be undone.
    """
    with transaction.atomic():
        # One act of a rater at a time, as in voting: it orders the queue and the quota.
        Rater.objects.select_for_update().get(pk=rater.pk)
        is_token = TOKEN.fullmatch(ballot_token) is not None
        if is_token and (again := rater.ballots.filter(supersedes__token=ballot_token).first()):
            return again
        last = _last_answered(rater)
        if last is None or last.token != ballot_token:
            raise VotingError(
                _("Only the pair that you answered last can be undone."), code="not_the_last", field="undo"
            )
        if refusal := _why_not(last):
            raise refusal
        return _replace(last)


def _last_answered(rater: Rater) -> Ballot | None:
    return _LAST_ANSWERED.first(rater=rater.pk, now=timezone.now())


# With it, as of the same moment: state of the study, whether the ballot was withdrawn, an undone pair not yet answered.
_LAST_ANSWERED = KeptQuery(
    lambda: (
        Ballot.objects.filter(rater=Parameter("rater"), state=Ballot.State.ANSWERED, origin=Ballot.Origin.ISSUED)
        .annotate(
            study_state=F("study__state"),
            is_withdrawn=is_withdrawn(),
            waiting=Subquery(
                Ballot.objects.filter(
                    rater=Parameter("rater"),
                    supersedes__isnull=False,
                    state=Ballot.State.OPEN,
                    lease_until__gt=Parameter("now", DateTimeField()),
                )
                .order_by()
                .values("pk")[:1]
            ),
        )
        .order_by("-answered_at", "-position")[:1]
    )
)


def _why_not(last: Ballot) -> VotingError | None:
    """Why the ballot, as `_last_answered` gave it, cannot be undone."""
    state, is_gone, waiting = (getattr(last, name) for name in ("study_state", "is_withdrawn", "waiting"))
    if state != Study.State.OPEN:
        sentence, code = _("The study takes no answers now, so nothing can be undone."), "study_closed"
        return VotingError(sentence, code="study_paused" if state == Study.State.PAUSED else code, field="undo")
    if last.purpose == Ballot.Purpose.QUALIFICATION:
        return VotingError(_("A practice pair cannot be undone."), code="practice", field="undo")
    if last.supersedes_id is not None or waiting is not None:
        return VotingError(_("A pair can be undone once, and only one at a time."), code="undone_once", field="undo")
    if last.answered_at is None or last.answered_at < timezone.now() - UNDO_WITHIN:
        return VotingError(_("It is too long ago to be undone."), code="too_late", field="undo")
    if is_gone:
        return VotingError(_("An image of that pair was withdrawn meanwhile."), code="withdrawn", field="undo")
    return None


def _replace(last: Ballot) -> Ballot:
    """The new ballot, before all open ones. It is a copy, so that whatever else a ballot says it says again.

    That includes answers given before the prompt was shown: without having read it they cannot be given anew.
    """
    Ballot.objects.filter(pk=last.pk).update(state=Ballot.State.SUPERSEDED)
    new = copy.copy(last)
    new.pk, new._state = None, copy.copy(last._state)
    new._state.adding = True
    new.token, new.state, new.supersedes_id = random_token(), Ballot.State.OPEN, last.pk
    new.shown_at = new.answered_at = None
    new.lease_until = timezone.now() + LEASE
    new.position = _move_back(last.rater_id)
    new.save(force_insert=True)
    if check := BallotCheck.objects.filter(ballot=last.pk).first():
        BallotCheck.objects.create(ballot=new, gold_id=check.gold_id, repeats_id=check.repeats_id)
    return new


def _move_back(rater_id: int) -> int:
    """Give the rater's open ballots new last places, in their order; returns the place that is free before them."""
    ballots = Ballot.objects.filter(rater=rater_id).order_by("-position")
    free = ballots.values_list("position", flat=True)[0] + 1
    waiting = ballots.filter(state=Ballot.State.OPEN).order_by("position").values_list("pk", flat=True)
    for place, pk in enumerate(list(waiting), start=free + 1):
        Ballot.objects.filter(pk=pk).update(position=place)
    return free
