"""Planning: which wanted images do not exist, as jobs in the order in which people can use them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Now

from generation.choosing import HELD, LEAST_PRIORITY, MOST_PRIORITY
from generation.errors import GenerationError
from generation.hints import hint_workers
from generation.models import Image, ImageJob, Recipe, Run, RunItem
from generation.pace import Means, means_for, means_of
from generation.provenance import request_digest, text_digest

PROMPTS_IN_A_BLOCK = 8
ROWS_IN_A_CHUNK = 1000
T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One wanted image."""

    recipe_id: int
    prompt_text: str
    sample: int
    request_digest: str


@dataclass(frozen=True)
class RunProgress:
    """Counted from the jobs; cancelled ones count as failed. `seconds_left` is None until something was measured."""

    total: int
    done: int
    failed: int
    seconds_left: float | None

    @property
    def left(self) -> int:
        """Images still to be made."""
        return self.total - self.done - self.failed


def start_run(
    *,
    name: str,
    owner: User | None,
    recipes: Sequence[Recipe],
    prompt_texts: Sequence[str],
    samples: int = 1,
    priority: int = 0,
) -> Run:
    """A run that wants `samples` images of every prompt by every recipe; images that exist are not made again."""
    check_wish(recipes, prompt_texts, samples)
    run = Run.objects.create(name=name, owner=owner, priority=priority)
    add_to_run(run, recipes=recipes, prompt_texts=prompt_texts, samples=samples)
    return run


def add_to_run(run: Run, *, recipes: Sequence[Recipe], prompt_texts: Sequence[str], samples: int = 1) -> None:
    """Let a run want more; repeating it changes nothing, so a planning that was cut off is simply done again."""
    check_wish(recipes, prompt_texts, samples)
    cells = cells_in_order(recipes=recipes, prompt_texts=prompt_texts, samples=samples)
    for chunk in in_chunks(cells, size=ROWS_IN_A_CHUNK):
        # One short transaction for each chunk: voters on the same SQLite file wait for none of them for long.
        with transaction.atomic():
            _plan(run, chunk)
    if Run.objects.filter(pk=run.pk, paused_at__isnull=False).exists():
        settle(run)
    hint_workers()


def cells_in_order(*, recipes: Sequence[Recipe], prompt_texts: Sequence[str], samples: int) -> Iterator[Cell]:
    """Blocks of 8 prompts, recipe by recipe inside a block: comparisons are whole early, micro-batches are full."""
    in_order = sorted(dict.fromkeys(recipes), key=lambda recipe: (recipe.checkpoint_id or 0, recipe.pk))
    for sample in range(samples):
        for block in in_chunks(dict.fromkeys(prompt_texts), size=PROMPTS_IN_A_BLOCK):
            for recipe in in_order:
                for text in block:
                    digest = request_digest(recipe_digest=recipe.digest, prompt_text=text, sample=sample)
                    yield Cell(recipe.pk, text, sample, digest)


def missing(cells: Iterable[Cell]) -> list[Cell]:
    """Those cells that have no image yet, whoever made it and with whatever versions."""
    cells = list(cells)
    existing: set[str] = set()
    for chunk in in_chunks(cells, size=ROWS_IN_A_CHUNK):
        digests = [cell.request_digest for cell in chunk]
        existing |= set(Image.objects.filter(request_digest__in=digests).values_list("request_digest", flat=True))
    return [cell for cell in cells if cell.request_digest not in existing]


def progress_of(run: Run) -> RunProgress:
    """How far a run is, and how long the rest takes at the measured pace with the workers that are busy now."""
    states = ImageJob.State
    counts = dict(run.jobs.values_list("state").annotate(Count("pk")).order_by())
    total = sum(counts.values())
    return RunProgress(
        total=total,
        done=counts.get(states.DONE, 0),
        failed=counts.get(states.FAILED, 0) + counts.get(states.CANCELLED, 0),
        seconds_left=seconds_left(run),
    )


def retry_failed(run: Run) -> int:
    """Give the failed jobs of a run new attempts; how many there were."""
    count = reopen(_retryable(run).values_list("pk", flat=True))
    hint_workers()
    return count


