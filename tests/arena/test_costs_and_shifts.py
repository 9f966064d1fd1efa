"""Preference against cost and against timestep shift."""

import pytest

from arena.charts import cost_chart, shifts_chart
from arena.charts.rendering import data_of
from arena.costs import priced
from arena.leaderboard import CriterionResults, results_of
from arena.shift_curves import shift_curves
from generation.models import Schedule
from generation.provenance import digest_of
from tests.arena.bulk_votes import bulk_votes
from tests.arena.fit_cases import bare_study, fit_of

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def swept_by_shift(shifts: tuple[float, ...], strengths: list[float]) -> CriterionResults:
    study = bare_study(contenders=len(shifts), prompts=10)
    for contender, shift in zip(study.contenders.order_by("position"), shifts, strict=True):
        contender.recipe.schedule = Schedule.objects.create(
            digest=digest_of(["shift", shift]), scheduler_class="FlowMatchEulerDiscreteScheduler", steps=8, shift=shift
        )
        contender.recipe.save(update_fields=["schedule"])
    bulk_votes(study, raters=20, ballots_per_rater=40, strengths=strengths)
    fit_of(study)
    return results_of(study)[0]


@pytest.mark.once
def test_shifts_are_compared_with_the_least() -> None:
    results = swept_by_shift((3.0, 1.0, 6.0), [1.5, 0.0, 1.4])
    (curve,) = shift_curves(results)
    assert [(level.shift, level.is_reference) for level in curve.levels] == [(1.0, True), (3.0, False), (6.0, False)]
    for level in curve.levels[1:]:
        assert level.against_least == results.between(level.contender, curve.reference.contender)
    assert curve.finding == "Raters prefer colours-0 at shift 3 and 6 to shift 1"
    chart = shifts_chart(results, [curve])
    assert chart is not None
    head, *lines = data_of(chart).decode().splitlines()
    assert head == "curve,shift,preferred_to_least_shift,low,high"
    assert [line.split(",")[1] for line in lines] == ["1.0", "3.0", "6.0"]


@pytest.mark.once
def test_equal_shifts_are_said_to_be_so() -> None:
    (curve,) = shift_curves(swept_by_shift((1.0, 3.0), [0.0, 0.0]))
    assert curve.finding == "No shift of colours-0 is surely preferred to 1"


@pytest.mark.once
def test_the_front_holds_who_nobody_beats_in_both() -> None:
    study = bare_study(contenders=4, prompts=8)
    bulk_votes(study, raters=20, ballots_per_rater=40, strengths=[0.0, 1.5, 0.5, -1.0], tie_share=0.0)
    fit_of(study)
    results = results_of(study)[0]
    recipes = list(study.contenders.order_by("position").values_list("recipe", flat=True))
    # Fast and even; fast enough and best; slower and worse than the best; the fastest and worst.
    points = priced(results, dict(zip(recipes, (1.0, 2.0, 4.0, 0.5), strict=True)))
    assert [(point.row.contender.position, point.is_efficient) for point in points] == [
        (3, True),
        (0, True),
        (1, True),
        (2, False),
    ]
    chart = cost_chart(results, points)
    assert chart is not None
    assert chart.title == ("3 of 4 contenders are not beaten in both speed and preference",)
    assert data_of(chart).decode().splitlines()[-1].endswith(",no")
    assert cost_chart(results, priced(results, {recipes[0]: 1.0, recipes[1]: 2.0})) is None
