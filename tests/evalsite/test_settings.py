"""Settings: nothing is needed, a typo stops the start with one sentence."""

import os
import random
import secrets
import string
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from evalsite.environment import Environment, flag, folder, origins, secret, storage_url, text, words

SENTENCES = {
    "WINRATE_DATADIR": ("data", "unknown setting WINRATE_DATADIR; did you mean WINRATE_DATA_DIR?"),
    "WINRATE_COLOUR": ("red", "unknown setting WINRATE_COLOUR; see the README's table of settings."),
    "DEBUG": ("maybe", "DEBUG='maybe' is not on or off."),
    "WINRATE_LOG_LEVEL": ("LOUD", "WINRATE_LOG_LEVEL='LOUD' is not one of DEBUG, INFO, WARNING, ERROR."),
    "PORT": ("70000", "PORT='70000' is not a port, a whole number from 1 to 65535."),
    "SECRET_KEY": (
        "changeme",
        "SECRET_KEY is not a secret of at least 32 characters "
        "(make one with: python -c 'import secrets; print(secrets.token_urlsafe(50))').",
    ),
    "DATABASE_URL": (
        "mysql://localhost/winrate",
        "DATABASE_URL='mysql://localhost/winrate' is not a database URL "
        "(it must begin with one of: sqlite://, postgres://, postgresql://).",
    ),
    "CSRF_TRUSTED_ORIGINS": (
        "arena.example.org",
        "CSRF_TRUSTED_ORIGINS='arena.example.org' is not a list of origins such as https://arena.example.org, "
        "separated by commas ('arena.example.org' has no http:// or https://, or has a path).",
    ),
}


