"""What the read-only pages share."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from generation.heartbeats import served_queues
from generation.timetable import GENERATION_QUEUE


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Rows that only the product's own acts make and change."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def being_checked() -> str:
    """That a worker decides about a draft, and whether one is there to do it."""
    if GENERATION_QUEUE in served_queues():
        return "Being checked by a worker: reload this page in a few seconds."
    return (
        "Waits to be checked: no image worker is alive. `manage.py up` starts one; this page then shows what it finds."
    )


def pretty(value: Any) -> SafeString:
    """JSON as a person reads it; escaped."""
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))
