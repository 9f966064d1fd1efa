"""New images become ones that raters can meet: their copies are made and identical pairs are set aside."""

from arena import display, pairing
from arena.models import Study


def take_in_images(*, study: Study, most: int = 200) -> int:
    """Prepare up to `most` raters' copies, then record which pairs are identical; returns how many copies were made.

    Ties are looked for even when no copy was missing: an image identical to an earlier one shares its file and copy.
    """
    made = display.prepare_copies(study=study, most=most)
    pairing.record_rule_ties(study=study)
    return made


def take_in_for_running_studies(*, most: int = 50) -> int:
    """The same for every study that raters can reach, a few images each, so that other tasks do not wait for long."""
    running = Study.objects.filter(state__in=[Study.State.OPEN, Study.State.PAUSED])
    return sum(take_in_images(study=study, most=most) for study in running)
