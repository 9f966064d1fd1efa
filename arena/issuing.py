"""Ballots go out: a rater's queue of open pairs, with leases that come back when abandoned."""

from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import BooleanField, Case, Count, DateTimeField, Max, Q, QuerySet, Value, When
from django.utils import timezone

from arena import asked, pairing, qualification, special_ballots
from arena.admission import Phase, gate
from arena.designs import target_of
from arena.kept_queries import KeptInsert, KeptQuery, KeptUpdate, Parameter
from arena.models import Ballot, Rater, Study

LEASE: Final = timedelta(hours=2)
MOST_OPEN: Final = 3  # one before the rater and two prefetched
MOST_TRIES: Final = 50  # a pair that another rater took meanwhile is followed by another one
_IMAGES = ("left_image", "right_image")


def withdrawn() -> Q:
    """Ballots that went out before one of their images or contenders was taken out."""
    return (
        Q(left_image__is_quarantined=True)
        | Q(right_image__is_quarantined=True)
        | Q(left_contender__withdrawn_at__isnull=False)
        | Q(right_contender__withdrawn_at__isnull=False)
    )


def is_withdrawn() -> Case:
    """The same as a column."""
    return Case(When(withdrawn(), then=Value(True)), default=Value(False), output_field=BooleanField())


# Each answer asks these, most of them while it holds its rater's row.
_OPEN = KeptQuery(
    lambda: (
        Ballot.objects.filter(rater=Parameter("rater"), state=Ballot.State.OPEN)
        .annotate(is_withdrawn=is_withdrawn())
        .order_by("position")
    )
)
_ANSWERED_OF_QUOTA = KeptQuery(
    lambda: (
        Ballot.objects.filter(
            rater=Parameter("rater"), purpose__in=special_ballots.WITHIN_QUOTA, state=Ballot.State.ANSWERED
        )
        .order_by()
        .values_list("rater")
        .annotate(Count("pk"))
    )
)
_LOCK = KeptQuery(lambda: Rater.objects.select_for_update().filter(pk=Parameter("rater")).order_by().values_list("pk"))
_BALLOTS = KeptInsert(Ballot)
_SHOW = KeptUpdate(
    lambda: Ballot.objects.filter(pk=Parameter("ballot"), state=Ballot.State.OPEN, shown_at__isnull=True),
    {"shown_at": Parameter("now", DateTimeField()), "lease_until": Parameter("lease", DateTimeField())},
)


def open_ballots(
    *, rater: Rater, wanted: int = MOST_OPEN, study: Study | None = None, is_shown: bool = False
) -> list[Ballot]:
    """This rater's open ballots in queue order, up to `wanted` (at most three), the one to answer now first.

    New ones are issued as long as the rater's quota and the study's pairs last. Empty when there is nothing (more) to
    do, the study is not open, or something stands before the ballots. Until a rater has qualified, where the study
    asks for it, these are pairs with known answers.

    study:    its row, where the caller has just read it
    is_shown: the page shows the first of them by now
    """
    study = study or Study.objects.get(pk=rater.study_id)
    if study.state != Study.State.OPEN:
        return []
    stands = gate(rater)
    if stands == Phase.QUALIFICATION:
        ballots = _known_pairs(rater, wanted=min(wanted, MOST_OPEN))
    elif stands == Phase.BALLOTS:
        ballots = _queue(rater, study, wanted=min(wanted, MOST_OPEN), is_shown=is_shown)
    else:
        return []
    if ballots and is_shown:
        mark_shown(ballots[0])
    return asked.put_on(ballots, study=study)


def _queue(rater: Rater, study: Study, *, wanted: int, is_shown: bool) -> list[Ballot]:
    if not is_shown:  # else one was just answered, and most likely a new one is wanted in its place
        queue = _standing_now(rater)
        if len(queue) >= wanted or not _quota_left(study, queue, answered=_answered_of_quota(rater)):
            return queue[:wanted]
    choices = pairing.Pairing(rater=rater, study=study)
    # Under a target every ballot has its own transaction, because each holds the prompt that it counts for.
    at_once = wanted if choices.target is None else 1
    for _try in range(MOST_TRIES):
        with transaction.atomic():
            lock(rater.pk)
            queue = _retire(rater)
            if queue and is_shown:
                mark_shown(queue[0])
            choices.load_history()
            answered = sum(choices.answered[purpose] for purpose in special_ballots.WITHIN_QUOTA)
            if (short := min(wanted - len(queue), _quota_left(study, queue, answered=answered))) <= 0:
                break
            issued = _issue(choices, rater=rater, most=min(short, at_once))
        queue += issued
        if not choices.is_undecided and (len(issued) == short or len(issued) < at_once):
            break
    return queue[:wanted]


