"""Does what Dockerfile and Compose file say, without containers: in a fresh folder, with only their environment.

`make try-containers`, or `python -m tests.deployment.container_files [--stage worker] [--python PYTHON]`. A virtual
environment stands for the base image and a folder for its root; PostgreSQL and Redis are those of this machine, on
ports of their own. Each line printed says what was run, what stood in for what, and what was not run.
"""

import argparse
import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from evalsite.box.children import Child, stop_together
from evalsite.box.redis import find_redis
from tests.servers.addresses import free_port, wait_until
from tests.servers.postgres import PostgresServer, find_postgres

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "compose"
HOST = "arena.example.org"
# Done by the image's root alone, with users and packages that exist only there.
NEEDS_A_CONTAINER = ("useradd ", "apt-get ")
SAID_ONLY = ("USER", "EXPOSE")
DONE = ("FROM", "ENV", "RUN", "WORKDIR", "COPY", "CMD")
SECONDS = 300


def main() -> None:
    """Build, start, look, end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", choices=("web", "worker"), default="web", help="worker: torch too")
    parser.add_argument("--python", default=sys.executable, help="stands for the Python of the base image")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="winrate-containers-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL runs as somebody else where we are root
        image = Image(Path(folder) / "root", asked.python)
        for stage in ("web", "worker")[: 1 + (asked.stage == "worker")]:
            image.build(stage)
        run_services(image, Path(folder), has_images=asked.stage == "worker")
    tell("not run", "docker build, docker compose up; the images python, postgres, redis and nginx; volumes, networks")


def tell(kind: str, what: str) -> None:
    """One line of the report."""
    print(f"{kind:>9}: {what}", flush=True)


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions of the Dockerfile by the name of their stage."""
    found: dict[str, list[tuple[str, str]]] = {}
    text = (COMPOSE / "Dockerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            found[rest.rpartition(" AS ")[2]] = []
        found[list(found)[-1]].append((instruction, rest))
    return found


@dataclass
class Image:
    """A folder that is filled as the Dockerfile says."""

    root: Path
    python: str
    environment: dict[str, str] = field(default_factory=dict)
    work: str = "/"
    command: list[str] = field(default_factory=list)

    def build(self, stage: str) -> None:
        """Do the instructions of one stage."""
        for instruction, rest in stages()[stage]:
            if instruction in SAID_ONLY or rest.startswith(NEEDS_A_CONTAINER):
                tell("not run", f"{instruction} {rest}")
            else:
                getattr(self, f"_{instruction.lower()}")(rest)

    @property
    def here(self) -> Path:
        """Its working directory."""
        return Path(self.path(self.work))

    def path(self, inside: str) -> str:
        """Where an absolute path of the image lies here."""
        return re.sub(r"(?<![\w.])/(opt|var)/", lambda found: f"{self.root}/{found[1]}/", inside)

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a program in it: the image's own and what a service adds, nothing of ours but pip's."""
        system = {"PATH": f"{self.root}/python/bin:/usr/bin:/bin", "HOME": self.path("/opt/winrate"), "LANG": "C.UTF-8"}
        return system | {name: self.path(value) for name, value in {**self.environment, **more}.items()}

    def _from(self, rest: str) -> None:
        if rest.startswith("python:"):
            self.root.mkdir(parents=True)
            subprocess.run([self.python, "-m", "venv", self.root / "python"], check=True)
            version = subprocess.run([self.python, "-V"], check=True, capture_output=True, text=True).stdout.strip()
            tell("stands in", f"a virtual environment of {version} for FROM {rest}")

    def _env(self, rest: str) -> None:
        self.environment |= dict(word.split("=", 1) for word in rest.split())
        tell("done", f"ENV {rest}")

    def _workdir(self, rest: str) -> None:
        self.work = rest
        self.here.mkdir(parents=True, exist_ok=True)
        tell("done", f"WORKDIR {rest}")

    def _copy(self, rest: str) -> None:
        *sources, _ = rest.split()
        listed = subprocess.run(
            ["/usr/bin/env", "git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
        names = [name for name in listed.split("\0") if name and (sources == ["."] or name in sources)]
        for name in names:
            (self.here / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.here / name)
        tell("done", f"COPY {rest} ({len(names)} files, those that git knows)")

    def _run(self, rest: str) -> None:
        said = rest.replace("--no-cache-dir ", "").replace("-o winrate -g winrate ", "")
        mine = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
        mine["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        command = ["/bin/sh", "-euc", self.path(said)]
        subprocess.run(command, cwd=self.here, env=self.variables() | mine, check=True)
        tell("run", f"RUN {said}" + ("" if said == rest else f" (for: {rest})"))

    def _cmd(self, rest: str) -> None:
        self.command = json.loads(rest)
        tell("done", f"CMD {rest}")


def compose() -> dict[str, Any]:
    """The services as Compose reads them."""
    services: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    return services


def settings_file() -> dict[str, str]:
    """winrate.env made from the sample, as its first lines ask."""
    text = (ROOT / "deploy" / "winrate.env.sample").read_text()
    text = text.replace("<50 random characters>", secrets.token_urlsafe(50))
    lines = re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)
    return {name: value.strip("'").strip("<>") for name, value in lines}


def with_defaults(text: str) -> str:
    """Variables of the Compose file by their defaults; one that has to be set, such as a password, by a word."""
    return re.sub(r"\$\{\w+(?::-([^}]*))?[^}]*\}", lambda found: found[1] or "unused", text)


class Services:
    """Services of the Compose file as processes, in places of this machine."""

    def __init__(self, image: Image, folder: Path, places: dict[str, str]) -> None:
        self._image, self._folder, self._services = image, folder, compose()
        self.port = free_port()
        self._places = places | {"0.0.0.0:8000": f"127.0.0.1:{self.port}", "8000": str(self.port)}  # noqa: S104
        self.running: list[Child] = []

    def here(self, text: str) -> str:
        """A word of the Compose file with its variables' defaults and with addresses of this machine."""
        text = with_defaults(text)
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text

    def start(self, name: str) -> Child:
        """One service: its settings file, then its environment, then its command or its image's."""
        service = self._services[name]
        declared = {name: self.here(value) for name, value in service["environment"].items()}
        child = self._child(name, service.get("command", self._image.command), settings_file() | declared)
        self.running.append(child)
        return child

    def is_healthy(self) -> bool:
        """Whether the web service's own check ends well."""
        _, *check = self._services["web"]["healthcheck"]["test"]
        child = self._child("healthcheck", check, settings_file())
        wait_until(lambda: child.exit_code() is not None, seconds=60, what="the check has ended")
        assert not (ended := [one for one in self.running[1:] if one.exit_code() is not None]), last_lines(ended[0])
        return child.exit_code() == 0

    def _child(self, name: str, command: list[str], variables: dict[str, str]) -> Child:
        environment = self._image.variables(**variables)
        program = shutil.which(command[0], path=environment["PATH"]) or command[0]
        words = [program, *map(self.here, command[1:])]
        log = self._folder / f"{name}.log"
        return Child(name, words, log=log, environment=environment, folder=self._image.here, patience=20)


def run_services(image: Image, folder: Path, *, has_images: bool) -> None:
    """Start the services in their order, and look whether web answers and workers have joined."""
    with databases(folder) as places:
        services = Services(image, folder, places)
        try:
            prepared = services.start("prepare")
            wait_until(lambda: prepared.exit_code() is not None, seconds=SECONDS, what="prepare has ended")
            assert prepared.exit_code() == 0, last_lines(prepared)
            tell("run", f"prepare: {' '.join(compose()['prepare']['command'])}")
            queues = {"default": 1} | ({"gen.cpu": 1} if has_images else {})
            for name in ("web", "worker", "beat", *(["images"] if has_images else [])):
                services.start(name)
                tell("run", f"{name}: {' '.join(compose()[name].get('command', image.command))}")
            wait_until(services.is_healthy, seconds=SECONDS, what="web's health check ends well")
            wait_until(lambda: served(services.port) == queues, seconds=SECONDS, what=f"workers serve {queues}")
            tell("seen", json.dumps(health(services.port)))
        finally:
            stop_together(services.running)
    if not has_images:
        refused = subprocess.run([image.root / "python" / "bin" / "python", "-c", "import torch"], capture_output=True)
        assert refused.returncode, "the web image must hold no torch"
        tell("seen", "the web image holds no torch")
        tell("not run", "the worker stage and the service images (--stage worker runs them)")


def last_lines(child: Child) -> str:
    """What a service said before it ended."""
    return "\n".join([f"{child.name} has ended:", *child.last_lines(30)])


def served(port: int) -> dict[str, int]:
    """Queues that living workers serve."""
    found: dict[str, int] = health(port)["parts"]["workers"].get("queues", {})
    return found


def health(port: int) -> dict[str, Any]:
    """What /healthz tells nginx, which speaks for somebody at https."""
    headers = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/healthz", headers=headers)  # noqa: S310 - our own
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - our own
        told: dict[str, Any] = json.load(answer)
    return told


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """PostgreSQL and Redis of this machine, Redis with the command of its service; what stands for which address."""
    binaries, redis = find_postgres(), find_redis()
    if binaries is None or redis is None:
        sys.exit("PostgreSQL and Redis must be installed here; they stand for the images of those names.")
    (folder / "postgres").mkdir()
    postgres = PostgresServer(binaries, folder / "postgres")
    port = free_port()
    _, *options = map(with_defaults, compose()["redis"]["command"])
    place = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    server = Child("redis", [redis, *options, *place], log=folder / "redis.log")
    tell("stands in", f"{binaries.parent.name} of {binaries} for the service postgres")
    tell("run", f"redis: redis-server {' '.join(options)}")
    try:
        address = postgres.url.partition("@")[2].partition("/")[0]
        yield {"postgres:5432": address, "redis:6379": f"127.0.0.1:{port}"}
    finally:
        postgres.stop()
        stop_together([server])


if __name__ == "__main__":
    main()
