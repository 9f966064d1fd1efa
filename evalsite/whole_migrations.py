"""Migrations that are done and recorded in one transaction, so that one killed midway was never begun.

Django records a migration that leaves indices and keys to the end only after its commit: killed between the two, the
tables are there, nobody knows it, and every later `migrate` stops at "table already exists".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState


class WholeExecutor(MigrationExecutor):
    """Django's executor with each migration and its record in one transaction."""

    def apply_migration(self, state: ProjectState, migration: Migration, *rest: Any, **options: Any) -> ProjectState:
        """Do one migration and record it."""
        with _one_transaction(self.connection, migration):
            return super().apply_migration(state, migration, *rest, **options)

    def unapply_migration(self, state: ProjectState, migration: Migration, *rest: Any, **options: Any) -> ProjectState:
        """Undo one migration and record that."""
        with _one_transaction(self.connection, migration):
            return super().unapply_migration(state, migration, *rest, **options)


@contextmanager
def _one_transaction(connection: BaseDatabaseWrapper, migration: Migration) -> Iterator[None]:
    if not migration.atomic:
        yield
        return
    # SQLite can switch its checks of keys only outside of a transaction; rows are checked before the commit.
    connection.disable_constraint_checking()
    try:
        with transaction.atomic(using=connection.alias):
            yield
    finally:
        connection.enable_constraint_checking()
