"""Queries whose SQL is made once per process: for what every answer of a rater asks.

Django writes the SQL of a query anew each time it runs, which takes longer than the database needs for a small one.
Here a query is written once, with `Parameter`s where its values go; only the SQL is kept, never a row.

    OPEN = KeptQuery(lambda: Ballot.objects.filter(rater=Parameter("rater"), state="open"))
    OPEN.rows(rater=7)
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigAutoField, Field, QuerySet
from django.db.models.expressions import Expression
from django.db.models.query import BaseIterable, ModelIterable, ValuesListIterable, get_related_populators
from django.db.models.sql import UpdateQuery

Row = TypeVar("Row")


class Parameter(Expression):
    """A place for a value that is given when the query runs; by default that of an id."""

    def __init__(self, name: str, field: Field[Any, Any] | None = None) -> None:
        super().__init__(output_field=field or BigAutoField())
        self.name = name

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """Stands among the statement's values itself, until `bound`."""
        return "%s", (self,)

    def bound(self, value: object, connection: BaseDatabaseWrapper) -> object:
        """The value as the database takes it."""
        return self.output_field.get_db_prep_value(value, connection)


class KeptQuery(Generic[Row]):
    """A read. `make` gives the queryset, of models or of value tuples, and is called once per thread."""

    def __init__(self, make: Callable[[], QuerySet[Any, Row]]) -> None:
        self._make = make
        self._kept = threading.local()  # a compiler holds its thread's connection

    def rows(self, **values: object) -> list[Row]:
        """All rows for these values, read now."""
        compiler, sql, parameters, read = self._compiled()
        with compiler.connection.cursor() as cursor:
            cursor.execute(sql, _bound(parameters, values, compiler.connection))
            found = cursor.fetchall()
        return [read(row) for row in compiler.results_iter([found], tuple_expected=True)]

    def first(self, **values: object) -> Row | None:
        """The first row, or None. The query itself says in which order and stops after one (`[:1]`)."""
        rows = self.rows(**values)
        return rows[0] if rows else None

    def _compiled(self) -> tuple[Any, str, Sequence[object], Callable[[Sequence[Any]], Row]]:
        connection = connections[DEFAULT_DB_ALIAS]
        kept = getattr(self._kept, "compiled", None)
        if kept is None or kept[0].connection is not connection:
            queryset = self._make()
            compiler = queryset.query.get_compiler(using=DEFAULT_DB_ALIAS)
            sql, parameters = compiler.as_sql()
            kept = (compiler, sql, parameters, _reader(queryset._iterable_class, compiler))
            self._kept.compiled = kept
        return kept


class KeptUpdate:
    """A write to one table: `make` gives the rows, `changes` the new values."""

    def __init__(self, make: Callable[[], QuerySet[Any]], changes: Mapping[str, object]) -> None:
        self._make = make
        self._changes = dict(changes)
        self._kept = threading.local()

    def run(self, **values: object) -> int:
        """Change the rows that fit these values; returns how many there were."""
        connection = connections[DEFAULT_DB_ALIAS]
        kept = getattr(self._kept, "compiled", None)
        if kept is None or kept[0] is not connection:
            query: Any = self._make().order_by().query.chain(UpdateQuery)
            query.add_update_values(self._changes)
            kept = self._kept.compiled = (connection, *query.get_compiler(using=DEFAULT_DB_ALIAS).as_sql())
        _, sql, parameters = kept
        with transaction.mark_for_rollback_on_error(using=DEFAULT_DB_ALIAS), connection.cursor() as cursor:
            cursor.execute(sql, _bound(parameters, values, connection))
            return int(cursor.rowcount)


def _bound(parameters: Sequence[object], values: Mapping[str, object], connection: BaseDatabaseWrapper) -> list[Any]:
    return [one.bound(values[one.name], connection) if isinstance(one, Parameter) else one for one in parameters]


def _reader(kind: type[BaseIterable[Any]], compiler: Any) -> Callable[[Sequence[Any]], Any]:
    """How a row of the database becomes one of the queryset."""
    if kind is ValuesListIterable:
        return tuple
    if kind is not ModelIterable:
        raise TypeError(f"A kept query gives models or value tuples, not {kind.__name__}.")
    start, *_, last = compiler.klass_info["select_fields"]
    names = [column.target.attname for column, *_ in compiler.select[start : last + 1]]
    related: list[Any] = get_related_populators(compiler.klass_info, compiler.select, DEFAULT_DB_ALIAS)  # type: ignore[call-arg] # its stubs are of Django 6
    model: type[models.Model] = compiler.klass_info["model"]

    def read(row: Sequence[Any]) -> models.Model:
        found = model.from_db(DEFAULT_DB_ALIAS, names, row[start : last + 1])
        for populator in related:
            populator.populate(row, found)
        for name, place in compiler.annotation_col_map.items():
            setattr(found, name, row[place])
        return found

    return read
