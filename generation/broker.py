"""Whether the broker answers now. Asked before a message is sent, because a client's own patience is 15 seconds."""

from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from django.conf import settings
from kombu import Connection
from redis.backoff import NoBackoff
from redis.retry import Retry

SECONDS_TO_ANSWER = 1.0


def ping_redis(url: str) -> None:
    """Raises redis.RedisError where a Redis does not answer at once; given as redis://, rediss:// or redis+socket://."""
    patience: dict[str, Any] = {
        "socket_timeout": SECONDS_TO_ANSWER,
        "socket_connect_timeout": SECONDS_TO_ANSWER,
        "retry": Retry(NoBackoff(), 0),
    }
    parts = urlsplit(url)
    if parts.scheme == "redis+socket":
        client = redis.Redis(unix_socket_path=unquote(parts.path), **patience)
    else:
        client = redis.Redis.from_url(url, **patience)
    with client:
        client.ping()


def ping() -> None:
    """Raises whatever the kind of broker raises that the settings name, where it does not answer at once."""
    url = str(settings.CELERY_BROKER_URL)
    if url.startswith("redis"):
        # Not kombu's connection: with its retries a hung Redis would hold this answer for many seconds.
        ping_redis(url)
        return
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    with Connection(url, connect_timeout=SECONDS_TO_ANSWER, transport_options=options) as broker:
        broker.connect()


def answers() -> bool:
    """Whether the broker answers now."""
    try:
        ping()
    except Exception:  # Redis, AMQP and files fail each in their own way
        return False
    return True
