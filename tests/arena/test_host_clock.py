"""A web host's clock jumps (F18 for votes): pairs stay open or end with a sentence; no vote is lost or doubled.

Leases of pairs go by the clock of the host that hands them out, answers them or takes them back.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from arena import vote_chain
from arena.issuing import LEASE
from arena.models import Ballot, Rater, Vote
from arena.voting import Receipt, VotingError, cast_votes, expire_abandoned, open_ballots
from tests.arena.factories import make_rater, make_study

pytestmark = pytest.mark.django_db
ALL_LEFT = {"prompt-following": "left", "aesthetics": "left", "typography": "left"}
SetClock = Callable[[float], None]


@pytest.fixture
def rater() -> Rater:
    """Of a study that asks three questions on each prompt."""
    return make_rater(make_study(contenders=3, prompts=3, with_text=3))


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """So many hours ahead of the true time, or behind it."""
    true_now, ahead = timezone.now, [timedelta(0)]
    monkeypatch.setattr(timezone, "now", lambda: true_now() + ahead[0])

    def to(hours: float) -> None:
        ahead[0] = timedelta(hours=hours)

    return to


def answer(ballot: Ballot) -> Receipt:
    return cast_votes(rater=ballot.rater, ballot_token=ballot.token, answers=ALL_LEFT)


def assert_stored_once(rater: Rater, answered: list[Ballot]) -> None:
    """Three votes for each of these ballots, none for another, in an unbroken chain."""
    stored = sorted(Vote.objects.filter(rater=rater).values_list("ballot", flat=True))
    assert stored == sorted(ballot.pk for ballot in answered for _ in ALL_LEFT)
    assert vote_chain.check_chain(rater) == []


@pytest.mark.parametrize(("first", "then"), [(0, 1), (1, 0), (0, -1), (-1, 0), (1, -0.9)])
def test_an_hour_forward_or_back_closes_no_pair(rater: Rater, set_clock: SetClock, first: float, then: float) -> None:
    set_clock(first)
    queue = open_ballots(rater=rater, is_shown=True)
    assert not answer(queue[0]).already
    set_clock(then)
    assert answer(queue[0]).already  # the same answer again, as after a lost reply
    assert expire_abandoned() == 0
    assert not answer(queue[1]).already
    (third, *_) = open_ballots(rater=rater)
    assert third == queue[2] and not answer(third).already
    set_clock(first)
    assert [answer(ballot).already for ballot in queue] == [True] * 3
    assert_stored_once(rater, queue)


def test_beyond_the_lease_an_answer_is_refused_with_a_sentence_and_taken_once_the_clock_is_right(
    rater: Rater, set_clock: SetClock
) -> None:
    queue = open_ballots(rater=rater)
    set_clock(3)
    with pytest.raises(VotingError, match="was taken back: reload the page") as refused:
        answer(queue[0])
    assert refused.value.code == "ballot_expired"
    assert_stored_once(rater, [])
    set_clock(0)
    assert not answer(queue[0]).already
    assert_stored_once(rater, [queue[0]])


def test_what_was_taken_back_stays_so_and_the_rater_gets_another_pair(rater: Rater, set_clock: SetClock) -> None:
    queue = open_ballots(rater=rater)
    answer(queue[0])
    set_clock(3)
    assert expire_abandoned() == 2  # by a worker whose clock is ahead
    (other, *_) = open_ballots(rater=rater)
    set_clock(0)
    with pytest.raises(VotingError, match="was taken back"):
        answer(queue[1])
    assert not answer(other).already
    assert_stored_once(rater, [queue[0], other])
    # What was handed out by a clock that was ahead comes back later by as much, and no more.
    latest = (
        Ballot.objects.filter(state=Ballot.State.OPEN).order_by("-lease_until").values_list("lease_until", flat=True)
    )
    assert latest[0] is not None and latest[0] - timezone.now() <= LEASE + timedelta(hours=3)