def _known_pairs(rater: Rater, *, wanted: int) -> list[Ballot]:
    """The open ballots of a qualification attempt."""
    known = _standing(rater).filter(purpose=Ballot.Purpose.QUALIFICATION)
    if known.count() < wanted:
        with transaction.atomic():
            lock(rater.pk)
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
        lock(rater.pk)
        last = own.filter(state=Ballot.State.ANSWERED).aggregate(last=Max("position"))["last"] or 0
        if _standing(rater).exists():
            return 0
        left = own.filter(state__in=[Ballot.State.OPEN, *given_up], position__gt=last).exclude(withdrawn())
        rows = left.order_by("-position").values_list("pk", "purpose", *_IMAGES)
        once = {frozenset(images): (pk, purpose) for pk, purpose, *images in rows}
        room = _quota_left(rater.study, [], answered=_answered_of_quota(rater))
        chosen = []
        for pk, purpose in sorted(once.values())[:MOST_OPEN]:
            room -= (is_within := purpose in special_ballots.WITHIN_QUOTA)
            chosen += [pk] if room >= 0 or not is_within else []
        return Ballot.objects.filter(pk__in=chosen).update(state=Ballot.State.OPEN, lease_until=timezone.now() + LEASE)


def release(rater: Rater) -> int:
    """Free the pairs that stand before a rater who gave their place back; answers stay. Returns how many."""
    with transaction.atomic():
        lock(rater.pk)
        return Ballot.objects.filter(rater=rater, state=Ballot.State.OPEN).update(state=Ballot.State.EXPIRED)


def mark_shown(ballot: Ballot) -> None:
    """Note that the page with this ballot went out, once; its lease runs anew from then."""
    if ballot.shown_at is None:
        now = timezone.now()
        if _SHOW.run(ballot=ballot.pk, now=now, lease=now + LEASE):
            ballot.shown_at, ballot.lease_until = now, now + LEASE


def expire_abandoned() -> int:
    """Take back open ballots whose lease has run out, so that their pairs can be asked again; returns how many."""
    overdue = Ballot.objects.filter(state=Ballot.State.OPEN, lease_until__lte=timezone.now())
    return overdue.update(state=Ballot.State.EXPIRED)


def quota_of(study: Study) -> int | None:
    """How many ballots each rater answers at most; None for no limit."""
    quota = study.rater_rules.get("ballots_per_rater")
    return None if quota is None else int(quota)


def lock(rater: int) -> None:
    """One act of a rater at a time: it orders the queue, the quota and the chain. (SQLite locks the whole database.)"""
    if connection.features.has_select_for_update:
        _LOCK.rows(rater=rater)


def _standing(rater: Rater) -> QuerySet[Ballot]:
    """Open ballots that can still be answered."""
    open_now = Ballot.objects.filter(rater=rater, state=Ballot.State.OPEN, lease_until__gt=timezone.now())
    return open_now.exclude(withdrawn()).order_by("position")


def _standing_now(rater: Rater) -> list[Ballot]:
    now = timezone.now()
    return [ballot for ballot in _OPEN.rows(rater=rater.pk) if not _is_stale(ballot, now) and ballot.lease_until]


def _retire(rater: Rater) -> list[Ballot]:
    """Take back the rater's ballots that nobody can answer any more; returns those that still stand."""
    now = timezone.now()
    own = _OPEN.rows(rater=rater.pk)
    if stale := [ballot.pk for ballot in own if _is_stale(ballot, now)]:
        Ballot.objects.filter(pk__in=stale, state=Ballot.State.OPEN).update(state=Ballot.State.EXPIRED)
    return [ballot for ballot in own if not _is_stale(ballot, now) and ballot.lease_until]


def _is_stale(ballot: Ballot, now: datetime) -> bool:
    is_over = ballot.lease_until is not None and ballot.lease_until <= now
    return is_over or bool(ballot.is_withdrawn)  # type: ignore[attr-defined] # annotated


def _answered_of_quota(rater: Rater) -> int:
    found = _ANSWERED_OF_QUOTA.first(rater=rater.pk)
    return int(found[1]) if found else 0


def _quota_left(study: Study, standing: list[Ballot], *, answered: int) -> int:
    quota = quota_of(study)
    if quota is None:
        return MOST_OPEN
    # Gold and repeats count too, as in the progress that the rater sees: nothing may tell them apart. Open ballots that
    # nobody can answer any more use up nothing, whether or not they were taken back yet.
    return max(0, quota - answered - sum(ballot.purpose in special_ballots.WITHIN_QUOTA for ballot in standing))


def _issue(choices: pairing.Pairing, *, rater: Rater, most: int) -> list[Ballot]:
    """Store up to `most` new ballots, as many as there are pairs for."""
    issued: list[Ballot] = []
    last = choices.last_position
    for position in range(last + 1, last + 1 + most):
        special = special_ballots.next_special(rater=rater, study=choices.study, position=position)
        if (choice := special.pair if special else choices.choose()) is None:
            break
        ballot = Ballot(
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
        _BALLOTS.store([ballot])
        if special:
            special.note_on(ballot)
        issued.append(ballot)
    return issued
