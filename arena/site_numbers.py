"""Numbers over all studies: votes, ballots, fits, exclusions. They cost the same however many votes there are."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Sum
from django.utils import timezone

from arena.models import Ballot, Exclusion, Fit, Study, Vote
from generation import running_totals
from generation.running_totals import Sums


@dataclass(frozen=True)
class Fits:
    """How many were made, what they took in all, and when the newest was made."""

    count: int
    seconds: float
    newest_at: datetime | None


def votes() -> Sums:
    """Votes by where they come from (issued here or imported), stratum and choice; undone and excluded ones too."""
    return running_totals.totals(
        Vote.objects.all(), name="votes", by=["ballot__origin", "stratum", "choice"], sums={"count": Count("pk")}
    )


def ballots_issued() -> Sums:
    """Ballots handed out here, by stratum."""
    issued = Ballot.objects.filter(origin=Ballot.Origin.ISSUED)
    return running_totals.totals(issued, name="ballots", by=["stratum"], sums={"count": Count("pk")})


def open_ballots() -> tuple[int, int]:
    """Ballots before raters now, and those among them that should have been taken back by now."""
    standing = Ballot.objects.filter(state=Ballot.State.OPEN)
    return standing.count(), standing.filter(lease_until__lte=timezone.now()).count()


def newest_vote_at() -> datetime | None:
    """When the newest vote was cast."""
    return Vote.objects.order_by("-pk").values_list("cast_at", flat=True).first()


def fits() -> Fits:
    """All of them, over all studies; those that were thinned out too, for as long as the cache knows of them."""
    counted = {"count": Count("pk"), "took": Sum("seconds")}
    sums = running_totals.totals(Fit.objects.all(), name="fits", sums=counted, are_kept=False)  # they are thinned out
    count, seconds = sums.get((), (0.0, 0.0))
    newest = Fit.objects.order_by("-pk").values_list("created_at", flat=True).first()
    return Fits(count=int(count), seconds=seconds, newest_at=newest)


def exclusions() -> dict[str, int]:
    """Exclusions that stand, by what they exclude."""
    standing = Exclusion.objects.standing().order_by().values_list("scope").annotate(Count("pk"))
    return {scope.value: 0 for scope in Exclusion.Scope} | dict(standing)


def studies() -> dict[str, int]:
    """Studies by their state."""
    return {state.value: 0 for state in Study.State} | dict(
        Study.objects.order_by().values_list("state").annotate(Count("pk"))
    )
