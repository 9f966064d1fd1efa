"""The chances of pairs under rules that look at the votes so far: made by a worker, kept as a row, read by requests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from time import perf_counter
from typing import Final, cast

import numpy as np
from django.db.models import Max
from django.utils import timezone
from numpy.typing import NDArray

from arena.counted_votes import counted_strata, counted_tallies
from arena.designs import ADAPTIVE, PLANNED_RULES, pair_rule_of
from arena.models import Exclusion, PairPlan, Study, Vote
from arena.ranking.tallies import Tallies
from arena.supply import live_contenders
from generation.provenance import digest_of

# Of every plan this share is uniform, so that each pair keeps a chance and votes can be weighted by it.
UNIFORM_SHARE: Final = 0.2
# Making plans takes at most this share of a worker's time: a plan that took a second is kept for twenty.
RESTS: Final = 20
_NAMES: Final = {ADAPTIVE: "information-tree"}


@dataclass(frozen=True)
class PairChances(Mapping[tuple[int, int], float]):
    """The chance of each pair of contenders, lower id first, kept as numbers: of 1,000 contenders there are 499,500.

    place_of: contender -> its row and column in `table`, in order of ids
    table:    (K, K) chances above the diagonal, zeros elsewhere
    """

    place_of: dict[int, int]
    table: NDArray[np.float64]

    @classmethod
    def of(cls, contenders: Sequence[int], upper: Sequence[float]) -> "PairChances":
        """Chances of all pairs in the order of the upper triangle, row by row."""
        table = np.zeros((len(contenders), len(contenders)))
        table[np.triu_indices(len(contenders), 1)] = upper
        return cls({contender: place for place, contender in enumerate(contenders)}, table)

    def __getitem__(self, pair: tuple[int, int]) -> float:
        low, high = self.place_of[pair[0]], self.place_of[pair[1]]
        if low >= high:
            raise KeyError(pair)
        return float(self.table[low, high])

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return combinations(self.place_of, 2)

    def __len__(self) -> int:
        return len(self.place_of) * (len(self.place_of) - 1) // 2


def refresh_plans(*, now: datetime | None = None) -> int:
    """Make the plans of open studies anew whose votes have changed; returns how many were made."""
    now = now or timezone.now()
    due = [study for study in Study.objects.filter(state=Study.State.OPEN) if pair_rule_of(study) in PLANNED_RULES]
    return sum(_refresh(study, now) for study in due)


def make_plan(study: Study) -> PairPlan | None:
    """The plan as of the votes counted now, not stored; None before the first of them.

    Each criterion has its own belief about the strengths; its chances count alike. Costs one grouped query over the
    votes for each criterion, and K x K matrices for K contenders.
    """
    started = perf_counter()
    contenders = list(live_contenders(study).order_by("pk").values_list("pk", flat=True))
    saw = _state_of_votes(study, contenders)
    everybody = list(study.contenders.order_by("pk").values_list("pk", flat=True))
    live = np.flatnonzero(np.isin(everybody, contenders))
    chances, votes = np.zeros((len(live), len(live))), 0
    for criterion in study.criteria.all():
        tallies = counted_tallies(criterion, study=study, contenders=everybody)
        if number := int(tallies.counts.sum()):
            chances += _chances(tallies, live, pair_rule_of(study))
            votes += number
    if not votes or len(live) < 2:
        return None
    upper = chances[np.triu_indices(len(live), 1)]
    return PairPlan(
        study=study,
        rule=pair_rule_of(study),
        contenders=contenders,
        chances=[float(f"{chance:.6g}") for chance in upper / upper.sum()],
        votes=votes,
        saw=saw,
        seconds=perf_counter() - started,
        made_at=timezone.now(),
    )


def chances_of(study: Study) -> PairChances | None:
    """The chance of each pair of contenders, lower id first; None while there is no plan that knows all of them."""
    plan = PairPlan.objects.filter(study=study, rule=pair_rule_of(study)).values_list("pk", "made_at").first()
    if plan is None:
        return None
    if plan not in _kept:
        row = PairPlan.objects.get(pk=plan[0])
        if len(_kept) >= _MOST_KEPT:
            _kept.pop(next(iter(_kept)), None)
        _kept[plan] = PairChances.of(row.contenders, row.chances)
    return _kept[plan]


_kept: dict[tuple[int, datetime], PairChances] = {}
_MOST_KEPT: Final = 8


def _refresh(study: Study, now: datetime) -> bool:
    known = PairPlan.objects.filter(study=study).first()
    if known is not None:
        rests_until = known.made_at + timedelta(seconds=RESTS * known.seconds)
        contenders = list(live_contenders(study).order_by("pk").values_list("pk", flat=True))
        is_current = known.rule == pair_rule_of(study) and known.saw == _state_of_votes(study, contenders)
        if is_current or (known.contenders == contenders and now < rests_until):
            return False
    plan = make_plan(study)
    if plan is None:
        PairPlan.objects.filter(study=study).delete()
        return known is not None
    kept = ("rule", "contenders", "chances", "votes", "saw", "seconds", "made_at")
    PairPlan.objects.update_or_create(study=study, defaults={name: getattr(plan, name) for name in kept})
    return True


def _state_of_votes(study: Study, contenders: list[int]) -> str:
    """Which votes and contenders there are, by a few look-ups at the ends of indexes."""
    newest = [
        Vote.objects.filter(study=study, criterion=criterion).aggregate(newest=Max("pk"))["newest"]
        for criterion in study.criteria.values_list("pk", flat=True)
    ]
    exclusions = Exclusion.objects.filter(study=study).aggregate(newest=Max("pk"))["newest"]
    return digest_of([newest, exclusions, counted_strata(study), contenders])


def _chances(tallies: Tallies, live: NDArray[np.intp], rule: str) -> NDArray[np.float64]:
    # Brings in SciPy: only a worker that makes plans should pay for it, no web process.
    from arena.ranking.adaptive import Belief, Rule, believe, pair_probabilities

    belief, met, some = believe(tallies), tallies.half_wins(), np.ix_(live, live)
    return pair_probabilities(
        Belief(belief.mean[live], belief.covariance[some]),
        rule=cast(Rule, _NAMES.get(rule, rule)),
        votes=(met + met.T)[some],
        uniform_share=UNIFORM_SHARE,
    )
