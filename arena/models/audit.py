"""Who did what: an append-only log."""

from django.conf import settings
from django.db import models

from arena.models.study import Study


class AuditEvent(models.Model):
    """One act of a person or of the system (no actor) on a study."""

    study = models.ForeignKey(Study, null=True, blank=True, on_delete=models.PROTECT, related_name="audit_events")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    act = models.CharField(max_length=50)
    detail = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.act
