"""Many votes at once, as imported ballots: for tests of numbers, where real voting would only be slow."""

from collections.abc import Sequence

import numpy as np
from django.utils import timezone

from arena.models import Ballot, Criterion, Rater, Study, Vote


def bulk_votes(
    study: Study,
    *,
    criterion: Criterion | None = None,
    raters: int = 6,
    ballots_per_rater: int = 30,
    strengths: Sequence[float] | None = None,
    tie_share: float = 0.2,
    kind: str = Rater.Kind.INVITED,
    seed: int = 1,
) -> list[Rater]:
    """Raters who saw random pairs and chose by Bradley-Terry strengths (all equal unless given), by contender order."""
    rng = np.random.default_rng(seed)
    criterion = criterion or study.criteria.get(position=0)
    worth = np.zeros(study.contenders.count()) if strengths is None else np.asarray(strengths, dtype=float)
    people = Rater.objects.bulk_create(Rater(study=study, kind=kind) for _ in range(raters))
    ballots = _ballots(study, criterion, people, ballots_per_rater, rng)
    Ballot.objects.bulk_create(ballots, batch_size=500)
    votes = [_vote(ballot, criterion, worth, tie_share, rng) for ballot in ballots]
    Vote.objects.bulk_create(votes, batch_size=500)
    return people


def _ballots(
    study: Study, criterion: Criterion, people: Sequence[Rater], each: int, rng: np.random.Generator
) -> list[Ballot]:
    contenders = list(study.contenders.all())
    prompts = list(study.study_prompts.filter(criteria=criterion))
    ballots = []
    for person in people:
        for position in range(each):
            left, right = rng.choice(len(contenders), size=2, replace=False)
            ballots.append(
                Ballot(
                    study=study,
                    rater=person,
                    study_prompt=prompts[rng.integers(len(prompts))],
                    left_contender=contenders[left],
                    right_contender=contenders[right],
                    stratum=person.stratum,
                    origin=Ballot.Origin.IMPORTED,
                    rule="bulk",
                    position=position,
                    state=Ballot.State.ANSWERED,
                    answered_at=timezone.now(),
                )
            )
    return ballots


def _vote(ballot: Ballot, criterion: Criterion, worth: np.ndarray, tie_share: float, rng: np.random.Generator) -> Vote:
    gap = worth[ballot.left_contender.position] - worth[ballot.right_contender.position]
    choice = Vote.Choice.LEFT if rng.random() < 1 / (1 + np.exp(-gap)) else Vote.Choice.RIGHT
    return Vote(
        ballot=ballot,
        criterion=criterion,
        choice=Vote.Choice.TIE if criterion.allows_tie and rng.random() < tie_share else choice,
        study=ballot.study,
        rater=ballot.rater,
        study_prompt=ballot.study_prompt,
        left_contender=ballot.left_contender,
        right_contender=ballot.right_contender,
        stratum=ballot.stratum,
        cast_at=timezone.now(),
        sequence=ballot.position,
        chain_hash="",
    )
