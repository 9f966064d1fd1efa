"""Many rows of one kind into their table at a fraction of what `bulk_create` asks of the processor.

What takes time is prepared before a transaction begins, so that it is short: others wait for it on SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from django.db import connection, models
from django.utils import timezone

_AS_IT_IS: Final = (
    models.AutoField,
    models.BooleanField,
    models.FloatField,
    models.ForeignKey,
    models.IntegerField,
)
Turn = Callable[[Any], Any]


def insertion(kind: type[models.Model], rows: Sequence[Mapping[str, Any]]) -> Callable[[], list[int]]:
    """What stores the rows, in their order, when it is called inside a transaction; it returns their ids.

    rows: values by names as they stand in a model's instance (`rater_id`); what is left out takes its default.
    Like `bulk_create` it checks nothing that the database does not.
    """
    if not rows:
        return list
    meta = kind._meta
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    columns = [_column(field, rows) for field in fields]
    names = [str(field.column) for field in (meta.pk, *fields)]

    def store() -> list[int]:
        with connection.cursor() as cursor:
            ids = _ids(cursor, meta.db_table, len(rows))
            write = _copy if connection.vendor == "postgresql" else _insert
            write(cursor, meta.db_table, names, zip(ids, *columns, strict=True))
        return ids

    return store


def insertion_of(rows: Sequence[models.Model]) -> Callable[[], list[int]]:
    """The same for instances, which get their ids."""
    if not rows:
        return list
    store = insertion(type(rows[0]), [vars(row) for row in rows])

    def stored() -> list[int]:
        ids = store()
        for row, pk in zip(rows, ids, strict=True):
            row.pk, row._state.adding, row._state.db = pk, False, connection.alias
        return ids

    return stored


def _column(field: models.Field[Any, Any], rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The values of a field as the database wants them."""
    name, turn = field.attname, _turn(field)
    now = timezone.now() if getattr(field, "auto_now_add", False) else None
    values = [now or (row[name] if name in row else field.get_default()) for row in rows]
    return values if turn is None else [None if value is None else turn(value) for value in values]


def _turn(field: models.Field[Any, Any]) -> Turn | None:
    """How the database wants a value that is there; None for as it is."""
    if isinstance(field, _AS_IT_IS):
        return None
    if isinstance(field, models.CharField | models.TextField):
        return lambda value: value if type(value) is str else str(value)
    if isinstance(field, models.DateTimeField):
        return lru_cache(maxsize=1)(connection.ops.adapt_datetimefield_value)  # of an import many are the same
    return lambda value: field.get_db_prep_save(value, connection)


def _ids(cursor: Any, table: str, number: int) -> list[int]:
    """The next ids of a table. SQLite has one writer, and inside its transaction nobody else takes any."""
    if connection.vendor == "postgresql":
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, number])
        return [pk for (pk,) in cursor.fetchall()]
    cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
    last = cursor.fetchone()
    first = 1 + (last[0] if last else 0)
    return list(range(first, first + number))


def _insert(cursor: Any, table: str, columns: list[str], rows: Any) -> None:
    places = ", ".join(["%s"] * len(columns))
    cursor.executemany(f'INSERT INTO "{table}" ({_quoted(columns)}) VALUES ({places})', rows)  # noqa: S608 - our own


def _copy(cursor: Any, table: str, columns: list[str], rows: Any) -> None:
    with connection.wrap_database_errors, cursor.copy(f'COPY "{table}" ({_quoted(columns)}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(row)


def _quoted(columns: list[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
