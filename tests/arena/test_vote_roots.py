"""Published roots and the check of all votes: a changed, missing or rewritten vote is named."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from arena.models import Rater, Study, Vote, VoteRoot
from arena.vote_chain import GENESIS, chain_hash
from arena.vote_roots import check_votes, publish_root, publish_roots
from tests.arena import factories
from tests.arena.test_vote_chain import without_triggers

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return factories.make_study(contenders=3, prompts=3, with_text=0)


@pytest.fixture
def rater(study: Study) -> Rater:
    rater = factories.make_rater(study)
    factories.cast(rater, "left", ballots=2)
    return rater


def test_a_root_is_published_only_when_votes_came(study: Study, rater: Rater) -> None:
    assert publish_roots() == 1 and publish_roots() == 0
    first = study.vote_roots.get()
    factories.cast(factories.make_rater(study), "left", ballots=1)
    second = publish_root(study)
    assert second is not None and second.root != first.root
    assert (first.votes, second.votes) == (4, 6)
    assert check_votes(study).problems == ()


def test_a_chain_rewritten_from_its_start_fits_itself_but_not_the_root(study: Study, rater: Rater) -> None:
    publish_root(study)
    previous = GENESIS
    with without_triggers():
        for vote in rater.votes.select_related("ballot").order_by("sequence"):
            vote.choice = Vote.Choice.RIGHT
            vote.chain_hash = previous = chain_hash(previous=previous, vote=vote, ballot=vote.ballot)
            Vote.objects.filter(pk=vote.pk).update(choice=vote.choice, chain_hash=vote.chain_hash)
    (problem,) = check_votes(study).problems
    assert "does not fit the votes of now" in problem


def test_votes_cut_off_at_the_end_are_missed_by_name(study: Study, rater: Rater) -> None:
    publish_root(study)
    with without_triggers():
        Vote.objects.filter(rater=rater, sequence=4)._raw_delete("default")
    assert any(
        f"covers vote 4 of rater {rater.public_id[:8]}, which is missing" in each
        for each in check_votes(study).problems
    )


def test_the_command_says_that_all_is_well_and_names_what_is_not(study: Study, rater: Rater) -> None:
    publish_root(study)
    out = StringIO()
    call_command("check_votes", study.slug, stdout=out)
    assert "4 votes of 1 raters, 1 published roots: all as cast" in out.getvalue()
    vote = rater.votes.get(sequence=2)
    with without_triggers():
        Vote.objects.filter(pk=vote.pk).update(choice="right")
    out = StringIO()
    with pytest.raises(CommandError, match="1 votes or roots are not as they were"):
        call_command("check_votes", stdout=out)
    assert f"Vote 2 of {rater} (row {vote.pk}) is not as it was cast." in out.getvalue()


def test_the_command_refuses_an_unknown_study(study: Study) -> None:
    with pytest.raises(CommandError, match="There is no study 'x'. Known are: colours."):
        call_command("check_votes", "x")


@pytest.mark.parametrize("act", ["UPDATE arena_voteroot SET root = 'x'", "DELETE FROM arena_voteroot"])
def test_the_database_refuses_to_change_a_root(study: Study, rater: Rater, act: str) -> None:
    publish_root(study)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(act)
    assert VoteRoot.objects.count() == 1


@pytest.mark.parametrize("table", ["arena_vote", "arena_auditevent", "arena_voteroot"])
def test_postgresql_refuses_to_empty_what_is_append_only(rater: Rater, table: str) -> None:
    if connection.vendor != "postgresql":
        # SQLite has no TRUNCATE: a DELETE of all rows is what the trigger on rows refuses.
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            publish_root(rater.study)
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - one of three literals
        return
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"TRUNCATE {table} CASCADE")


def test_a_check_reads_the_votes_once_however_many_roots_there_are(study: Study, rater: Rater) -> None:
    for _ in range(4):
        publish_root(study)
        factories.cast(factories.make_rater(study), "left", ballots=1)
    with CaptureQueriesContext(connection) as queries:
        assert check_votes(study).roots == 4
    reading = [query["sql"] for query in queries if "chain_hash" in query["sql"] and '"rater_id" =' not in query["sql"]]
    assert len(reading) == 1
