"""What a study promises its raters about their data, and the caps it sets per network: part of its rater rules."""

from collections.abc import Iterator
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from arena.models import Study

ERASED_VOTES: Final = "erased_votes"
RETENTION: Final = "retention_months"
RATERS_PER_NETWORK: Final = "new_raters_per_network_and_hour"
BALLOTS_PER_NETWORK: Final = "ballots_per_network_and_day"
COUNTS: Final = (RETENTION, RATERS_PER_NETWORK, BALLOTS_PER_NETWORK)
PRIVACY_RULES: Final = {ERASED_VOTES, *COUNTS}

KEEP, EXCLUDE = "keep", "exclude"


def faults(rules: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(code, sentence) for each of these rules that says something impossible."""
    if rules.get(ERASED_VOTES, KEEP) not in (KEEP, EXCLUDE):
        yield "bad_erased_votes", "What becomes of the votes of a rater who is erased must be 'keep' or 'exclude'."
    for name in COUNTS:
        value = rules.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            yield "bad_privacy_rule", f"The rater rule {name!r} must be a whole number above 0, or empty."


def excludes_erased(study: Study) -> bool:
    """Whether the votes of raters who had themselves erased leave the fits."""
    return bool(study.rater_rules.get(ERASED_VOTES, KEEP) == EXCLUDE)


def retention_months(study: Study) -> int | None:
    """How long after its end raters are erased by themselves; None for never."""
    return _number(study, RETENTION)


def most_raters_per_network(study: Study) -> int | None:
    """How many people may join from one network within an hour; None for any number."""
    return _number(study, RATERS_PER_NETWORK)


def most_ballots_per_network(study: Study) -> int | None:
    """How many ballots one network may answer within a day; None for any number."""
    return _number(study, BALLOTS_PER_NETWORK)


def promise(study: Study) -> str:
    """What raters are told about looking at, taking along and erasing their data; a paragraph of the consent."""
    if excludes_erased(study):
        votes = _("Your answers are then left out of all results from that moment on.")
    else:
        votes = _("Your answers then stay in the results, under a new random number that nothing leads to.")
    sentences = [
        _("On the page “Your data” you can see and download what is kept about you, and have it erased at any time."),
        votes,
    ]
    if months := retention_months(study):
        sentences.append(
            ngettext(
                "{months} month after the study has ended, what leads from the answers to you is erased by itself.",
                "{months} months after the study has ended, what leads from the answers to you is erased by itself.",
                months,
            ).format(months=months)
        )
    if most_raters_per_network(study) or most_ballots_per_network(study):
        sentences.append(
            _(
                "So that nobody votes in masses, answers are counted for each network under a code that changes daily; "
                "the counts are erased after 30 days, and no address is kept."
            )
        )
    return " ".join(sentences)


def _number(study: Study, name: str) -> int | None:
    value = study.rater_rules.get(name)
    return None if value is None else int(value)
