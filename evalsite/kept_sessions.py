"""Sessions in the database as Django keeps them, read by SQL that is made once per process: every request reads one."""

from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db.models import CharField, DateTimeField
from django.utils import timezone

from arena.kept_queries import KeptQuery, Parameter

_STANDING = KeptQuery(
    lambda: Session.objects.filter(
        session_key=Parameter("key", CharField()), expire_date__gt=Parameter("now", DateTimeField())
    ).order_by()
)


class SessionStore(db.SessionStore):
    """The module's name is the setting SESSION_ENGINE."""

    def _get_session_from_db(self) -> Any:
        found = _STANDING.first(key=self.session_key, now=timezone.now())
        return found if found is not None else super()._get_session_from_db()  # type: ignore[misc] # not in its stubs
