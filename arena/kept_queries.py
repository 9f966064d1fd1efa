"""Statements whose SQL is made once per process: for what every answer of a rater asks.

Django writes the SQL of a query anew each time it runs, and PostgreSQL plans it anew, which takes longer than the work
of a small one. Here a query is written once, with `Parameter`s where its values go, and PostgreSQL prepares it once per
connection; only the SQL and its plan are kept, never a row.

    OPEN = KeptQuery(lambda: Ballot.objects.filter(rater=Parameter("rater"), state="open"))
    OPEN.rows(rater=7)

A pooler between us and PostgreSQL that gives each transaction another connection cannot keep plans: then the setting
DATABASE_URL says `?prepare_threshold=none`.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigAutoField, Field, QuerySet
from django.db.models.expressions import Expression
from django.db.models.query import BaseIterable, ModelIterable, ValuesListIterable, get_related_populators
from django.db.models.sql import UpdateQuery

Row = TypeVar("Row")
Stored = TypeVar("Stored", bound=models.Model)


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


class _Statement:
    """A statement with its values, as one thread's connection runs it."""

    def __init__(self, connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[object]) -> None:
        self.connection = connection
        self._sql = sql
        self._parameters = parameters
        self._driver = _DRIVERS[connection.vendor](connection, sql, parameters)

    def rows(self, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Run it and fetch all rows."""
        found: list[tuple[Any, ...]] = self._run(values, lambda cursor: cursor.fetchall())
        return found

    def count(self, values: Mapping[str, object]) -> int:
        """Run it; how many rows it changed."""
        return int(self._run(values, lambda cursor: cursor.rowcount))

    def _run(self, values: Mapping[str, object], take: Callable[[Any], Any]) -> Any:
        connection = self.connection
        bound: list[Any] = [
            one.bound(values[one.name], connection) if isinstance(one, Parameter) else one for one in self._parameters
        ]
        if connection.queries_logged or connection.execute_wrappers:
            with connection.cursor() as cursor:
                cursor.execute(self._sql, bound)
                return take(cursor)
        # What Django's cursors do before each statement, without what they do to its text.
        connection.close_if_health_check_failed()
        connection.ensure_connection()
        connection.validate_thread_sharing()
        connection.validate_no_broken_transaction()
        with connection.wrap_database_errors:
            return take(self._driver.execute(bound))


class _Sqlite:
    """The driver's own cache of statements goes by their text."""

    def __init__(self, connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[object]) -> None:
        self._connection = connection
        self._sql = sql % (("?",) * len(parameters))

    def execute(self, bound: Sequence[Any]) -> Any:
        """A cursor that has run it."""
        return self._connection.connection.execute(self._sql, bound)


class _Postgres:
    """Values go beside the text, so that the server plans once; what is the same each time stands in the text.

    The plan then knows it, as an index over some rows only (`WHERE state = 'superseded'`) wants it.
    """

    def __init__(self, connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[object]) -> None:
        from psycopg import Cursor
        from psycopg.sql import quote
        from psycopg.types.numeric import Int8

        connection.ensure_connection()
        texts = [
            "%s" if isinstance(one, Parameter) else quote(one, connection.connection).replace("%", "%%")
            for one in parameters
        ]
        self._connection = connection
        self._sql = sql.replace("%%", "%%%%") % tuple(texts)
        self._is_given = [isinstance(one, Parameter) for one in parameters]
        self._cursor, self._whole = Cursor, Int8

    def execute(self, bound: Sequence[Any]) -> Any:
        """A cursor that has run it."""
        # All whole numbers are of one type: the server keeps a plan for each combination of types.
        given = [
            self._whole(one) if type(one) is int else one
            for one, is_given in zip(bound, self._is_given, strict=True)
            if is_given
        ]
        return self._cursor(self._connection.connection).execute(self._sql, given, prepare=True)


_DRIVERS: Final[dict[str, Callable[[BaseDatabaseWrapper, str, Sequence[object]], Any]]] = {
    "sqlite": _Sqlite,
    "postgresql": _Postgres,
}


class KeptQuery(Generic[Row]):
    """A read. `make` gives the queryset, of models or of value tuples, and is called once per thread."""

    def __init__(self, make: Callable[[], QuerySet[Any, Row]]) -> None:
        self._make = make
        self._kept = threading.local()  # a compiler holds its thread's connection

    def rows(self, **values: object) -> list[Row]:
        """All rows for these values, read now."""
        statement, read = self._compiled()
        return read(statement.rows(values))

    def first(self, **values: object) -> Row | None:
        """The first row, or None. The query itself says in which order and stops after one (`[:1]`)."""
        rows = self.rows(**values)
        return rows[0] if rows else None

    def _compiled(self) -> tuple[_Statement, Callable[[list[tuple[Any, ...]]], list[Row]]]:
        connection = connections[DEFAULT_DB_ALIAS]
        kept: tuple[_Statement, Any] | None = getattr(self._kept, "compiled", None)
        if kept is None or kept[0].connection is not connection:
            queryset = self._make()
            compiler = queryset.query.get_compiler(using=DEFAULT_DB_ALIAS)
            statement = _Statement(connection, *compiler.as_sql())
            kept = self._kept.compiled = (statement, _reader(queryset._iterable_class, compiler))
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
        statement: _Statement | None = getattr(self._kept, "statement", None)
        if statement is None or statement.connection is not connection:
            query: Any = self._make().order_by().query.chain(UpdateQuery)
            query.add_update_values(self._changes)
            statement = _Statement(connection, *query.get_compiler(using=DEFAULT_DB_ALIAS).as_sql())
            self._kept.statement = statement
        with transaction.mark_for_rollback_on_error(using=DEFAULT_DB_ALIAS):
            return statement.count(values)


class KeptInsert(Generic[Stored]):
    """New rows of one table, as `bulk_create` stores them, ids included."""

    def __init__(self, model: type[Stored]) -> None:
        self._model = model
        self._kept = threading.local()

    def store(self, rows: Sequence[Stored]) -> None:
        """Store them by one statement, in their order."""
        connection = connections[DEFAULT_DB_ALIAS]
        fields = [field for field in self._model._meta.concrete_fields if not field.primary_key]
        values = {
            f"{place}.{field.attname}": field.get_db_prep_save(field.pre_save(row, add=True), connection)
            for place, row in enumerate(rows)
            for field in fields
        }
        with transaction.mark_for_rollback_on_error(using=DEFAULT_DB_ALIAS):
            found = self._statement(connection, fields, len(rows)).rows(values)
        for row, (pk,) in zip(rows, found, strict=True):
            row.pk, row._state.adding, row._state.db = pk, False, DEFAULT_DB_ALIAS

    def _statement(self, connection: BaseDatabaseWrapper, fields: Sequence[Field[Any, Any]], number: int) -> _Statement:
        kept: dict[int, _Statement] = self._kept.__dict__.setdefault("statements", {})
        if number not in kept or kept[number].connection is not connection:
            name, meta = connection.ops.quote_name, self._model._meta
            columns = ", ".join(name(str(field.column)) for field in fields)
            places = ", ".join([f"({', '.join(['%s'] * len(fields))})"] * number)
            sql = f"INSERT INTO {name(meta.db_table)} ({columns}) VALUES {places} RETURNING {name(str(meta.pk.column))}"  # noqa: S608 - names of our own
            parameters = [_Ready(f"{place}.{field.attname}") for place in range(number) for field in fields]
            kept[number] = _Statement(connection, sql, parameters)
        return kept[number]


class _Ready(Parameter):
    """A place for a value that is as the database takes it."""

    def bound(self, value: object, connection: BaseDatabaseWrapper) -> object:
        return value


def _reader(kind: type[BaseIterable[Any]], compiler: Any) -> Callable[[list[tuple[Any, ...]]], list[Any]]:
    """How rows of the database become those of the queryset."""
    if kind is ValuesListIterable:
        start, names, related, model = 0, [], [], None
    elif kind is ModelIterable:
        start, *_, last = compiler.klass_info["select_fields"]
        names = [column.target.attname for column, *_ in compiler.select[start : last + 1]]
        related = get_related_populators(compiler.klass_info, compiler.select, DEFAULT_DB_ALIAS)  # type: ignore[call-arg] # its stubs are of Django 6
        model = compiler.klass_info["model"]
    else:
        raise TypeError(f"A kept query gives models or value tuples, not {kind.__name__}.")
    converters = compiler.get_converters([column for column, *_ in compiler.select[: compiler.col_count]])

    def read(found: list[tuple[Any, ...]]) -> list[Any]:
        rows = compiler.apply_converters(found, converters) if converters else found
        if model is None:
            return list(map(tuple, rows))
        return [_model(model, row, names, start, related, compiler.annotation_col_map) for row in rows]

    return read


def _model(
    model: type[models.Model],
    row: Sequence[Any],
    names: list[str],
    start: int,
    related: list[Any],
    annotations: Mapping[str, int],
) -> models.Model:
    found = model.from_db(DEFAULT_DB_ALIAS, names, row[start : start + len(names)])
    for populator in related:
        populator.populate(row, found)
    for name, place in annotations.items():
        setattr(found, name, row[place])
    return found
