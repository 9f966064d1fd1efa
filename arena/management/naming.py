"""What somebody names on a command line: found, or refused with a sentence."""

from django.contrib.auth.models import User
from django.core.management.base import CommandError


def user_named(name: str | None) -> User | None:
    """The account of this name; None where none is named. Raises CommandError where there is no such account."""
    if not name:
        return None
    found = User.objects.filter(username=name).first()
    if found is None:
        raise CommandError(f"There is no user {name!r}.")
    return found
