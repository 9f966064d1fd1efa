"""A database that is locked for long: 503, when to come back, a sentence, and never a traceback; then all goes on."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test import Client

from arena import api_tokens
from arena.away import is_away
from arena.models import Vote
from tests.arena import factories
from tests.arena.views.browsers import answers_to, joined_browser, open_ballot, vote_address

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def locked_database() -> Iterator[None]:
    """Another connection holds what every vote needs, and ours waits a moment instead of its twenty seconds."""
    given = connection.settings_dict
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        other = sqlite3.connect(given["NAME"], isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 100")
        try:
            yield
        finally:
            other.close()
            connection.close()
        return
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 200")
    address = {"host": given["HOST"], "port": given["PORT"], "user": given["USER"], "dbname": given["NAME"]}
    with psycopg.connect(**address) as holder:
        holder.execute("LOCK TABLE arena_ballot, arena_apitoken IN ACCESS EXCLUSIVE MODE")
        yield
        holder.rollback()
    connection.close()


def test_a_vote_is_put_off_with_a_sentence_and_taken_later(caplog: pytest.LogCaptureFixture) -> None:
    study = factories.make_study(contenders=2, prompts=2)
    browser, rater = joined_browser(study)
    browser.raise_request_exception = False
    answers = answers_to(open_ballot(browser, study))
    with locked_database(), caplog.at_level(logging.WARNING):
        page = browser.post(vote_address(study), answers, headers={"accept-language": "de"})
        told = browser.post(vote_address(study), answers, headers={"accept": "application/json"})
    assert (page.status_code, page.headers["Retry-After"], page.headers["Cache-Control"]) == (503, "5", "no-store")
    assert "Einen Moment, bitte" in page.content.decode() and "Content-Security-Policy" in page.headers
    assert (told.status_code, told.json()["saved"], told.json()["code"]) == (503, False, "unavailable")
    assert "Traceback" not in caplog.text and caplog.text.count("the database is away") == 2
    assert not Vote.objects.exists()
    assert browser.post(vote_address(study), answers, headers={"accept": "application/json"}).json()["saved"] is True
    assert rater.votes.count() == len(answers) - 1


def test_the_api_answers_with_a_problem_and_when_to_come_back() -> None:
    ada = factories.make_user(is_superuser=True)
    _, token = api_tokens.create_token(user=ada, label="script", actor=ada)
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})
    with locked_database():
        reply = client.get("/api/v1/studies")
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")
    assert (reply.headers["Content-Type"], reply.json()["code"]) == ("application/problem+json", "unavailable")
    assert client.get("/api/v1/studies").status_code == 200


def test_a_missing_table_is_a_fault_of_ours_and_no_reason_to_wait() -> None:
    with pytest.raises(Exception, match="there_is_none") as failed, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM there_is_none")
    assert not is_away(failed.value)
    assert is_away(OperationalError("the connection is lost"))
    assert is_away(OSError(28, "No space left on device")) and not is_away(OSError(2, "No such file"))
