"""Queries whose SQL is kept give what Django would give, for other values, in other threads, inside transactions."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import CharField, Count, DateTimeField
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from arena import voting
from arena.kept_queries import KeptInsert, KeptQuery, KeptUpdate, Parameter
from arena.models import Ballot, Contender, Rater, Study
from tests.arena import factories

LABELLED = KeptQuery(
    lambda: (
        Contender.objects.filter(study=Parameter("study"), label__gt=Parameter("label", CharField()))
        .select_related("recipe")
        .annotate(times=Count("pk"))
        .order_by("-position")
    )
)
SINCE = KeptQuery(
    lambda: Study.objects.filter(created_at__gt=Parameter("since", DateTimeField())).values_list("pk", "created_at")
)
END = KeptUpdate(
    lambda: Ballot.objects.filter(rater=Parameter("rater"), state=Ballot.State.OPEN),
    {"state": Ballot.State.EXPIRED, "answered_at": Parameter("now", DateTimeField())},
)


@pytest.mark.django_db
def test_models_come_with_what_was_selected_and_counted(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    studies = [factories.make_study(slug=f"study-{place}", contenders=3) for place in range(2)]
    for study in studies:
        expected = list(study.contenders.order_by("-position").select_related("recipe"))
        with django_assert_num_queries(1):
            found = LABELLED.rows(study=study.pk, label="")
            assert [one.recipe.name for one in found] == [one.recipe.name for one in expected]
        assert found == expected and [one.times for one in found] == [1, 1, 1]
        assert LABELLED.rows(study=study.pk, label=max(one.label for one in expected)) == []
        first = LABELLED.first(study=study.pk, label="")
        assert first == expected[0] and LABELLED.first(study=0, label="") is None


@pytest.mark.django_db
def test_times_go_in_and_come_out_as_times() -> None:
    study = factories.make_study()
    assert SINCE.rows(since=study.created_at - timedelta(microseconds=1)) == [(study.pk, study.created_at)]
    assert SINCE.rows(since=study.created_at) == []


@pytest.mark.django_db
def test_an_update_changes_the_rows_of_these_values_alone() -> None:
    study = factories.make_study()
    mine, other = (factories.make_rater(study) for _ in range(2))
    for rater in (mine, other):
        voting.open_ballots(rater=rater)
    now = timezone.now()
    open_now = mine.ballots.filter(state=Ballot.State.OPEN).count()
    assert END.run(rater=mine.pk, now=now) == open_now > 0
    assert set(mine.ballots.values_list("state", "answered_at")) == {(Ballot.State.EXPIRED, now)}
    assert END.run(rater=mine.pk, now=now) == 0 and other.ballots.filter(state=Ballot.State.OPEN).exists()


@pytest.mark.django_db
def test_new_rows_are_stored_as_django_stores_them() -> None:
    study = factories.make_study()
    kept = KeptInsert(Rater)
    for number in (2, 1):
        rows = [Rater(study=study, kind=Rater.Kind.INVITED) for _ in range(number)]
        kept.store(rows)
        assert [row._state.adding for row in rows] == [False] * number
        for row in rows:
            stored = Rater.objects.get(pk=row.pk)
            assert (stored.public_id, stored.created_at, stored.kind) == (row.public_id, row.created_at, row.kind)
    with pytest.raises(IntegrityError), transaction.atomic():
        kept.store([Rater(study=study, kind=Rater.Kind.INVITED, public_id=rows[0].public_id)])


@pytest.mark.postgres
@pytest.mark.django_db
def test_postgresql_plans_once_what_is_asked_with_other_values() -> None:
    mine, other = (factories.make_rater(factories.make_study(slug=f"plan-{place}")) for place in range(2))
    asked = KeptQuery(
        lambda: Ballot.objects.filter(rater=Parameter("rater"), rule="50% 'quoted'").values_list("pk", "state")
    )
    for rater in (mine.pk, other.pk, 2**40):
        assert asked.rows(rater=rater) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE position('quoted' in statement) > 0")
        ((statement,),) = cursor.fetchall()
    assert "'50% ''quoted'''" in statement and "$1" in statement and "$2" not in statement


@pytest.mark.django_db(transaction=True)
def test_every_thread_asks_over_its_own_connection() -> None:
    study = factories.make_study(contenders=2)

    def ask(_number: int) -> int:
        try:
            return len(LABELLED.rows(study=study.pk, label=""))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(8))) == [2] * 8


@pytest.mark.django_db
def test_a_value_that_is_missing_and_a_row_that_is_neither_model_nor_tuple_are_refused() -> None:
    with pytest.raises(KeyError, match="label"):
        LABELLED.rows(study=1)
    flat = KeptQuery(lambda: Rater.objects.filter(pk=Parameter("pk")).values_list("pk", flat=True))
    with pytest.raises(TypeError, match="models or value tuples"):
        flat.rows(pk=1)
