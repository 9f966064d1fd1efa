"""docs/production.md, typed: every console block as it stands, paths moved into a folder."""

import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.db import connection

from tests.deployment.typed import PLAYED, blocks, played
from tests.servers.addresses import free_port
from tests.servers.missing import say_missing
from tests.servers.nginx import self_signed

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]
ROOT = Path(settings.BASE_DIR)
PAGE = (ROOT / "docs" / "production.md").read_text()
MOVED = ("/etc/", "/var/lib/winrate", "/var/cache/", "/var/log/", "/backups")


def section(title: str) -> str:
    """The text under a heading."""
    return PAGE.partition(f"## {title}")[2].partition("\n## ")[0]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Path]:
    """A folder with what Debian's packages bring, and a database with tables."""
    for folder in ("etc/nginx/conf.d", "etc/systemd/system", "etc/ssl/winrate", "var/log/nginx", "var/lib/winrate"):
        (tmp_path / folder).mkdir(parents=True)
    theirs = Path("/etc/nginx/nginx.conf")
    if not theirs.exists():
        say_missing("nginx")
    shutil.copy("/etc/nginx/mime.types", tmp_path / "etc/nginx/mime.types")
    places = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    text = theirs.read_text().replace("http {", f"http {{ client_body_temp_path {tmp_path}/body; {places}", 1)
    text = text.replace("/run/nginx.pid", f"{tmp_path}/nginx.pid").replace("/etc/nginx/modules-enabled", "/nowhere")
    (tmp_path / "etc/nginx/nginx.conf").write_text(moved(text, tmp_path))
    self_signed(tmp_path / "etc/ssl/winrate")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(tmp_path / "tables.sqlite3")])
    yield tmp_path


def moved(text: str, folder: Path) -> str:
    """The folder in place of this machine's root; the checkout and its programs where they are."""
    for place in MOVED:
        text = re.sub(rf"(?<![\w.]){place}", f"{folder}{place}", text)
    text = text.replace("/opt/winrate", str(ROOT))
    checked = f"nginx -t -c {folder}/etc/nginx/nginx.conf -e {folder}/nginx.log"
    return re.sub(r"^nginx -t", checked, text, flags=re.MULTILINE)


def type_in(block: str, machine: Path) -> list[str]:
    for port in ("80", "443"):
        block = re.sub(rf"_PORT={port}\b", f"_PORT={free_port()}", block)
    asked = "createsuperuser --no-input --username boss --email boss@example.org"
    block = block.replace("createsuperuser", asked)
    return played(block, lambda text: moved(text, machine), folder=machine)


def fill_in(machine: Path) -> None:
    """The sample as a person fills it in; SQLite, as no PostgreSQL runs here."""
    file = machine / "etc/winrate/winrate.env"
    text = file.read_text().replace("<50 random characters>", secrets.token_urlsafe(50))
    text = re.sub(r"<password>", "secret", text).replace("<arena.example.org>", "arena.example.org")
    text = re.sub(r"^DATABASE_URL=.*$", f"DATABASE_URL='sqlite:///{machine}/tables.sqlite3'", text, flags=re.MULTILINE)
    file.write_text(text.replace("'/var/lib/winrate'", f"'{machine}/var/lib/winrate'"))


def test_one_machine_and_its_upgrade_as_they_are_typed(machine: Path) -> None:
    packages, tables, nginx, units = blocks(section("One machine, step by step"))
    told = type_in(packages, machine)
    assert [line.split()[0] for line in told] == [
        *("apt", "useradd", "usermod", "sudo", "sudo", "python3", "pip", "install", "install"),
    ]
    fill_in(machine)
    type_in(tables, machine)
    assert list((machine / "var/lib/winrate/static").rglob("*.css"))
    assert type_in(nginx, machine)[-1] == "systemctl reload nginx"
    site = (machine / "etc/nginx/conf.d/winrate.conf").read_text()
    assert (
        not re.search(r"\$\{[A-Z]", site) and "server_name arena.example.org;" in site and "$binary_remote_addr" in site
    )
    assert type_in(units, machine)[-1].startswith("systemctl enable --now winrate.target winrate-web ")
    assert len(list((machine / "etc/systemd/system").glob("winrate*"))) == 5

    [upgrade] = blocks(section("Upgrade"))
    (machine / "backups").mkdir()
    told = type_in(upgrade, machine)
    assert [line.split()[0] for line in told] == ["systemctl", "git", "pip", "systemctl"], "stopped first, started last"
    assert (told[0], told[-1]) == ("systemctl stop winrate.target", "systemctl start winrate.target")
    assert list((machine / "backups/winrate").glob("database-*.sqlite3"))


def test_no_command_of_the_page_needs_a_folder_or_a_path_that_is_not_said() -> None:
    """`python` is on no Debian's PATH, and who types is in no folder of ours."""
    typed = [line for block in blocks(PAGE) for line in block.replace("\\\n", " ").splitlines()]
    assert len(typed) > 30
    first_words = {part.split()[0] for line in typed for part in re.split(r" && ", line) if part.strip()}
    known = {*PLAYED, "install", "cp", "export", "envsubst", "nginx", "python3", "docker"}
    ours = {f"/opt/winrate/deploy/{name}" for name in ("manage", "add-image-worker")}
    assert first_words - known - ours == {"/opt/winrate/.venv/bin/pip"}
    acts = set(re.findall(r"deploy/manage (\w+)", PAGE))
    assert acts and acts - set(get_commands()) == set()
