"""What a data folder needs before it is served: tables, static files, an administrator. All of it safe to repeat."""

import hashlib
import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

ADMIN_NAME = "admin"


def prepare_tables() -> None:
    """Apply migrations."""
    call_command("migrate", interactive=False, verbosity=0)


def collect_static() -> bool:
    """Gather the static files; says whether there was anything to do, because compressing them takes seconds."""
    mark = settings.STATIC_ROOT / ".collected"
    state = _static_state()
    if mark.exists() and mark.read_text() == state:
        return False
    call_command("collectstatic", interactive=False, verbosity=0)
    mark.write_text(state)
    return True


def _static_state() -> str:
    digest = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for finder in get_finders():
        for path, storage in sorted(finder.list([]), key=lambda found: found[0]):
            modified = storage.get_modified_time(path).timestamp()
            digest.update(f"{path}\0{storage.size(path)}\0{modified}\0".encode())
    return digest.hexdigest()


def ensure_administrator() -> tuple[str, str | None]:
    """The name of a superuser and, only where one was made just now, the password nobody will be told again."""
    people = get_user_model().objects
    if (found := people.filter(is_superuser=True, is_active=True).order_by("pk").first()) is not None:
        return found.get_username(), None
    password = secrets.token_urlsafe(12)
    people.create_superuser(username=ADMIN_NAME, password=password)
    return ADMIN_NAME, password
