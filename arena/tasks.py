"""What the background workers of the arena do. A task fetches, calls, ends."""

from importlib import import_module

from celery import shared_task
from django.conf import settings

from arena import (
    board_fitting,
    exposure,
    fit_thinning,
    fitting,
    intake,
    judging,
    measuring,
    minute_counts,
    networks,
    pair_plans,
    privacy,
    simulated_raters,
    vote_roots,
    voting,
)

SECONDS_OF_SIMULATED_VOTING = 6.0  # fits and rater copies wait for this worker
SECONDS_OF_MEASURING = 3.0


@shared_task(ignore_result=True)
def refit_changed() -> None:
    """Refit the studies that votes, exclusions or settings have changed."""
    fitting.refit_changed_studies()


@shared_task(ignore_result=True)
def refit_boards() -> None:
    """Refit the standing leaderboards whose studies have changed."""
    board_fitting.refit_changed_boards()


@shared_task(ignore_result=True)
def let_simulated_raters_vote() -> None:
    """Let enrolled simulated raters answer what they have not answered yet, for a few seconds."""
    simulated_raters.vote_for_a_while(seconds=SECONDS_OF_SIMULATED_VOTING)


@shared_task(ignore_result=True)
def prepare_display_copies() -> None:
    """Make raters' copies of the images that came in."""
    intake.take_in_for_running_studies()


@shared_task(ignore_result=True)
def expire_abandoned_ballots() -> None:
    """Take back ballots that nobody answered in time."""
    voting.expire_abandoned()


@shared_task(ignore_result=True)
def measure_readable_images() -> None:
    """Let the picture checker measure new images of prompts that it can read, for a few seconds."""
    measuring.measure_readable_studies(seconds=SECONDS_OF_MEASURING)


@shared_task(ignore_result=True)
def forget_old_networks() -> None:
    """Throw away keys and counts of networks that are old enough."""
    networks.forget_old()


@shared_task(ignore_result=True)
def forget_old_minutes() -> None:
    """Throw away counts of what came within minutes that are over."""
    minute_counts.forget_old()


@shared_task(ignore_result=True)
def thin_out_fits() -> None:
    """Throw away most of the fits that later ones took the place of."""
    fit_thinning.thin_out()


@shared_task(ignore_result=True)
def forget_ended_sessions() -> None:
    """Throw away sessions that are over."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()


@shared_task(ignore_result=True)
def erase_raters_after_retention() -> None:
    """Erase the raters of studies that promised to keep them no longer."""
    privacy.erase_after_retention()


@shared_task(ignore_result=True)
def judge_changed() -> None:
    """Look at the raters of studies with new votes: numbers for the judge table, suspicions as flags."""
    judging.judge_changed_studies()


@shared_task(ignore_result=True)
def publish_vote_roots() -> None:
    """Publish the root over all votes of each study that has new ones."""
    vote_roots.publish_roots()


@shared_task(ignore_result=True)
def refresh_pair_plans() -> None:
    """Make the chances of pairs anew where votes have changed them."""
    pair_plans.refresh_plans()


@shared_task(ignore_result=True)
def fold_exposure() -> None:
    """Sum up what was written down of which pairs were shown."""
    exposure.fold()
