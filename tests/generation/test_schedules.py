"""Schedules as data: equal data is one row, wrong data is refused with what to do."""

from typing import Any

import numpy as np
import pytest

from generation.errors import GenerationError
from generation.models import Schedule
from generation.schedules import few_step_sigmas, get_schedule


def test_few_step_sigmas_are_linspace_in_single_precision() -> None:
    assert few_step_sigmas(1) == [1.0]
    assert few_step_sigmas(2) == [1.0, 0.5]
    for steps in range(1, 129):
        expected = np.linspace(1, 1 / steps, steps).astype(np.float32)
        assert np.array_equal(np.asarray(few_step_sigmas(steps), dtype=np.float32), expected)


@pytest.mark.django_db
def test_equal_data_is_one_row() -> None:
    first = get_schedule(steps=2, shift=3, sigmas=[1, 0.5])
    assert get_schedule(steps=2, shift=3.0, sigmas=(1.0, 0.5), options={}) == first
    others = [get_schedule(steps=2, shift=3), get_schedule(steps=2, sigmas=[1, 0.5]), get_schedule(steps=1, shift=3)]
    assert len({schedule.pk for schedule in [first, *others]}) == Schedule.objects.count() == 4


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"scheduler_class": "os.system", "steps": 4}, "'os.system' is not known; choose one of FlowMatchEuler"),
        ({"steps": 0}, "steps must lie between 1 and 1000, not 0"),
        ({"steps": 10**9}, "steps must lie between"),
        ({"steps": 4, "shift": float("nan")}, "shift must be a number above 0"),
        ({"steps": 4, "shift": 0}, "shift must be a number above 0"),
        ({"steps": 2, "sigmas": [1.0]}, "2 steps need 2 sigmas, not 1"),
        ({"steps": 2, "sigmas": [0.5, 0.5]}, "Sigmas must fall"),
        ({"steps": 2, "sigmas": [1.5, 0.5]}, "lies above 0 and at most at 1"),
        ({"steps": 2, "options": {"stochastic_sampling": True}}, "no option 'stochastic_sampling'"),
        ({"steps": 2, "sigmas": [1, 0.5], "scheduler_class": "FlowMatchHeunDiscreteScheduler"}, "takes no explicit"),
        (
            {"steps": 2, "options": {"use_karras_sigmas": True, "use_beta_sigmas": True}},
            "exclude each other; leave one",
        ),
        ({"steps": 2, "options": {"use_karras_sigmas": 1}}, "use_karras_sigmas of Flow.* must be true or false, not 1"),
        ({"steps": 2, "shift": 2.0, "options": {"use_dynamic_shifting": True}}, "leave one out"),
        ({"steps": 2, "shift": 2.0, "scheduler_class": "DDIMScheduler"}, "DDIMScheduler has no shift; leave it out"),
        (
            {"steps": 2, "scheduler_class": "DPMSolverMultistepScheduler", "options": {"solver_order": 4}},
            "solver_order of DPMSolverMultistepScheduler must be a whole number from 1 to 3, not 4",
        ),
        (
            {"steps": 2, "scheduler_class": "DDIMScheduler", "options": {"timestep_spacing": "even"}},
            "timestep_spacing of DDIMScheduler must be one of linspace, leading, trailing, not 'even'",
        ),
        (
            {"steps": 2, "scheduler_class": "EulerDiscreteScheduler", "sigmas": [10**6, 1]},
            "schedule of noise lies above 0 and at most at 10000",
        ),
    ],
)
def test_wrong_schedules_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GenerationError, match=sentence):
        get_schedule(**wrong)
    assert not Schedule.objects.exists()
