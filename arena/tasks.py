"""What the background workers of the arena do. A task fetches, calls, ends."""

from celery import shared_task

from arena import exposure, fitting, intake, pair_plans, simulated_raters, voting

SECONDS_OF_SIMULATED_VOTING = 6.0  # fits and rater copies wait for this worker


@shared_task(ignore_result=True)
def refit_changed() -> None:
    """Refit the studies that votes, exclusions or settings have changed."""
    fitting.refit_changed_studies()


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
def refresh_pair_plans() -> None:
    """Make the chances of pairs anew where votes have changed them."""
    pair_plans.refresh_plans()


@shared_task(ignore_result=True)
def fold_exposure() -> None:
    """Sum up what was written down of which pairs were shown."""
    exposure.fold()
