"""A job's life: claimed with a lease, finished, failed with a reason, given back, or taken from a dead worker."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import DateTimeField, Exists, ExpressionWrapper, F, OuterRef
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from generation import choosing
from generation.models import Image, ImageJob, Recipe, Run, RunItem

Fitting = Callable[[Recipe], int]
"""How many pictures of a recipe a worker takes at once, at most."""

LEASE = timedelta(seconds=settings.LEASE_SECONDS)
LARGEST_BATCH = 8
MOST_PIXELS_IN_A_BATCH = 8 * 512 * 512
LONGEST_REASON = 1000
LOOKS = 3
"""How often a claim looks again where others took what it had seen."""


def claim(
    *,
    worker: str,
    most: int = LARGEST_BATCH,
    run: Run | None = None,
    checkpoints: Collection[int] | None = None,
    loaded: Collection[int] = (),
    longest_wait: timedelta | None = choosing.LONGEST_WAIT,
    fitting: Fitting | None = None,
) -> list[ImageJob]:
    """Take a micro-batch of one recipe for this worker, or [] when nothing is due.

    Jobs of the highest priority come first; among them those that waited longer than `longest_wait`, then those of
    `loaded` checkpoints, then the order in which they were planned. A job that was claimed before and not finished is
    taken alone: if it kills its worker, it takes no other job with it. `run` and `checkpoints` restrict the choice.
    """
    for _ in range(LOOKS):
        found = choosing.candidates(run, checkpoints=checkpoints, loaded=loaded, longest_wait=longest_wait)
        if not found:
            break
        for first in found:
            size = min(most, (fitting or fitting_by_size)(first.recipe))
            if batch := _take(first, worker=worker, size=size, run=run):
                return batch
    return []


def _take(first: ImageJob, *, worker: str, size: int, run: Run | None) -> list[ImageJob]:
    alike = choosing.claimable(run)
    if first.state == ImageJob.State.PENDING and first.attempts == 0:
        # By state and not only by being due: the index then gives them in order, and no other row is looked at.
        waiting = alike.filter(recipe=first.recipe_id, state=ImageJob.State.PENDING, attempts=0)
        alike = waiting.filter(priority__gte=choosing.LEAST_PRIORITY)
    else:
        alike, size = alike.filter(pk=first.pk), 1
    with transaction.atomic():
        locked = alike.order_by("-priority", "pk").select_for_update(skip_locked=True, of=("self",))
        chosen = [job.pk for job in locked[:size]]
        # The conditions once more: where rows cannot be locked, the one whose update hits has the job.
        choosing.claimable(run).filter(pk__in=chosen).update(
            state=ImageJob.State.RUNNING, worker=worker, attempts=F("attempts") + 1, lease_until=_lease_end(), reason=""
        )
        running = ImageJob.objects.filter(pk__in=chosen, state=ImageJob.State.RUNNING, lease_until__gt=Now())
        mine = running.filter(worker=worker)
        return list(mine.select_related("recipe__checkpoint", "recipe__schedule").order_by("-priority", "pk"))


def has_due_jobs(run: Run | None = None, *, checkpoints: Collection[int] | None = None) -> bool:
    """Whether a worker that asked now would get something."""
    waiting = choosing.heads(run, checkpoints=checkpoints).exists()
    return waiting or choosing.abandoned(run, checkpoints=checkpoints).exists()


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
    _fail([job.pk for job in batch], worker=worker, reason=reason, is_retryable=is_retryable)


def time_out(job_ids: Sequence[int], *, worker: str, reason: str) -> None:
    """Hand hung jobs back for another attempt, alone, while they have one left; else they fail with the reason."""
    _fail(job_ids, worker=worker, reason=reason, is_retryable=True)


def _fail(job_ids: Sequence[int], *, worker: str, reason: str, is_retryable: bool) -> None:
    mine = ImageJob.objects.filter(pk__in=job_ids, worker=worker, state=ImageJob.State.RUNNING)
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
    running = ImageJob.objects.filter(state=ImageJob.State.RUNNING)
    # Longer than any lease that is given: the clock was set back, and a dead worker would keep its jobs for that long.
    running.filter(lease_until__gt=_lease_end(2 * LEASE)).update(lease_until=_lease_end())
    abandoned = running.filter(lease_until__lt=Now())
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


def cancel_unwanted() -> int:
    """Close jobs that came back from a worker after their last run had been cancelled; how many there were.

    Nobody would ever make them, and whoever asks whether a run is finished would be told to wait.
    """
    given_up = list(Run.objects.filter(cancelled_at__isnull=False).values_list("pk", flat=True))
    wanted = RunItem.objects.filter(job=OuterRef("pk"), run__cancelled_at__isnull=True)
    items = RunItem.objects.filter(run__in=given_up, job__state=ImageJob.State.PENDING)
    unwanted = ImageJob.objects.filter(~Exists(wanted), state=ImageJob.State.PENDING)
    with transaction.atomic():
        # Locked, so that no run can begin to want one while it is looked at, and then looked at once more.
        held = unwanted.filter(pk__in=items.values("job")).order_by("pk").select_for_update(skip_locked=True)[:1000]
        ids = [job.pk for job in held] if given_up else []
        return unwanted.filter(pk__in=ids).update(state=ImageJob.State.CANCELLED)


def fitting_by_size(recipe: Recipe) -> int:
    """The largest batch by the pixels of its pictures, so that it stays far below the time a worker may take."""
    return max(1, MOST_PIXELS_IN_A_BATCH // (recipe.width * recipe.height))


def _lease_end(lease: timedelta = LEASE) -> ExpressionWrapper[CombinedExpression]:
    # By the database's clock, like every comparison with it: workers' clocks may differ by hours.
    return ExpressionWrapper(Now() + lease, output_field=DateTimeField())
