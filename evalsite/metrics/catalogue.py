"""Every metric, once: its name, kind, labels and meaning. `docs/monitoring.md` and the alarms are held to this list."""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Metric:
    """One metric. A counter's name ends in _total, a unit stands before that."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str


def _counter(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(name, "counter", labels, meaning)


def _gauge(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(name, "gauge", labels, meaning)


REQUESTS: Final = _counter(
    "winrate_requests_total", "Requests answered by the web processes of this host.", "route", "method", "status"
)
REQUEST_SECONDS: Final = Metric(
    "winrate_request_seconds", "histogram", ("route",), "Seconds until the answer to a request began."
)

BUILD: Final = _gauge("winrate_build_info", "1; its label is the version that runs.", "version")
DATABASE_UP: Final = _gauge("winrate_database_up", "1 while the database answers; at 0 all that it knows is missing.")
BROKER_UP: Final = _gauge("winrate_broker_up", "1 while the broker answers within a second.")
STORAGE_FREE: Final = _gauge(
    "winrate_storage_free_bytes", "Room left for images; missing where they are kept in an object store."
)
DATA_FREE: Final = _gauge("winrate_data_free_bytes", "Room left on the disk of the data folder.")

VOTES: Final = _counter("winrate_votes_total", "Votes stored, skips included.", "origin", "stratum", "choice")
BALLOTS: Final = _counter("winrate_ballots_total", "Ballots handed out.", "stratum")
BALLOTS_OPEN: Final = _gauge("winrate_ballots_open", "Ballots before raters now.")
BALLOTS_OVERDUE: Final = _gauge("winrate_ballots_overdue", "Open ballots that should have been taken back by now.")
NEWEST_VOTE: Final = _gauge("winrate_newest_vote_timestamp_seconds", "When the newest vote was cast.")
STUDIES: Final = _gauge("winrate_studies", "Studies by state.", "state")
FITS: Final = _counter("winrate_fits_total", "Fits made.")
FIT_SECONDS: Final = _counter("winrate_fit_seconds_total", "Seconds that fits took.")
NEWEST_FIT: Final = _gauge("winrate_newest_fit_timestamp_seconds", "When the newest fit was made.")
EXCLUSIONS: Final = _gauge("winrate_exclusions", "Exclusions that stand, by what they exclude.", "scope")

IMAGES: Final = _counter("winrate_images_total", "Images stored: made by workers, or imported.", "source")
IMAGE_SECONDS: Final = _counter("winrate_image_seconds_total", "Seconds of work that images took.")
IMAGE_BYTES: Final = _counter("winrate_image_bytes_total", "Bytes of originals stored.", "source")
JOBS: Final = _gauge("winrate_image_jobs", "Images pending, running and failed.", "state")
JOBS_DUE: Final = _gauge("winrate_image_jobs_due", "Images that a worker may make now, by the machine needed.", "queue")
QUEUE_AGE: Final = _gauge(
    "winrate_image_queue_age_seconds", "How long the next image of a recipe has waited, at most.", "queue"
)
LEASES_OVERDUE: Final = _gauge(
    "winrate_image_leases_overdue", "Images in work whose worker fell silent, not brought back yet."
)
RUNS_PAUSED: Final = _gauge("winrate_runs_paused", "Runs that stand still: by a person, or for the storage.", "cause")

WORKERS: Final = _gauge("winrate_workers", "Living workers by queue.", "queue")
WORKER_SEEN: Final = _gauge(
    "winrate_worker_silent_seconds", "Seconds since a worker was seen; its row goes after an hour.", "worker"
)
WORKER_IMAGES: Final = _counter(
    "winrate_worker_images_total", "Images that a worker process has made.", "worker", "device"
)
WORKER_SECONDS: Final = _counter(
    "winrate_worker_busy_seconds_total", "Seconds that a worker process spent on batches.", "worker", "device"
)
OUT_OF_MEMORY: Final = _counter(
    "winrate_worker_out_of_memory_total", "How often memory ran out in a worker process.", "worker", "device"
)
WORKER_MEMORY: Final = _gauge(
    "winrate_worker_memory_bytes",
    "Memory of the graphics card, else of the process: used, peak, total.",
    "worker",
    "device",
    "kind",
)
TASK_FAILURES: Final = _counter("winrate_task_failures_total", "Failed tasks by name.", "task")
TASK_SUCCESS: Final = _gauge(
    "winrate_task_success_timestamp_seconds", "When a task last ended well, to the half minute.", "task"
)
TASK_SECONDS: Final = _gauge("winrate_task_seconds", "How long a task took when it last ended well.", "task")

CATALOGUE: Final[tuple[Metric, ...]] = tuple(
    sorted({one for one in list(globals().values()) if isinstance(one, Metric)}, key=lambda metric: metric.name)
)


def as_markdown() -> str:
    """The table that stands in the documentation."""
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.meaning} |"
        for one in CATALOGUE
    ]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows])
