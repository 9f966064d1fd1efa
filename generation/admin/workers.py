"""Workers and when they were last seen."""

from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from generation.admin.reading import ReadOnlyAdmin
from generation.heartbeats import ALIVE_WITHIN
from generation.models import WorkerHeartbeat


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    """Living and lately silent workers."""

    list_display = ("worker", "is_alive", "queues", "weights", "loaded", "device", "seen_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkerHeartbeat]:
        alive = ExpressionWrapper(Q(seen_at__gt=Now() - ALIVE_WITHIN), output_field=BooleanField())
        rows: QuerySet[WorkerHeartbeat] = super().get_queryset(request).annotate(alive=alive)
        return rows

    @admin.display(boolean=True, description="alive")
    def is_alive(self, heartbeat: Any) -> bool:
        """Seen within the last seconds, by the database's clock."""
        return bool(heartbeat.alive)
