"""Pages of large studies kept for a moment: building one takes a second, and several people look at once.

What an act of the viewer changes is part of the key, so that it is seen at once; what merely grows may be a few seconds
old, as it is anyway on a page that looks again every ten seconds.
"""

from dataclasses import dataclass
from typing import Final

from django.core.cache import cache
from django.db.models import Max

from arena.models import Study
from generation.provenance import digest_of

FEWEST_VOTES: Final = 100_000
"""Votes on one question from which a page is kept; smaller studies are built anew each time."""
KEPT_SECONDS: Final = 15


@dataclass(frozen=True)
class KeptPage:
    """A page as it was sent, and the stamp of what it shows."""

    stamp: str
    body: bytes


def key_of(study: Study, *viewer: object) -> str | None:
    """Under which a page of this study is kept for this viewer; None where it is not worth it. One query."""
    newest = study.fits.aggregate(votes=Max("vote_count"), fit=Max("pk"))
    if (newest["votes"] or 0) < FEWEST_VOTES:
        return None
    sorted_as, taken = (rows.aggregate(newest=Max("pk"))["newest"] for rows in (study.front_sortings, study.exclusions))
    settings = [study.pk, study.state, study.counts_simulated, study.name, study.description]
    ids = [newest["fit"], sorted_as, taken]
    return f"study-page-{digest_of([*settings, *ids, *(str(part) for part in viewer)])}"


def kept(key: str | None) -> KeptPage | None:
    found: KeptPage | None = cache.get(key) if key else None
    return found


def keep(key: str | None, *, stamp: str, body: bytes) -> None:
    if key:
        cache.set(key, KeptPage(stamp, body), KEPT_SECONDS)
