"""Ballots and votes: single use, all or nothing, append-only, bound to their rater."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from arena import asked, studies, voting
from arena.models import Ballot, Contender, Rater, Study, Vote
from arena.voting import VotingError, cast_votes, open_ballots
from generation.models import Image
from tests.arena import factories

pytestmark = pytest.mark.django_db

ALL_LEFT = {"prompt-following": "left", "aesthetics": "left", "typography": "left"}


@pytest.fixture
def study() -> Study:
    """Every prompt has text to render, so that all three questions are asked on each."""
    return factories.make_study(contenders=3, prompts=3, with_text=3)


@pytest.fixture
def rater(study: Study) -> Rater:
    return factories.make_rater(study)


@pytest.fixture
def ballot(rater: Rater) -> Ballot:
    return open_ballots(rater=rater, wanted=1)[0]


def choices_of(ballot: Ballot) -> dict[str, str]:
    return dict(ballot.votes.values_list("criterion__key", "choice"))


# --- the queue --------------------------------------------------------------------------------------------------------
def test_reloading_shows_the_same_ballot_and_the_queue_keeps_its_order(rater: Rater) -> None:
    first = open_ballots(rater=rater, wanted=1)
    queue = open_ballots(rater=rater, wanted=3)
    assert queue[:1] == first and queue == open_ballots(rater=rater, wanted=3)
    assert [ballot.position for ballot in queue] == [1, 2, 3]


def test_answering_moves_the_queue_on_by_one(rater: Rater) -> None:
    queue = open_ballots(rater=rater)
    cast_votes(rater=rater, ballot_token=queue[0].token, answers=ALL_LEFT)
    after = open_ballots(rater=rater)
    assert after[:2] == queue[1:] and after[2].position == 4


def test_never_more_than_three_are_open(rater: Rater) -> None:
    assert len(open_ballots(rater=rater, wanted=50)) == 3
    assert rater.ballots.count() == 3


def test_the_quota_counts_open_and_answered_ballots() -> None:
    study = factories.make_study(contenders=3, prompts=3, ballots_per_rater=4)
    rater = factories.make_rater(study)
    factories.cast(rater, "left", ballots=2)
    assert len(open_ballots(rater=rater)) == 2
    assert len(factories.cast(rater, "left", ballots=10)) == 2
    assert open_ballots(rater=rater) == [] and rater.ballots.count() == 4


def _let_leases_lapse(ballots: list[Ballot]) -> None:
    Ballot.objects.filter(pk__in=[ballot.pk for ballot in ballots]).update(lease_until=timezone.now())


def _quarantine_images(ballots: list[Ballot]) -> None:
    Image.objects.filter(pk__in=[ballot.left_image_id or 0 for ballot in ballots]).update(
        is_quarantined=True, quarantine_reason="disturbing"
    )


def _withdraw_contenders(ballots: list[Ballot]) -> None:
    Contender.objects.filter(pk=ballots[0].left_contender_id).update(withdrawn_at=timezone.now())


@pytest.mark.parametrize("spoil", [_let_leases_lapse, _quarantine_images, _withdraw_contenders])
def test_a_ballot_that_nobody_can_answer_any_more_uses_up_no_quota(spoil: Callable[[list[Ballot]], None]) -> None:
    study = factories.make_study(contenders=3, prompts=6, ballots_per_rater=3)
    rater = factories.make_rater(study)
    factories.cast(rater, "left", ballots=2)
    last = open_ballots(rater=rater)
    assert len(last) == 1
    spoil(last)
    instead = open_ballots(rater=rater)
    assert len(instead) == 1 and instead != last
    assert len(factories.cast(rater, "left", ballots=5)) == 1 and open_ballots(rater=rater) == []
    states = Counter(rater.ballots.values_list("state", flat=True))
    assert states == {Ballot.State.ANSWERED: 3, Ballot.State.EXPIRED: 1}


def test_nothing_is_handed_out_unless_the_study_is_open() -> None:
    draft = factories.make_study(opened=False)
    assert open_ballots(rater=Rater.objects.create(study=draft, kind=Rater.Kind.INVITED)) == []
    study = factories.make_study(slug="words")
    rater = factories.make_rater(study)
    queue = open_ballots(rater=rater)
    studies.pause_study(study, actor=None)
    assert open_ballots(rater=rater) == []
    studies.resume_study(study, actor=None)
    assert open_ballots(rater=rater) == queue
    studies.close_study(study, actor=None)
    assert open_ballots(rater=rater) == []


def test_an_abandoned_ballot_comes_back_and_another_one_is_shown(rater: Rater, ballot: Ballot) -> None:
    Ballot.objects.filter(pk=ballot.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert voting.expire_abandoned() == 1
    assert voting.expire_abandoned() == 0
    ballot.refresh_from_db()
    assert ballot.state == Ballot.State.EXPIRED
    assert [new.position for new in open_ballots(rater=rater, wanted=1)] == [2]


def test_who_comes_back_gets_no_more_pairs_than_the_quota_leaves() -> None:
    study = factories.make_study(contenders=4, prompts=4, with_text=0, slug="quota", ballots_per_rater=2)
    rater = factories.make_rater(study)
    factories.cast(rater, "left")
    for _ in range(3):
        assert len(open_ballots(rater=rater)) == 1
        Ballot.objects.filter(state=Ballot.State.OPEN).update(lease_until=timezone.now() - timedelta(seconds=1))
        voting.expire_abandoned()
    assert voting.resume(rater) == 1
    assert len(factories.cast(rater, "left", ballots=9)) == 1


def test_a_ballot_past_its_lease_is_replaced_before_any_sweep(rater: Rater, ballot: Ballot) -> None:
    Ballot.objects.filter(pk=ballot.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert open_ballots(rater=rater, wanted=1)[0].pk != ballot.pk
    ballot.refresh_from_db()
    assert ballot.state == Ballot.State.EXPIRED


def test_showing_a_ballot_is_noted_once_and_renews_its_lease(ballot: Ballot) -> None:
    Ballot.objects.filter(pk=ballot.pk).update(lease_until=timezone.now() + timedelta(minutes=1))
    voting.mark_shown(ballot)
    shown, lease = ballot.shown_at, ballot.lease_until
    assert shown is not None and lease == shown + voting.LEASE
    voting.mark_shown(ballot)
    ballot.refresh_from_db()
    assert (ballot.shown_at, ballot.lease_until) == (shown, lease)


# --- answers ----------------------------------------------------------------------------------------------------------
def test_one_vote_per_criterion_with_copies_of_what_was_asked(rater: Rater, ballot: Ballot) -> None:
    answers = {"prompt-following": "left", "aesthetics": "tie", "typography": "right"}
    receipt = cast_votes(rater=rater, ballot_token=ballot.token, answers=answers, page_milliseconds=4200)
    ballot.refresh_from_db()
    assert receipt == voting.Receipt(ballot_token=ballot.token, already=False, answered_at=ballot.answered_at)  # type: ignore[arg-type]
    assert ballot.state == Ballot.State.ANSWERED and choices_of(ballot) == answers
    for sequence, vote in enumerate(ballot.votes.order_by("sequence"), start=1):
        assert (vote.study_id, vote.rater_id, vote.study_prompt_id) == (
            rater.study_id,
            rater.pk,
            ballot.study_prompt_id,
        )
        assert (vote.left_contender_id, vote.right_contender_id) == (
            ballot.left_contender_id,
            ballot.right_contender_id,
        )
        assert (vote.stratum, vote.is_ordinary, vote.sequence) == ("people", True, sequence)
        assert (vote.cast_at, vote.page_milliseconds, vote.skip_reason) == (ballot.answered_at, 4200, "")


def test_only_the_criteria_that_apply_to_the_prompt_are_asked() -> None:
    study = factories.make_study(contenders=2, prompts=1, with_text=0)
    rater = factories.make_rater(study)
    ballot = open_ballots(rater=rater)[0]
    with pytest.raises(VotingError) as refused:
        cast_votes(rater=rater, ballot_token=ballot.token, answers=ALL_LEFT)
    assert (refused.value.code, refused.value.field) == ("unknown_criterion", "typography")
    cast_votes(rater=rater, ballot_token=ballot.token, answers={"prompt-following": "left", "aesthetics": "right"})
    assert choices_of(ballot) == {"prompt-following": "left", "aesthetics": "right"}


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"aesthetics": None}, "missing_answer", "aesthetics"),
        ({"aesthetics": ""}, "missing_answer", "aesthetics"),
        ({"beauty": "left"}, "unknown_criterion", "beauty"),
        ({"aesthetics": 'both"'}, "no_such_choice", "aesthetics"),
        ({"aesthetics": ["left"]}, "no_such_choice", "aesthetics"),
        ({"aesthetics": {"left": 1}}, "no_such_choice", "aesthetics"),
        ({"aesthetics": 1}, "no_such_choice", "aesthetics"),
        ({"aesthetics": "skip"}, "no_such_choice", "aesthetics"),
        ({"aesthetics": "both_bad"}, "both_bad_not_allowed", "aesthetics"),
    ],
)
def test_a_wrong_answer_is_refused_and_nothing_is_stored(
    rater: Rater, ballot: Ballot, change: dict[str, object], code: str, field: str
) -> None:
    with pytest.raises(VotingError) as refused:
        cast_votes(rater=rater, ballot_token=ballot.token, answers={**ALL_LEFT, **change})
    assert (refused.value.code, refused.value.field) == (code, field)
    ballot.refresh_from_db()
    assert ballot.state == Ballot.State.OPEN and not Vote.objects.exists()


def test_a_missing_key_is_a_missing_answer(rater: Rater, ballot: Ballot) -> None:
    with pytest.raises(VotingError, match="“Typography” has no answer yet") as refused:
        cast_votes(rater=rater, ballot_token=ballot.token, answers={"prompt-following": "left", "aesthetics": "tie"})
    assert refused.value.code == "missing_answer" and not Vote.objects.exists()


def test_a_tie_is_refused_where_the_criterion_takes_none() -> None:
    study = factories.make_study(contenders=2, prompts=1, with_text=0, criteria="sd3_house")
    rater = factories.make_rater(study)
    ballot = open_ballots(rater=rater)[0]
    with pytest.raises(VotingError) as refused:
        cast_votes(rater=rater, ballot_token=ballot.token, answers={"prompt-following": "tie", "aesthetics": "left"})
    assert (refused.value.code, refused.value.field) == ("tie_not_allowed", "prompt-following")


def test_both_bad_is_stored_where_the_criterion_offers_it(study: Study, rater: Rater, ballot: Ballot) -> None:
    study.criteria.update(allows_both_bad=True)
    asked.forget()
    cast_votes(rater=rater, ballot_token=ballot.token, answers={key: "both_bad" for key in ALL_LEFT})
    assert set(choices_of(ballot).values()) == {"both_bad"}


def test_a_skip_is_stored_for_every_criterion_and_counts_for_nothing(rater: Rater, ballot: Ballot) -> None:
    cast_votes(rater=rater, ballot_token=ballot.token, answers={"aesthetics": "left"}, skip_reason="not_shown")
    assert list(ballot.votes.values_list("choice", "skip_reason")) == [("skip", "not_shown")] * 3
    assert not Vote.objects.counted().exists()


def test_a_skip_needs_a_listed_reason(rater: Rater, ballot: Ballot) -> None:
    with pytest.raises(VotingError) as refused:
        cast_votes(rater=rater, ballot_token=ballot.token, answers={}, skip_reason="because")
    assert (refused.value.code, refused.value.field) == ("unknown_skip_reason", "skip_reason")
    assert not Vote.objects.exists()


@pytest.mark.parametrize("measured", [-1, 2**31, "12", None, 3.5])
def test_a_page_clock_that_makes_no_sense_costs_no_vote(rater: Rater, ballot: Ballot, measured: object) -> None:
    cast_votes(rater=rater, ballot_token=ballot.token, answers=ALL_LEFT, page_milliseconds=measured)  # type: ignore[arg-type]
    assert set(ballot.votes.values_list("page_milliseconds", flat=True)) == {None}


# --- whose ballot, and when -------------------------------------------------------------------------------------------
def _another_raters(ballot: Ballot) -> str:
    return open_ballots(rater=factories.make_rater(ballot.study), wanted=1)[0].token


def _another_studys(ballot: Ballot) -> str:
    return open_ballots(rater=factories.make_rater(factories.make_study(slug="words")), wanted=1)[0].token


@pytest.mark.parametrize(
    "token_of",
    [
        _another_raters,
        _another_studys,
        lambda _: "0" * 32,
        lambda _: "",
        lambda _: ["a", "list"],
        lambda _: 7,
        lambda _: "\x00" * 32,
    ],
)
def test_a_ballot_that_is_not_the_raters_own_is_refused(
    rater: Rater, ballot: Ballot, token_of: Callable[[Ballot], str]
) -> None:
    with pytest.raises(VotingError) as refused:
        cast_votes(rater=rater, ballot_token=token_of(ballot), answers=ALL_LEFT)
    assert refused.value.code == "unknown_ballot" and not Vote.objects.exists()


def test_a_late_answer_is_refused_even_before_the_sweep(rater: Rater, ballot: Ballot) -> None:
    Ballot.objects.filter(pk=ballot.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    with pytest.raises(VotingError) as refused:
        cast_votes(rater=rater, ballot_token=ballot.token, answers=ALL_LEFT)
    assert refused.value.code == "ballot_expired"
    voting.expire_abandoned()
    with pytest.raises(VotingError) as refused:
        cast_votes(rater=rater, ballot_token=ballot.token, answers=ALL_LEFT)
    assert refused.value.code == "ballot_expired" and not Vote.objects.exists()


@pytest.mark.parametrize(
    ("end", "code"), [(studies.pause_study, "study_paused"), (studies.close_study, "study_closed")]
)
def test_a_study_that_is_not_open_takes_no_votes(
    study: Study, rater: Rater, ballot: Ballot, end: Callable[..., Study], code: str
) -> None:
    end(study, actor=None)
    with pytest.raises(VotingError) as refused:
        cast_votes(rater=rater, ballot_token=ballot.token, answers=ALL_LEFT)
    ballot.refresh_from_db()
    assert refused.value.code == code and ballot.state == Ballot.State.OPEN and not Vote.objects.exists()


def test_a_repeated_submission_is_already_recorded_and_changes_nothing(
    study: Study, rater: Rater, ballot: Ballot
) -> None:
    first = cast_votes(rater=rater, ballot_token=ballot.token, answers=ALL_LEFT)
    again = cast_votes(rater=rater, ballot_token=ballot.token, answers={key: "right" for key in ALL_LEFT})
    studies.close_study(study, actor=None)
    after_the_end = cast_votes(rater=rater, ballot_token=ballot.token, answers={}, skip_reason="cannot_tell")
    assert again == after_the_end == voting.Receipt(ballot.token, already=True, answered_at=first.answered_at)
    assert choices_of(ballot) == ALL_LEFT


def test_an_answer_costs_few_queries(
    rater: Rater, ballot: Ballot, django_assert_max_num_queries: Callable[..., object]
) -> None:
    with django_assert_max_num_queries(9):  # type: ignore[attr-defined]
        cast_votes(rater=rater, ballot_token=ballot.token, answers=ALL_LEFT)


# --- at the same moment -----------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_eight_posts_of_one_ballot_at_once_store_one_set_of_votes(rater: Rater, ballot: Ballot) -> None:
    together = Barrier(8)

    def post(index: int) -> bool:
        try:
            together.wait()
            answers = dict.fromkeys(ALL_LEFT, "left" if index % 2 else "right")
            return cast_votes(rater=rater, ballot_token=ballot.token, answers=answers).already
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        repeated = list(pool.map(post, range(8)))
    assert sorted(repeated) == [False] + [True] * 7
    assert Vote.objects.count() == 3 and len(set(choices_of(ballot).values())) == 1
    assert list(Vote.objects.order_by("sequence").values_list("sequence", flat=True)) == [1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_queues_asked_for_at_once_share_their_ballots(rater: Rater) -> None:
    together = Barrier(6)

    def ask(_: int) -> list[str]:
        try:
            together.wait()
            return [ballot.token for ballot in open_ballots(rater=Rater.objects.get(pk=rater.pk))]
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        queues = list(pool.map(ask, range(6)))
    assert all(queue == queues[0] for queue in queues) and len(queues[0]) == 3
    assert rater.ballots.count() == 3


@pytest.mark.django_db(transaction=True)
def test_ballots_of_one_rater_posted_at_once_keep_one_chain(rater: Rater) -> None:
    queue = open_ballots(rater=rater)
    together = Barrier(3)

    def post(ballot: Ballot) -> None:
        try:
            together.wait()
            cast_votes(rater=rater, ballot_token=ballot.token, answers=ALL_LEFT)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(post, queue))
    assert list(rater.votes.order_by("sequence").values_list("sequence", flat=True)) == list(range(1, 10))
    assert voting.check_chain(rater) == []
