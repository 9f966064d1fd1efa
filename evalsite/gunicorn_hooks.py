"""What gunicorn needs to write lines like ours and to count requests: `--config python:evalsite.gunicorn_hooks`."""

import logging
import os
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")


class Logger(GunicornLogger):  # type: ignore[misc] # gunicorn has no annotations
    """gunicorn's own lines in our form. It names peers and whole addresses, tokens included."""

    def setup(self, cfg: Any) -> None:
        """As gunicorn sets up its handlers, with our formatter on them."""
        from django.conf import settings
        from django.utils.module_loading import import_string

        super().setup(cfg)
        formatter = import_string(settings.LOGGING["formatters"]["line"]["()"])()
        for log in (self.error_log, self.access_log):
            for handler in log.handlers:
                handler.setFormatter(formatter)
        logging.getLogger("gunicorn.access").disabled = True  # its lines are addresses and nothing else


logger_class = Logger
accesslog = None
# By itself gunicorn takes SCRIPT_NAME and PATH_INFO from the headers of whoever speaks from this machine, a proxy too.
forwarder_headers = ""


def on_starting(server: Any) -> None:
    """Once, before any process serves: what earlier ones counted is over."""
    from evalsite.metrics import requests

    requests.begin_anew()


def child_exit(server: Any, worker: Any) -> None:
    """What an ended process counted still counts, and its files go."""
    from evalsite.metrics import requests

    requests.fold_ended()
