"""Votes and audit events are facts: the database itself refuses to change or delete them."""

from typing import Any

from django.db import migrations

APPEND_ONLY = {"arena_vote": "votes", "arena_auditevent": "audit events"}


def refuse_changes(apps: Any, schema_editor: Any) -> None:
    for table, what in APPEND_ONLY.items():
        for act in ("UPDATE", "DELETE"):
            name = f"{table}_refuses_{act.lower()}"
            sentence = f"{what} are append-only: {act} is refused"
            if schema_editor.connection.vendor == "sqlite":
                schema_editor.execute(
                    f"CREATE TRIGGER {name} BEFORE {act} ON {table} BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
                )
            else:
                schema_editor.execute(
                    f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
                    f"$$ BEGIN RAISE EXCEPTION '{sentence}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
                )
                schema_editor.execute(
                    f"CREATE TRIGGER {name} BEFORE {act} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
                )


def allow_changes(apps: Any, schema_editor: Any) -> None:
    for table in APPEND_ONLY:
        for act in ("UPDATE", "DELETE"):
            name = f"{table}_refuses_{act.lower()}"
            if schema_editor.connection.vendor == "sqlite":
                schema_editor.execute(f"DROP TRIGGER {name}")
            else:
                schema_editor.execute(f"DROP TRIGGER {name} ON {table}")
                schema_editor.execute(f"DROP FUNCTION {name}()")


class Migration(migrations.Migration):
    dependencies = [("arena", "0001_first")]
    operations = [migrations.RunPython(refuse_changes, allow_changes)]
