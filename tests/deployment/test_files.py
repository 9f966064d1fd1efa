"""The files of deploy/ against the code and against each other; systemd's own checker reads the units."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from tests.servers.missing import say_missing

ROOT = Path(settings.BASE_DIR)
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
NOT_OURS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "WEB_CONCURRENCY"}


def verified(folder: Path, units: list[Path], *, replace: tuple[str, str] = ("", "")) -> str:
    """What `systemd-analyze verify` complains of, the programs being where a test can put them."""
    checker = shutil.which("systemd-analyze") or say_missing("systemd-analyze")
    programs = folder / "opt" / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("gunicorn", "celery"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    placed = []
    for unit in (*units, DEPLOY / "systemd" / "winrate.target"):
        text = unit.read_text().replace("/opt/winrate", str(folder / "opt"))
        (folder / unit.name).write_text(text.replace(*replace) if replace[0] else text)
        placed.append(folder / unit.name)
    ended = subprocess.run([checker, "verify", *placed], capture_output=True, text=True)
    return ended.stdout + ended.stderr + ("" if ended.returncode == 0 else f"ended with {ended.returncode}")


def test_systemd_finds_nothing_to_complain_of(tmp_path: Path) -> None:
    assert len(UNITS) == 4
    assert verified(tmp_path, UNITS) == ""


def test_systemd_would_say_so(tmp_path: Path) -> None:
    said = verified(tmp_path, UNITS, replace=("StateDirectoryMode", "StateDirectoryModus"))
    assert "StateDirectoryModus" in said


def test_units_and_containers_run_the_same_commands() -> None:
    units = {
        re.sub(r"winrate-|@|\.service", "", unit.name): found[1].replace("%%h", "%h").replace("images-%i", "images")
        for unit in UNITS
        if (found := re.search(r"^ExecStart=/opt/winrate/\.venv/bin/(.*)$", unit.read_text(), re.MULTILINE))
    }
    lines = (DEPLOY / "compose" / "Dockerfile").read_text()
    web, images = (json.loads(command) for command in re.findall(r"^CMD (\[.*\])$", lines, re.MULTILINE))
    containers = {
        "web": " ".join(web).replace("0.0.0.0", "127.0.0.1"),  # noqa: S104 - compared, not bound
        "images": images[-1].removeprefix("exec ").replace("$WINRATE_IMAGE_QUEUE", "${WINRATE_IMAGE_QUEUE}"),
        **{name: " ".join(COMPOSE["services"][name]["command"]) for name in ("worker", "beat")},
    }
    assert containers == units
    # Celery's banner is no line that a program could read where logs are JSON.
    assert [name for name, command in units.items() if command.startswith("celery --quiet ")] == [
        name for name in units if name != "web"
    ]


@pytest.mark.parametrize("service", sorted(set(COMPOSE["services"]) - {"postgres", "redis", "nginx"}))
def test_containers_set_what_the_site_reads(service: str) -> None:
    assert set(COMPOSE["services"][service]["environment"]) - set(settings.SETTINGS_TABLE) == set()


def test_the_sample_sets_what_the_site_reads() -> None:
    sample = (DEPLOY / "winrate.env.sample").read_text()
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", sample, re.MULTILINE))
    assert {"SECRET_KEY", "STORAGE_URL"} <= named
    assert named - set(settings.SETTINGS_TABLE) - NOT_OURS == set()


def test_nginx_gets_every_name_that_its_file_holds() -> None:
    template = (DEPLOY / "nginx" / "winrate.conf.template").read_text().partition("\n\n")[2]
    assert set(re.findall(r"\$\{([A-Z_]+)\}", template)) == set(COMPOSE["services"]["nginx"]["environment"])


def test_only_nginx_is_published_and_nothing_starts_before_the_tables() -> None:
    services = COMPOSE["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]
    waiting = {name for name, service in services.items() if "prepare" in service.get("depends_on", {})}
    assert waiting == {"web", "worker", "beat", "images"}


def test_the_web_image_has_no_torch_and_copies_what_exists() -> None:
    web, worker = (DEPLOY / "compose" / "Dockerfile").read_text().split("FROM web AS worker")
    assert "requirements.txt" in web and "requirements-worker" not in web and "requirements-worker" in worker
    needed = (ROOT / "requirements.txt").read_text()
    assert not re.search(r"^(torch|diffusers|transformers|-r)", needed, re.MULTILINE)
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", web, re.MULTILINE) for name in line.split()]
    assert copied and [name for name in copied if not (ROOT / name).exists()] == []
