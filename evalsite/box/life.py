"""The life of a box: check, start in an order that shows the page soon, watch, stop in the reverse order."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType

from django.conf import settings
from django.db import connections
from django.urls import reverse

from evalsite.box import checks, first_start
from evalsite.box.children import Child, stop_together
from evalsite.box.errors import BoxError
from evalsite.box.redis import find_redis, start_redis
from evalsite.celery import app as celery_app
from evalsite.services import broker_options
from evalsite.starting import dangerous_settings
from generation.timetable import EXIT_HUNG

FILESYSTEM_BROKER = "filesystem://"
START_SECONDS = 120
Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    bind: str
    port: int
    with_demo: bool = True
    with_worker: bool = True

    @property
    def address(self) -> str:
        """Where a browser on this machine finds the site."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.bind, self.bind)  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host and '[' not in host else host}:{self.port}"


@dataclass
class Box:
    """The children that run, in the three groups in which they are stopped."""

    web: list[Child] = field(default_factory=list)
    workers: list[Child] = field(default_factory=list)
    broker: list[Child] = field(default_factory=list)

    def refuse_dead(self) -> None:
        """Raise BoxError naming the first child that has ended; a worker that asked for another gets one."""
        self.workers = [child.again() if child.exit_code() == EXIT_HUNG else child for child in self.workers]
        for child in (*self.broker, *self.workers, *self.web):
            if (code := child.exit_code()) is not None:
                how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
                tail = "\n".join(f"    {line}" for line in child.last_lines())
                raise BoxError(f"{child.name} {how}, so everything is stopped. Its last lines ({child.log}):\n{tail}")

    def stop(self) -> None:
        """Stop all: first no new requests, then the work in hand, then the broker."""
        for group in (self.web, self.workers, self.broker):
            stop_together(group)

    def kill(self) -> None:
        """Stop all at once."""
        for child in (*self.web, *self.workers, *self.broker):
            child.kill()


class StopAsked(Exception):
    """Somebody wants the box to end."""


