"""What there is still for a rater: a ballot, a page before it, something to wait for, or the end."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from django.utils import timezone

from arena import display, issuing, raters, studies, supply
from arena.admission import Phase, gate
from arena.models import Ballot, Rater, Study

COPIED_WITHIN: Final = timedelta(minutes=10)
"""A rater's copy that was not made by then needs somebody to look after it."""
_WITH_BALLOTS: Final = (Phase.QUALIFICATION, Phase.BALLOTS)


class Left(Enum):
    """What comes next. COMING: images are still being made or copied; CLOSED and NOTHING are the end."""

    PAGE = auto()
    BALLOTS = auto()
    COMING = auto()
    PAUSED = auto()
    CLOSED = auto()
    NOTHING = auto()


def left_for(rater: Rater, *, ballots: Sequence[Ballot] | None = None) -> Left:
    """ballots: the open ones, where the caller has just asked for them; else they are issued as for the vote page."""
    study = rater.study
    if ballots is None:
        if gate(rater) not in _WITH_BALLOTS:
            return Left.PAGE
        ballots = issuing.open_ballots(rater=rater, wanted=1)
    if ballots:
        return Left.BALLOTS
    if study.state != Study.State.OPEN:
        return Left.CLOSED if study.state == Study.State.CLOSED else Left.PAUSED
    return Left.COMING if _is_more_coming(rater) else Left.NOTHING


def is_being_made(study: Study) -> bool:
    """Whether images or raters' copies of them are still to be expected, so that waiting makes sense."""
    readiness, run = studies.readiness(study), study.run
    is_drawing = _is_arriving(study) if run is None else run.jobs.unfinished().exists()
    return (readiness.made < readiness.wanted and is_drawing) or _is_copying(study)


def _is_more_coming(rater: Rater) -> bool:
    """Whether a rater without an open ballot will get one by waiting."""
    stands = gate(rater)
    if stands == Phase.QUALIFICATION:  # an attempt has begun and none of its pairs can be shown: its images are to come
        return True
    if stands != Phase.BALLOTS:
        return False
    quota = issuing.quota_of(rater.study)
    if quota is not None and raters.progress_of(rater).answered >= quota:
        return False
    return is_being_made(rater.study)


def _is_arriving(study: Study) -> bool:
    """Whether images made elsewhere are still to be expected. One that never comes keeps nobody from the end."""
    since = timezone.now() - COPIED_WITHIN
    return _is_new(study, since) or supply.images_of(study).filter(created_at__gte=since).exists()


def _is_copying(study: Study) -> bool:
    """Whether raters' copies are still to be expected. One original that cannot be read keeps nobody waiting."""
    since = timezone.now() - COPIED_WITHIN
    missing = display.without_copies(supply.images_of(study), study=study)
    # A new study may show images made long before it.
    return (missing if _is_new(study, since) else missing.filter(created_at__gte=since)).exists()


def _is_new(study: Study, since: datetime) -> bool:
    return study.opened_at is not None and study.opened_at >= since
