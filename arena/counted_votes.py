"""Which votes a fit sees, and how they are read: counted by the database, and as columns in the order of their ids."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from django.db.models import BigIntegerField, Count, ExpressionWrapper, F, Max, QuerySet, Sum
from numpy.typing import NDArray

from arena import vote_snapshot
from arena.models import Ballot, Criterion, Exclusion, RuleTie, Study, Vote
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, TIE, Tallies, Votes, tally
from arena.vote_snapshot import ANONYMOUS, PEOPLE, ROW, SIMULATED, STRATA, Rows, StudyVotes
from generation.provenance import digest_of

__all__ = ["ANONYMOUS", "PEOPLE", "SIMULATED", "CountedVotes", "ReadingError", "counted_votes", "read_votes"]

Selection = dict[str, Any]

_OUTCOMES: Final = {"left": LEFT, "tie": TIE, "right": RIGHT, "both_bad": BOTH_BAD}
_TIE_COLUMNS: Final = ("pk", "low_contender", "high_contender", "study_prompt", "weight")
_TIE_ROW: Final = np.dtype([("pk", "i8"), ("low", "i8"), ("high", "i8"), ("prompt", "i8"), ("weight", "f8")])
_READS: Final = 10
_NO_EXCLUSIONS: Final = digest_of([])


class ReadingError(Exception):
    """Votes that cannot be read as of one moment; the message says what to do."""


@dataclass(frozen=True, eq=False)
class CountedVotes:
    """What one fit sees of one criterion: vote rows in the order of their ids, their tallies, and the ties by rule.

    said:     the tallies of the votes as the database counted them, without ties by rule
    excluded: rows that would count if nobody had excluded them
    """

    selection: Selection
    rows: Rows
    rule_ties: NDArray[np.void]
    skips: int
    said: Tallies
    excluded: Rows = field(default_factory=lambda: np.empty(0, dtype=ROW))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def raters(self) -> int:
        return len(np.unique(self.rows["rater"]))

    @property
    def prompts(self) -> int:
        return len(np.unique(self.rows["prompt"]))

    @property
    def simulated(self) -> int:
        return int((self.rows["stratum"] == STRATA.index(SIMULATED)).sum())

    @property
    def contenders(self) -> list[int]:
        """Contender ids in the order in which `ranking` numbers them."""
        return list(self.selection["contenders"])

    @property
    def unknown(self) -> frozenset[str]:
        """What these votes do not say: sides, raters, prompts. Something made up stands in its place."""
        return frozenset(self.selection.get("unknown", ()))

    @cached_property
    def digest(self) -> str:
        """The same for the same votes and ties by rule, in whatever order the database gave them."""
        ties = np.sort(self.rule_ties, order="pk")
        parts = [np.sort(self.rows["pk"]).astype("<i8"), ties["pk"].astype("<i8"), ties["weight"].astype("<f8")]
        return hashlib.sha256(b"|".join(part.tobytes() for part in parts)).hexdigest()

    @cached_property
    def tallies(self) -> Tallies:
        """All that is fitted: what raters said, and the ties by rule."""
        return self.said.add(self._columns(self.rows[:0], self.rule_ties)) if len(self.rule_ties) else self.said

    def to_ranking(self) -> Votes:
        """Columns for `ranking`: contenders numbered in their order, raters and prompts in that of their ids."""
        return self._columns(self.rows, self.rule_ties)

    def _columns(self, rows: Rows, ties: NDArray[np.void]) -> Votes:
        """A tie by rule was on no side: half of its weight stands in either order, so that no side gains by it."""
        order = self.contenders
        _, rater = np.unique(rows["rater"], return_inverse=True)
        _, prompt = np.unique(np.concatenate([rows["prompt"], ties["prompt"], ties["prompt"]]), return_inverse=True)
        halves = np.concatenate([ties["weight"], ties["weight"]]) / 2
        return Votes(
            left=numbered(np.concatenate([rows["left"], ties["low"], ties["high"]]), order),
            right=numbered(np.concatenate([rows["right"], ties["high"], ties["low"]]), order),
            outcome=np.concatenate([rows["outcome"].astype(np.intp), np.full(len(halves), TIE)]),
            contenders=len(order),
            rater=np.concatenate([rater, np.full(len(halves), NOBODY)]),
            prompt=prompt,
            weight=np.concatenate([np.ones(len(rows)), halves]) if len(ties) else None,
        )


def counted_strata(study: Study) -> list[str]:
    """Which kinds of raters the study counts: people always, simulated and anonymous ones by its settings."""
    strata = [PEOPLE]
    if study.counts_simulated:
        strata.append(SIMULATED)
    if study.design.get("counts_anonymous", False):
        strata.append(ANONYMOUS)
    return strata


def counted_votes(study: Study) -> QuerySet[Vote]:
    """The votes of a study that fits made now would see."""
    return Vote.objects.counted().filter(study=study, stratum__in=counted_strata(study))


def counts_by_criterion(study: Study) -> dict[int, int]:
    """How many votes a fit made now would see, by criterion id; criteria without any are left out."""
    found = counted_votes(study).order_by().values_list("criterion").annotate(number=Count("pk"))
    return dict(found)


def excluded_count(study: Study) -> int:
    """How many votes nothing but an exclusion keeps from the fits made now.

    From the exclusions to their votes, one way for each scope: asked of every vote, a million take seconds.
    """
    standing, scopes = Exclusion.objects.standing().filter(study=study), Exclusion.Scope
    votes = Vote.objects.countable().standing().filter(stratum__in=counted_strata(study)).order_by().values("pk")
    images = standing.filter(scope=scopes.IMAGE).values("image")
    # A sum, or SQLite takes the index of studies, and reads every ballot.
    of_study = ExpressionWrapper(F("study_id") + 0, output_field=BigIntegerField())
    ballots = Ballot.objects.order_by().alias(of_study=of_study).filter(of_study=study.pk).values("pk")
    return (
        votes.filter(pk__in=standing.filter(scope=scopes.VOTE, vote__study=study).values("vote"))
        .union(
            votes.filter(ballot__in=standing.filter(scope=scopes.BALLOT, ballot__study=study).values("ballot")),
            votes.filter(rater__in=standing.filter(scope=scopes.RATER, rater__study=study).values("rater")),
            votes.filter(ballot__in=ballots.filter(left_image__in=images)),
            votes.filter(ballot__in=ballots.filter(right_image__in=images)),
        )
        .count()
    )


def counted_tallies(criterion: Criterion, *, study: Study, contenders: list[int], newest: int | None = None) -> Tallies:
    """The tallies of the counted votes, by one grouped query; contenders are ids in the order of their numbers.

    newest: the highest vote id to count, so that a vote that comes in meanwhile stays out
    """
    votes = counted_votes(study).filter(criterion=criterion)
    if newest is not None:
        votes = votes.filter(pk__lte=newest)
    grouped = votes.order_by().values_list("left_contender", "right_contender", "choice").annotate(number=Count("pk"))
    cells = np.array([(left, right, _OUTCOMES[choice], number) for left, right, choice, number in grouped], dtype="i8")
    left, right, outcome, number = cells.reshape(-1, 4).T
    return Tallies.from_cells(
        numbered(left, contenders), numbered(right, contenders), outcome, number, contenders=len(contenders)
    )


def selections_of(study: Study) -> dict[int, Selection]:
    """By criterion id, what decides which votes a fit sees. Under one selection votes are only ever added."""
    contenders = list(study.contenders.values_list("pk", "is_baseline"))
    ties = RuleTie.objects.filter(study=study) if study.design.get("counts_rule_ties", True) else RuleTie.objects.none()
    by_criterion = ties.order_by().values_list("study_prompt__criteria")
    # Only where it holds: an entry more would make every fit there is one of another selection.
    unknown = {"unknown": sorted(study.design["unknown"])} if study.design.get("unknown") else {}
    counts = {
        criterion: _ties_seen(*seen)
        for criterion, *seen in by_criterion.annotate(Count("pk"), Sum("weight"), Max("pk"))
    }
    shared = {
        "strata": counted_strata(study),
        "exclusions": _exclusions_digest(study),
        # Undoing a ballot takes votes away without an exclusion: the set could otherwise come back to an older one.
        "superseded": study.ballots.filter(state=Ballot.State.SUPERSEDED).count(),
        "contenders": [pk for pk, _ in contenders],
        "baseline": next((pk for pk, is_baseline in contenders if is_baseline), None),
        **unknown,
    }
    none = _ties_seen(0, 0.0, 0)
    return {pk: {**shared, **counts.get(pk, none)} for pk in study.criteria.values_list("pk", flat=True)}


def read_votes(criterion: Criterion, votes: StudyVotes | None = None) -> CountedVotes:
    """The counted votes of a criterion, all as of one selection, out of the votes of its study.

    The selection is read before and after and must not differ, and the rows must be those that the database counts.
    That needs no lock and no isolation level, and on SQLite, where a transaction would take the write lock, it keeps
    nobody from voting.
    """
    name = criterion.study.name
    for attempt in range(_READS):
        study = Study.objects.get(pk=criterion.study_id)
        if votes is None:
            # A vote that landed late may be missing from the file: once is chance, twice is a reason to read it all.
            votes = vote_snapshot.study_votes(study) if attempt < 2 else vote_snapshot.rebuild(study)
        selection = selections_of(study)[criterion.pk]
        contenders = selection["contenders"]
        rows, excluded = _counted_rows(criterion, votes, selection)
        said = counted_tallies(criterion, study=study, contenders=contenders, newest=votes.newest)
        ties, skips = _rule_ties(criterion, selection), _skips(criterion, selection)
        found = CountedVotes(selection, rows, ties, skips, said, excluded)
        is_steady = selection == selections_of(Study.objects.get(pk=study.pk))[criterion.pk]
        if is_steady and np.array_equal(said.counts, row_tallies(rows, contenders).counts):
            return found
        votes = None
    raise ReadingError(f"The settings and votes of {name!r} change faster than they can be read: try again.")


def row_tallies(rows: Rows, contenders: list[int]) -> Tallies:
    """The tallies of vote rows, counted one by one."""
    left, right = numbered(rows["left"], contenders), numbered(rows["right"], contenders)
    return tally(Votes(left, right, rows["outcome"].astype(np.intp), len(contenders)))


def numbered(ids: NDArray[np.int64], order: list[int]) -> NDArray[np.intp]:
    """The place of each id in the order. Raises KeyError for an id that is not in it."""
    known = np.array(order, dtype=np.int64)
    sorter = np.argsort(known)
    if not len(ids):
        return np.empty(0, dtype=np.intp)
    places: NDArray[np.intp] = sorter[np.minimum(np.searchsorted(known, ids, sorter=sorter), len(known) - 1)]
    if not np.array_equal(known[places], ids):
        raise KeyError(f"votes name contenders that the study has not: {sorted(set(ids.tolist()) - set(order))}")
    return places


def _counted_rows(criterion: Criterion, votes: StudyVotes, selection: Selection) -> tuple[Rows, Rows]:
    """The rows that count under this selection, and those that only an exclusion keeps from it.

    What never changes is in the rows, what was taken back is asked for.
    """
    rows: Rows = votes.rows[votes.rows["criterion"] == criterion.pk]
    rows = rows[np.isin(rows["stratum"], [STRATA.index(name) for name in selection["strata"]])]
    own = Vote.objects.filter(study=criterion.study_id, criterion=criterion)
    if selection["superseded"]:
        undone = list(own.filter(ballot__state=Ballot.State.SUPERSEDED).values_list("pk", flat=True))
        rows = rows[~np.isin(rows["pk"], undone)]
    if selection["exclusions"] == _NO_EXCLUSIONS:
        return rows, rows[:0]
    taken = list(own.filter(pk__in=Exclusion.objects.excluded_vote_ids()).values_list("pk", flat=True))
    is_excluded = np.isin(rows["pk"], taken)
    return rows[~is_excluded], rows[is_excluded]


def _rule_ties(criterion: Criterion, selection: Selection) -> NDArray[np.void]:
    if not selection["rule_ties"]:
        return np.empty(0, dtype=_TIE_ROW)
    ties = RuleTie.objects.filter(study=criterion.study_id, study_prompt__criteria=criterion)
    return np.fromiter(ties.order_by("pk").values_list(*_TIE_COLUMNS), dtype=_TIE_ROW)


def _skips(criterion: Criterion, selection: Selection) -> int:
    skips = Vote.objects.filter(study=criterion.study_id, criterion=criterion, choice=Vote.Choice.SKIP)
    return skips.filter(stratum__in=selection["strata"]).standing().count()


def _ties_seen(count: int, weight: float, newest: int) -> Selection:
    """Ties come, go and change their weight. Rounded, because the order of a sum is the database's."""
    return {"rule_ties": count, "rule_tie_weight": round(weight, 6), "newest_rule_tie": newest}


def _exclusions_digest(study: Study) -> str:
    """Of what is excluded, not of which rows say so: readmitting a rater brings back the very selection of before."""
    standing = (
        Exclusion.objects.standing()
        .filter(study=study)
        .order_by()
        .values_list("scope", "vote", "ballot", "rater", "image")
    )
    return digest_of(sorted({tuple(str(value) for value in row) for row in standing}))
