"""Votes that come in while somebody refits, pauses, opens again and closes: each is whole or not there."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.db import connection

from arena import fitting, studies, voting
from arena.counted_votes import counts_by_criterion
from arena.models import Ballot, Rater, Study, Vote
from arena.vote_chain import check_chain
from arena.vote_snapshot import rebuild
from tests.arena import factories
from tests.servers.addresses import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
RATERS, BALLOTS = 4, 8


@pytest.fixture
def study() -> Study:
    """Three questions on each of eight prompts."""
    return factories.make_study(contenders=3, prompts=8, with_text=8)


def answer_many(rater: Rater, heard: Callable[[], None]) -> dict[str, str]:
    """Ballot -> "stored" or why not; goes on until the rater has no ballot or too many were refused."""
    said: dict[str, str] = {}
    try:
        for _ in range(4 * BALLOTS):
            if list(said.values()).count("stored") == BALLOTS:
                break
            for ballot in voting.open_ballots(rater=Rater.objects.get(pk=rater.pk), wanted=1):
                answers = dict.fromkeys(ballot.study_prompt.criteria.values_list("key", flat=True), "left")
                try:
                    voting.cast_votes(rater=rater, ballot_token=ballot.token, answers=answers)
                except voting.VotingError as refusal:
                    said[ballot.token] = refusal.code
                else:
                    said[ballot.token] = "stored"
                    heard()
        return said
    finally:
        connection.close()


def while_people_vote(study: Study, act: Callable[[list[Future[dict[str, str]]], list[int]], None]) -> dict[str, str]:
    """Let four raters answer side by side and do something meanwhile; what each ballot came to."""
    people = [factories.make_rater(study) for _ in range(RATERS)]
    stored: list[int] = []
    with ThreadPoolExecutor(RATERS) as pool:
        futures = [pool.submit(answer_many, rater, lambda: stored.append(1)) for rater in people]
        act(futures, stored)
        said = {token: word for future in futures for token, word in future.result().items()}
    assert all(check_chain(rater) == [] for rater in people)
    return said


def assert_whole_or_not_there(said: dict[str, str]) -> None:
    for ballot in Ballot.objects.filter(token__in=said):
        is_stored = said[ballot.token] == "stored"
        assert Vote.objects.filter(ballot=ballot).count() == (3 if is_stored else 0)
        assert (ballot.state == Ballot.State.ANSWERED) == is_stored


def test_a_refit_while_votes_come_sees_whole_ballots_and_the_last_one_sees_all(study: Study) -> None:
    seen: list[int] = []

    def refit(futures: list[Future[dict[str, str]]], stored: list[int]) -> None:
        while not all(future.done() for future in futures):
            seen.extend(fit.vote_count for fit in fitting.refit(study))

    said = while_people_vote(study, refit)
    assert set(said.values()) == {"stored"} and len(said) == RATERS * BALLOTS
    assert_whole_or_not_there(said)
    last = fitting.refit(study)
    assert {fit.criterion_id: fit.vote_count for fit in last} == counts_by_criterion(study)
    assert seen and max(seen) <= RATERS * BALLOTS
    rebuild(study)  # read anew from the database, the votes are the very same
    assert [fit.pk for fit in fitting.refit(study)] == [fit.pk for fit in last]


def test_pausing_resuming_and_closing_while_votes_come_tears_none(study: Study) -> None:
    def steer(futures: list[Future[dict[str, str]]], stored: list[int]) -> None:
        for turn in range(3):
            wanted = 4 * (turn + 1)
            wait_until(lambda: len(stored) >= wanted, seconds=120, what="some ballots are answered")  # noqa: B023
            studies.pause_study(study, actor=None)
            studies.resume_study(study, actor=None)
        studies.close_study(study, actor=None)

    said = while_people_vote(study, steer)
    assert set(said.values()) - {"stored"} <= {"study_paused", "study_closed"}
    assert_whole_or_not_there(said)
    assert list(said.values()).count("stored") >= 12
    assert Study.objects.get(pk=study.pk).state == Study.State.CLOSED
    before = Vote.objects.count()
    for late in Ballot.objects.filter(state=Ballot.State.OPEN):
        answers = dict.fromkeys(late.study_prompt.criteria.values_list("key", flat=True), "left")
        with pytest.raises(voting.VotingError, match="has ended"):
            voting.cast_votes(rater=late.rater, ballot_token=late.token, answers=answers)
    assert Vote.objects.count() == before


def test_a_pause_that_ends_while_an_answer_is_refused_for_it_is_told_as_one(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    rater = factories.make_rater(study)
    (ballot,) = voting.open_ballots(rater=rater, wanted=1)
    answers = dict.fromkeys(ballot.study_prompt.criteria.values_list("key", flat=True), "left")
    answer_it = voting._ANSWER

    class WhilePaused:
        def run(self, **values: object) -> int:
            studies.pause_study(study, actor=None)
            answered = answer_it.run(**values)
            studies.resume_study(study, actor=None)
            return answered

    with monkeypatch.context() as patch:
        patch.setattr(voting, "_ANSWER", WhilePaused())
        with pytest.raises(voting.VotingError, match="is paused") as refused:
            voting.cast_votes(rater=rater, ballot_token=ballot.token, answers=answers)
    assert refused.value.code == "study_paused" and not Vote.objects.exists()
    assert not voting.cast_votes(rater=rater, ballot_token=ballot.token, answers=answers).already
