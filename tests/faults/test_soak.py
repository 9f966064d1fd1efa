"""Web, workers, beat and Redis with votes, images and fits at a steady pace: nothing grows and nothing gets stuck.

Half a minute after the warm-up in `make test`, three minutes where .ci/run calls it, `make soak` for as long as wanted.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings

from arena import fitting, raters, studies
from arena.counted_votes import counts_by_criterion
from arena.models import Fit, Study
from generation.models import Image, ImageJob
from tests.arena import factories
from tests.faults import soak
from tests.faults.conftest import Want
from tests.faults.crew import Crew, wait_for, wait_until_all_are_made
from tests.faults.voters import Crowd, assert_nothing_lost_or_doubled
from tests.servers import celery_worker
from tests.servers.mortal_web import WebServer

pytestmark = pytest.mark.once
RATERS, RATE = 20, 4.0
IMAGES_AT_ONCE = 8
SECONDS_BETWEEN_RUNS = 10.0
SECONDS_BETWEEN_LOOKS = 5.0 if soak.IS_LONG else 1.0


def test_f22_nothing_grows_or_gets_stuck_while_all_parts_work(crew: Crew, want: Want, tmp_path: Path) -> None:
    study = factories.make_study(slug="benchmark", contenders=6, prompts=40, with_text=40, ballots_per_rater=None)
    _, token = raters.invite(study=study)
    database = celery_worker.test_database_url()
    web = WebServer(database_url=database, log=tmp_path / "web.log", CELERY_BROKER_URL=crew.redis.url)
    try:
        crowd = Crowd(web.url, token, study, raters=RATERS, rate=RATE, looks=True)
        with crowd.voting() as told:
            keep_busy = images_from_time_to_time(want)
            warm_up(crowd, study, keep_busy)
            watch = soak.Watch(crew, web)
            began = time.monotonic()
            while time.monotonic() < began + soak.SECONDS:
                watch.look()
                keep_busy()
                time.sleep(SECONDS_BETWEEN_LOOKS)
        studies.close_study(study, actor=None)  # of an open one, fits that take long come seldom
        wait_until_all_are_made(seconds=120)
        ballots = assert_nothing_lost_or_doubled(told, questions=len(crowd.questions))
        wait_for(lambda: all_votes_are_fitted(study), seconds=600, what="the newest fits have seen all votes")
    finally:
        web.stop()
    made, fits = Image.objects.exclude(job=None).count(), Fit.objects.count()
    text = watch.table(
        sentence=f"{soak.SECONDS / 60:g} minutes: {ballots:,} ballots answered by {RATERS} raters, who fetched"
        f" {told.images:,} images; {made:,} images made; {fits:,} fits; 0 acknowledged answers lost, 0 doubled."
    )
    print(text)
    assert (watch.problems(), soak.stuck_rows(), sum(told.refusals.values()), told.unanswered) == ([], [], 0, 0)
    if soak.IS_WRITTEN:
        soak.write(text, root=settings.BASE_DIR)


def images_from_time_to_time(want: Want) -> Callable[[], None]:
    """A function that plans some more images, where those before are made and it is time."""
    planned, at = [0], [float("-inf")]

    def keep_busy() -> None:
        is_time = time.monotonic() > at[0] + SECONDS_BETWEEN_RUNS
        if is_time and not ImageJob.objects.unfinished().exists():
            planned[0] += IMAGES_AT_ONCE
            at[0] = time.monotonic()
            want(planned[0])

    return keep_busy


def warm_up(crowd: Crowd, study: Study, keep_busy: Callable[[], None]) -> None:
    """Until each part has done its work: what is loaded on first use is loaded then."""
    keep_busy()
    crowd.wait_for_answers(3 * RATERS, seconds=300)
    wait_for(lambda: Image.objects.exclude(job=None).count() >= IMAGES_AT_ONCE, seconds=300, what="images are made")
    wait_for(lambda: Fit.objects.filter(criterion__study=study).count() >= 3, seconds=400, what="a round of fits")


def all_votes_are_fitted(study: Study) -> bool:
    fits = fitting.newest_fits(study)
    return {criterion: fit.vote_count for criterion, fit in fits.items()} == counts_by_criterion(study)
