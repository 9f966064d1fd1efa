"""The chain over each rater's votes notices what was done behind the application's back, and names it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from arena.models import Ballot, Rater, Study, Vote
from arena.vote_chain import GENESIS, ChainProblem, check_chain
from generation.models import Image
from tests.arena import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return factories.make_study(contenders=3, prompts=3, with_text=0)


@pytest.fixture
def rater(study: Study) -> Rater:
    """Somebody with three ballots, and so six votes."""
    rater = factories.make_rater(study)
    factories.cast(rater, "left", ballots=3)
    return rater


@contextmanager
def without_triggers() -> Iterator[None]:
    """Let the test tamper with votes, as somebody with the database's own rights could."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with deferred checks pending cannot be altered
            cursor.execute("ALTER TABLE arena_vote DISABLE TRIGGER USER")
            yield
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE arena_vote ENABLE TRIGGER USER")
            return
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'arena_vote'")
        triggers = cursor.fetchall()
        for name, _ in triggers:
            cursor.execute(f'DROP TRIGGER "{name}"')
        yield
        for _, sql in triggers:
            cursor.execute(sql)


def test_an_untouched_chain_is_whole_and_starts_at_the_beginning(rater: Rater) -> None:
    assert check_chain(rater) == []
    first, second = rater.votes.order_by("sequence")[:2]
    assert first.sequence == 1 and GENESIS != first.chain_hash != second.chain_hash
    assert check_chain(factories.make_rater(rater.study)) == []


def test_chains_of_two_raters_do_not_meet(study: Study, rater: Rater) -> None:
    other = factories.make_rater(study)
    factories.cast(other, "left", ballots=2)
    assert list(other.votes.order_by("sequence").values_list("sequence", flat=True)) == [1, 2, 3, 4]
    assert check_chain(other) == check_chain(rater) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda vote: {"choice": "right"},
        lambda vote: {"page_milliseconds": 7},
        lambda vote: {"left_contender": vote.right_contender_id, "right_contender": vote.left_contender_id},
        lambda vote: {"stratum": "simulated"},
        lambda vote: {"is_ordinary": False},
        lambda vote: {"cast_at": vote.cast_at.replace(microsecond=(vote.cast_at.microsecond + 1) % 1_000_000)},
        lambda vote: {"study_prompt": vote.study.study_prompts.exclude(pk=vote.study_prompt_id).earliest("pk")},
    ],
)
def test_a_changed_vote_is_named(rater: Rater, change: Callable[[Vote], dict[str, object]]) -> None:
    vote = rater.votes.get(sequence=3)
    with without_triggers():
        Vote.objects.filter(pk=vote.pk).update(**change(vote))
    assert check_chain(rater) == [ChainProblem(3, f"Vote 3 of {rater} (row {vote.pk}) is not as it was cast.")]


@pytest.mark.parametrize("side", ["left_image", "right_image"])
def test_a_ballot_that_shows_another_image_afterwards_is_noticed(rater: Rater, side: str) -> None:
    ballot = Ballot.objects.get(votes__sequence=3, rater=rater)
    other = Image.objects.exclude(prompt_text=ballot.study_prompt.prompt.text).earliest("pk")
    Ballot.objects.filter(pk=ballot.pk).update(**{side: other})
    assert [problem.sequence for problem in check_chain(rater)] == [3, 4]


def test_a_removed_vote_is_named(rater: Rater) -> None:
    ballot = Ballot.objects.get(votes__sequence=3, rater=rater)
    with without_triggers():
        Vote.objects.filter(rater=rater, sequence=3)._raw_delete("default")
    assert check_chain(rater) == [
        ChainProblem(3, f"Vote 3 of {rater} is missing."),
        ChainProblem(7, f"{ballot} of {rater} was answered but has 1 of its 2 votes."),
    ]


def test_a_chain_whose_end_was_cut_off_is_noticed(rater: Rater) -> None:
    last = Ballot.objects.filter(rater=rater).latest("position")
    with without_triggers():
        Vote.objects.filter(rater=rater, sequence__gte=5)._raw_delete("default")
    assert check_chain(rater) == [ChainProblem(5, f"{last} of {rater} was answered but has 0 of its 2 votes.")]


def test_a_forged_vote_at_the_end_is_noticed(rater: Rater) -> None:
    vote = rater.votes.latest("sequence")
    forged = Vote.objects.get(pk=vote.pk)
    forged.pk, forged.sequence, forged.choice = None, 7, Vote.Choice.RIGHT
    forged.criterion = rater.study.criteria.get(key="typography")
    forged.save(force_insert=True)
    assert [problem.sequence for problem in check_chain(rater)] == [7, 8]
