"""Numbers on every rater of a study, and suspicions about them: votes as columns in, plain values out.

Brings in SciPy: only what runs in a worker or at the command line imports it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from django.db.models import F
from numpy.typing import NDArray

from arena.counted_votes import counted_strata, numbered
from arena.models import Ballot, Exclusion, Study, Vote
from arena.ranking.cohorts import suspicious_cohorts
from arena.ranking.models import ConvergenceError, fit_model
from arena.ranking.rater_quality import RaterQuality, rater_quality
from arena.ranking.rigging import ALPHA, Gold, Suspicion, suspicious_raters
from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE, Votes, tally
from arena.special_ballots import CheckCounts, check_counts
from arena.vote_snapshot import STRATA

LONGEST_SECONDS: Final = 300.0  # longer means that the rater went away
FEWEST_VOTES: Final = 20  # in all, before a fit can be held against anybody
CLOCK_SLACK: Final = 60.0
_OUTCOMES: Final = {"left": LEFT, "tie": TIE, "right": RIGHT, "both_bad": BOTH_BAD}
_ROW: Final = np.dtype(
    [
        *((name, "i8") for name in ("ballot", "criterion", "left", "right", "rater", "prompt", "stratum")),
        ("outcome", "i8"),
        ("at", "f8"),
        ("page", "f8"),
        ("ordinary", "?"),
    ]
)
# Of the rater as a whole, and so told once, whichever question shows it most.
_OF_THE_RATER: Final = ("too fast", "gold")


@dataclass(frozen=True)
class Found:
    """A suspicion about a rater, or the cohort of that name; on one criterion, or (None) on the rater as a whole."""

    suspicion: Suspicion
    criterion: int | None
    cohort: str = ""


@dataclass(frozen=True, eq=False)
class StudyRaters:
    """All answers of a study, as columns, on ballots that still stand."""

    study: Study
    rows: NDArray[np.void]
    excluded: frozenset[int]
    checks: Mapping[int, CheckCounts]

    @classmethod
    def read(cls, study: Study) -> "StudyRaters":
        votes = Vote.objects.answers().filter(study=study).exclude(ballot__state=Ballot.State.SUPERSEDED)
        columns = votes.order_by("pk").values_list(
            *("ballot", "criterion", "left_contender", "right_contender", "rater", "study_prompt"),
            *("stratum", "choice", "cast_at", "page_milliseconds", "is_ordinary"),
        )
        rows = np.fromiter(
            (
                (
                    *ids,
                    STRATA.index(stratum) if stratum in STRATA else len(STRATA),
                    _OUTCOMES[choice],
                    at.timestamp(),
                    np.nan if page is None else page / 1000,
                    is_ordinary,
                )
                for *ids, stratum, choice, at, page, is_ordinary in columns.iterator(chunk_size=10_000)
            ),
            dtype=_ROW,
        )
        standing = Exclusion.objects.standing().filter(study=study, scope=Exclusion.Scope.RATER)
        excluded = frozenset(standing.filter(rater__study=F("study")).values_list("rater", flat=True))
        return cls(study, rows, excluded, check_counts(study))

    def numbers(self) -> list[dict[str, Any]]:
        """One entry for each rater who answered, in the order of their ids."""
        quality = self._quality()
        entries = []
        for rater in np.unique(self.rows["rater"]).tolist():
            own = self.rows[self.rows["rater"] == rater]
            entries.append(
                {"rater": rater, **_habits(own), **_checked(self.checks.get(rater)), **quality.get(rater, {})}
            )
        return entries

    def suspicions(self) -> list[Found]:
        """Of every criterion, the level shared out among them; excluded raters are neither judged nor witnesses."""
        gold = {pk: Gold(own.gold_asked, own.gold_right) for pk, own in self.checks.items() if own.gold_asked}
        seconds = self._seconds()
        criteria = np.unique(self.rows["criterion"]).tolist()
        found: list[Found] = []
        cohorts = self._cohorts()
        for criterion in criteria:
            counted = self._counted(criterion)
            votes, alpha = self._votes(counted), ALPHA / len(criteria)
            if len(votes) < FEWEST_VOTES or len(np.unique(self.rows["rater"][counted])) < 3:
                continue
            try:
                alone = suspicious_raters(votes, seconds=seconds[counted], gold=gold, alpha=alpha)
                found += [Found(each, criterion) for each in alone.suspicions]
                for names, members in cohorts:
                    together = suspicious_cohorts(votes, members, alpha=alpha)
                    found += [Found(each, criterion, names[each.rater]) for each in together.suspicions]
            except ConvergenceError:
                continue
        return list(_once(found))

    def _counted(self, criterion: int) -> NDArray[np.intp]:
        strata = [STRATA.index(name) for name in counted_strata(self.study)]
        rows = self.rows
        is_counted = (rows["criterion"] == criterion) & rows["ordinary"] & np.isin(rows["stratum"], strata)
        return np.flatnonzero(is_counted & ~np.isin(rows["rater"], list(self.excluded)))

    def _votes(self, counted: NDArray[np.intp]) -> Votes:
        rows = self.rows[counted]
        order = list(self.study.contenders.values_list("pk", flat=True))
        return Votes(
            *(numbered(rows["left"], order), numbered(rows["right"], order), rows["outcome"].astype(np.intp)),
            len(order),
            rater=rows["rater"].astype(np.intp),
            prompt=rows["prompt"].astype(np.intp),
        )

    def _quality(self) -> dict[int, dict[str, float]]:
        """Agreement and infit over all criteria, each vote weighing the same."""
        sums: dict[int, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
        for criterion in np.unique(self.rows["criterion"]).tolist():
            counted = self._counted(criterion)
            votes = self._votes(counted)
            if len(votes) < FEWEST_VOTES or len(np.unique(self.rows["rater"][counted])) < 3:
                continue
            try:
                quality: RaterQuality = rater_quality(fit_model(tally(votes)), votes)
            except ConvergenceError:
                continue
            for place, rater in enumerate(quality.raters.tolist()):
                for name in ("agreement", "expected", "infit"):
                    value = float(getattr(quality, name)[place])
                    if np.isfinite(value):
                        sums[rater][name].append((value, float(quality.votes[place])))
        return {
            rater: {
                name: sum(value * votes for value, votes in pairs) / sum(votes for _, votes in pairs)
                for name, pairs in own.items()
            }
            for rater, own in sums.items()
        }

    def _seconds(self) -> NDArray[np.float64]:
        """(n,) how long each answer took: by the page, unless its times cannot be true; then between answers."""
        seconds = np.full(len(self.rows), np.nan)
        for rater in np.unique(self.rows["rater"]).tolist():
            own = np.flatnonzero(self.rows["rater"] == rater)
            seconds[own] = _believable_seconds(self.rows[own])
        return seconds

    def _cohorts(self) -> list[tuple[dict[int, str], dict[int, int]]]:
        """Who came by one link, and who came in one hour: names by number, and number by rater."""
        people = self.study.raters.exclude(kind="simulated").values_list("pk", "invitation", "created_at")
        by_link: dict[int, int] = {}
        by_hour: dict[int, int] = {}
        links, hours = {}, {}
        for pk, invitation, created_at in people:
            if invitation is not None:
                by_link[pk] = invitation
                links[invitation] = f"invitation {invitation}"
            hour = int(created_at.timestamp() // 3600)
            by_hour[pk] = hour
            hours[hour] = f"joined {created_at:%Y-%m-%d %H}:00 UTC"
        return [(links, by_link), (hours, by_hour)]


def _habits(own: NDArray[np.void]) -> dict[str, Any]:
    """Counts and times of one rater, over all answers."""
    decisive = (own["outcome"] == LEFT) | (own["outcome"] == RIGHT)
    told = int(np.count_nonzero(decisive))
    first = np.unique(own["ballot"], return_index=True)[1]
    page = own["page"][first]
    page = page[page <= LONGEST_SECONDS]
    gaps = _gaps(own)
    return {
        "votes": len(own),
        "ballots": len(first),
        "median_seconds": float(np.median(page)) if len(page) else None,
        "median_gap": float(np.median(gaps)) if len(gaps) else None,
        "left_share": float(np.mean(own["outcome"][decisive] == LEFT)) if told else None,
        "tie_share": 1 - told / len(own),
        "first_at": float(own["at"].min()),
        "last_at": float(own["at"].max()),
    }


def _checked(counts: CheckCounts | None) -> dict[str, int]:
    found = counts or CheckCounts()
    return {
        "gold_asked": found.gold_asked,
        "gold_right": found.gold_right,
        "repeats": found.repeats,
        "repeated_same": found.repeated_same,
    }


def _gaps(own: NDArray[np.void]) -> NDArray[np.float64]:
    """Seconds of the server's clock between one ballot's answer and the next; long pauses left out."""
    at = np.sort(own["at"][np.unique(own["ballot"], return_index=True)[1]])
    gaps = np.diff(at)
    return np.asarray(gaps[gaps <= LONGEST_SECONDS])


def _believable_seconds(own: NDArray[np.void]) -> NDArray[np.float64]:
    """A page that claims more time than has passed since the rater began is not believed: programs claim anything."""
    ballots, first, place = np.unique(own["ballot"], return_index=True, return_inverse=True)
    at, page = own["at"][first], own["page"][first]
    elapsed = float(at.max() - at.min())
    # The first answer's time lies before the first moment that the server knows.
    claimed = float(np.nansum(np.minimum(page, LONGEST_SECONDS)[np.argsort(at)[1:]]))
    if claimed <= elapsed + CLOCK_SLACK:
        return np.asarray(own["page"])
    order = np.argsort(at)
    gaps = np.full(len(ballots), np.nan)
    gaps[order[1:]] = np.diff(at[order])
    return np.asarray(gaps[place])


def _once(found: list[Found]) -> Iterator[Found]:
    """What is about the rater as a whole once, by the smallest p; everything else as it is."""
    best: dict[tuple[str, int], Found] = {}
    for each in found:
        if each.suspicion.kind not in _OF_THE_RATER or each.cohort:
            yield each
            continue
        key = each.suspicion.kind, each.suspicion.rater
        if key not in best or each.suspicion.p < best[key].suspicion.p:
            best[key] = Found(each.suspicion, None)
    yield from best.values()
