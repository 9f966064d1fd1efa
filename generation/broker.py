"""Whether the broker answers now. Asked before a message is sent, because a client's own patience is 15 seconds."""

from typing import Any
from urllib.parse import unquote, urlsplit

import redis
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
