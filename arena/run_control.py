"""Who may see and steer a run, and the acts that steer it; every act leaves an audit event."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import transaction
from django.db.models import Q, QuerySet

from arena.audit import note
from arena.models import Study
from arena.refusals import Refusal
from generation import planning
from generation.errors import GenerationError
from generation.models import ImageJob, Run

Person = AbstractBaseUser | AnonymousUser


class RunError(Refusal):
    """An act that this run does not allow."""


def visible_runs(user: Person) -> QuerySet[Run]:
    """Runs this person may look at: their own, those of studies they see, and all with the right to view runs."""
    if not user.is_authenticated:
        return Run.objects.none()
    if _has_right(user, "view_run"):
        return Run.objects.all()
    studies = Study.objects.visible_to(user).values("run")
    return Run.objects.filter(Q(owner=user.pk) | Q(pk__in=studies))


def may_steer(run: Run, user: Person) -> bool:
    """Whether this person may pause, resume, cancel and retry a run."""
    if not user.is_authenticated:
        return False
    if _has_right(user, "change_run") or (run.owner_id is not None and run.owner_id == user.pk):
        return True
    return any(study.is_owned_by(user) for study in run.studies.all())


def pause(run: Run, *, actor: User | None) -> str:
    """No new batch begins; those in work are finished. Returns what happened, in a sentence."""
    _check_alive(run)
    # Not in one transaction: thousands of jobs change in chunks, between which voters have their turn.
    planning.pause_run(run)
    _note(run, actor, "run paused")
    return "The run is paused. Batches in work are finished; nothing new begins."


def resume(run: Run, *, actor: User | None) -> str:
    """Let a paused run go on."""
    _check_alive(run)
    planning.resume_run(run)
    _note(run, actor, "run resumed")
    return "The run goes on."


def cancel(run: Run, *, actor: User | None) -> str:
    """End a run for good; images that exist stay, and batches in work stop between two steps."""
    _check_alive(run)
    with transaction.atomic():
        count = planning.cancel_run(run)
        _note(run, actor, "run cancelled", images=count)
    return f"The run is cancelled: {count:,} waiting images are not made. Those that exist stay."


def set_priority(run: Run, priority: int, *, actor: User | None) -> str:
    """Higher goes first."""
    before = run.priority
    try:
        planning.set_priority(run, priority)
    except GenerationError as error:
        raise RunError(str(error), code="bad_priority", field="priority") from error
    _note(run, actor, "run priority changed", before=before, after=priority)
    return f"The run's priority is now {priority}."


def retry(run: Run, *, actor: User | None, jobs: Sequence[int] | None = None, like: int | None = None) -> str:
    """Give failed images new attempts: all of a run, only these jobs, or all that failed for the reason of one job."""
    _check_alive(run)
    if like is not None:
        reasons = run.jobs.filter(pk=like).values("reason")
        jobs = list(run.jobs.filter(state=ImageJob.State.FAILED, reason__in=reasons).values_list("pk", flat=True))
    count = planning.retry_failed(run) if jobs is None else planning.retry_jobs(run, jobs)
    _note(run, actor, "run retried", images=count)
    if not count:
        return "Nothing was retried: no such image has failed, or its recipe was refused."
    return f"{count:,} image{' is' if count == 1 else 's are'} tried again."


def _check_alive(run: Run) -> None:
    run.refresh_from_db(fields=["cancelled_at", "paused_at"])
    if run.cancelled_at:
        raise RunError(
            f"The run {run.name!r} is cancelled for good: ask for the images anew, which makes another run.",
            code="run_cancelled",
        )


def _note(run: Run, actor: User | None, act: str, **detail: Any) -> None:
    studies: list[Study | None] = [*run.studies.all()]
    for study in studies or [None]:
        note(study, actor, act, run=run.pk, name=run.name, **detail)


def _has_right(user: Person, right: str) -> bool:
    return isinstance(user, User) and user.is_staff and user.has_perm(f"generation.{right}")
