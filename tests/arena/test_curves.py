"""Step curves: which contenders form one, in which order, and what may be said about them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from arena import fitting
from arena.curves import Curve, Fewest, Level, seconds_an_image, step_curves
from arena.leaderboard import CriterionResults, Estimate, results_of
from arena.models import Contender, Study
from generation.models import Image, Recipe, Schedule
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_study


def voted(contenders: int, **options: Any) -> tuple[Study, CriterionResults]:
    study = make_study(contenders=contenders, images=False, copies=False, **options)
    bulk_votes(study, raters=8, ballots_per_rater=60, strengths=[0.4 * (index % 6) for index in range(contenders)])
    fitting.refit(study)
    return study, results_of(study)[0]


@pytest.mark.django_db
def test_each_checkpoint_has_a_curve_with_rising_steps() -> None:
    study, results = voted(contenders=10)
    curves = step_curves(results, seconds={})
    assert [(curve.name, [level.steps for level in curve.levels]) for curve in curves] == [
        ("colours-0", [1, 2, 4, 8, 16, 28]),
        ("colours-1", [1, 2, 4, 8]),
    ]
    assert [[level.is_reference for level in curve.levels].index(True) for curve in curves] == [5, 3]


@pytest.mark.django_db
def test_levels_are_compared_with_the_most_steps_of_their_own_checkpoint_and_with_the_baseline() -> None:
    study, results = voted(contenders=10)
    for curve in step_curves(results, seconds={}):
        for level in curve.levels[:-1]:
            assert level.against_most == results.between(level.contender, curve.reference.contender)
            assert level.against_most.low is not None
        by_contender = {row.contender.pk: row.against_baseline for row in results.rows}
        assert [level.against_baseline for level in curve.levels] == [
            by_contender[level.contender.pk] for level in curve.levels
        ]


@pytest.mark.django_db
def test_preference_rises_with_steps_where_votes_say_so() -> None:
    study, results = voted(contenders=6)
    (curve,) = step_curves(results, seconds={})
    shares = [level.against_most.value or 0.0 for level in curve.levels[:-1]]
    assert shares == sorted(shares)
    assert shares[0] < 0.3


@pytest.mark.once
@pytest.mark.django_db
def test_a_checkpoint_at_one_step_count_has_no_curve() -> None:
    study, results = voted(contenders=7)
    assert [curve.name for curve in step_curves(results, seconds={})] == ["colours-0"]


@pytest.mark.once
@pytest.mark.django_db
def test_recipes_without_a_text_encoder_make_a_curve_of_their_own() -> None:
    study, _ = voted(contenders=4)
    later = Contender.objects.filter(study=study, position__gte=2).values("recipe")
    Recipe.objects.filter(pk__in=later).update(without=["text_encoder_3"])
    curves = step_curves(results_of(study)[0], seconds={})
    assert [(curve.name, [level.steps for level in curve.levels]) for curve in curves] == [
        ("colours-0, without nothing", [1, 2]),
        ("colours-0, without text_encoder_3", [4, 8]),
    ]


@pytest.mark.once
@pytest.mark.django_db
def test_a_different_guidance_makes_a_curve_of_its_own_and_says_so() -> None:
    study = make_study(contenders=4, images=False, copies=False)
    later = study.contenders.filter(position__gte=2).values("recipe")
    Recipe.objects.filter(pk__in=later).update(guidance=4.0)
    bulk_votes(study)
    fitting.refit(study)
    curves = step_curves(results_of(study)[0], seconds={})
    assert [(curve.name, [level.steps for level in curve.levels]) for curve in curves] == [
        ("colours-0, guidance 1", [1, 2]),
        ("colours-0, guidance 4", [4, 8]),
    ]


@pytest.mark.once
@pytest.mark.django_db
def test_a_curve_has_the_name_that_its_contenders_share() -> None:
    study, _ = voted(contenders=4)
    for contender, label in zip(study.contenders.all(), ("mine · 1", "mine · 2", "mine · 4", "mine · 8"), strict=True):
        Contender.objects.filter(pk=contender.pk).update(label=label)
    assert [curve.name for curve in step_curves(results_of(study)[0], seconds={})] == ["mine"]
    Contender.objects.filter(study=study, position=3).update(label="another · 8")
    assert [curve.name for curve in step_curves(results_of(study)[0], seconds={})] == ["colours-0"]


@pytest.mark.once
@pytest.mark.django_db
def test_explicit_sigmas_of_the_same_rule_belong_together() -> None:
    study, results = voted(contenders=3)
    for schedule in Schedule.objects.all():
        schedule.sigmas = [1 - index / schedule.steps for index in range(schedule.steps)]
        schedule.save(update_fields=["sigmas"])
    assert [len(curve.levels) for curve in step_curves(results_of(study)[0], seconds={})] == [3]

    odd = Schedule.objects.get(steps=2)
    odd.sigmas = [1.0, 0.9]
    odd.save(update_fields=["sigmas"])
    (curve,) = step_curves(results_of(study)[0], seconds={})
    assert [level.steps for level in curve.levels] == [1, 4]


@pytest.mark.django_db
def test_external_recipes_have_no_curve() -> None:
    study = make_study(contenders=3, images=False, copies=False)
    Recipe.objects.filter(contenders__study=study).update(kind=Recipe.Kind.EXTERNAL, checkpoint=None, schedule=None)
    bulk_votes(study)
    fitting.refit(study)
    assert step_curves(results_of(study)[0], seconds={}) == ()


@pytest.mark.django_db
def test_levels_state_evaluations_and_mean_seconds_of_an_image() -> None:
    study = make_study(contenders=2, copies=False)
    first = study.contenders.get(position=0).recipe
    Image.objects.filter(recipe=first).update(seconds=None)
    timed = Image.objects.filter(recipe=first)[:2]
    Image.objects.filter(pk=timed[0].pk).update(seconds=1.0)
    Image.objects.filter(pk=timed[1].pk).update(seconds=2.0)
    seconds = seconds_an_image(study)
    assert seconds == {first.pk: 1.5, study.contenders.get(position=1).recipe_id: 1.0}
    (curve,) = step_curves(results_of(study)[0], seconds=seconds)
    assert [(level.evaluations, level.seconds) for level in curve.levels] == [(1, 1.5), (2, 1.0)]


def curve_of(*shares: tuple[float, float, float] | None, steps: Sequence[int] = (1, 2, 4, 8, 16, 28)) -> Curve:
    """A curve with these estimates against its most steps; None stands for an estimate without interval."""
    estimates = [Estimate(0.5) if share is None else Estimate(*share) for share in shares]
    level = Level(Contender(), 0, None, None, Estimate(), Estimate(), 0, is_reference=False)
    levels = [
        replace(level, steps=count, against_most=estimate)
        for count, estimate in zip(steps[-len(estimates) - 1 :], estimates, strict=False)
    ]
    return Curve("final", (*levels, replace(level, steps=steps[-1], is_reference=True)))


CANNOT_TELL = "raters cannot tell images of final from those at 28 steps"
WORSE, EVEN, VAGUE, BETTER = (0.2, 0.1, 0.3), (0.48, 0.43, 0.53), (0.4, 0.2, 0.6), (0.6, 0.55, 0.65)
LIKED = (0.6, 0.45, 0.75)  # it may well win: to be told apart is not to lose


@pytest.mark.parametrize(
    ("shares", "finding"),
    [
        ((WORSE, WORSE, WORSE, EVEN, EVEN), f"From 8 steps on, {CANNOT_TELL}"),
        ((EVEN, EVEN, EVEN, EVEN, EVEN), f"At any number of steps, {CANNOT_TELL}"),
        ((WORSE, EVEN, WORSE, EVEN, EVEN), f"From 8 steps on, {CANNOT_TELL}"),
        ((WORSE, WORSE, WORSE, VAGUE, EVEN), "From 8 steps on, no preference for 28 steps of final shows yet"),
        ((WORSE, WORSE, WORSE, EVEN, LIKED), "From 8 steps on, no preference for 28 steps of final shows yet"),
        ((WORSE, WORSE), "Raters prefer 28 steps of final to every smaller number"),
        ((EVEN, WORSE), "Raters prefer 28 steps of final to 16"),
        ((WORSE,), "Raters prefer 28 steps of final to 16"),
        ((WORSE, BETTER, EVEN), "Raters prefer final at 8 steps to its 28 steps"),
        ((BETTER, BETTER, EVEN), "Raters prefer final at 4 and 8 steps to its 28 steps"),
        ((None, None), "Too few votes yet to compare step counts of final"),
    ],
)
def test_a_finding_says_what_the_intervals_allow(
    shares: tuple[tuple[float, float, float] | None, ...], finding: str
) -> None:
    assert curve_of(*shares).finding == finding


def test_one_step_is_no_plural() -> None:
    assert curve_of(BETTER, EVEN, steps=(1, 2, 4)).finding == "Raters prefer final at 1 step to its 4 steps"
    assert curve_of(BETTER, BETTER, steps=(1, 2, 4)).finding == "Raters prefer final at 1 and 2 steps to its 4 steps"
    assert replace(curve_of(EVEN, steps=(1, 4)), fewest=Fewest(0.1, 1)).not_worse == (
        "1 step is the fewest surely not worse than 4 by more than 10 points"
    )
