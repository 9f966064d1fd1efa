"""Child processes that cannot outlive us: each in its own group, with its log in a file."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LARGEST_LOG = 10 * 1024 * 1024
_PR_SET_PDEATHSIG = 1


# Loaded at import, because after a fork an import may wait for a lock that no thread will release.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def ask_to_die_with_parent() -> None:
    """Ask the kernel (Linux) to kill this process when its parent is gone, even by kill -9."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def dies_with(parent: int) -> Callable[[], None]:
    """A function that a new child runs before its program, so that it does not outlive a parent."""

    def ask() -> None:
        ask_to_die_with_parent()
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask


class Child:
    """One running process and its log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        patience: float = 10,
    ) -> None:
        """Start a command; `patience` is how many seconds `stop` waits before it kills."""
        self._made_with = (command, environment, folder)
        self.name = name
        self.log = log
        self.patience = patience
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LARGEST_LOG:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 - every command is built by this program
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                cwd=folder,
                process_group=0,
                preexec_fn=dies_with(os.getpid()),
            )

    def again(self) -> "Child":
        """The same command once more."""
        command, environment, folder = self._made_with
        return Child(self.name, command, log=self.log, environment=environment, folder=folder, patience=self.patience)

    @property
    def pid(self) -> int:
        """The process id, which is also its group's."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def last_lines(self, count: int = 15) -> list[str]:
        """The end of what it wrote since this start."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace").splitlines()[-count:]

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the whole group."""
        os.killpg(self.pid, number)

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the leader: it ends its own children after the work in hand."""
        if self.exit_code() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, *, until: float) -> None:
        """Wait for the end, at most until a monotonic time, then kill whatever is left of the group."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, until - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """Kill the whole group, also where its leader has gone and left others behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def stop_together(children: Sequence[Child]) -> None:
    """Ask all at once, then wait for each within its patience."""
    began = time.monotonic()
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.wait(until=began + child.patience)
