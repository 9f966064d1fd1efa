"""A job's life: claimed with a lease, finished, failed with a reason, given back, or taken from a dead worker."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import DateTimeField, Exists, ExpressionWrapper, F, OuterRef, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from generation.models import Checkpoint, Image, ImageJob, Recipe, Run, RunItem

LEASE = timedelta(seconds=settings.LEASE_SECONDS)
LARGEST_BATCH = 8
MOST_PIXELS_IN_A_BATCH = 8 * 512 * 512
LONGEST_REASON = 1000


def claim(*, worker: str, most: int = LARGEST_BATCH, run: Run | None = None) -> list[ImageJob]:
    """Take a micro-batch of one recipe for this worker, or [] when nothing is due.

    Jobs of the highest priority come first, in the order they were planned. A job that was claimed before and not
    finished is taken alone: if it kills its worker, it takes no other job with it. `run` restricts the choice.
    """
    due = _claimable(run)
    with transaction.atomic():
        in_order = due.select_related("recipe").order_by("-priority", "pk")
        first = in_order.select_for_update(skip_locked=True, of=("self",)).first()
        if first is None:
            return []
        chosen = [first.pk]
        if first.attempts == 0:
            alike = due.filter(recipe=first.recipe_id, attempts=0).order_by("-priority", "pk")
            size = min(most, _fitting(first.recipe))
            chosen = [job.pk for job in alike.select_for_update(skip_locked=True, of=("self",))[:size]]
        # The conditions once more: where rows cannot be locked, the one whose update hits has the job.
        _claimable(run).filter(pk__in=chosen).update(
            state=ImageJob.State.RUNNING, worker=worker, attempts=F("attempts") + 1, lease_until=_lease_end(), reason=""
        )
        running = ImageJob.objects.filter(pk__in=chosen, state=ImageJob.State.RUNNING, lease_until__gt=Now())
        mine = running.filter(worker=worker)
        return list(mine.select_related("recipe__checkpoint", "recipe__schedule").order_by("-priority", "pk"))


def has_due_jobs(run: Run | None = None) -> bool:
    """Whether a worker that asked now would get something."""
    return _claimable(run).exists()


def renew(*, worker: str, job_ids: Sequence[int]) -> int:
    """Lengthen the leases a worker still holds; how many it holds. Called from its heart while it works."""
    mine = ImageJob.objects.filter(pk__in=job_ids, worker=worker, state=ImageJob.State.RUNNING)
    return mine.update(lease_until=_lease_end())


def finish(images: Sequence[Image]) -> int:
    """Store the image rows of finished jobs and close the jobs, in one transaction; how many images are new.

    A job whose lease ran out may have been made twice: the first row stays, the second is dropped.
    """
    digests = [image.request_digest for image in images]
    with transaction.atomic():
        before = Image.objects.filter(request_digest__in=digests).count()
        Image.objects.bulk_create(images, ignore_conflicts=True)
        after = Image.objects.filter(request_digest__in=digests).count()
        ImageJob.objects.filter(request_digest__in=digests).exclude(state=ImageJob.State.DONE).update(
            state=ImageJob.State.DONE, finished_at=Now(), lease_until=None, reason=""
        )
    return after - before


def fail(batch: Iterable[ImageJob], *, worker: str, reason: str, is_retryable: bool) -> None:
    """Close a worker's jobs with a reason, or hand them back for another attempt while they have one left."""
    mine = ImageJob.objects.filter(pk__in=[job.pk for job in batch], worker=worker, state=ImageJob.State.RUNNING)
    sentence = reason.replace("\0", "")[:LONGEST_REASON]
    with transaction.atomic():
        if is_retryable:
            again = mine.filter(attempts__lt=ImageJob.MOST_ATTEMPTS)
            again.update(state=ImageJob.State.PENDING, lease_until=None, reason=sentence)
        mine.update(state=ImageJob.State.FAILED, lease_until=None, finished_at=Now(), reason=sentence)


def release(batch: Iterable[ImageJob], *, worker: str) -> int:
    """Give jobs back untouched, because the worker was told to stop; the attempt does not count."""
    mine = ImageJob.objects.filter(pk__in=[job.pk for job in batch], worker=worker, state=ImageJob.State.RUNNING)
    return mine.update(state=ImageJob.State.PENDING, lease_until=None, worker="", attempts=F("attempts") - 1)


def requeue_abandoned() -> int:
    """Jobs whose worker died: pending again, or failed after the last attempt; how many there were."""
    abandoned = ImageJob.objects.filter(state=ImageJob.State.RUNNING, lease_until__lt=Now())
    changed = 0
    with transaction.atomic():
        for job in abandoned.select_for_update(skip_locked=True)[:1000]:
            gone = f"The worker {job.worker} stopped answering while it made this image (attempt {job.attempts})."
            is_last = job.attempts >= ImageJob.MOST_ATTEMPTS
            changed += abandoned.filter(pk=job.pk).update(
                state=ImageJob.State.FAILED if is_last else ImageJob.State.PENDING,
                lease_until=None,
                finished_at=Now() if is_last else None,
                reason=f"{gone} It is not tried again: look for lack of memory in its log." if is_last else gone,
            )
    return changed


def _claimable(run: Run | None) -> QuerySet[ImageJob]:
    wanted = RunItem.objects.filter(job=OuterRef("pk"), run__paused_at__isnull=True, run__cancelled_at__isnull=True)
    if run is not None:
        wanted = wanted.filter(run=run)
    return ImageJob.objects.due().filter(
        Exists(wanted), recipe__state=Recipe.State.READY, recipe__checkpoint__state=Checkpoint.State.READY
    )


def _fitting(recipe: Recipe) -> int:
    # Large pictures in smaller batches, so that a batch stays far below the time a worker may spend on one task.
    return max(1, MOST_PIXELS_IN_A_BATCH // (recipe.width * recipe.height))


def _lease_end() -> ExpressionWrapper[CombinedExpression]:
    # By the database's clock, like every comparison with it: workers' clocks may differ by hours.
    return ExpressionWrapper(Now() + LEASE, output_field=DateTimeField())
