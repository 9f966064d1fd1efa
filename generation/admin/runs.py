"""Runs with their progress, and the jobs they consist of."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from generation.admin.reading import ReadOnlyAdmin
from generation.hints import hint_workers
from generation.models import ImageJob, Run
from generation.planning import cancel_run, pause_run, progress_of, reopen, resume_run, retry_failed

State = ImageJob.State


@admin.register(Run)
class RunAdmin(admin.ModelAdmin[Run]):
    """Who asked for which images and how far they are."""

    list_display = ("name", "state", "done_of_total", "failed_count", "priority", "owner", "created_at")
    list_select_related = ("owner",)
    search_fields = ("name",)
    fields = ("name", "state", "pause_reason", "progress", "priority", "owner", "created_at")
    readonly_fields = fields
    actions = ("pause", "resume", "cancel", "retry")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        return False  # cancel it: what was asked for stays on record

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        counts = {
            "total": Count("jobs"),
            "done": Count("jobs", filter=Q(jobs__state=State.DONE)),
            "failed": Count("jobs", filter=Q(jobs__state=State.FAILED)),
        }
        return super().get_queryset(request).annotate(**counts)

    @admin.display
    def state(self, run: Any) -> str:
        """In one word."""
        if run.cancelled_at:
            return "cancelled"
        if run.done + run.failed == run.total:
            return "finished"
        return "paused" if run.paused_at else "running"

    @admin.display(description="images")
    def done_of_total(self, run: Any) -> str:
        """Done and wanted."""
        return f"{run.done} of {run.total}"

    @admin.display(description="failed", ordering="failed")
    def failed_count(self, run: Any) -> int:
        """How many jobs gave up."""
        count: int = run.failed
        return count

    @admin.display
    def progress(self, run: Run) -> str:
        """With the time left."""
        now = progress_of(run)
        if not now.left:
            return f"{now.done} of {now.total} images, {now.failed} failed"
        left = "time left not known yet" if now.seconds_left is None else f"about {now.seconds_left:.0f} s left"
        return f"{now.done} of {now.total} images, {now.failed} failed, {left}"

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Batches in work are finished."""
        for run in queryset:
            pause_run(run)

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Go on."""
        for run in queryset:
            resume_run(run)

    @admin.action(description="Cancel for good", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Images that exist stay."""
        for run in queryset:
            cancel_run(run)

    @admin.action(description="Retry failed images", permissions=["change"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """New attempts."""
        self.message_user(request, f"{sum(retry_failed(run) for run in queryset)} images are tried again.")


@admin.register(ImageJob)
class ImageJobAdmin(ReadOnlyAdmin):
    """One wanted image each."""

    list_display = ("id", "state", "recipe", "prompt", "sample", "attempts", "worker", "lease_until", "reason")
    list_filter = ("state", ("recipe", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("recipe",)
    search_fields = ("prompt_text", "reason", "worker")
    show_full_result_count = False
    actions = ("retry",)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Who may change jobs may retry them; the form itself stays read-only."""
        return request.user.has_perm("generation.change_imagejob")

    @admin.display(ordering="prompt_text")
    def prompt(self, job: ImageJob) -> str:
        """Its beginning."""
        return job.prompt_text if len(job.prompt_text) <= 80 else f"{job.prompt_text[:77]}..."

    @admin.action(description="Retry failed jobs", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[ImageJob]) -> None:
        """New attempts for those that gave up."""
        count = reopen(queryset.filter(state=State.FAILED).values_list("pk", flat=True))
        hint_workers()
        self.message_user(request, f"{count} images are tried again.")
