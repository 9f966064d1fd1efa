"""Which votes a fit sees, and how they are read: in order, at one moment, as columns."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from django.db.models import Count, Max, QuerySet, Sum
from numpy.typing import NDArray

from arena.models import Ballot, Criterion, Exclusion, RuleTie, Study, Vote
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, TIE, Votes
from generation.provenance import digest_of

PEOPLE: Final = "people"
SIMULATED: Final = "simulated"
ANONYMOUS: Final = "anonymous"

Selection = dict[str, Any]

_OUTCOMES = {"left": LEFT, "tie": TIE, "right": RIGHT, "both_bad": BOTH_BAD}
_COLUMNS = ("pk", "left_contender", "right_contender", "rater", "study_prompt", "choice", "stratum")
_IDS = [(name, "i8") for name in ("pk", "left", "right", "rater", "prompt")]
_ROW = np.dtype([*_IDS, ("choice", "U8"), ("stratum", "U20")])
_TIE_COLUMNS = ("pk", "low_contender", "high_contender", "study_prompt", "weight")
_TIE_ROW = np.dtype([("pk", "i8"), ("low", "i8"), ("high", "i8"), ("prompt", "i8"), ("weight", "f8")])
_READS = 10


class ReadingError(Exception):
    """Votes that cannot be read as of one moment; the message says what to do."""


@dataclass(frozen=True, eq=False)
class CountedVotes:
    """What one fit sees of one criterion: vote rows in the order of their ids, and the ties by rule."""

    selection: Selection
    rows: NDArray[np.void]
    rule_ties: NDArray[np.void]
    skips: int

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
        return int((self.rows["stratum"] == SIMULATED).sum())

    @property
    def contenders(self) -> list[int]:
        """Contender ids in the order in which `ranking` numbers them."""
        return list(self.selection["contenders"])

    @cached_property
    def digest(self) -> str:
        """The same for the same votes and ties by rule, in whatever order the database gave them."""
        ties = np.sort(self.rule_ties, order="pk")
        parts = [np.sort(self.rows["pk"]).astype("<i8"), ties["pk"].astype("<i8"), ties["weight"].astype("<f8")]
        return hashlib.sha256(b"|".join(part.tobytes() for part in parts)).hexdigest()

    def without_rule_ties(self) -> Votes:
        """As `to_ranking`, but only what raters really said."""
        return self._columns(self.rule_ties[:0])

    def to_ranking(self) -> Votes:
        """Columns for `ranking`: contenders numbered in their order, raters and prompts in that of their ids."""
        return self._columns(self.rule_ties)

    def _columns(self, ties: NDArray[np.void]) -> Votes:
        order = np.array(self.contenders, dtype=np.int64)
        sorter = np.argsort(order)

        def numbered(ids: NDArray[np.int64]) -> NDArray[np.intp]:
            return sorter[np.searchsorted(order, ids, sorter=sorter)]

        choices, place = np.unique(self.rows["choice"], return_inverse=True)
        outcome = np.array([_OUTCOMES[choice] for choice in choices], dtype=np.intp)[place]
        _, rater = np.unique(self.rows["rater"], return_inverse=True)
        _, prompt = np.unique(np.concatenate([self.rows["prompt"], ties["prompt"]]), return_inverse=True)
        return Votes(
            left=numbered(np.concatenate([self.rows["left"], ties["low"]])),
            right=numbered(np.concatenate([self.rows["right"], ties["high"]])),
            outcome=np.concatenate([outcome, np.full(len(ties), TIE)]),
            contenders=len(order),
            rater=np.concatenate([rater, np.full(len(ties), NOBODY)]),
            prompt=prompt,
            weight=np.concatenate([np.ones(len(self.rows)), ties["weight"]]) if len(ties) else None,
        )


def counted_strata(study: Study) -> list[str]:
    """Which kinds of raters the study counts: people always, simulated and anonymous ones by its settings."""
    strata = [PEOPLE]
    if study.counts_simulated:
        strata.append(SIMULATED)
    if study.design.get("counts_anonymous", False):
        strata.append(ANONYMOUS)
    return strata


def counted_votes(study: Study, criterion: Criterion) -> QuerySet[Vote]:
    """The votes of a criterion that a fit made now would see, in order."""
    strata = counted_strata(study)
    return Vote.objects.counted().filter(study=study, criterion=criterion, stratum__in=strata).order_by("pk")


def selections_of(study: Study) -> dict[int, Selection]:
    """By criterion id, what decides which votes a fit sees. Under one selection votes are only ever added."""
    contenders = list(study.contenders.values_list("pk", "is_baseline"))
    ties = RuleTie.objects.filter(study=study) if study.design.get("counts_rule_ties", True) else RuleTie.objects.none()
    by_criterion = ties.order_by().values_list("study_prompt__criteria")
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
    }
    none = _ties_seen(0, 0.0, 0)
    return {pk: {**shared, **counts.get(pk, none)} for pk in study.criteria.values_list("pk", flat=True)}


def read_votes(criterion: Criterion) -> CountedVotes:
    """The counted votes of a criterion, all as of one selection.

    The selection is read before and after the votes and must not differ. That needs no lock and no isolation level,
    and on SQLite, where a transaction would take the write lock, it keeps nobody from voting.
    """
    for _ in range(_READS):
        study = Study.objects.get(pk=criterion.study_id)
        selection = selections_of(study)[criterion.pk]
        votes = counted_votes(study, criterion).values_list(*_COLUMNS)
        rows = np.fromiter(votes.iterator(chunk_size=5000), dtype=_ROW)
        ties = RuleTie.objects.filter(study=study, study_prompt__criteria=criterion) if selection["rule_ties"] else None
        columns = ties.order_by("pk").values_list(*_TIE_COLUMNS) if ties is not None else ()
        rule_ties = np.fromiter(columns, dtype=_TIE_ROW)
        skips = Vote.objects.filter(study=study, criterion=criterion, choice=Vote.Choice.SKIP)
        skip_count = skips.filter(stratum__in=selection["strata"]).count()
        if selection == selections_of(Study.objects.get(pk=criterion.study_id))[criterion.pk]:
            return CountedVotes(selection=selection, rows=rows, rule_ties=rule_ties, skips=skip_count)
    raise ReadingError(f"The settings of {criterion.study.name!r} change faster than its votes can be read: try again.")


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
