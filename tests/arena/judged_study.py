"""Raters with known habits in a small study, as imported ballots: real voting would only be slow."""

from datetime import timedelta

import numpy as np
from django.utils import timezone

from arena.models import Ballot, BallotCheck, Gold, Rater, Study, Vote
from tests.arena import factories

STRENGTHS = (1.2, 0.5, 0.0, -0.5, -1.2)


def add_rater(study: Study, rng: np.random.Generator, *, votes: int, always: str = "", seconds: float = 6.0) -> Rater:
    """Somebody who votes by the strengths, or always for one side, at that pace by the page and by the server."""
    rater = factories.make_rater(study)
    contenders, prompts = list(study.contenders.all()), list(study.study_prompts.all())
    criterion, now = study.criteria.get(position=0), timezone.now() - timedelta(hours=2)
    ballots, cast = [], []
    for position in range(votes):
        left, right = rng.choice(len(contenders), 2, replace=False)
        at = now + timedelta(seconds=seconds * (position + 1))
        ballots.append(
            Ballot(
                study=study, rater=rater, study_prompt=prompts[position % len(prompts)], stratum=rater.stratum,
                left_contender=contenders[left], right_contender=contenders[right], origin=Ballot.Origin.IMPORTED,
                rule="test", position=position, state=Ballot.State.ANSWERED, answered_at=at,
            )
        )  # fmt: skip
        is_left = rng.random() < 1 / (1 + np.exp(STRENGTHS[right] - STRENGTHS[left]))
        cast.append((always or ("left" if is_left else "right"), at))
    for number, (ballot, (choice, at)) in enumerate(zip(Ballot.objects.bulk_create(ballots), cast, strict=True)):
        Vote.objects.create(
            ballot=ballot, criterion=criterion, choice=choice, study=study, rater=rater,
            study_prompt=ballot.study_prompt, left_contender=ballot.left_contender,
            right_contender=ballot.right_contender, stratum=rater.stratum, cast_at=at,
            page_milliseconds=int(1000 * seconds), sequence=number + 1, chain_hash="",
        )  # fmt: skip
    return rater


def add_gold_answers(rater: Rater, gold: Gold, *, asked: int, right: int) -> None:
    """So many answers of the rater to one known pair; a study would ask it once, but the table only counts."""
    study, criterion = rater.study, rater.study.criteria.get(key=next(iter(gold.answers)))
    last, now = rater.votes.count(), timezone.now()
    for number in range(asked):
        ballot = Ballot.objects.create(
            study=study, rater=rater, study_prompt=gold.study_prompt, stratum=rater.stratum, purpose="gold",
            left_contender=gold.first_contender, right_contender=gold.second_contender, left_image=gold.first_image,
            right_image=gold.second_image, origin=Ballot.Origin.IMPORTED, rule="gold", position=1000 + number,
            state=Ballot.State.ANSWERED, answered_at=now,
        )  # fmt: skip
        BallotCheck.objects.create(ballot=ballot, gold=gold)
        Vote.objects.create(
            ballot=ballot, criterion=criterion, choice="right" if number < right else "left", study=study,
            rater=rater, study_prompt=ballot.study_prompt, left_contender=ballot.left_contender,
            right_contender=ballot.right_contender, stratum=rater.stratum, cast_at=now, is_ordinary=False,
            sequence=last + number + 1, chain_hash="",
        )  # fmt: skip
