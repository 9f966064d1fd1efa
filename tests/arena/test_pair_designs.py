"""Which pairs a study compares: the designs on places, and what raters then are shown."""

import itertools

import pytest

from arena import pairing, studies, voting, withdrawing
from arena.designs import StudyError
from arena.models import Ballot, Study
from arena.pair_designs import (
    AGAINST_BASELINE,
    ALL_PAIRS,
    ONE_FACTOR,
    Corner,
    Factors,
    allowed_pairs,
    are_connected,
    check_pairs,
    factors_of,
    pairs_by,
)
from arena.refusals import Refusal
from arena.stock import read_stock
from arena.targets import progress_of
from generation.models import Recipe, Schedule
from tests.arena import factories


def corner(checkpoint: str = "a", steps: int = 28, *, is_baseline: bool = False) -> Corner:
    return Corner(is_baseline, Factors(checkpoint, steps, None, 4.0, ()))


SERVICE = Corner(False, None)
GRID = [corner("a", 28, is_baseline=True), corner("a", 4), corner("b", 28), corner("b", 4), SERVICE]


def test_every_design_has_its_pairs() -> None:
    assert pairs_by(ALL_PAIRS, GRID) == list(itertools.combinations(range(5), 2))
    assert pairs_by(AGAINST_BASELINE, GRID) == [(0, 1), (0, 2), (0, 3), (0, 4)]
    # Steps and checkpoint never change together; the service, which has no factors, meets the baseline.
    assert pairs_by(ONE_FACTOR, GRID) == [(0, 1), (0, 2), (0, 4), (1, 3), (2, 3)]


def test_without_a_baseline_a_contender_alone_meets_everybody() -> None:
    assert pairs_by(ONE_FACTOR, [corner("a", 28), corner("a", 4), SERVICE]) == [(0, 1), (0, 2), (1, 2)]


def test_a_chain_of_pairs_connects() -> None:
    assert are_connected(4, [(0, 1), (1, 2), (2, 3)])
    assert not are_connected(4, [(0, 1), (2, 3)])


@pytest.mark.parametrize(
    ("design", "corners", "code"),
    [
        (AGAINST_BASELINE, [corner("a", 1), corner("a", 2)], "no_baseline"),
        (ONE_FACTOR, [corner("a", 1), corner("a", 2), corner("b", 3), corner("b", 4)], "unconnected"),
    ],
)
def test_designs_that_cannot_rank_are_refused(design: str, corners: list[Corner], code: str) -> None:
    with pytest.raises(StudyError) as refused:
        check_pairs(design, corners)
    assert refused.value.code == code


def test_sigmas_of_ones_own_are_a_factor_and_the_even_grid_is_one_rule() -> None:
    def factors(sigmas: list[float] | None, *, steps: int = 4, shift: float | None = None) -> Factors:
        schedule = Schedule(scheduler_class="S", steps=steps, shift=shift, sigmas=sigmas)
        found = factors_of(Recipe(checkpoint_id=1, schedule=schedule, width=64, height=64))
        assert found is not None
        return found

    def differing(low: Factors, high: Factors) -> list[str]:
        return [name for name in Factors._fields if getattr(low, name) != getattr(high, name)]

    own, even = [1.0, 0.9, 0.5, 0.1], [1.0, 0.75, 0.5, 0.25]
    assert differing(factors(None), factors(own)) == ["rest"] == differing(factors(own), factors(even))
    assert differing(factors(own), factors(own, shift=2.0)) == ["shift"]
    assert differing(factors(own), factors([1.0, 0.3], steps=2)) == ["steps", "rest"]
    assert differing(factors(even), factors([1.0, 0.5], steps=2)) == ["steps"]


@pytest.mark.django_db
def test_raters_are_shown_pairs_with_the_baseline_only_and_the_target_counts_these() -> None:
    study = factories.make_study(contenders=4, prompts=2, design={"pairs": AGAINST_BASELINE, "target_votes": 1})
    baseline = study.contenders.get(is_baseline=True).pk
    assert [shelf.look_count for shelf in read_stock(study).shelves.values()] == [3, 3]
    factories.cast(factories.make_rater(study), "left", ballots=10)
    shown = Ballot.objects.filter(study=study).values_list("left_contender", "right_contender")
    assert len(shown) == 6 and all(baseline in pair for pair in shown)
    assert voting.open_ballots(rater=factories.make_rater(study)) == []
    assert [(row.wanted, row.still_needed) for row in progress_of(study)] == [(6, 0), (6, 0), (3, 0)]


@pytest.mark.django_db
def test_the_baseline_that_all_pairs_need_cannot_be_withdrawn() -> None:
    study = factories.make_study(
        contenders=3, prompts=1, images=False, copies=False, design={"pairs": AGAINST_BASELINE}
    )
    baseline, first, _ = study.contenders.order_by("position")
    with pytest.raises(Refusal) as refused:
        withdrawing.withdraw_contender(contender=baseline, reason="broken", author=None)
    assert refused.value.code == "pairs_need_it"
    withdrawing.withdraw_contender(contender=first, reason="broken", author=None)
    assert allowed_pairs(study) == frozenset({(baseline.pk, study.contenders.latest("position").pk)})


@pytest.mark.django_db
def test_identical_images_of_pairs_that_are_not_compared_tie_nothing() -> None:
    study = factories.make_study(contenders=3, prompts=1, images=False, design={"pairs": AGAINST_BASELINE})
    prompt = study.study_prompts.select_related("prompt").get().prompt
    same = factories.png_of((9, 9, 9))
    for contender in study.contenders.select_related("recipe"):
        data = factories.png_of((1, 2, 3)) if contender.is_baseline else same
        factories.make_image(recipe=contender.recipe, prompt_text=prompt.text, data=data)
    assert pairing.record_rule_ties(study=study) == 0
    Study.objects.filter(pk=study.pk).update(design={**study.design, "pairs": ALL_PAIRS})
    assert pairing.record_rule_ties(study=Study.objects.get(pk=study.pk)) == 1


@pytest.mark.django_db
def test_a_study_whose_pairs_cannot_rank_does_not_open() -> None:
    study = factories.make_study(contenders=2, prompts=1, opened=False, images=False, copies=False)
    study.contenders.update(is_baseline=False)
    studies.change_draft(study, actor=None, design={**study.design, "pairs": AGAINST_BASELINE})
    with pytest.raises(StudyError) as refused:
        studies.open_study(study, actor=None)
    study.refresh_from_db()
    assert (refused.value.code, study.state) == ("no_baseline", "draft")