class StopSignals:
    """SIGINT, SIGTERM and SIGHUP, noticed between two steps: the first asks for the end, a second one kills.

    An exception raised by the handler itself could fall into a place that swallows it. Installed also where a shell
    started us in the background with SIGINT ignored.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._is_asked = False

    def __enter__(self) -> "StopSignals":
        self._before = {number: signal.signal(number, self._take) for number in self.NUMBERS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._is_asked:
            raise KeyboardInterrupt
        self._is_asked = True

    def check(self) -> None:
        """Raise StopAsked where a signal has come."""
        if self._is_asked:
            raise StopAsked


def run_box(options: Options, *, say: Say) -> None:
    """Start everything, print where it is, and stay until a signal or until a child dies.

    Raises BoxError with a sentence for the person at the terminal.
    """
    # The data folder first: whoever types `make up` twice meets the taken port too, and another port would not help.
    with StopSignals() as signals, checks.sole_use(settings.DATA_DIR):
        _check(options)
        box = Box()
        try:
            try:
                _start(box, options, signals=signals, say=say)
                while True:
                    _pause(box, signals)
            except StopAsked:
                say("\nStopping; the work in hand is finished first (Ctrl-C again stops at once).")
            finally:
                box.stop()
        except KeyboardInterrupt:
            box.kill()
        say(f"Stopped. Everything is kept in {settings.DATA_DIR}.")


def _pause(box: Box, signals: StopSignals, seconds: float = 0.2) -> None:
    signals.check()
    box.refuse_dead()
    time.sleep(seconds)


def _check(options: Options) -> None:
    checks.refuse_full_disk(settings.DATA_DIR)
    for complaint in dangerous_settings():
        raise BoxError(complaint)
    checks.refuse_taken_port(options.bind, options.port)


def _start(box: Box, options: Options, *, signals: StopSignals, say: Say) -> None:
    environment = os.environ | {"CELERY_BROKER_URL": _start_broker(box, say=say)}
    first_start.prepare_tables()
    signals.check()
    first_start.collect_static()
    name, password = first_start.ensure_administrator()
    is_told = False
    try:
        signals.check()
        box.web.append(_web(options, environment))
        if options.with_worker:
            box.workers += [_default_worker(environment), _image_worker(environment)]
        rater_token = _demo_token() if options.with_demo else None
        connections.close_all()  # this process only watches from here on
        _wait_for_page(box, options, signals)
        say(_welcome(options, name=name, password=password, rater_token=rater_token))
        is_told = True
    finally:
        if password and not is_told:  # whatever went wrong: nobody will be told it again
            say(f"The administrator was made before that: name {name}, password {password} (shown only this once).")


def _start_broker(box: Box, *, say: Say) -> str:
    if "CELERY_BROKER_URL" in os.environ:
        return str(settings.CELERY_BROKER_URL)
    if binary := find_redis():
        box.broker.append(start_redis(binary, data_folder=settings.DATA_DIR, log=_log("redis")))
        return str(settings.CELERY_BROKER_URL)
    say("No Redis or Valkey server found: tasks travel through files, which is slower. Installing redis-server helps.")
    celery_app.conf.update(
        broker_url=FILESYSTEM_BROKER,
        broker_transport_options=broker_options(FILESYSTEM_BROKER, data_folder=settings.DATA_DIR),
    )
    return FILESYSTEM_BROKER


def _demo_token() -> str | None:
    from arena.demo import prepare_demo  # imports the arena only where the demo is wanted

    return prepare_demo().rater_link_token


def _log(name: str) -> Path:
    return Path(settings.DATA_DIR) / "logs" / f"{name}.log"


def _web(options: Options, environment: dict[str, str]) -> Child:
    bind = f"[{options.bind}]" if ":" in options.bind and "[" not in options.bind else options.bind
    command = [
        *(sys.executable, "-m", "gunicorn", "evalsite.wsgi", "--bind", f"{bind}:{options.port}"),
        *("--worker-class", "gthread", "--workers", "2", "--threads", "4", "--preload"),
        *("--config", "python:evalsite.gunicorn_hooks"),
        # No access log: its lines would hold ballot and invitation tokens.
        *("--graceful-timeout", "5", "--no-control-socket", "--log-level", "warning"),
    ]
    return Child("web server", command, log=_log("web"), environment=environment, folder=settings.BASE_DIR)


def _default_worker(environment: dict[str, str]) -> Child:
    name, command = "worker for queue default", _worker_command("default", "--beat")
    return Child(name, command, log=_log("worker-default"), environment=environment, folder=settings.BASE_DIR)


def _image_worker(environment: dict[str, str]) -> Child:
    # One core is left to the pages. Waiting threads must sleep: on a busy machine OpenMP's spinning costs ten times.
    threads = str(max(1, (os.cpu_count() or 1) - 1))
    queue = settings.IMAGE_QUEUE
    command = ["nice", "-n", "5", *_worker_command(queue)]
    return Child(
        f"worker for queue {queue}",
        command,
        log=_log(f"worker-{queue}"),
        environment={"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "passive"} | environment,
        folder=settings.BASE_DIR,
        patience=20,
    )


def _worker_command(queue: str, *more: str) -> list[str]:
    # Celery's picture of itself is no line that a program could read, and it names the broker's host.
    quiet = ["--quiet"] if settings.LOG_FORMAT == "json" else []
    return [
        *(sys.executable, "-m", "celery", *quiet, "--app", "evalsite", "worker", "--queues", queue),
        *("--hostname", f"{queue}@%h", "--pool", "prefork", "--concurrency", "1"),
        *("--without-gossip", "--without-mingle", "--loglevel", settings.LOG_LEVEL, *more),
    ]


def _wait_for_page(box: Box, options: Options, signals: StopSignals) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if _page_answers(options):
            return
        _pause(box, signals)
    tail = "\n".join(line for child in box.web for line in child.last_lines())
    raise BoxError(f"the site did not answer within {START_SECONDS} seconds. The web server's last lines:\n{tail}")


def _page_answers(options: Options) -> bool:
    allowed = settings.ALLOWED_HOSTS
    host = "localhost" if "localhost" in allowed or "*" in allowed else allowed[0].lstrip(".") if allowed else ""
    connection = HTTPConnection(options.address.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Host": host})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _welcome(options: Options, *, name: str, password: str | None, rater_token: str | None) -> str:
    lines = ["", "Winrate is running.", "", f"  Pages      {options.address}{reverse('arena:home')}"]
    if rater_token:
        lines.append(f"  Vote       {options.address}{reverse('arena:join', args=[rater_token])}")
    lines.append(f"  Sign in    {options.address}{reverse('arena:login')}")
    if password:
        lines += [f"             name {name}, password {password}", "             (shown only this once)"]
    else:
        lines.append(f"             {name} exists; set a new password with: manage.py changepassword {name}")
    lines += [f"  Data       {settings.DATA_DIR}", "", "Ctrl-C stops everything and keeps all data."]
    if options.bind not in ("127.0.0.1", "localhost", "::1") and settings.ALLOWED_HOSTS[:1] == ["localhost"]:
        lines.append("Other machines are refused until ALLOWED_HOSTS names this one: ALLOWED_HOSTS=arena.example.org")
    return "\n".join(lines)
