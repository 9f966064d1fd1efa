"""Which version of Winrate runs: what the project file beside the code says."""

import tomllib
from functools import cache

from django.conf import settings


@cache
def site_version() -> str:
    """Such as "0.1.0"; "unknown" where the code was copied without its project file."""
    project = settings.BASE_DIR / "pyproject.toml"
    if not project.is_file():
        return "unknown"
    return str(tomllib.loads(project.read_text())["project"]["version"])
