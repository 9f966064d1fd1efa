"""A real Redis on a port of its own, which tests may kill, pause and start again with its data."""

import signal
from pathlib import Path

import redis

from evalsite.box.children import Child
from evalsite.box.redis import find_redis
from tests.servers.addresses import free_port, wait_until
from tests.servers.missing import say_missing


class RedisServer:
    """One server; `url` stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        """Start in a folder that keeps the append-only file."""
        self._binary = find_redis() or say_missing("a Redis server")
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Start (again) and wait until it answers."""
        self._child = Child(
            "redis",
            [
                *(self._binary, "--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--logfile", ""),
            ],
            log=self._folder / "redis.log",
        )
        wait_until(self.is_answering, seconds=60, what="Redis answers")

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._child.pid

    def is_answering(self) -> bool:
        """Whether it answers a PING."""
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def client(self) -> redis.Redis:
        """A connection to look into it."""
        return redis.Redis.from_url(self.url, socket_timeout=2)

    def pause(self) -> None:
        """Hang it: connections are accepted, nothing is answered."""
        self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._child.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._child.kill()
