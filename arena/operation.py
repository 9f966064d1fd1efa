"""How the site works as a whole, for whoever runs it: what needs looking at, workers, queues, failures, room."""

import platform
import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import django
from django.conf import settings
from django.db import connection
from django.utils import timezone

from arena import site_numbers
from arena.site_numbers import Fits
from generation import broker, image_store, task_records, work_state
from generation.heartbeats import served_queues
from generation.models import Run, TaskRecord
from generation.run_plans import duration_in_words, size_in_words
from generation.runnable import waiting_in_vain
from generation.timetable import DEFAULT_QUEUE
from generation.versions import site_version
from generation.work_state import DueJobs, FailedJobs, WorkerState

LITTLE_ROOM: Final = 5_000_000_000
LONG_OVERDUE: Final = 20
"""Ballots; some are always a moment late, for they are taken back once a minute."""


@dataclass(frozen=True)
class Room:
    """Bytes left where something is kept; None where that is not for this machine to say."""

    of: str
    free: int | None

    @property
    def is_little(self) -> bool:
        return self.free is not None and self.free < LITTLE_ROOM


@dataclass(frozen=True)
class Votes:
    """Votes and ballots over all studies."""

    count: int
    newest_at: datetime | None
    open_ballots: int
    overdue_ballots: int


@dataclass(frozen=True)
class Operation:
    """All of it, at one moment."""

    at: datetime
    attention: tuple[str, ...]
    """Sentences about what somebody should do something about."""
    broker_answers: bool
    workers: tuple[WorkerState, ...]
    jobs: dict[str, int]
    due: tuple[DueJobs, ...]
    images_a_second: float
    failures: tuple[FailedJobs, ...]
    paused: tuple[Run, ...]
    tasks: tuple[TaskRecord, ...]
    failing: tuple[int, ...]
    """Ids of tasks whose last run failed."""
    fits: Fits
    votes: Votes
    room: tuple[Room, ...]
    versions: tuple[tuple[str, str], ...]

    @property
    def living(self) -> int:
        return sum(worker.is_alive for worker in self.workers)


def operation() -> Operation:
    """Read it all; the number of queries depends on nothing."""
    failing = task_records.failing()
    paused = work_state.paused_runs()
    room = _room()
    votes = _votes()
    workers = tuple(work_state.workers())
    answers = broker.answers()
    return Operation(
        at=timezone.now(),
        attention=(
            *_of_services(answers, room),
            *_of_workers(workers),
            *(f"The task {row.name} failed when it ran last: {row.error}" for row in failing),
            *(f"{run.name} stands still: {run.pause_reason}" for run in paused if run.pause_reason),
            *_of_votes(votes),
        ),
        broker_answers=answers,
        workers=workers,
        jobs=work_state.jobs_by_state(),
        due=tuple(work_state.due_by_queue()),
        images_a_second=work_state.images_a_second(),
        failures=tuple(work_state.failures()),
        paused=tuple(paused),
        tasks=tuple(TaskRecord.objects.all()),
        failing=tuple(row.pk for row in failing),
        fits=site_numbers.fits(),
        votes=votes,
        room=room,
        versions=_versions(),
    )


def _of_services(broker_answers: bool, room: tuple[Room, ...]) -> list[str]:
    sentences = [] if broker_answers else ["The broker does not answer. Votes are kept; images and fits wait for it."]
    for one in room:
        if one.free is not None and one.is_little:
            sentences.append(f"Only {size_in_words(one.free)} are left for {one.of}.")
    return sentences


def _of_workers(workers: tuple[WorkerState, ...]) -> list[str]:
    sentences = []
    if DEFAULT_QUEUE not in served_queues():
        sentences.append(
            f"No living worker serves the queue {DEFAULT_QUEUE}: votes are kept, but nothing is fitted, no ballot is"
            " taken back, and no lost image is made again."
        )
    for worker in workers:
        if worker.is_lease_short and worker.lease_seconds is not None:
            rest = worker.lease_seconds
            when = f"ends in {duration_in_words(rest)}" if rest > 0 else f"ended {duration_in_words(-rest)} ago"
            images = f"{worker.images} image{'s' if worker.images > 1 else ''}"
            sentences.append(f"The lease of {worker.heart.worker} on {images} {when} and is not renewed.")
    return sentences + waiting_in_vain()


def _of_votes(votes: Votes) -> list[str]:
    if votes.overdue_ballots < LONG_OVERDUE:
        return []
    return [f"{votes.overdue_ballots:,} ballots should have been taken back: does the worker of {DEFAULT_QUEUE} work?"]


def _votes() -> Votes:
    standing, overdue = site_numbers.open_ballots()
    return Votes(
        count=int(sum(count for (count,) in site_numbers.votes().values())),
        newest_at=site_numbers.newest_vote_at(),
        open_ballots=standing,
        overdue_ballots=overdue,
    )


def _room() -> tuple[Room, ...]:
    data = shutil.disk_usage(settings.DATA_DIR).free
    return Room("the data folder of this web server", data), Room("images", image_store.free_bytes())


def _versions() -> tuple[tuple[str, str], ...]:
    database = f"{connection.vendor} {'.'.join(str(part) for part in connection.get_database_version())}"
    return (
        ("Winrate", site_version()),
        ("Python", platform.python_version()),
        ("Django", django.get_version()),
        ("database", database),
    )
