"""Commands of docs/production.md typed in a folder: what only a whole machine has is played and told."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PLAYED = ("apt", "useradd", "usermod", "sudo", "systemctl", "rsync", "git", "chgrp", "pip")
"""Written down with their words; each ends well."""


def blocks(page: str) -> list[str]:
    """The console blocks of a page as scripts: what stands behind the prompt, continued lines joined."""
    found = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^[#$] ", "", block, flags=re.MULTILINE) for block in found]


def played(commands: str, place: Callable[[str], str], *, folder: Path) -> list[str]:
    """Run them by a shell, paths moved by `place`; which commands were only played, as they were typed.

    A script of ours that they call is run with its paths moved too.
    """
    programs, told = folder / "played", folder / "played.txt"
    programs.mkdir(exist_ok=True)
    told.write_text("")
    for name in PLAYED:
        _write(programs / name, f'#!/bin/sh\necho {name} "$@" >> {told}\n')
    # The users of a real host: nobody to give files to, and nobody to become.
    _write(programs / "install", f'#!/bin/sh\necho install "$@" >> {told}\nexec /usr/bin/install {_without_owners()}\n')
    _write(programs / "id", "#!/bin/sh\n")
    _write(programs / "runuser", '#!/bin/sh\nshift 3\nexec "$@"\n')
    _write(programs / "python3", f'#!/bin/sh\necho python3 "$@" >> {told}\nmkdir -p "$3/bin"\n')
    for script in ("manage", "add-image-worker"):
        source = Path(__file__).resolve().parents[2] / "deploy" / script
        _write(programs / script, _moved(source.read_text(), place, programs))
        commands = commands.replace(f"/opt/winrate/deploy/{script}", str(programs / script))
    mine = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}  # set by browsers
    environment = {**mine, "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin"}
    command = ["/bin/sh", "-euc", _moved(commands, place, programs)]
    ended = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return told.read_text().splitlines()


def _moved(text: str, place: Callable[[str], str], programs: Path) -> str:
    text = text.replace("/opt/winrate/.venv/bin/pip", str(programs / "pip"))
    return place(text.replace("/opt/winrate/.venv/bin/python", sys.executable))


def _without_owners() -> str:
    return "$(printf '%s ' \"$@\" | sed 's/-o winrate //; s/-g winrate //')"


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)
