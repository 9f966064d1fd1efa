"""What must hold before a web server or worker starts: settings, a database and a broker that answer, all tables."""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from kombu import Connection

from evalsite.deployment_checks import TAG
from evalsite.environment import stop
from generation.broker import ping_redis

SECONDS_BETWEEN_TRIES = 0.5


def refuse_bad_start(*, seconds: float | None = None) -> None:
    """End this process with one sentence where it could not do its work.

    Services that start beside it are waited for, WINRATE_START_SECONDS at most. Later outages end nothing: votes do
    not touch the broker, and a database may come back.
    """
    for complaint in dangerous_settings():
        stop(complaint)
    patience = settings.START_SECONDS if seconds is None else seconds
    until = time.monotonic() + patience
    for answer, name in ((_ask_database, "database"), (_ask_broker, "broker")):
        if reason := _waited(answer, until=until):
            variable = {"database": "DATABASE_URL", "broker": "CELERY_BROKER_URL"}[name]
            stop(
                f"the {name}{_where(variable)} did not answer within {patience:g} seconds ({reason}): "
                f"start it, or mend {variable}."
            )
    refuse_missing_tables()
    connections.close_all()  # processes are forked after this, and none may share a connection


def dangerous_settings() -> list[str]:
    """The sentences of our own checks that forbid a start."""
    return [str(found.msg) for found in run_checks(tags=[TAG]) if found.is_serious()]


def refuse_missing_tables() -> None:
    """End with a sentence where the code is newer than the database: its pages would fail one by one."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    missing = [f"{migration.app_label}.{migration.name}" for migration, _ in plan] + missing_cache_tables()
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        stop(
            f"the database lacks {', '.join(missing[:3])}{more}: "
            "run `python manage.py migrate` once, before any process starts."
        )


def missing_cache_tables() -> list[str]:
    """Tables of a cache in the database that are not there yet; none where the cache is elsewhere."""
    kept = {str(one["LOCATION"]) for one in settings.CACHES.values() if one["BACKEND"].endswith("DatabaseCache")}
    return sorted(kept.difference(connection.introspection.table_names())) if kept else []


def _waited(answer: Callable[[], str], *, until: float) -> str:
    """Ask until there is no complaint or the time is over; the last complaint."""
    while True:
        complaint = answer()
        if not complaint or time.monotonic() + SECONDS_BETWEEN_TRIES > until:
            return complaint
        time.sleep(SECONDS_BETWEEN_TRIES)


def _ask_database() -> str:
    try:
        connection.ensure_connection()
    except (DatabaseError, ImproperlyConfigured) as error:
        return _last_line(error)
    return ""


def _ask_broker() -> str:
    url = str(settings.CELERY_BROKER_URL)
    try:
        if url.startswith("redis"):
            ping_redis(url)
        else:
            with Connection(url, connect_timeout=1, transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS) as one:
                one.connect()
    # Redis, AMQP and files fail each in their own way.
    except Exception as error:
        return _last_line(error)
    return ""


def _last_line(error: Exception) -> str:
    """What a service said; clients put the reason last, and none of them tells the password."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__


def _where(variable: str) -> str:
    """Host and port, never user and password."""
    parts = urlsplit(str(getattr(settings, variable)))
    if not parts.hostname:
        return f" at {parts.path}" if parts.path else ""
    return f" at {parts.hostname}{f':{parts.port}' if parts.port else ''}"
