"""What a rater is told before the first pair, and agrees to. The text is stored with the consent, word for word.

In the language that is active: what is stored is what was read.
"""

import hashlib

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from arena import privacy_rules
from arena.models import Provider, Study
from arena.phase_rules import rules_of
from arena.raters import TYPICAL_SECONDS, most_ballots
from arena.voting import quota_of


def asked_of_raters(pairs: int | None) -> str:
    """What is asked, and how long it takes. pairs: at most so many for one person; None where nothing limits them."""
    if pairs is None:
        return _(
            "You will see pairs of images made from the same text and say which is better. Stop whenever you like."
        )
    if pairs == 1:
        return _("You will see one pair of images made from the same text and say which is better.")
    minutes = max(1, round(pairs * TYPICAL_SECONDS / 60))
    return ngettext(
        "You will see up to {quota} pairs of images made from the same text and say which is better: "
        "about {minutes} minute. You can stop at any time and come back later.",
        "You will see up to {quota} pairs of images made from the same text and say which is better: "
        "about {minutes} minutes. You can stop at any time and come back later.",
        minutes,
    ).format(quota=pairs, minutes=minutes)


def run_by(study: Study) -> str:
    """Who is behind the study, as far as it says. A login name is no business of whoever has the link."""
    name = study.owner.get_full_name() if study.owner else ""
    return name or _("the people who run this site")


def consent_text(study: Study) -> str:
    """All of it as plain paragraphs: what the page shows and what is stored with the rater's consent."""
    return _text(study, pairs=most_ballots(study))


def _text(study: Study, *, pairs: int | None) -> str:
    return "\n\n".join(
        [
            asked_of_raters(pairs),
            _("The study “{study}” is run by {people}.").format(study=study.name, people=run_by(study)),
            _(
                "Kept are your answers, the time they took, and a random number that stands for you; no name, no "
                "address. A cookie on this device remembers that number, so that you can go on where you stopped."
            ),
            *kept_apart(study),
            privacy_rules.promise(study),
            _(
                "The images come from computer models. "
                "They were not looked through beforehand; any pair can be skipped."
            ),
        ]
    )


def kept_apart(study: Study) -> list[str]:
    """What is kept about the person besides the votes, where the study keeps anything: nothing, or one paragraph."""
    rules = rules_of(study)
    kept = []
    if rules.requires_login:
        kept.append(_("which account you signed in with"))
    if Provider.objects.filter(study_id=study.pk).exists():
        kept.append(_("the id under which your panel sent you"))
    if rules.screening:
        kept.append(_("your answers to a few questions about you"))
    if not kept:
        return []
    what = _(" and ").join([", ".join(kept[:-1]), kept[-1]] if len(kept) > 1 else kept)
    return [_("Kept apart from your votes, and deleted on request: %(what)s.") % {"what": what}]


def consent_version(study: Study) -> str:
    """sha256 of the text in the site's own language: who agreed to a translation agreed to the same version.

    With the study's own limit for the number of pairs: how many there are moves with images and contenders, and nobody
    should have to agree again for that.
    """
    with translation.override(settings.LANGUAGE_CODE):
        return hashlib.sha256(_text(study, pairs=quota_of(study)).encode()).hexdigest()
