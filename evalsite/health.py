"""How well each part is: 503 only where votes or images would be lost, `degraded` where only new work waits."""

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from evalsite.asking import Part, Question, answers
from generation import broker
from generation.heartbeats import living_workers
from generation.runnable import waiting_in_vain

logger = logging.getLogger(__name__)

NEEDED_WITHOUT_BROKER = ("database", "storage")
SILENT: Final[Mapping[str, str]] = {
    "database": "the database does not answer",
    "storage": "the image store does not answer",
    "broker": "the broker does not answer; votes are kept, images wait",
    "workers": "nobody can tell: the database does not answer",
}
# Which machine makes images is a matter of capability (gen.cpu, gen.gpu24, ...): any of them will do.
QUEUE_KINDS: Mapping[str, Callable[[str], bool]] = {
    "the default queue": lambda queue: queue == settings.CELERY_TASK_DEFAULT_QUEUE,
    "making images": lambda queue: queue.startswith("gen."),
}


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The state of each part as JSON; `?strict=1` answers 503 for broker and workers too.

    Anybody may ask: so each part is asked at most every few seconds, and one that hangs holds no process.
    """
    parts = {name: part or {"ok": False, "reason": SILENT[name]} for name, part in answers(QUESTIONS).items()}
    status = status_of(parts)
    is_refused = status == "unavailable" or (status == "degraded" and request.GET.get("strict") == "1")
    return JsonResponse({"status": status, "parts": parts}, status=503 if is_refused else 200)


def status_of(parts: Mapping[str, Part]) -> str:
    """One word for all parts together."""
    ailing = {name for name, part in parts.items() if not part["ok"]}
    if ailing.intersection(NEEDED_WITHOUT_BROKER):
        return "unavailable"
    return "degraded" if ailing else "ok"


def _database() -> Part:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError:
        return _ailing(SILENT["database"])
    return {"ok": True, "kind": connection.vendor}


def _storage() -> Part:
    name, content = f"health/{secrets.token_hex(8)}", secrets.token_bytes(16)
    storage = storages["images"]
    try:
        saved = storage.save(name, ContentFile(content))
        with storage.open(saved) as file:
            is_same = file.read() == content
        storage.delete(saved)
    # Every kind of object store brings its own errors, and whichever it is, images cannot be kept.
    except Exception:
        return _ailing("the image store cannot be written and read back")
    return {"ok": True} if is_same else {"ok": False, "reason": "the image store gives back other bytes than it took"}


def _broker() -> Part:
    try:
        broker.ping()
    # As above: Redis, AMQP and files fail each in their own way.
    except Exception:
        return _ailing(SILENT["broker"])
    return {"ok": True, "kind": urlsplit(str(settings.CELERY_BROKER_URL)).scheme}


def _workers() -> Part:
    try:
        counts = Counter(queue for queues in living_workers().values_list("queues", flat=True) for queue in queues)
    except DatabaseError:
        return _ailing(SILENT["workers"])
    part: Part = {"ok": True, "queues": dict(sorted(counts.items()))}
    unserved = [kind for kind, serves in QUEUE_KINDS.items() if not any(serves(queue) for queue in counts)]
    if unserved:
        part |= {"ok": False, "reason": f"no living worker for {' and for '.join(unserved)}"}
    elif waiting := waiting_in_vain():
        # How many checkpoints: their names and folders, and with them who is compared, are no stranger's business.
        part |= {"ok": False, "reason": "images wait that no living worker can make", "checkpoints": len(waiting)}
    return part


def _ailing(reason: str) -> Part:
    logger.warning("Health: %s.", reason, exc_info=True)
    return {"ok": False, "reason": reason}


QUESTIONS: Final[Mapping[str, Question]] = {
    "database": Question("database", _database),
    "storage": Question("image store", _storage),
    "broker": Question("broker", _broker),
    "workers": Question("list of workers", _workers),
}
