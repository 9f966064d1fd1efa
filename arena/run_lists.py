"""Runs at a glance: a line for each of the latest."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from django.db.models import Count, QuerySet

from generation.models import ImageJob, Run, RunItem

MOST_RUNS: Final = 50
State = ImageJob.State


@dataclass(frozen=True)
class RunLine:
    """A run with its counts; what a cancelled run still waits for is not counted as left."""

    run: Run
    total: int
    done: int
    failed: int
    left: int

    @property
    def state(self) -> str:
        """In one word."""
        if self.run.cancelled_at:
            return "cancelled"
        if not self.left:
            return "finished"
        return "paused" if self.run.paused_at else "running"


def run_lines(runs: QuerySet[Run]) -> list[RunLine]:
    """The latest of these runs; two queries."""
    latest = list(runs.select_related("owner").order_by("-pk")[:MOST_RUNS])
    counts: dict[int, Counter[str]] = {run.pk: Counter() for run in latest}
    items = RunItem.objects.filter(run__in=counts).order_by().values_list("run", "job__state")
    for run, state, count in items.annotate(Count("pk")):
        counts[run][state] = count
    return [
        RunLine(
            run=run,
            total=counts[run.pk].total(),
            done=counts[run.pk][State.DONE],
            failed=counts[run.pk][State.FAILED],
            left=0 if run.cancelled_at else counts[run.pk][State.PENDING] + counts[run.pk][State.RUNNING],
        )
        for run in latest
    ]
