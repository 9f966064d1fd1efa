"""What the database itself refuses of ballots and votes, whatever code asks for it."""

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from arena.models import Ballot, Rater, Vote
from tests.arena import factories
from tests.arena.test_voting import ballot as ballot
from tests.arena.test_voting import rater as rater
from tests.arena.test_voting import study as study

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("table", ["arena_vote", "arena_auditevent"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET study_id = study_id", "DELETE FROM {}"])
def test_votes_and_audit_events_cannot_be_changed_or_deleted(rater: Rater, table: str, statement: str) -> None:
    factories.cast(rater, "left")
    with connection.cursor() as cursor, pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        cursor.execute(statement.format(table))
    assert Vote.objects.count() == 3 and rater.study.audit_events.count() == 3


def copy_of(vote: Vote, **changed: object) -> Vote:
    fields = {
        field.attname: getattr(vote, field.attname) for field in Vote._meta.concrete_fields if field.attname != "id"
    }
    return Vote(**{**fields, **changed})


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"sequence": 99}, "one_vote_per_ballot_and_criterion"),
        ({"criterion_id": -1}, "one_vote_per_rater_and_sequence"),
        ({"sequence": 99, "criterion_id": -1, "skip_reason": "cannot_tell"}, "only_skips_have_a_skip_reason"),
    ],
)
def test_constraints_refuse_impossible_votes(rater: Rater, change: dict[str, object], constraint: str) -> None:
    factories.cast(rater, "left")
    vote = Vote.objects.earliest("sequence")
    if "criterion_id" in change:
        study = vote.study
        change = {
            **change,
            "criterion_id": study.criteria.create(position=9, key="other", name="Other", question="?").pk,
        }
    assert constraint in {found.name for found in Vote._meta.constraints}
    with pytest.raises(IntegrityError, match=named(Vote, constraint)), transaction.atomic():
        copy_of(vote, **change).save(force_insert=True)


def named(model: type[Vote] | type[Ballot], constraint: str) -> str:
    """How the database names the constraint: SQLite says which columns for plain unique ones, PostgreSQL its name."""
    found = next(known for known in model._meta.constraints if known.name == constraint)
    columns = getattr(found, "fields", ())
    if connection.vendor == "sqlite" and columns:
        column_of = {field.name: field.column for field in model._meta.concrete_fields}
        return ", ".join(f"{model._meta.db_table}.{column_of[name]}" for name in columns)
    return constraint


def ballot_copy(ballot: Ballot, **changed: object) -> Ballot:
    skipped = {"id", "token"}
    fields = {f.attname: getattr(ballot, f.attname) for f in Ballot._meta.concrete_fields if f.attname not in skipped}
    return Ballot(**{**fields, "position": 50, **changed})


def test_constraints_refuse_impossible_ballots(ballot: Ballot) -> None:
    swapped: dict[str, object] = {
        "left_image_id": ballot.right_image_id,
        "right_image_id": ballot.left_image_id,
        "left_contender_id": ballot.right_contender_id,
        "right_contender_id": ballot.left_contender_id,
    }
    impossible: list[tuple[dict[str, object], str]] = [
        (swapped, "an_ordinary_pair_is_once_before_a_rater"),
        ({"purpose": "repeat", "position": ballot.position}, "one_ballot_per_rater_and_position"),
        ({"purpose": "repeat", "left_image_id": None}, "only_imported_ballots_lack_images"),
        ({"purpose": "repeat", "right_contender_id": ballot.left_contender_id}, "a_ballot_compares_two_contenders"),
        ({"purpose": "repeat", "state": "answered"}, "an_answered_ballot_has_its_time"),
    ]
    for changed, constraint in impossible:
        with pytest.raises(IntegrityError, match=named(Ballot, constraint)), transaction.atomic():
            ballot_copy(ballot, **changed).save(force_insert=True)
    ballot_copy(ballot, **swapped, purpose="repeat").save(force_insert=True)
