"""One host as systemd runs it: units of deploy/systemd, settings and a data folder of its own, and nothing else."""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from evalsite.box.children import Child, stop_together
from tests.servers.addresses import free_port

ROOT = Path(settings.BASE_DIR)
PROGRAMS = Path(sys.executable).parent
# What belongs to the machine that tests run on. No setting of the site is among it.
OF_THE_MACHINE = ("PATH", "HOME", "LANG", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Host:
    """`etc` and `data` stand for /etc and the data folder; `url` is where its web server answers once it runs."""

    def __init__(self, folder: Path, places: Mapping[str, str]) -> None:
        """Write the settings, the same on all hosts but for the folder."""
        self.etc, self.data = folder / "etc", folder / "data"
        self.units = self.etc / "systemd" / "system"
        for made in (self.etc / "winrate", self.units, self.data):
            made.mkdir(parents=True)
        self._address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self._address}"
        lines = {**places, "WINRATE_DATA_DIR": str(self.data)}
        (self.etc / "winrate" / "winrate.env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        self._folder, self._children = folder, list[Child]()

    def place(self, text: str) -> str:
        """A command or a unit with the paths of this host."""
        return (
            text.replace("/etc/", f"{self.etc}/")
            .replace("/var/lib/winrate", str(self.data))
            .replace("/opt/winrate/.venv/bin", str(PROGRAMS))
            .replace("/opt/winrate", str(ROOT))
        )

    def start(self, name: str) -> None:
        """What `systemctl start` does with a unit: its files of settings, then its command."""
        kind, at, instance = name.partition("@")
        unit = self.units / f"{kind}{at}.service"
        if not unit.exists():
            unit.write_text((ROOT / "deploy" / "systemd" / unit.name).read_text())
        text = self.place(re.sub(r"%(.)", lambda found: {"i": instance, "%": "%"}[found[1]], unit.read_text()))
        environment = {name: os.environ[name] for name in OF_THE_MACHINE if name in os.environ}
        for file in re.findall(r"^EnvironmentFile=(.+)$", text, re.MULTILINE):
            environment |= dict(line.split("=", 1) for line in Path(file).read_text().splitlines())
        [command] = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
        words = [
            re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], word)
            for word in shlex.split(command.replace("127.0.0.1:8000", self._address))
        ]
        log = self._folder / f"{name}.log"
        self._children.append(Child(name, words, log=log, environment=environment, folder=ROOT, patience=5))

    def said(self) -> str:
        """The last lines of all logs, and which process has ended."""
        told = ((child.name, child.exit_code(), child.last_lines(15)) for child in self._children)
        return "\n".join(f"--- {name} (exit code {code})\n" + "\n".join(lines) for name, code, lines in told)

    def is_whole(self) -> bool:
        """Whether all that was started still runs."""
        return all(child.exit_code() is None for child in self._children)

    def stop(self, *others: "Host") -> None:
        """End everything, of other hosts too."""
        stop_together([child for host in (self, *others) for child in host._children])
