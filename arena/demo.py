"""The demo study, ready after a first start: the template "steps" with simulated raters and a link for people."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from arena import raters, studies
from arena.models import Study
from arena.study_templates import TEMPLATES, make_from_template

SLUG = "demo"
SIMULATED_RATERS = 20


@dataclass(frozen=True)
class Demo:
    """The demo study and, where this machine still knows it, the token of its invitation link."""

    study: Study
    rater_link_token: str | None


def prepare_demo() -> Demo:
    """Make the demo study and ask for its images; a second call finds what the first one made. Loads no model."""
    with transaction.atomic():
        study = Study.objects.filter(slug=SLUG).first() or _create()
        if study.run is None:
            studies.ask_for_images(study)
    return Demo(study=study, rater_link_token=_rater_link_token(study))


def _create() -> Study:
    return make_from_template(TEMPLATES["steps"], slug=SLUG, simulated=SIMULATED_RATERS).study


def _rater_link_token(study: Study) -> str | None:
    """The invitation's token. The database keeps only a hash, so this machine keeps the token, for its owner."""
    if study.state not in (Study.State.OPEN, Study.State.PAUSED):
        return None
    kept = Path(settings.DATA_DIR) / "demo_rater_link"
    if kept.exists():
        token = kept.read_text().strip()
        with suppress(raters.InvitationError):
            if raters.invitation_of(token).study_id == study.pk:
                return token
    _, token = raters.invite(study=study, label="demo link")
    kept.touch(mode=0o600)
    kept.write_text(token + "\n")
    return token