def manage(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    # Browser tests that ran before in this process allow what no deployment may.
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", SENTENCES)
def test_a_typo_stops_the_start_with_one_sentence(name: str) -> None:
    value, sentence = SENTENCES[name]
    ended = manage("check", **{name: value})
    assert (ended.returncode, ended.stderr) == (1, f"Winrate cannot start: {sentence}\n")


def test_a_refused_url_does_not_print_its_password() -> None:
    ended = manage("check", DATABASE_URL="mysql://ada:lovelace@localhost/winrate")
    assert (ended.returncode, "lovelace" in ended.stderr) == (1, False)


def test_a_data_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = manage("check", WINRATE_DATA_DIR=str(tmp_path / "file" / "data"))
    assert (ended.returncode, ended.stderr) == (
        1,
        f"Winrate cannot start: the data folder {tmp_path}/file/data cannot be made: Not a directory. "
        "Set WINRATE_DATA_DIR to a folder of yours.\n",
    )


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    shown = subprocess.run(
        [sys.executable, "-c", "from evalsite import settings as s; print(s.DEBUG, s.SECRET_KEY, s.CELERY_BROKER_URL)"],
        cwd=settings.BASE_DIR,
        env={**bare, "WINRATE_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert shown == ["False", (tmp_path / "secret_key").read_text(), f"redis+socket://{tmp_path}/redis/redis.sock"]
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_folder_name_may_hold_any_character(tmp_path: Path) -> None:
    odd = tmp_path / "My data + 100% ?#"
    read_back = "from evalsite import settings as s; print(s.DATABASES['default']['NAME']); print(s.CACHES['default'])"
    shown = subprocess.run(
        [sys.executable, "-c", read_back + "; print(s.STORAGES['images']['OPTIONS']['location'])"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "WINRATE_DATA_DIR": str(odd)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    cache = {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": f"{odd}/cache"}
    assert shown == [f"{odd}/winrate.sqlite3", str(cache), f"{odd}/images"]


@pytest.mark.once
@pytest.mark.parametrize(("said", "threshold"), [("", "0"), ("?prepare_threshold=none", "None")])
def test_behind_a_pooler_no_statement_is_prepared(said: str, threshold: str) -> None:
    read_back = "from evalsite import settings as s; print(s.DATABASES['default']['OPTIONS'])"
    shown = subprocess.run(
        [sys.executable, "-c", read_back],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": f"postgres://ada:secret@db.lab:5432/winrate{said}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"'prepare_threshold': {threshold}" in shown and ("plan_cache_mode" in shown) == (not said)


def test_processes_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from evalsite import settings; print(settings.SECRET_KEY)"]
    environment = {**os.environ, "WINRATE_DATA_DIR": str(tmp_path)}
    started = [
        subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in started}) == 1


def test_the_production_profile_passes_djangos_own_check() -> None:
    production = {
        **{"WINRATE_HTTPS": "on", "WINRATE_TRUSTED_PROXIES": "1", "ALLOWED_HOSTS": "arena.lab"},
        **{"SECRET_KEY": secrets.token_urlsafe(50), "DATABASE_URL": "postgres://ada:secret@db.lab:5432/winrate"},
        **{"CELERY_BROKER_URL": "redis://redis.lab:6379/0", "CACHE_URL": "redis://redis.lab:6379/1"},
        **{"STORAGE_URL": "s3://images?endpoint_url=https://store.lab", "WINRATE_IMAGES_BY_NGINX": "on"},
    }
    ended = manage("check", "--deploy", "--fail-level", "WARNING", **production)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "System check identified no issues (0 silenced).\n")


def test_values_are_parsed() -> None:
    assert [flag("on"), flag("No"), flag("1")] == [True, False, True]
    assert words(" a, b ,,c") == ["a", "b", "c"]
    assert folder("~/x") == Path.home() / "x"
    assert origins("https://a.example/,http://b:8000") == ["https://a.example", "http://b:8000"]


@pytest.mark.parametrize(
    "value",
    [
        *("passwordpasswordpasswordpassword", "Password-1Password-2Password-3Password-4", "correct horse " * 4),
        *("0123456789abcdef0123456789abcdef", "abcdefghijklmnopqrstuvwxyz012345", "zyxwvutsrqponmlkjihgfedcba987654"),
        *("x7Qp2vR9mK4tLw8z" * 2, "a1b2c3d4" * 6, "qwertyuiopasdfghjklzxcvbnm1357924", "a" * 20 + "bcdfhjlnprtv"),
        *("put-a-long-placeholder-text-in-this-line", "3.14159265358979 <insert your key>", "short", ""),
    ],
)
def test_keys_that_somebody_typed_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="make one with"):
        secret(value)


def test_random_keys_of_every_kind_are_taken() -> None:
    source = random.Random(8)  # noqa: S311 - the same keys in each run
    for kind in (string.hexdigits[:16], string.ascii_letters + string.digits + "-_", string.ascii_lowercase):
        for length in (32, 40, 64, 4096):
            for _ in range(50):
                key = "".join(source.choices(kind, k=length))
                assert secret(key) == key


@pytest.mark.parametrize("value", ["images", "file://images", "file:images", "s3://", "http://bucket"])
def test_a_storage_url_that_names_no_place_is_refused(value: str) -> None:
    with pytest.raises(ValueError):
        storage_url(value)


def test_an_environment_documents_what_was_asked_of_it() -> None:
    env = Environment({"NAME": "Ada"})
    value = env.setting("NAME", text, default="nobody", meaning="Whom to greet.")
    shown = env.table["NAME"]
    assert (value, shown.kind, shown.default, shown.meaning) == ("Ada", "any text", "nobody", "Whom to greet.")


def test_pages_carry_the_headers_that_keep_scripts_and_frames_out() -> None:
    policy: dict[str, list[str]] = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    allowed = {source for sources in policy.values() for source in sources}
    assert not allowed & {"'unsafe-inline'", "'unsafe-eval'", "*", "https:", "http:"}
    assert (settings.SECURE_REFERRER_POLICY, settings.X_FRAME_OPTIONS) == ("same-origin", "DENY")
