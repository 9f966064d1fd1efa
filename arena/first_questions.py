"""Questions that are asked before the prompt is shown. Their answers are kept first and then stand.

Which image looks better is judged differently by whoever has read what it should show, so a criterion may hide the
prompt (`shows_prompt` False). Where a ballot asks such questions and others too, its page comes in two steps: the
answers of the first are stored with the ballot, and only then is the prompt sent.
"""

from collections.abc import Mapping

from django.utils import timezone
from django.utils.translation import gettext as _

from arena import asked
from arena.models import Ballot, Criterion, Rater, Study
from arena.voting import VotingError, ballot_of, checked_answers, why_not


def without_prompt(ballot: Ballot) -> list[Criterion]:
    """The asked criteria that hide the prompt."""
    return [criterion for criterion in _asked(ballot) if not criterion.shows_prompt]


def is_in_first_step(ballot: Ballot) -> bool:
    """Whether the page must ask for the first answers now, with the rest of the questions still to come."""
    return ballot.first_answers is None and {criterion.shows_prompt for criterion in _asked(ballot)} == {True, False}


def hides_prompt(ballot: Ballot) -> bool:
    """Whether the page must not hold the prompt now; where no question needs it, it never comes."""
    return is_in_first_step(ballot) or not any(criterion.shows_prompt for criterion in _asked(ballot))


def keep_first_answers(*, rater: Rater, ballot_token: str, answers: Mapping[str, object]) -> Ballot:
    """Store the answers to the questions without the prompt; from then on the page may show it.

    The first answers stand: sent again, whatever they say, they change nothing. No vote is written yet; `cast_votes`
    takes these answers with the others. Raises VotingError as `cast_votes` does.
    """
    ballot = ballot_of(rater, ballot_token)
    if ballot.first_answers is not None or ballot.state == Ballot.State.ANSWERED:
        return ballot
    criteria = without_prompt(ballot)
    choices = checked_answers(criteria, answers)
    kept = Ballot.objects.filter(
        pk=ballot.pk,
        state=Ballot.State.OPEN,
        first_answers__isnull=True,
        lease_until__gt=timezone.now(),
        study__in=Study.objects.filter(state=Study.State.OPEN),
    ).update(first_answers={criterion.key: choices[criterion.pk] for criterion in criteria})
    ballot.refresh_from_db(fields=["state", "first_answers"])
    if not kept and ballot.first_answers is None:
        raise why_not(ballot)
    return ballot


def check_first_step_is_done(ballot: Ballot) -> None:
    """Refuse answers from a page that never showed the prompt they are about."""
    if ballot.state == Ballot.State.OPEN and is_in_first_step(ballot):
        raise VotingError(
            _("Answer the questions before the text first: reload the page."), code="prompt_not_shown", field="step"
        )


def _asked(ballot: Ballot) -> list[Criterion]:
    return asked.asked_on(ballot)
