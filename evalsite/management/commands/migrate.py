"""Django's `migrate`, each migration whole or not at all, with the tables of a cache that is kept in the database."""

from typing import Any

from django.core.management import call_command
from django.core.management.commands import migrate

from evalsite.starting import missing_cache_tables
from evalsite.whole_migrations import WholeExecutor

# The command makes its executor itself, from this name.
migrate.MigrationExecutor = WholeExecutor  # type: ignore[attr-defined]


class Command(migrate.Command):
    """`manage.py migrate`."""

    def handle(self, *args: Any, **options: Any) -> None:
        """As Django does; where all of it was to be done, the cache's tables too."""
        super().handle(*args, **options)
        is_whole = not (options["plan"] or options["check_unapplied"] or options["app_label"])
        if is_whole and missing_cache_tables():
            call_command("createcachetable", database=options["database"], verbosity=options["verbosity"])
