"""What the database, the broker and the disks say, as metrics: cheap questions, asked at most every few seconds."""

import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import DatabaseError, connection
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family

from arena import site_numbers
from evalsite.metrics import catalogue
from evalsite.metrics.catalogue import Metric
from generation import broker, image_store, work_state
from generation.models import TaskRecord
from generation.versions import site_version

logger = logging.getLogger(__name__)
SECONDS_KEPT: Final = 5.0
MADE, IMPORTED = "made", "imported"
Value = tuple[tuple[str, ...], float]

_kept: tuple[float, list[Family]] = (float("-inf"), [])
_lock = threading.Lock()


def families() -> list[Family]:
    """All of them; one process asks at most every few seconds, however many scrape."""
    global _kept
    with _lock:
        if time.monotonic() - _kept[0] > SECONDS_KEPT:
            _kept = time.monotonic(), list(_collect())
        return _kept[1]


def forget() -> None:
    """The next look is a new one."""
    global _kept
    _kept = float("-inf"), []


def _collect() -> Iterator[Family]:
    yield _family(catalogue.BUILD, [((site_version(),), 1.0)])
    yield _family(catalogue.BROKER_UP, [((), float(broker.answers()))])
    yield _family(catalogue.DATA_FREE, [((), float(shutil.disk_usage(settings.DATA_DIR).free))])
    if (free := image_store.free_bytes()) is not None:
        yield _family(catalogue.STORAGE_FREE, [((), float(free))])
    try:
        found = [family for read in (_votes, _fits, _images, _jobs, _workers, _tasks) for family in read()]
    except DatabaseError as error:
        logger.warning("The database does not answer, so most metrics are missing: %s", error)
        connection.close()
        yield _family(catalogue.DATABASE_UP, [((), 0.0)])
    else:
        yield _family(catalogue.DATABASE_UP, [((), 1.0)])
        yield from found


def _votes() -> Iterator[Family]:
    yield _family(catalogue.VOTES, [(group, count) for group, (count,) in site_numbers.votes().items()])
    yield _family(catalogue.BALLOTS, [(group, count) for group, (count,) in site_numbers.ballots_issued().items()])
    standing, overdue = site_numbers.open_ballots()
    yield _family(catalogue.BALLOTS_OPEN, [((), standing)])
    yield _family(catalogue.BALLOTS_OVERDUE, [((), overdue)])
    yield _family(catalogue.NEWEST_VOTE, _moment(site_numbers.newest_vote_at()))
    yield _family(catalogue.STUDIES, _by_word(site_numbers.studies()))
    yield _family(catalogue.EXCLUSIONS, _by_word(site_numbers.exclusions()))


def _fits() -> Iterator[Family]:
    fits = site_numbers.fits()
    yield _family(catalogue.FITS, [((), fits.count)])
    yield _family(catalogue.FIT_SECONDS, [((), fits.seconds)])
    yield _family(catalogue.NEWEST_FIT, _moment(fits.newest_at))


def _images() -> Iterator[Family]:
    images = work_state.images_made()
    made, elsewhere = images.get(True, (0.0, 0.0, 0.0)), images.get(False, (0.0, 0.0, 0.0))
    yield _family(catalogue.IMAGES, [((MADE,), made[0]), ((IMPORTED,), elsewhere[0])])
    yield _family(catalogue.IMAGE_SECONDS, [((), made[1])])
    yield _family(catalogue.IMAGE_BYTES, [((MADE,), made[2]), ((IMPORTED,), elsewhere[2])])


def _jobs() -> Iterator[Family]:
    yield _family(catalogue.JOBS, _by_word(work_state.jobs_by_state()))
    due = work_state.due_by_queue()
    yield _family(catalogue.JOBS_DUE, [((one.queue,), one.count) for one in due])
    yield _family(catalogue.QUEUE_AGE, [((one.queue,), one.seconds) for one in due])
    yield _family(catalogue.LEASES_OVERDUE, [((), work_state.overdue_leases())])
    causes = Counter("storage" if run.pause_reason else "person" for run in work_state.paused_runs())
    yield _family(catalogue.RUNS_PAUSED, _by_word({"person": causes["person"], "storage": causes["storage"]}))


def _workers() -> Iterator[Family]:
    states = work_state.workers()
    hearts = [(state.heart, (state.heart.worker, state.heart.device)) for state in states]
    living = Counter(queue for state in states if state.is_alive for queue in state.heart.queues)
    yield _family(catalogue.WORKERS, _by_word(living))
    yield _family(catalogue.WORKER_SEEN, [((one.heart.worker,), one.seconds_since_seen) for one in states])
    yield _family(catalogue.WORKER_IMAGES, [(names, heart.images_made) for heart, names in hearts])
    yield _family(catalogue.WORKER_SECONDS, [(names, heart.seconds_working) for heart, names in hearts])
    yield _family(catalogue.OUT_OF_MEMORY, [(names, heart.out_of_memory) for heart, names in hearts])
    memory = [
        ((*names, kind), float(held))
        for heart, names in hearts
        for kind, held in (("used", heart.memory_used), ("peak", heart.memory_peak), ("total", heart.memory_total))
        if heart.memory_total
    ]
    yield _family(catalogue.WORKER_MEMORY, memory)


def _tasks() -> Iterator[Family]:
    rows = list(TaskRecord.objects.all())
    yield _family(catalogue.TASK_FAILURES, [((row.name,), row.failures) for row in rows])
    yield _family(
        catalogue.TASK_SUCCESS, [((row.name,), row.succeeded_at.timestamp()) for row in rows if row.succeeded_at]
    )
    yield _family(catalogue.TASK_SECONDS, [((row.name,), row.seconds) for row in rows if row.seconds is not None])


def _family(metric: Metric, values: Iterable[Value]) -> Family:
    make: Callable[..., Family] = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = make(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in values:
        family.add_metric([str(label) for label in labels], value)  # type: ignore[attr-defined]
    return family


def _by_word(counts: "dict[str, int] | Counter[str]") -> list[Value]:
    return [((word,), float(count)) for word, count in sorted(counts.items())]


def _moment(moment: datetime | None) -> list[Value]:
    return [] if moment is None else [((), moment.timestamp())]
