"""Everything a database holds, as text."""

from django.contrib.sessions.models import Session
from django.db import connection


def dump(*, without: tuple[str, ...] = ()) -> str:
    """Every value of every row of every table but some, sessions decoded."""
    rows = []
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            if table not in without:
                cursor.execute(f'SELECT * FROM "{table}" ORDER BY 1')  # noqa: S608 - names come from the database
                rows += [(table, *row) for row in cursor.fetchall()]
    sessions = [] if "django_session" in without else [each.get_decoded() for each in Session.objects.all()]
    return "\n".join(map(str, [*rows, *sessions]))
