"""Which pairs of contenders a study compares at all: every two, each with the baseline, or those one factor apart."""

import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple

from django.db.models import Q

from arena.models import Amendment, Contender, Study
from arena.refusals import StudyError
from arena.sweeps import has_even_sigmas
from generation.models import Recipe

ALL_PAIRS, AGAINST_BASELINE, ONE_FACTOR = "all", "baseline", "one_factor"
PAIR_DESIGNS: Final = (ALL_PAIRS, AGAINST_BASELINE, ONE_FACTOR)
JOINED: Final = "contender added"

Pair = tuple[int, int]


class Factors(NamedTuple):
    """What a sweep varies, and whatever else tells two recipes apart."""

    checkpoint: object
    steps: object
    shift: object
    guidance: object
    rest: object


class Corner(NamedTuple):
    """A contender as a pair design sees it; factors are None for a service."""

    is_baseline: bool
    factors: Factors | None


def factors_of(recipe: Recipe) -> Factors | None:
    """The factors of a recipe, stored or drafted."""
    schedule = recipe.schedule
    if recipe.checkpoint_id is None or schedule is None:
        return None
    rest = (
        *(recipe.width, recipe.height, recipe.dtype, recipe.negative_prompt, recipe.batch_mode),
        *(str(recipe.call_options), str(recipe.without), schedule.scheduler_class, str(schedule.options)),
        "even" if has_even_sigmas(schedule) else str(schedule.sigmas),  # a list of one's own is a curve of its own
    )
    return Factors(recipe.checkpoint_id, schedule.steps, schedule.shift, recipe.guidance, rest)


def pairs_by(design: str, corners: Sequence[Corner]) -> list[Pair]:
    """The pairs of places that the design compares, lower place first.

    Under "one factor", a contender that no other one is one factor away from is compared with the baseline, or with
    everybody where there is none.
    """
    everything = list(itertools.combinations(range(len(corners)), 2))
    baseline = next((place for place, corner in enumerate(corners) if corner.is_baseline), None)
    with_baseline = [pair for pair in everything if baseline in pair]
    if design == AGAINST_BASELINE:
        return with_baseline
    if design != ONE_FACTOR:
        return everything
    chosen = {(low, high) for low, high in everything if _differ_in_one(corners[low], corners[high])}
    for place in range(len(corners)):
        if not any(place in pair for pair in chosen):
            rest = with_baseline if baseline is not None and place != baseline else everything
            chosen |= {pair for pair in rest if place in pair}
    return sorted(chosen)


def are_connected(count: int, pairs: Sequence[Pair]) -> bool:
    """Whether every contender can be compared with every other one over a chain of pairs."""
    reached, waiting = {0}, [0]
    while waiting:
        place = waiting.pop()
        for pair in pairs:
            if place in pair and (other := pair[0] if pair[1] == place else pair[1]) not in reached:
                reached.add(other)
                waiting.append(other)
    return len(reached) == count


def check_pairs(design: str, corners: Sequence[Corner]) -> None:
    """Whether these contenders can be compared by the design. Raises StudyError."""
    if design == AGAINST_BASELINE and not any(corner.is_baseline for corner in corners):
        raise StudyError(
            "The pairs are to be against the baseline, and no contender is the baseline: choose one, or compare all.",
            code="no_baseline",
            field="baseline",
        )
    if len(corners) > 1 and not are_connected(len(corners), pairs_by(design, corners)):
        raise StudyError(
            "These pairs leave contenders unconnected, so nothing ranks them together: they fall into groups that "
            "differ in more than one factor. Compare all pairs, or add a contender between the groups.",
            code="unconnected",
            field="design",
        )


def pair_design_of(study: Study) -> str:
    return str(study.design.get("pairs", ALL_PAIRS))


def allowed_pairs(study: Study) -> frozenset[Pair] | None:
    """Pairs of contender ids, lower first, that raters may be shown; None for every two."""
    design = pair_design_of(study)
    if design == ALL_PAIRS:
        return None
    live = study.contenders.filter(withdrawn_at__isnull=True)
    contenders = list(live.select_related("recipe__schedule").order_by("pk"))
    pairs = pairs_by(design, [Corner(one.is_baseline, factors_of(one.recipe)) for one in contenders])
    return frozenset((contenders[low].pk, contenders[high].pk) for low, high in pairs)


def joined_later(study: Study) -> frozenset[int]:
    """Ids of contenders that joined after the study had opened."""
    changes = Amendment.objects.filter(Q(change__act=JOINED), study=study).values_list("change", flat=True)
    return frozenset(int(change["contender"]) for change in changes)


def corners_of(study: Study, *, without: int = 0) -> list[Corner]:
    """The live contenders of a study as its pair design sees them, all or all but one."""
    live: list[Contender] = list(
        study.contenders.filter(withdrawn_at__isnull=True)
        .exclude(pk=without)
        .select_related("recipe__schedule")
        .order_by("position")
    )
    return [Corner(one.is_baseline, factors_of(one.recipe)) for one in live]


def _differ_in_one(low: Corner, high: Corner) -> bool:
    if low.factors is None or high.factors is None:
        return False
    return sum(one != other for one, other in zip(low.factors, high.factors, strict=True)) == 1
