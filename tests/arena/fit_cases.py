"""Small studies to fit, and their votes read a second time."""

from typing import Any

import numpy as np

from arena import fitting
from arena.models import Ballot, Criterion, Fit, Rater, Study, Vote
from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes
from tests.arena.factories import make_study


def first_criterion(study: Study) -> Criterion:
    return study.criteria.get(position=0)


def fit_of(study: Study) -> Fit:
    """The one fit of a study in which only the first criterion has votes."""
    (fit,) = fitting.refit(study)
    return fit


def bare_study(contenders: int = 3, **options: Any) -> Study:
    return make_study(contenders=contenders, images=False, copies=False, **options)


def add_vote(
    study: Study, rater: Rater, *, left: int, right: int, choice: str, prompt: int = 0, purpose: str = "ordinary"
) -> Vote:
    """One vote on an imported ballot, contenders and prompt by position."""
    contenders = list(study.contenders.all())
    shared = {
        "study": study,
        "rater": rater,
        "study_prompt": study.study_prompts.get(position=prompt),
        "left_contender": contenders[left],
        "right_contender": contenders[right],
        "stratum": rater.stratum,
    }
    position = Ballot.objects.filter(rater=rater).count()
    ballot = Ballot.objects.create(
        **shared,
        origin="imported",
        rule="test",
        position=position,
        purpose=purpose,
        state="answered",
        answered_at="2026-01-01T00:00Z",
    )
    return Vote.objects.create(
        **shared,
        ballot=ballot,
        criterion=first_criterion(study),
        choice=choice,
        cast_at="2026-01-01T00:00Z",
        sequence=position,
        is_ordinary=purpose == "ordinary",
    )


def columns(study: Study) -> Votes:
    """The study's votes as `ranking` wants them, written down a second time and more simply than the product does."""
    numbers = {contender.pk: index for index, contender in enumerate(study.contenders.order_by("position"))}
    outcomes = {"left": LEFT, "right": RIGHT, "tie": TIE}
    votes = list(Vote.objects.order_by("pk"))
    return Votes(
        left=np.array([numbers[vote.left_contender_id] for vote in votes]),
        right=np.array([numbers[vote.right_contender_id] for vote in votes]),
        outcome=np.array([outcomes[vote.choice] for vote in votes]),
        contenders=len(numbers),
        rater=np.array([vote.rater_id for vote in votes]),
        prompt=np.array([vote.study_prompt_id for vote in votes]),
    )
