"""Workers and when they were last seen."""

from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from generation.admin.reading import ReadOnlyAdmin
from generation.heartbeats import ALIVE_WITHIN
from generation.models import BatchLimit, TaskRecord, WorkerHeartbeat


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    """Living and lately silent workers."""

    list_display = (
        "worker",
        "is_alive",
        "queues",
        "weights",
        "fetchable",
        "loaded",
        "device",
        "images_made",
        "seen_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkerHeartbeat]:
        alive = ExpressionWrapper(Q(seen_at__gt=Now() - ALIVE_WITHIN), output_field=BooleanField())
        rows: QuerySet[WorkerHeartbeat] = super().get_queryset(request).annotate(alive=alive)
        return rows

    @admin.display(boolean=True, description="alive")
    def is_alive(self, heartbeat: Any) -> bool:
        """Seen within the last seconds, by the database's clock."""
        return bool(heartbeat.alive)


@admin.register(BatchLimit)
class BatchLimitAdmin(ReadOnlyAdmin):
    """What once ran out of memory; without its row, larger batches are tried again."""

    list_display = ("checkpoint", "width", "height", "device", "largest", "learned_at")
    list_select_related = ("checkpoint",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)


@admin.register(TaskRecord)
class TaskRecordAdmin(ReadOnlyAdmin):
    """How each kind of task went last."""

    list_display = ("name", "succeeded_at", "seconds", "failures", "failed_at", "error")
