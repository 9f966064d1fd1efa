"""The cache on Redis, whose loss costs time and no answer: what cannot be read is not there."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_WARNINGS: Final = 60.0
Found = TypeVar("Found")


class ForgivingRedisCache(RedisCache):
    """Every value kept here can be made again, so Redis may be away, as it may where it is the broker."""

    _warned_at = float("-inf")

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """The value, or the default where Redis does not answer."""
        return self._unless_away(lambda: super(ForgivingRedisCache, self).get(key, default, version), default)

    def set(self, key: Any, value: Any, *arguments: Any, **named: Any) -> None:
        """Keep the value, where Redis answers."""
        self._unless_away(lambda: super(ForgivingRedisCache, self).set(key, value, *arguments, **named), None)

    def add(self, key: Any, value: Any, *arguments: Any, **named: Any) -> bool:
        """Whether the value is kept now and was not before."""
        return self._unless_away(lambda: super(ForgivingRedisCache, self).add(key, value, *arguments, **named), False)

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Whether there was a value, which is gone."""
        return self._unless_away(lambda: super(ForgivingRedisCache, self).delete(key, version), False)

    def _unless_away(self, act: Callable[[], Found], otherwise: Found) -> Found:
        try:
            return act()
        except RedisError as error:
            if time.monotonic() - ForgivingRedisCache._warned_at > SECONDS_BETWEEN_WARNINGS:
                ForgivingRedisCache._warned_at = time.monotonic()
                logger.warning("The cache does not answer, so everything is made anew: %s", error)
            return otherwise
