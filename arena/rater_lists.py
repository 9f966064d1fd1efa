"""Raters over all studies that somebody may see: a line each, filtered; the studies' own tables say more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, Exists, Max, OuterRef, QuerySet

from arena.models import Exclusion, Flag, Rater, Study, Vote

KINDS: Final = Rater.Kind.choices
STATES: Final = (
    ("flagged", "under suspicion"),
    ("excluded", "excluded"),
    ("erased", "erased"),
    ("silent", "no answer"),
)


@dataclass(frozen=True)
class RaterLine:
    """A rater with what they did; flags are suspicions that stand."""

    rater: Rater
    answers: int
    latest: datetime | None
    flags: tuple[str, ...]
    is_excluded: bool


def raters_of(user: AbstractBaseUser | AnonymousUser, said: Mapping[str, str]) -> QuerySet[Rater]:
    """Newest first, of the studies that this person may see; filters that mean nothing here filter nothing."""
    found = Rater.objects.filter(study__in=Study.objects.visible_to(user).values("pk"))
    if said.get("study"):
        found = found.filter(study__slug=said["study"])
    if said.get("kind") in dict(KINDS):
        found = found.filter(kind=said["kind"])
    if said.get("name"):
        found = found.filter(public_id__startswith=said["name"].strip().lower())
    match said.get("state"):
        case "flagged":
            found = found.filter(Exists(_standing_flags().filter(rater=OuterRef("pk"))))
        case "excluded":
            found = found.filter(Exists(_exclusions().filter(rater=OuterRef("pk"))))
        case "erased":
            found = found.filter(erased_at__isnull=False)
        case "silent":
            found = found.exclude(Exists(Vote.objects.answers().filter(rater=OuterRef("pk"))))
    return found.select_related("study").order_by("-pk")


def lines_of(raters: Sequence[Rater]) -> list[RaterLine]:
    """Three queries, however many raters."""
    pks = [rater.pk for rater in raters]
    votes = Vote.objects.answers().standing().filter(rater__in=pks).order_by().values_list("rater")
    counted = {pk: (number, latest) for pk, number, latest in votes.annotate(Count("pk"), Max("cast_at"))}
    flags: dict[int, list[str]] = {}
    for rater, kind in _standing_flags().filter(rater__in=pks).order_by("kind").values_list("rater", "kind"):
        flags.setdefault(rater, []).append(kind)
    excluded = set(_exclusions().filter(rater__in=pks).values_list("rater", flat=True))
    return [
        RaterLine(
            rater=rater,
            answers=counted.get(rater.pk, (0, None))[0],
            latest=counted.get(rater.pk, (0, None))[1],
            flags=tuple(dict.fromkeys(flags.get(rater.pk, ()))),
            is_excluded=rater.pk in excluded,
        )
        for rater in raters
    ]


def _standing_flags() -> QuerySet[Flag]:
    return Flag.objects.filter(faded_at__isnull=True, dismissed_at__isnull=True, rater__isnull=False)


def _exclusions() -> QuerySet[Exclusion]:
    return Exclusion.objects.standing().filter(scope=Exclusion.Scope.RATER)
