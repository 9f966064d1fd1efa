"""The smallest site that counts its requests: what it answers is the number of the process."""

import os
from collections.abc import Iterable
from typing import Any

from evalsite.metrics import requests


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """One request more."""
    requests.count(route="a:page", method="GET", status=200, seconds=0.02)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
