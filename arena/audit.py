"""The one way to write down who did what."""

from django.contrib.auth.models import User

from arena.models import AuditEvent, Study


def note(study: Study | None, actor: User | None, act: str, **detail: object) -> AuditEvent:
    """Append an event. Without an actor it was the system, or somebody at the command line."""
    return AuditEvent.objects.create(study=study, actor=actor, act=act, detail=detail)
