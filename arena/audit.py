"""The one way to write down who did what, and to read it."""

from collections.abc import Iterable, Mapping
from typing import Final

from django.contrib.auth.models import User
from django.db.models import QuerySet

from arena.models import AuditEvent, Study

_LONGEST_DETAIL: Final = 200


def note(study: Study | None, actor: User | None, act: str, **detail: object) -> AuditEvent:
    """Append an event. Without an actor it was the system, or somebody at the command line."""
    return AuditEvent.objects.create(study=study, actor=actor, act=act, detail=detail)


def events_of(study: Study | None, *, act: str = "") -> QuerySet[AuditEvent]:
    """A study's events, or all of the site; newest first."""
    events = AuditEvent.objects.select_related("actor", "study").order_by("-pk")
    if study is not None:
        events = events.filter(study=study)
    return events.filter(act=act) if act else events


def known_acts(study: Study | None) -> list[str]:
    """What happened at least once."""
    return sorted(set(events_of(study).order_by().values_list("act", flat=True).distinct()))


def lines_of(events: Iterable[AuditEvent]) -> list[tuple[AuditEvent, str]]:
    """Events with their detail as one line, in which accounts are named."""
    events = list(events)
    named = {event.detail["user"] for event in events if isinstance(event.detail.get("user"), int)}
    names = {user.pk: user.get_username() for user in User.objects.filter(pk__in=named)}
    return [(event, _in_words(event, names)) for event in events]


def _in_words(event: AuditEvent, names: Mapping[int, str]) -> str:
    detail = event.detail
    if "user" in detail:
        detail = detail | {"user": names.get(detail["user"], detail["user"])}
    told = {key: value for key, value in detail.items() if value not in (None, "", [], {})}
    line = ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in told.items())
    return line if len(line) <= _LONGEST_DETAIL else f"{line[:_LONGEST_DETAIL]}…"
