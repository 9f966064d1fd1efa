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
from gunicorn.app.base import Application

from evalsite import gunicorn_hooks
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


def test_shell_systemd_and_compose_read_the_same_values_from_the_sample(tmp_path: Path) -> None:
    """Values in single quotes are literal to all three; a bare & would end STORAGE_URL in a shell."""
    text = (DEPLOY / "winrate.env.sample").read_text()
    lines = re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", text, re.MULTILINE)
    assert [line for line in lines if not re.fullmatch(r"'[^']*'", line[1])] == []
    file = tmp_path / "winrate.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in lines))
    said = subprocess.run(
        ["/bin/sh", "-euc", f"set -a; . {file}; set +a; env -0"], capture_output=True, text=True, env={}, check=True
    )
    read = dict(line.split("=", 1) for line in said.stdout.split("\0") if line)
    assert {name: value.strip("'") for name, value in lines}.items() <= read.items()
    assert "&addressing_style=path" in read["STORAGE_URL"]


def test_a_file_of_secrets_gets_into_no_image_and_no_commit() -> None:
    """A pattern of .dockerignore without a folder holds at the root alone; one of .gitignore holds everywhere."""
    assert "**/*.env" in (ROOT / ".dockerignore").read_text().splitlines()
    assert "*.env" in (ROOT / ".gitignore").read_text().splitlines()
    assert COMPOSE["services"]["web"]["env_file"].endswith(".env")


def test_what_is_loaded_once_is_not_reloaded() -> None:
    assert "\npreload_app = True\n" in (DEPLOY / "gunicorn.conf.py").read_text()
    assert [unit.name for unit in UNITS if "ExecReload" in unit.read_text()] == []


def test_nginx_gets_every_name_that_its_file_holds() -> None:
    template = (DEPLOY / "nginx" / "winrate.conf.template").read_text().partition("\n\n")[2]
    assert set(re.findall(r"\$\{([A-Z_]+)\}", template)) == set(COMPOSE["services"]["nginx"]["environment"])


def test_redis_lets_in_only_those_with_the_password() -> None:
    """The cache holds pickles of ours: whoever can write to it runs code in the web processes."""
    secret = "${REDIS_PASSWORD:?set REDIS_PASSWORD}"
    redis = COMPOSE["services"]["redis"]
    *_, option, value = redis["command"]
    assert (option, value, redis["environment"]) == ("--requirepass", secret, {"REDISCLI_AUTH": secret})
    asked = [
        service["environment"][name]
        for service in COMPOSE["services"].values()
        for name in ("CELERY_BROKER_URL", "CACHE_URL")
        if "CELERY_BROKER_URL" in service.get("environment", {})
    ]
    assert len(asked) >= 12 and {address[:-2] for address in asked} == {f"redis://:{secret}@redis:6379"}
    sample = (DEPLOY / "winrate.env.sample").read_text()
    assert len(re.findall(r"^(?:CELERY_BROKER_URL|CACHE_URL)='redis://:<password>@", sample, re.MULTILINE)) == 2


def test_the_compose_file_says_first_which_variables_must_be_set() -> None:
    text = (DEPLOY / "compose" / "compose.yaml").read_text()
    told = re.findall(r"^#   ([A-Z_]+)=", text.partition("\nname:")[0], re.MULTILINE)
    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(told)


def test_only_nginx_is_published_and_nothing_starts_before_the_tables() -> None:
    services = COMPOSE["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]
    waiting = {name for name, service in services.items() if "prepare" in service.get("depends_on", {})}
    assert waiting == {"web", "worker", "beat", "images", "images-gpu"}


def test_a_gpu_worker_of_the_containers_is_the_images_worker_with_a_gpu() -> None:
    images, gpu = COMPOSE["services"]["images"], COMPOSE["services"]["images-gpu"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert "gpu" in device["capabilities"] and "devices" not in str(images)
    assert gpu["environment"]["WINRATE_DEVICE"] == "cuda:0" and gpu["profiles"] == ["gpu"]
    assert gpu["image"] == images["image"] and "command" not in gpu and "command" not in images


def test_containers_can_back_up_and_restore() -> None:
    """pg_dump refuses a newer server, and a newer pg_restore sets what an older server does not know."""
    backup = COMPOSE["services"]["backup"]
    assert backup["command"][:3] == ["python", "manage.py", "backup"]
    assert "prepare" not in backup["depends_on"], "tables would be there, and restore wants an empty database"
    assert {volume.rpartition(":")[2] for volume in backup["volumes"]} == {"/var/lib/winrate", "/backups"}
    web, _ = (DEPLOY / "compose" / "Dockerfile").read_text().split("FROM web AS worker")
    assert re.search(r"^RUN apt-get .* postgresql-client ", web, re.MULTILINE)
    client_of = {"bookworm": "15"}
    (release,) = re.findall(r"^FROM python:3\.11-slim-(\w+) AS web$", web, re.MULTILINE)
    assert COMPOSE["services"]["postgres"]["image"] == f"postgres:{client_of[release]}"


def test_a_gpu_host_is_back_after_a_reboot() -> None:
    """A unit starts by itself only where what wants it is there, too, and is wanted by the machine."""
    script = (DEPLOY / "add-image-worker").read_text()
    (enabled,) = re.findall(r"^systemctl enable --now (.+)$", script, re.MULTILINE)
    units = [re.sub(r"@.*", "@.service", name.strip('"')) for name in enabled.split()]
    assert any("images@" in unit for unit in units)
    (copied,) = re.findall(r"^cp (.+) /etc/systemd/system/$", script, re.MULTILINE)
    assert {Path(file).name for file in copied.split()} == set(units)
    for unit in units:
        (wants,) = re.findall(r"^WantedBy=(.+)$", (DEPLOY / "systemd" / unit).read_text(), re.MULTILINE)
        assert wants == "multi-user.target" or wants in units, unit


def test_the_web_image_has_no_torch_and_copies_what_exists() -> None:
    web, worker = (DEPLOY / "compose" / "Dockerfile").read_text().split("FROM web AS worker")
    assert "requirements.txt" in web and "requirements-worker" not in web and "requirements-worker" in worker
    needed = (ROOT / "requirements.txt").read_text()
    assert not re.search(r"^(torch|diffusers|transformers|-r)", needed, re.MULTILINE)
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", web, re.MULTILINE) for name in line.split()]
    assert copied and [name for name in copied if not (ROOT / name).exists()] == []


class Configured(Application):  # type: ignore[misc] # gunicorn has no annotations
    """gunicorn with one of our files, and without the words of this process's command line."""

    def load_config(self) -> None:
        """None yet."""


def test_gunicorn_takes_no_part_of_an_address_from_a_header() -> None:
    for place in ("deploy/gunicorn.conf.py", "python:evalsite.gunicorn_hooks"):
        server = Configured()
        server.load_config_from_file(place)
        assert server.cfg.forwarder_headers == [], place
        assert server.cfg.child_exit is gunicorn_hooks.child_exit, place
