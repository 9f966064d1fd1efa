"""The fewest steps not worse than the most, against bounds put together by hand."""

import numpy as np
import pytest
from scipy.stats import t as student

from arena.curves import Fewest, step_curves
from arena.fit_sweeps import MARGINS
from arena.leaderboard import results_of
from arena.models import Study
from arena.not_worse import Margin, fewest_steps, margin_of
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.tallies import tally
from arena.sweeps import sweeps_of
from generation.models import Schedule
from generation.provenance import digest_of
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import STEP_COUNTS
from tests.arena.fit_cases import bare_study, columns, fit_of

pytestmark = pytest.mark.django_db


def swept_study() -> Study:
    """Four step counts of one checkpoint; from 4 steps on nothing changes."""
    study = bare_study(contenders=4, prompts=12)
    bulk_votes(study, raters=30, ballots_per_rater=60, strengths=[-2.0, -0.6, 0.0, 0.0])
    return study


@pytest.mark.once
def test_the_bound_is_that_of_the_joint_errors_and_the_fewest_steps_follow_from_it() -> None:
    study = swept_study()
    results = fit_of(study).results
    (told,) = results["findings"]["sweeps"]
    ids = [entry["id"] for entry in results["contenders"]]
    assert told["contenders"] == list(study.contenders.order_by("-position").values_list("pk", flat=True))
    assert told["levels"] == [float(steps) for steps in STEP_COUNTS[3::-1]]

    votes = columns(study)
    model = fit_model(tally(votes))
    precision = estimate_precision(model, votes)
    strengths, sources = model.strengths, [precision.covariance[:4, :4], model.covariance[:4, :4]]
    quantile = student.ppf(0.95, results["cluster"]["degrees_of_freedom"][0])
    top = ids.index(told["contenders"][0])
    bounds = []
    for pk in told["contenders"][1:]:
        contrast = np.zeros(4)
        contrast[top], contrast[ids.index(pk)] = 1, -1
        # By clusters or as if votes were independent, whichever is less sure.
        variance = max(contrast @ covariance @ contrast for covariance in sources)
        highest = contrast @ strengths + quantile * np.sqrt(variance)
        bounds.append(1 / (1 + np.exp(-highest)))
    np.testing.assert_allclose(told["reference_wins_at_most"][1:], bounds, rtol=1e-6)

    for each in told["fewest"]:
        passed = [bound < 0.5 + each["margin"] for bound in bounds]
        count = passed.index(False) if False in passed else len(passed)
        assert each["steps"] == (told["levels"][count] if count else None)
    assert [each["margin"] for each in told["fewest"]] == list(MARGINS)
    assert told["fewest"][-1]["steps"] == 4  # ten points: four steps are as good, two are not


@pytest.mark.once
def test_any_margin_can_be_asked_for_and_answers_as_the_worker_did() -> None:
    study = swept_study()
    (told,) = fit_of(study).results["findings"]["sweeps"]
    results = results_of(study)[0]
    for each in told["fewest"]:
        (curve,) = step_curves(results, seconds={}, margin=each["margin"])
        assert curve.fewest == Fewest(each["margin"], each["steps"] and int(each["steps"]))
    assert step_curves(results, seconds={}, margin=0.1)[0].not_worse == (
        "4 steps are the fewest surely not worse than 8 by more than 10 points"
    )
    bound = told["reference_wins_at_most"][1]
    (just, below) = (step_curves(results, seconds={}, margin=bound - 0.5 + by)[0] for by in (1e-9, -1e-9))
    assert just.fewest is not None and just.fewest.steps == 4
    assert below.not_worse.startswith("no number below 8 steps is surely not worse by more than ")
    assert [level.loses_at_most for level in just.levels] == [*told["reference_wins_at_most"][:0:-1], None]


def test_steps_beyond_the_first_that_fails_do_not_count() -> None:
    assert fewest_steps([8, 4, 2, 1], [None, 0.52, 0.6, 0.51], 0.05) == 4
    assert fewest_steps([8, 4, 2], [None, None, 0.51], 0.05) is None
    assert fewest_steps([8, 4, 2], [None, 0.52, 0.51], 0.05) == 2


@pytest.mark.parametrize("said", ["0", "nan", "inf", "-3", "41", "five", "1e400", "5" * 400])
def test_a_margin_that_cannot_be_read_shows_the_planned_one_and_says_so(said: str) -> None:
    study = bare_study(contenders=2)
    study.design = study.design | {"planning": {"margin": 0.03}}
    found = margin_of(study, said)
    assert (found.value, found.choice) == (0.03, ())
    assert found.problem.startswith(
        "Shown for the planned 3 points: a margin is a number of points from 0.5 to 40, not"
    )
    assert margin_of(study, "7.5") == Margin(0.075, 0.03)
    assert margin_of(study, "7.5").choice == (("margin", "7.5"),)
    assert margin_of(study) == Margin(0.03, 0.03)


def test_shifts_of_one_checkpoint_and_step_count_are_a_sweep_of_their_own() -> None:
    study = bare_study(contenders=5)
    for position, (steps, shift) in enumerate(((8, 1.0), (8, 3.0), (8, 6.0), (4, 3.0), (4, None))):
        recipe = study.contenders.get(position=position).recipe
        recipe.schedule = Schedule.objects.create(
            digest=digest_of([steps, shift]),
            scheduler_class="FlowMatchEulerDiscreteScheduler",
            steps=steps,
            shift=shift,
        )
        recipe.save(update_fields=["schedule"])
    contenders = study.contenders.select_related("recipe__checkpoint", "recipe__schedule")
    (by_shift,), (by_steps,) = sweeps_of(contenders, "shift"), sweeps_of(contenders, "steps")
    assert (by_shift.levels, [each.position for each in by_shift.contenders]) == ((1.0, 3.0, 6.0), [0, 1, 2])
    assert (by_steps.levels, [each.position for each in by_steps.contenders]) == ((4.0, 8.0), [3, 1])
