"""Raters of a front end that is not ours: a program enrols them, hands on their ballots and brings their answers."""

from django.contrib.auth.models import User
from django.db import transaction

from arena import consent, raters
from arena.models import Rater, Study
from arena.refusals import Refusal

LABEL = "front end"


class FrontEndError(Refusal):
    """A rater that cannot be enrolled like this."""


def enrol(study: Study, *, consent_version: str, actor: User) -> Rater:
    """A new rater who agreed to this version of the study's text, in the words of whoever shows it.

    Raises InvitationError where the study takes nobody, FrontEndError where another text holds by now.
    """
    raters.check_open_to_raters(study)
    holding = consent.consent_version(study)
    if consent_version != holding:
        raise FrontEndError(
            f"The text that raters agree to is version {holding} now: show it and ask again.",
            code="other_consent",
            field="consent_version",
        )
    with transaction.atomic():
        invitation, _ = raters.invite(study=study, label=LABEL, most_uses=1, created_by=actor)
        return raters.join(
            invitation=invitation, consent_text=consent.consent_text(study), consent_version=consent_version
        )