def reopen(job_ids: Iterable[int]) -> int:
    """Jobs that are neither pending nor running become pending with fresh attempts; how many were changed."""
    unfinished = [ImageJob.State.PENDING, ImageJob.State.RUNNING]
    changed = 0
    for chunk in in_chunks(list(job_ids), size=ROWS_IN_A_CHUNK):
        changed += (
            ImageJob.objects.filter(pk__in=chunk)
            .exclude(state__in=unfinished)
            .update(
                state=ImageJob.State.PENDING,
                priority=_priority(Q()),  # not held: a run that goes on at this moment would not see the job
                attempts=0,
                reason="",
                worker="",
                lease_until=None,
                finished_at=None,
            )
        )
    return changed


def retry_jobs(run: Run, job_ids: Iterable[int]) -> int:
    """Give these failed jobs of a run new attempts, and no others; how many there were."""
    failed = _retryable(run).filter(pk__in=list(job_ids))
    count = reopen(failed.values_list("pk", flat=True))
    hint_workers()
    return count


def set_priority(run: Run, priority: int) -> None:
    """Let a run go before or after others. A job that several runs want has the highest of their priorities."""
    if not LEAST_PRIORITY <= priority <= MOST_PRIORITY:
        raise GenerationError(
            f"A priority lies between {LEAST_PRIORITY} and {MOST_PRIORITY}, not at {priority}; higher goes first."
        )
    if not Run.objects.filter(pk=run.pk, cancelled_at__isnull=True).update(priority=priority):
        raise GenerationError(f"The run {run.name!r} is cancelled: its priority means nothing any more.")
    run.priority = priority
    # Those in work too: they may come back. They are never held, or they would come back held after a resume.
    working = ImageJob.objects.filter(runs=run, state=ImageJob.State.RUNNING).values_list("pk", flat=True)
    ImageJob.objects.filter(pk__in=list(working)).update(priority=_priority(Q()))
    settle(run)
    hint_workers()


def settle(run: Run, *, also: Run | None = None) -> None:
    """Give the waiting jobs of a run the highest priority of all runs that want them now, or hold them.

    also: a run that counts as going on although it is still paused
    """
    going = Q(run__paused_at__isnull=True) if also is None else Q(run__paused_at__isnull=True) | Q(run=also)
    waiting = ImageJob.objects.filter(runs=run, state=ImageJob.State.PENDING)
    for chunk in in_chunks(list(waiting.order_by("pk").values_list("pk", flat=True)), size=ROWS_IN_A_CHUNK):
        rows = ImageJob.objects.filter(pk__in=chunk, state=ImageJob.State.PENDING)
        with transaction.atomic():
            # Locked before it is asked who wants them: of two runs that change at once, the later act sees the earlier.
            list(rows.order_by("pk").select_for_update().values_list("pk"))
            rows.update(priority=_priority(going))


def _priority(going: Q) -> Coalesce:
    wanting = RunItem.objects.filter(going, job=OuterRef("pk"), run__cancelled_at__isnull=True).order_by()
    return Coalesce(
        Subquery(wanting.values("job").annotate(highest=Max("run__priority")).values("highest")), Value(HELD)
    )


def pause_run(run: Run) -> None:
    """No new batch begins for this run; batches in work are finished. It goes on only when somebody resumes it."""
    Run.objects.filter(pk=run.pk, paused_at__isnull=True).update(paused_at=Now())
    Run.objects.filter(pk=run.pk).exclude(pause_reason="").update(pause_reason="")
    settle(run)


def resume_run(run: Run) -> None:
    """Let a paused run go on."""
    let_go_on(Run.objects.filter(pk=run.pk))
    hint_workers()


def let_go_on(paused: QuerySet[Run]) -> int:
    """Let these runs go on; how many were still among them when their turn came.

    Jobs come first: cut off in the middle, the run is still paused, and resuming it once more does all.
    """
    count = 0
    for run in paused:
        settle(run, also=run)
        count += paused.filter(pk=run.pk).update(paused_at=None, pause_reason="")
        settle(run)  # once more: another run may have been paused meanwhile, and have taken this one for paused
    return count


def cancel_run(run: Run) -> int:
    """End a run; how many pending jobs that no other run wants were cancelled with it. Images that exist stay."""
    with transaction.atomic():
        Run.objects.filter(pk=run.pk, cancelled_at__isnull=True).update(cancelled_at=Now())
        wanted = RunItem.objects.filter(run__cancelled_at__isnull=True).values("job")
        alone = ImageJob.objects.filter(runs=run, state=ImageJob.State.PENDING).exclude(pk__in=wanted)
        count = ImageJob.objects.filter(pk__in=alone.values("pk")).update(state=ImageJob.State.CANCELLED)
    settle(run)
    return count


