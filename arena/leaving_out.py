"""What excluding raters would do, or taking them back, before anybody decides: each criterion's fits side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import numpy as np
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from arena import raters as raters_acts
from arena.counted_votes import counted_strata, read_votes, row_tallies
from arena.fitting import OPTIONS
from arena.models import Criterion, Exclusion, Rater, Study, Vote
from arena.vote_snapshot import study_votes

ALARM_SHARE: Final = 0.1
ALARM_WINDOW: Final = timedelta(days=1)
FEWEST_ALARMING: Final = 20  # votes: of a handful, one exclusion is always a large share


@dataclass(frozen=True)
class Place:
    """One contender before and after; None where it has no estimate."""

    label: str
    before: float | None
    after: float | None
    rank_before: int | None
    rank_after: int | None

    @property
    def change(self) -> float | None:
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def has_moved(self) -> bool:
        return self.rank_before != self.rank_after


@dataclass(frozen=True)
class BeforeAndAfter:
    """One criterion: log strengths and ranks of all contenders, strongest before first; votes counted."""

    criterion: Criterion
    votes_before: int
    votes_after: int
    places: tuple[Place, ...]

    @property
    def moved(self) -> int:
        """How many contenders change places."""
        return sum(place.has_moved for place in self.places)

    @property
    def most_changed(self) -> Place | None:
        """The contender whose strength changes most; None where no change can be seen in two decimals."""
        changed = [place for place in self.places if place.change is not None and abs(place.change) >= 0.005]
        return max(changed, key=lambda place: abs(place.change or 0.0), default=None)


def before_and_after(
    study: Study, without: Sequence[Rater] = (), *, with_again: Sequence[Rater] = ()
) -> list[BeforeAndAfter]:
    """Fits of the votes counted now, and of the same without those of some raters, or with those of excluded ones.

    Nothing is stored.
    """
    # Brings in SciPy: only who asks for the comparison should pay for it.
    from arena.fit_results import results_of

    votes, found = study_votes(study), []
    labels = dict(study.contenders.values_list("pk", "label"))
    for criterion in study.criteria.all():
        counted = read_votes(criterion, votes)
        rows = counted.rows[~np.isin(counted.rows["rater"], [rater.pk for rater in without])]
        if with_again:
            taken = votes.rows[np.isin(votes.rows["pk"], _coming_back(criterion, with_again))]
            rows = np.sort(np.concatenate([rows, taken[~np.isin(taken["pk"], rows["pk"])]]), order="pk")
        if not len(counted) or not len(rows):
            continue
        other = replace(counted, rows=rows, said=row_tallies(rows, counted.contenders))
        names = [labels[pk] for pk in counted.contenders]
        before, after = (results_of(each, labels=names, options=OPTIONS) for each in (counted, other))
        found.append(BeforeAndAfter(criterion, len(counted), len(rows), _places(before, after)))
    return found


def _coming_back(criterion: Criterion, people: Sequence[Rater]) -> list[int]:
    """Ids of the votes that count again once these raters are no longer excluded; other exclusions stay."""
    others = Exclusion.objects.exclude(scope=Exclusion.Scope.RATER, rater__in=people)
    votes = Vote.objects.countable().standing().filter(criterion=criterion, rater__in=people)
    votes = votes.filter(stratum__in=counted_strata(criterion.study)).exclude(pk__in=others.excluded_vote_ids())
    return list(votes.values_list("pk", flat=True))


def exclude_raters(study: Study, people: Sequence[Rater], *, reason: str, author: User) -> list[Exclusion]:
    """Exclude all of them, or nobody where one cannot be; each has a row of its own and can come back alone."""
    with transaction.atomic():
        return [
            raters_acts.exclude(study=study, scope=Exclusion.Scope.RATER, target=rater, reason=reason, author=author)
            for rater in people
        ]


def exclusion_alarm(study: Study) -> str:
    """A sentence where the last day took an unusual share of a study's votes out of its fits; else empty."""
    recent = Exclusion.objects.standing().filter(
        study=study, scope=Exclusion.Scope.RATER, created_at__gte=timezone.now() - ALARM_WINDOW
    )
    countable = Vote.objects.countable().filter(study=study, stratum__in=counted_strata(study))
    if not recent.exists():
        return ""
    taken, whole = countable.filter(rater__in=recent.values("rater")).count(), countable.count()
    if taken < FEWEST_ALARMING or taken <= ALARM_SHARE * whole:
        return ""
    people = recent.values("rater").distinct().count()
    return (
        f"In the last day {people} rater{'s' * (people != 1)} with {100 * taken / whole:.0f} % of all votes "
        f"{'were' if people != 1 else 'was'} excluded: check the reasons before trusting the numbers."
    )


def _places(before: dict[str, Any], after: dict[str, Any]) -> tuple[Place, ...]:
    ranks = [_ranks([entry["log_strength"] for entry in results["contenders"]]) for results in (before, after)]
    places = [
        Place(one["label"], one["log_strength"], other["log_strength"], first, second)
        for one, other, first, second in zip(before["contenders"], after["contenders"], *ranks, strict=True)
    ]
    return tuple(sorted(places, key=lambda place: (place.before is None, -(place.before or 0.0))))


def _ranks(strengths: list[float | None]) -> list[int | None]:
    known = [each for each in strengths if each is not None]
    return [None if each is None else 1 + sum(other > each for other in known) for each in strengths]
