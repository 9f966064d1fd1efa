"""Web processes that die under votes: what a rater was told is stored, is stored, and nothing is stored twice."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.scale import SCALE
from tests.faults.voters import Crowd, assert_nothing_lost_or_doubled, make_study_of_rows
from tests.servers import celery_worker
from tests.servers.mortal_web import WebServer

Measured = Callable[[str], None]


@pytest.mark.django_db(transaction=True)
def test_f13_kill_9_of_web_processes_under_votes_loses_and_doubles_no_vote(measured: Measured, tmp_path: Path) -> None:
    study, token = make_study_of_rows()
    web = WebServer(database_url=celery_worker.test_database_url(), log=tmp_path / "web.log")
    try:
        crowd = Crowd(web.url, token, study, raters=SCALE.raters, rate=SCALE.vote_rate)
        longest = 0.0
        with crowd.voting() as told:
            for kill in range(SCALE.web_kills):
                crowd.wait_for_answers(10)
                began = time.monotonic()
                if kill % 3 == 2:
                    web.kill_all()
                    web.start()
                else:
                    web.kill_worker()
                crowd.wait_for_answers(SCALE.raters)
                longest = max(longest, time.monotonic() - began)
    finally:
        web.stop()
    ballots = assert_nothing_lost_or_doubled(told, questions=len(crowd.questions))
    assert ballots == len(told.acknowledged), "an answer that was stored has never been acknowledged"
    assert told.unanswered > 0, "no kill has hit a request: the fault was none"
    measured(
        f"{ballots} ballots acknowledged over {SCALE.web_kills} kills, 0 lost, 0 doubled; {told.unanswered} requests"
        f" without a reply, {len(told.recorded_before)} of them stored and then told “already recorded”;"
        f" everybody served again {longest:.1f} s after a kill at most"
    )
