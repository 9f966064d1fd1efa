"""Django's `migrate`, each migration whole or not at all."""

from django.core.management.commands import migrate

from evalsite.whole_migrations import WholeExecutor

# The command makes its executor itself, from this name.
migrate.MigrationExecutor = WholeExecutor  # type: ignore[attr-defined]


class Command(migrate.Command):
    """`manage.py migrate`."""
