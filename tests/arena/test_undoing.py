"""Undo: the last ballot once more. Votes stay, count once, and the chain stays whole."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from arena import counted_votes, raters, studies, voting
from arena.models import Ballot, Rater, Study, Vote
from arena.undoing import UNDO_WITHIN, undo, undoable
from arena.vote_chain import check_chain
from arena.voting import VotingError, cast_votes, open_ballots
from generation.models import Image
from tests.arena import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return factories.make_study(contenders=3, prompts=3, with_text=3)


@pytest.fixture
def rater(study: Study) -> Rater:
    return factories.make_rater(study)


def answer_one(rater: Rater, choice: str = "left") -> Ballot:
    (receipt,) = factories.cast(rater, choice)
    return Ballot.objects.get(token=receipt.ballot_token)


def answers_to(ballot: Ballot, choice: str) -> dict[str, str]:
    return dict.fromkeys(ballot.study_prompt.criteria.values_list("key", flat=True), choice)


def test_the_same_pair_comes_first_again_as_a_new_ballot(rater: Rater) -> None:
    open_ballots(rater=rater)
    last = answer_one(rater)
    waiting = open_ballots(rater=rater)
    new = undo(rater=rater, ballot_token=last.token)
    assert (new.left_image_id, new.right_image_id) == (last.left_image_id, last.right_image_id)
    assert (new.supersedes, new.state, new.shown_at, new.answered_at) == (last, "open", None, None)
    assert new.token != last.token
    last.refresh_from_db()
    assert last.state == Ballot.State.SUPERSEDED
    assert open_ballots(rater=rater) == [new, *waiting[:2]]
    assert check_chain(rater) == []


def test_only_the_new_answer_counts_and_both_are_kept(study: Study, rater: Rater) -> None:
    last = answer_one(rater, "left")
    new = undo(rater=rater, ballot_token=last.token)
    assert raters.progress_of(rater).answered == 0
    assert Vote.objects.counted().count() == 0
    cast_votes(rater=rater, ballot_token=new.token, answers=answers_to(new, "right"))
    assert raters.progress_of(rater).answered == 1
    assert set(Vote.objects.counted().values_list("ballot", "choice")) == {(new.pk, "right")}
    assert set(last.votes.values_list("choice", flat=True)) == {"left"}
    for criterion in study.criteria.all():
        assert len(counted_votes.read_votes(criterion).rows) == 1
    assert check_chain(rater) == []


def test_an_undone_skip_is_no_skip(study: Study, rater: Rater) -> None:
    ballot = open_ballots(rater=rater, wanted=1)[0]
    cast_votes(rater=rater, ballot_token=ballot.token, answers={}, skip_reason="cannot_tell")
    new = undo(rater=rater, ballot_token=ballot.token)
    cast_votes(rater=rater, ballot_token=new.token, answers=answers_to(new, "tie"))
    found = counted_votes.read_votes(study.criteria.get(key="aesthetics"))
    assert (found.skips, len(found.rows)) == (0, 1)


def test_the_quota_and_the_targets_see_the_pair_once() -> None:
    study = factories.make_study(contenders=3, prompts=3, ballots_per_rater=2)
    rater = factories.make_rater(study)
    factories.cast(rater, ballots=1)
    last = answer_one(rater)
    assert open_ballots(rater=rater) == []
    new = undo(rater=rater, ballot_token=last.token)
    assert open_ballots(rater=rater) == [new]
    cast_votes(rater=rater, ballot_token=new.token, answers=answers_to(new, "left"))
    assert open_ballots(rater=rater) == []
    assert raters.progress_of(rater).answered == 2
    assert rater.ballots.filter(state__in=["open", "answered"]).count() == 2


def test_asked_twice_it_gives_the_same_ballot(rater: Rater) -> None:
    last = answer_one(rater)
    new = undo(rater=rater, ballot_token=last.token)
    assert undo(rater=rater, ballot_token=last.token) == new
    assert rater.ballots.filter(supersedes__isnull=False).count() == 1


def test_a_chain_whose_undone_votes_were_cut_off_is_noticed(rater: Rater) -> None:
    last = answer_one(rater)
    undo(rater=rater, ballot_token=last.token)
    Ballot.objects.create(
        study=last.study,
        rater=rater,
        study_prompt=last.study_prompt,
        left_contender=last.left_contender,
        right_contender=last.right_contender,
        left_image=last.left_image,
        right_image=last.right_image,
        stratum=last.stratum,
        position=99,
        state=Ballot.State.SUPERSEDED,
        answered_at=timezone.now(),
    )
    assert ["has 0 of its 3 votes" in problem.sentence for problem in check_chain(rater)] == [True]


# --- what cannot be undone --------------------------------------------------------------------------------------------
def _nothing(rater: Rater, last: Ballot) -> str:
    return "0" * 32


def _the_one_before(rater: Rater, last: Ballot) -> str:
    answer_one(rater)
    return last.token


def _another_raters(rater: Rater, last: Ballot) -> str:
    return answer_one(factories.make_rater(rater.study)).token


def _too_old(rater: Rater, last: Ballot) -> str:
    Ballot.objects.filter(pk=last.pk).update(answered_at=timezone.now() - UNDO_WITHIN - timedelta(seconds=1))
    return last.token


def _paused(rater: Rater, last: Ballot) -> str:
    studies.pause_study(rater.study, actor=None)
    return last.token


def _closed(rater: Rater, last: Ballot) -> str:
    studies.close_study(rater.study, actor=None)
    return last.token


def _withdrawn(rater: Rater, last: Ballot) -> str:
    Image.objects.filter(pk=last.left_image_id or 0).update(is_quarantined=True, quarantine_reason="disturbing")
    return last.token


def _undone_before(rater: Rater, last: Ballot) -> str:
    new = undo(rater=rater, ballot_token=last.token)
    cast_votes(rater=rater, ballot_token=new.token, answers=answers_to(new, "right"))
    return new.token


def _one_further_back(rater: Rater, last: Ballot) -> str:
    undo(rater=rater, ballot_token=answer_one(rater).token)
    return last.token


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_nothing, "not_the_last"),
        (_the_one_before, "not_the_last"),
        (_another_raters, "not_the_last"),
        (_too_old, "too_late"),
        (_paused, "study_paused"),
        (_closed, "study_closed"),
        (_withdrawn, "withdrawn"),
        (_undone_before, "undone_once"),
        (_one_further_back, "undone_once"),
    ],
)
def test_it_is_refused_with_the_reason_and_nothing_changes(
    rater: Rater, spoil: Callable[[Rater, Ballot], str], code: str
) -> None:
    token = spoil(rater, answer_one(rater))
    before = list(Ballot.objects.order_by("pk").values())
    with pytest.raises(VotingError) as refused:
        undo(rater=rater, ballot_token=token)
    assert refused.value.code == code
    assert list(Ballot.objects.order_by("pk").values()) == before
    own = undoable(rater)
    assert own is None or own.token != token


def test_an_answer_to_the_undone_ballot_is_refused(rater: Rater) -> None:
    last = answer_one(rater)
    undo(rater=rater, ballot_token=last.token)
    with pytest.raises(VotingError) as refused:
        cast_votes(rater=rater, ballot_token=last.token, answers=answers_to(last, "right"))
    assert refused.value.code == "ballot_undone"
    assert set(last.votes.values_list("choice", flat=True)) == {"left"}


# --- at the same moment -----------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_undone_from_eight_tabs_while_others_ask_for_ballots(rater: Rater) -> None:
    open_ballots(rater=rater)
    last = answer_one(rater)
    together = Barrier(8)

    def act(index: int) -> str:
        try:
            together.wait()
            if index % 2:
                return undo(rater=rater, ballot_token=last.token).token
            voting.open_ballots(rater=Rater.objects.get(pk=rater.pk))
            return ""
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(act, range(8))) - {""}
    assert len(tokens) == 1
    assert [ballot.token for ballot in open_ballots(rater=rater, wanted=1)] == list(tokens)
    assert rater.ballots.filter(supersedes=last).count() == 1
    assert check_chain(rater) == []
