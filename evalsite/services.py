"""Databases, caches, stores, mail servers and brokers: from a URL to what Django or Celery wants to be told."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from environ import Env

from evalsite.places import LONGEST_TASK_SECONDS


def database_of(url: str, *, data_folder: Path) -> dict[str, Any]:
    """Django's settings of the database."""
    database: dict[str, Any] = dict(Env.db_url_config(url))
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["ENGINE"] = "evalsite.sqlite3"
        # IMMEDIATE, because under WAL a transaction that reads and then writes fails at once with "database is locked",
        # whatever the timeout. FULL, because NORMAL may lose acknowledged votes at a power cut.
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
        # Opening the file and preparing what every answer asks took over a third of an answer's time.
        database["CONN_MAX_AGE"] = 60
        # A file, not memory: tests then meet the locks of production, and worker processes can join in.
        database["TEST"] = {"NAME": str(data_folder / "test.sqlite3")}
    else:
        database["ENGINE"] = "django.db.backends.postgresql"
        database["CONN_MAX_AGE"] = 60
        database["CONN_HEALTH_CHECKS"] = True
        options = database.setdefault("OPTIONS", {})
        options.setdefault("connect_timeout", 5)
        # What every answer asks is planned once per connection (arena/kept_queries.py).
        threshold = options.setdefault("prepare_threshold", 0)
        options["prepare_threshold"] = None if threshold == "none" else threshold
        if threshold != "none":  # at the first time and not at the sixth; they all look rows up by their ids
            options.setdefault("options", "-c plan_cache_mode=force_generic_plan")
    return database


def caches_of(url: str) -> dict[str, dict[str, Any]]:
    """The cache, and one for sums that must not be culled for drawings: a folder or table of their own."""
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss"):
        seconds = {"socket_connect_timeout": 0.5, "socket_timeout": 1.0}
        backend = "evalsite.forgiving_cache.ForgivingRedisCache"
        found = {"BACKEND": backend, "LOCATION": url, "OPTIONS": seconds}
        return {"default": found, "sums": found}
    backend, location = {
        "file": ("filebased.FileBasedCache", unquote(parts.path)),
        "database": ("db.DatabaseCache", "cache"),
        "memory": ("locmem.LocMemCache", ""),
    }[parts.scheme]
    found = {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": location}
    apart = {"file": f"{location}-sums", "database": f"{location}_sums"}
    return {"default": found, "sums": found | {"LOCATION": apart.get(parts.scheme, location)}}


def storage_of(url: str) -> dict[str, Any]:
    """Where images or weights are kept: a folder or a bucket."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        location = {"location": unquote(parts.path)}
        return {"BACKEND": "generation.image_store.AtomicFileSystemStorage", "OPTIONS": location}
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": bucket_options(url)}


def bucket_options(url: str) -> dict[str, Any]:
    """django-storages' options for a bucket, those in the query of its URL included."""
    from botocore.config import Config  # only where there is a bucket: it takes a while

    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query))
    client = Config(
        # s3v4, because boto3 still presigns with version 2 for some endpoints.
        signature_version=given.get("signature_version", "s3v4"),
        s3={"addressing_style": given["addressing_style"]} if "addressing_style" in given else None,
        # boto3's own are a minute each, five times: so long a store that hangs would hold a thread of the web server.
        connect_timeout=3,
        read_timeout=15,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    # Overwriting is safe: names are hashes.
    options = {"bucket_name": parts.netloc, "file_overwrite": True, "default_acl": None, "client_config": client}
    return options | {"location": parts.path.strip("/")} | given


def mail_through(url: str) -> dict[str, Any]:
    """Mail settings; without a server nothing is ever sent."""
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    parts = urlsplit(url)
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465}[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_USE_SSL": parts.scheme == "smtp+ssl",
        "EMAIL_TIMEOUT": 10,
    }


def broker_options(broker_url: str, *, data_folder: Path) -> dict[str, Any]:
    """Celery's transport options for a kind of broker."""
    if broker_url.startswith("redis"):
        return {
            "visibility_timeout": 3 * LONGEST_TASK_SECONDS,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,  # the default of 10 sweeps only every 100 seconds
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
        }
    if broker_url.startswith("filesystem"):
        folder = data_folder / "broker"
        places = {"data_folder_in": folder / "messages", "control_folder": folder / "control"}
        for place in places.values():
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        messages = str(places["data_folder_in"])
        return {
            "data_folder_in": messages,
            "data_folder_out": messages,
            "control_folder": str(places["control_folder"]),
            "polling_interval": 0.1,
        }
    return {}
