"""What would stand in the log: every line that is written meanwhile, in the form that a site would write it in."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from evalsite.log_settings import REQUESTS
from evalsite.logs import JsonLines, TextLines


class Lines:
    """The same lines in both forms."""

    def __init__(self) -> None:
        self._json, self._text = io.StringIO(), io.StringIO()
        self.handlers = [logging.StreamHandler(self._json), logging.StreamHandler(self._text)]
        for handler, formatter in zip(self.handlers, (JsonLines(), TextLines()), strict=True):
            handler.setFormatter(formatter)

    @property
    def text(self) -> str:
        """Both, as they stand."""
        return self._json.getvalue() + self._text.getvalue()

    def objects(self, logger: str = "") -> list[dict[str, Any]]:
        """The lines of one logger, or all; each must be one object."""
        found = [json.loads(line) for line in self._json.getvalue().splitlines()]
        return [line for line in found if line["logger"] == logger or not logger]

    def requests(self) -> list[dict[str, Any]]:
        """The lines about requests."""
        return self.objects(REQUESTS)


@contextmanager
def written(level: int = logging.DEBUG) -> Iterator[Lines]:
    """Everything that is logged within the block, whatever the levels are set to."""
    lines = Lines()
    root, loggers = (
        logging.getLogger(),
        [logging.getLogger(name) for name in ("", REQUESTS, "django", "django.request", "django.security")],
    )
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    for handler in lines.handlers:
        root.addHandler(handler)
    try:
        yield lines
    finally:
        for handler in lines.handlers:
            root.removeHandler(handler)
        for logger, was in zip(loggers, before, strict=True):
            logger.setLevel(was)
