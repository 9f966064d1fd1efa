"""gunicorn for production: `gunicorn evalsite.wsgi --config deploy/gunicorn.conf.py --bind 127.0.0.1:8000`."""

import os
from typing import Any

from evalsite.gunicorn_hooks import Logger, child_exit, forwarder_headers

__all__ = ["child_exit", "forwarder_headers"]  # gunicorn reads them here

# Threads wait for the database; a process more for each core computes. WEB_CONCURRENCY is gunicorn's own variable.
workers = int(os.environ.get("WEB_CONCURRENCY") or (os.cpu_count() or 1) + 1)
worker_class = "gthread"
threads = 4
# One import for all processes, and one check for all: a process that is replaced while Redis is away must still serve.
# So a reload would load no new code, and the unit offers none.
preload_app = True
timeout = 60
graceful_timeout = 30
keepalive = 75  # longer than nginx keeps its idle connections, or it may send a vote into a closing one
logger_class = Logger  # lines in the form of ours; gunicorn's own name peers and whole addresses
accesslog = None  # its lines would hold ballot and invitation tokens
loglevel = "warning"
control_socket_disable = True


def on_starting(server: Any) -> None:
    """End with one sentence where pages could not be served; forget what earlier processes counted."""
    from evalsite.metrics import requests
    from evalsite.starting import refuse_bad_start

    refuse_bad_start()
    requests.begin_anew()