def in_chunks(items: Iterable[T], *, size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items in their order."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _retryable(run: Run) -> QuerySet[ImageJob]:
    failed = ImageJob.objects.filter(runs=run, state=ImageJob.State.FAILED)
    return failed.exclude(recipe__state=Recipe.State.REFUSED)


def check_wish(recipes: Sequence[Recipe], prompt_texts: Sequence[str], samples: int) -> None:
    """Raises GenerationError, with what to do, for a wish that no run can have."""
    if not recipes or not prompt_texts:
        raise GenerationError("A run needs at least one recipe and one prompt.")
    if not 1 <= samples <= 1000:
        raise GenerationError(f"samples must lie between 1 and 1000, not {samples}.")
    for recipe in recipes:
        if recipe.kind == Recipe.Kind.EXTERNAL:
            raise GenerationError(f"The recipe {recipe.name!r} stands for a service; upload its images instead.")
        if recipe.state == Recipe.State.REFUSED:
            raise GenerationError(f"The recipe {recipe.name!r} was refused: {recipe.refusal}")


def _plan(run: Run, cells: Sequence[Cell]) -> None:
    lacking = {cell.request_digest for cell in missing(cells)}
    before = _jobs_of(cells)
    states = ImageJob.State
    ImageJob.objects.bulk_create(
        [
            ImageJob(
                recipe_id=cell.recipe_id,
                prompt_text=cell.prompt_text,
                prompt_digest=text_digest(cell.prompt_text),
                sample=cell.sample,
                request_digest=cell.request_digest,
                priority=run.priority,
                state=states.PENDING if cell.request_digest in lacking else states.DONE,
            )
            for cell in cells
            if cell.request_digest not in before
        ],
        ignore_conflicts=True,  # another planner may have been as quick
    )
    # Locked, so that a run that is paused just now sees that this one wants them.
    list(ImageJob.objects.filter(pk__in=before.values()).order_by("pk").select_for_update().values_list("pk"))
    jobs = before if len(before) == len(cells) else _jobs_of(cells)
    have = set(RunItem.objects.filter(run=run, job__in=before.values()).values_list("job", flat=True))
    # By ids: setting the run itself costs more than all the rest of a row.
    wanted = [RunItem(run_id=run.pk, job_id=jobs[cell.request_digest]) for cell in cells]
    RunItem.objects.bulk_create([item for item in wanted if item.job_id not in have], ignore_conflicts=True)
    # Jobs that were just made are as they should be; only those from before may have to change.
    reopen(job_id for digest, job_id in before.items() if digest in lacking)
    lower = ImageJob.objects.filter(pk__in=before.values(), priority__lt=run.priority)
    lower.update(priority=run.priority)


def _jobs_of(cells: Sequence[Cell]) -> dict[str, int]:
    jobs = ImageJob.objects.filter(request_digest__in=[cell.request_digest for cell in cells])
    return dict(jobs.values_list("request_digest", "pk"))


def seconds_left(run: Run) -> float | None:
    """How long the rest of a run takes with the workers that are busy now; None until something was measured."""
    unfinished = ImageJob.objects.filter(runs=run).unfinished()
    waiting = dict(unfinished.values_list("recipe").annotate(Count("pk")).order_by())
    if not waiting:
        return 0.0
    recipes = Recipe.objects.in_bulk(waiting)
    # The run's own images come first: they were made by the workers of now.
    paces = _paces(recipes.values(), means_of(Image.objects.filter(job__runs=run)))
    if None in paces.values():
        paces |= _paces([recipes[pk] for pk, pace in paces.items() if pace is None], means_for(recipes.values()))
    seconds = 0.0
    for pk, count in waiting.items():
        if (pace := paces[pk]) is None:
            return None
        seconds += pace * count
    busy = ImageJob.objects.filter(state=ImageJob.State.RUNNING, lease_until__gt=Now())
    return seconds / max(1, busy.values("worker").distinct().count())


def _paces(recipes: Iterable[Recipe], means: Means) -> dict[int, float | None]:
    return {recipe.pk: means.seconds_of(recipe) for recipe in recipes}
