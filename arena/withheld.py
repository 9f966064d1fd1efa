"""Answers that exclusions take back from a study's targets, by prompt and pair of contenders.

Kept in memory and counted anew for those raters only who did something since: an excluded rater goes on without being
told, and what they answer later counts no more than what they answered before.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from django.db.models import Max, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from arena.exposure import ContenderPair
from arena.models import Ballot, Exclusion, Rater, Study, Vote

_BY_IMAGE: Final = 0
"""Stands where the id of a rater stands, for ballots that are excluded because of an image."""
Rows = dict[int, tuple[int, ContenderPair]]


@dataclass(frozen=True)
class Withheld:
    """How many answers are taken back; `stamps` change with the numbers of their prompt, in every process alike."""

    by_prompt: dict[int, Counter[ContenderPair]] = field(default_factory=dict)
    stamps: dict[int, str] = field(default_factory=dict)

    def on(self, study_prompt: int) -> Counter[ContenderPair]:
        return self.by_prompt.get(study_prompt, Counter())


@dataclass(frozen=True)
class _Kept:
    newest: int
    marks: dict[int, int]
    rows: dict[int, Rows]
    withheld: Withheld


_kept: dict[tuple[int, object, str], _Kept] = {}


def withheld_in(study: Study, *, stratum: str) -> Withheld:
    """What standing exclusions take back now. Costs a look at each rater that is named, not at their votes."""
    newest = Exclusion.objects.filter(study=study).aggregate(newest=Max("pk"))["newest"]
    if newest is None:
        return Withheld()
    key = (study.pk, study.created_at, stratum)
    marks, kept = _marks(study), _kept.get(key)
    if kept is not None and (kept.newest, kept.marks) == (newest, marks):
        return kept.withheld
    rows = dict(kept.rows) if kept is not None and kept.newest == newest else {}
    stale = [who for who, mark in marks.items() if kept is None or who not in rows or kept.marks.get(who) != mark]
    rows |= _rows_of(study, stratum, stale)
    withheld = _summed(rows)
    _kept[key] = _Kept(newest, marks, rows, withheld)
    return withheld


def _marks(study: Study) -> dict[int, int]:
    """For each rater that a standing exclusion names, a number that grows with everything they do."""
    standing = Exclusion.objects.standing().filter(study=study)
    named = standing.annotate(who=Coalesce("rater", "ballot__rater", "vote__rater")).filter(who__isnull=False)
    votes = Vote.objects.filter(rater=OuterRef("pk")).order_by("-sequence").values("sequence")[:1]
    # Undoing an answer writes no vote, but a new ballot.
    ballots = Ballot.objects.filter(rater=OuterRef("pk")).order_by("-position").values("position")[:1]
    raters = Rater.objects.filter(pk__in=named.order_by().values("who")).order_by()
    last = raters.annotate(voted=Subquery(votes), had=Subquery(ballots)).values_list("pk", "voted", "had")
    marks = {rater: (voted or 0) + (had or 0) for rater, voted, had in last}
    if images := dict(standing.filter(scope=Exclusion.Scope.IMAGE).values_list("image", "image__is_quarantined")):
        shown = [image for image, is_quarantined in images.items() if not is_quarantined]
        held = Ballot.objects.filter(_shows(shown), study=study)
        # Nobody answers anything about a withdrawn image any more.
        marks[_BY_IMAGE] = held.count() + Vote.objects.filter(ballot__in=held.values("pk")).count() if shown else 0
    return marks


def _rows_of(study: Study, stratum: str, who: Collection[int]) -> dict[int, Rows]:
    """Answered ballots that are excluded: those of some raters, and those with excluded images."""
    standing = Exclusion.objects.standing().filter(study=study)
    named = {
        scope: list(standing.filter(scope=scope).values_list(scope, flat=True))
        for scope in (Exclusion.Scope.VOTE, Exclusion.Scope.BALLOT, Exclusion.Scope.RATER)
    }
    # Lists and not subqueries, so that the database goes by its indexes and does not look at all votes.
    excluded = (
        Q(pk__in=named[Exclusion.Scope.VOTE])
        | Q(ballot__in=named[Exclusion.Scope.BALLOT])
        | Q(rater__in=named[Exclusion.Scope.RATER])
    )
    rows: dict[int, Rows] = {one: {} for one in who}
    raters = [one for one in who if one != _BY_IMAGE]
    countable = Vote.objects.countable().filter(
        study=study, stratum=stratum, ballot__state=Ballot.State.ANSWERED, ballot__origin=Ballot.Origin.ISSUED
    )
    columns = ("rater", "ballot", "study_prompt", "left_contender", "right_contender")
    for rater, *row in countable.filter(excluded, rater__in=raters).order_by().values_list(*columns).distinct():
        _put(rows[rater], *row)
    if _BY_IMAGE in rows:
        images = list(standing.filter(scope=Exclusion.Scope.IMAGE).values_list("image", flat=True))
        held = Ballot.objects.filter(_shows(images), study=study).values_list("pk", flat=True)
        for _, *row in countable.filter(ballot__in=list(held)).order_by().values_list(*columns).distinct():
            _put(rows[_BY_IMAGE], *row)
    return rows


def _put(rows: Rows, ballot: int, prompt: int, left: int, right: int) -> None:
    rows[ballot] = (prompt, (left, right) if left < right else (right, left))


def _shows(images: Collection[int]) -> Q:
    return Q(left_image__in=images) | Q(right_image__in=images)


def _summed(rows: dict[int, Rows]) -> Withheld:
    ballots: Rows = {}
    for some in rows.values():
        ballots |= some  # one that is excluded for two reasons is taken back once
    by_prompt: dict[int, Counter[ContenderPair]] = defaultdict(Counter)
    for prompt, pair in ballots.values():
        by_prompt[prompt][pair] += 1
    stamps = {
        prompt: hashlib.blake2b(repr(sorted(pairs.items())).encode(), digest_size=8).hexdigest()
        for prompt, pairs in by_prompt.items()
    }
    return Withheld(dict(by_prompt), stamps)
