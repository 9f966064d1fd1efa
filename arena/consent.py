"""What a rater is told before the first pair, and agrees to. The text is stored with the consent, word for word."""

import hashlib

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext

from arena.models import Provider, Study
from arena.phase_rules import rules_of
from arena.raters import TYPICAL_SECONDS
from arena.voting import quota_of


def asked_of_raters(study: Study) -> str:
    """What is asked, and how long it takes."""
    quota = quota_of(study)
    if quota is None:
        return "You will see pairs of images made from the same text and say which is better. Stop whenever you like."
    minutes = max(1, round(quota * TYPICAL_SECONDS / 60))
    return (
        f"You will see up to {quota} pairs of images made from the same text and say which is better: "
        f"about {minutes} {'minute' if minutes == 1 else 'minutes'}. You can stop at any time and come back later."
    )


def run_by(study: Study) -> str:
    """Who is behind the study, as far as it says. A login name is no business of whoever has the link."""
    name = study.owner.get_full_name() if study.owner else ""
    return name or "the people who run this site"


def consent_text(study: Study) -> str:
    """All of it as plain paragraphs: what the page shows and what is stored with the rater's consent."""
    return "\n\n".join(
        [
            asked_of_raters(study),
            f"The study “{study.name}” is run by {run_by(study)}.",
            "Kept are your answers, the time they took, and a random number that stands for you; no name, no address. "
            "A cookie on this device remembers that number, so that you can go on where you stopped.",
            *kept_apart(study),
            "The images come from computer models. They were not looked through beforehand; any pair can be skipped.",
        ]
    )


def kept_apart(study: Study) -> list[str]:
    """What is kept about the person besides the votes, where the study keeps anything: nothing, or one paragraph."""
    rules = rules_of(study)
    kept = []
    if rules.requires_login:
        kept.append(gettext("which account you signed in with"))
    if Provider.objects.filter(study=study).exists():
        kept.append(gettext("the id under which your panel sent you"))
    if rules.screening:
        kept.append(gettext("your answers to a few questions about you"))
    if not kept:
        return []
    what = gettext(" and ").join([", ".join(kept[:-1]), kept[-1]] if len(kept) > 1 else kept)
    return [gettext("Kept apart from your votes, and deleted on request: %(what)s.") % {"what": what}]


def consent_version(study: Study) -> str:
    """sha256 of the text in the site's own language: who agreed to a translation agreed to the same version."""
    with translation.override(settings.LANGUAGE_CODE):
        return hashlib.sha256(consent_text(study).encode()).hexdigest()
