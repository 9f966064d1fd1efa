"""A real PostgreSQL in a temporary folder, by whatever server binaries the machine has."""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from evalsite.box.children import dies_with
from tests.servers.addresses import free_port, wait_until

NAME = "winrate"


def find_postgres() -> Path | None:
    """The folder that holds `initdb` and `postgres`: one on PATH, else the newest of Debian's."""
    if (found := shutil.which("initdb")) and (Path(found).resolve().parent / "postgres").exists():
        return Path(found).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(installed, key=lambda initdb: int(initdb.parts[-3]), default=None)
    return newest.parent if newest else None


class PostgresServer:
    """One server with an empty database; `url` is what DATABASE_URL takes."""

    def __init__(self, binaries: Path, folder: Path, *, is_durable: bool = False) -> None:
        """Make a cluster in a folder and start it. is_durable: commits reach the disk, as in production."""
        data, port = folder / "data", free_port()
        server = f"postgres://{NAME}@127.0.0.1:{port}"
        self.url, self._first_database = f"{server}/{NAME}", f"{server}/postgres"
        self._person, self._folder = _unprivileged(folder), folder
        subprocess.run(  # noqa: S603 - the binary was found by us
            [binaries / "initdb", "-D", data, "-U", NAME, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **self._person,
        )
        # Nothing here has to outlive a power cut, and fsync is most of a test's time.
        options = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = {"max_connections": "60"} | ({} if is_durable else options)
        options["dynamic_shared_memory_type"] = "mmap"  # files in our folder, not segments that outlive a kill
        options |= {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder)}
        self._log = folder / "postgres.log"
        self._command = [
            *(str(binaries / "postgres"), "-D", str(data), "-p", str(port)),
            *(word for name, value in options.items() for word in ("-c", f"{name}={value}")),
        ]
        self.start()
        with psycopg.connect(self._first_database, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {NAME}")

    def start(self) -> None:
        """Start (again) and wait until it answers."""
        self._launch()

        def is_answering() -> bool:
            if self._process.poll() is not None:  # a killed one's children hold its memory for some moments
                self._launch()
            return self._is_answering()

        wait_until(is_answering, seconds=120, what=f"PostgreSQL answers (its log: {self._log})")

    def _launch(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                preexec_fn=dies_with(os.getpid()),
                **self._person,
            )

    def kill(self) -> None:
        """kill -9 of the process that starts all others, which end with it."""
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Of the process that starts all others."""
        return self._process.pid

    def new_database(self, name: str) -> str:
        """One more, empty database; what DATABASE_URL takes."""
        with psycopg.connect(self._first_database, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{self.url.rpartition('/')[0]}/{name}"

    def _is_answering(self) -> bool:
        try:
            psycopg.connect(self._first_database, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def administer(self, *statements: str) -> None:
        """Run statements that need another database than the one they are about."""
        with psycopg.connect(self._first_database, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def own_folder(self, folder: Path) -> None:
        """Let it keep data in a folder."""
        if self._person:
            os.chown(folder, self._person["user"], self._person["group"])
        folder.chmod(0o700)

    def stop(self) -> None:
        """End it, not waiting for its clients."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Arguments for `subprocess` that give up root, which PostgreSQL refuses to run as."""
    if os.getuid() != 0:
        return {}
    person = pwd.getpwnam("nobody")
    os.chown(folder, person.pw_uid, person.pw_gid)
    return {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []}
