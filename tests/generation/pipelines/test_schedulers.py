"""Schedulers: every row of the table against the installed classes, the evaluations counted, misfits refused."""

import inspect
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch

from generation.errors import GenerationError
from generation.pipelines.loading import class_at
from generation.pipelines.sampling import sample
from generation.pipelines.schedules import ResolvedSchedule, ScheduleSpec, resolve
from generation.scheduler_kinds import SCHEDULERS, SPACINGS_OF_SIGMAS
from generation.schedules import few_step_sigmas
from tests.generation.pipelines.test_families import PIPELINES, SIZE, direct_call, pipeline_of, request_of

EVALUATIONS: Final = {"HeunDiscreteScheduler": 7, "FlowMatchHeunDiscreteScheduler": 7}
"""For four steps, where it is not four."""


def spec_of(
    scheduler_class: str,
    steps: int = 4,
    *,
    shift: float | None = None,
    sigmas: tuple[float, ...] | None = None,
    **options: Any,
) -> ScheduleSpec:
    return ScheduleSpec(scheduler_class, steps, shift, sigmas, tuple(sorted(options.items())))


def resolved(folders: Path, name: str, spec: ScheduleSpec, **changes: Any) -> ResolvedSchedule:
    return resolve(folder=folders / name, spec=spec, pipeline_class=PIPELINES[name], **SIZE | changes)


@pytest.mark.parametrize("scheduler_class", SCHEDULERS)
def test_the_table_says_of_each_class_what_the_installed_one_says(scheduler_class: str) -> None:
    kind = SCHEDULERS[scheduler_class]
    stock = class_at(kind.dotted)
    known = set(inspect.signature(stock.__init__).parameters)
    assert set(kind.options) <= known
    assert {kind.shift_option} - {""} <= known
    assert ("use_flow_sigmas" in known) == (kind.samples == "both")
    assert ("sigmas" in inspect.signature(stock.set_timesteps).parameters) == kind.takes_sigmas
    scheduler = stock()
    scheduler.set_timesteps(4)
    assert len(scheduler.timesteps) == EVALUATIONS.get(scheduler_class, 13 if "PNDM" in scheduler_class else 4)
    assert hasattr(scheduler, "scale_model_input") == (kind.samples != "flow")
    if kind.samples != "flow":
        probe = torch.ones(1, 1, 2, 2)
        is_left_alone = torch.equal(scheduler.scale_model_input(probe, scheduler.timesteps[0]), probe)
        assert (is_left_alone and float(scheduler.init_noise_sigma) == 1.0) == (not kind.scales_input)


NOISE: Final = [name for name, kind in SCHEDULERS.items() if kind.samples != "flow"]
DRAWING: Final = [name for name in NOISE if SCHEDULERS[name].draws_noise]


@pytest.mark.parametrize(
    ("name", "scheduler_class"),
    [*(("sd15", kind) for kind in NOISE), *(("sdxl", kind) for kind in DRAWING), *(("pixart", k) for k in DRAWING)],
)
def test_pipelines_that_pass_generators_take_every_scheduler_of_noise(
    name: str, scheduler_class: str, family_folders: Path
) -> None:
    loaded, spec = pipeline_of(family_folders, name), spec_of(scheduler_class)
    before = torch.get_rng_state()
    sampled = sample(loaded, request_of(name, spec))
    assert torch.equal(before, torch.get_rng_state())
    assert sampled.schedule == resolved(family_folders, name, spec)
    assert len(sampled.schedule.sigmas) == len(sampled.schedule.timesteps) + 1
    # The noise of an image comes from its own generator: neighbours do not matter.
    turned = sample(loaded, request_of(name, spec, prompts=("a green star", "a red circle"), seeds=(6, 5)))
    assert np.array_equal(sampled.pictures, turned.pictures[::-1])


NOISE_ON_SD3: Final = [
    spec_of("DDIMScheduler"),
    spec_of("PNDMScheduler", skip_prk_steps=True),
    spec_of("DPMSolverMultistepScheduler"),
    spec_of("DPMSolverMultistepScheduler", solver_order=3, use_karras_sigmas=True),
    spec_of("DPMSolverSinglestepScheduler"),
    spec_of("UniPCMultistepScheduler"),
]
FLOW_ON_SD3: Final = [
    spec_of("FlowMatchEulerDiscreteScheduler", sigmas=tuple(few_step_sigmas(4)), shift=1.5),
    spec_of("FlowMatchHeunDiscreteScheduler"),
    spec_of("DPMSolverMultistepScheduler", shift=2.0),
    spec_of("DPMSolverMultistepScheduler", use_dynamic_shifting=True),
    spec_of("DPMSolverSinglestepScheduler", solver_order=1, lower_order_final=True),
    spec_of("UniPCMultistepScheduler", sigmas=tuple(few_step_sigmas(4)), shift=1.0),
]


@pytest.mark.parametrize(
    ("name", "spec"),
    [*(("sd3-eps", spec) for spec in NOISE_ON_SD3), *(("sd3-v", spec) for spec in NOISE_ON_SD3)]
    + [("sd3-t5", spec) for spec in FLOW_ON_SD3],
)
def test_sd3_is_sampled_by_what_needs_no_scaling(name: str, spec: ScheduleSpec, family_folders: Path) -> None:
    loaded = pipeline_of(family_folders, name)
    sampled = sample(loaded, request_of(name, spec))
    assert sampled.schedule == resolved(family_folders, name, spec)
    assert np.array_equal(sampled.pictures, sample(loaded, request_of(name, spec)).pictures)
    prediction = sampled.scheduler_config.get("prediction_type", "flow_prediction")
    assert prediction == {"sd3-eps": "epsilon", "sd3-v": "v_prediction", "sd3-t5": "flow_prediction"}[name]


def test_the_checkpoints_betas_stay_and_a_schedule_overrides_the_rest(family_folders: Path) -> None:
    own, other = spec_of("DDIMScheduler"), spec_of("DPMSolverMultistepScheduler", solver_order=1)
    ours, theirs = (resolved(family_folders, "sd3-v", spec) for spec in (own, other))
    assert ours.timesteps == theirs.timesteps == [999.0, 749.0, 499.0, 249.0]
    # DDIM keeps no sigmas: derived from the betas, they are those that DPM++ states.
    assert ours.sigmas == pytest.approx(theirs.sigmas, rel=1e-4)
    leading = resolved(family_folders, "sd3-v", spec_of("DDIMScheduler", timestep_spacing="leading"))
    assert leading.timesteps == [750.0, 500.0, 250.0, 0.0]


def test_first_order_dpm_is_ddim_on_an_sd3_that_predicts_noise(family_folders: Path) -> None:
    loaded = pipeline_of(family_folders, "sd3-eps")
    ddim, dpm = (
        sample(loaded, request_of("sd3-eps", spec)).pictures
        for spec in (
            spec_of("DDIMScheduler", clip_sample=False),
            spec_of("DPMSolverMultistepScheduler", solver_order=1),
        )
    )
    assert np.abs(np.asarray(ddim, int) - np.asarray(dpm, int)).max() <= 2


def test_a_schedule_that_ends_in_pure_noise_has_a_number_for_it(family_folders: Path) -> None:
    spec = spec_of("DDIMScheduler", rescale_betas_zero_snr=True)
    assert resolved(family_folders, "sd3-v", spec).sigmas[0] == pytest.approx(4096, rel=1e-3)


def test_explicit_sigmas_of_noise_are_used_as_they_are(family_folders: Path) -> None:
    spec = spec_of("EulerDiscreteScheduler", 3, sigmas=(10.0, 2.0, 0.5))
    sampled = sample(pipeline_of(family_folders, "sd15"), request_of("sd15", spec))
    assert sampled.schedule.sigmas == [10.0, 2.0, 0.5, 0.0]
    assert sampled.schedule == resolved(family_folders, "sd15", spec)


def test_the_flow_shift_is_the_checkpoints_until_a_schedule_says_otherwise(family_folders: Path) -> None:
    def shifted(shift: float) -> list[float]:
        plain = [1 - (1 - 0.001) * k / 4 for k in range(1, 5)]
        return [*(shift * (1 - a) / (1 + (shift - 1) * (1 - a)) for a in reversed(plain)), 0.0]

    own, two = (
        resolved(family_folders, "sd3-t5", spec_of("DPMSolverMultistepScheduler", shift=shift)) for shift in (None, 2.0)
    )
    assert own.sigmas == pytest.approx(shifted(3.0), abs=1e-5)
    assert two.sigmas == pytest.approx(shifted(2.0), abs=1e-5)


def test_flux_shifts_by_size_and_uses_sigmas_of_its_own(family_folders: Path) -> None:
    small, large = (
        resolved(family_folders, "flux", spec_of("FlowMatchEulerDiscreteScheduler"), width=side, height=side)
        for side in (16, 256)
    )
    assert small.sigmas != large.sigmas
    fixed = resolved(family_folders, "flux", spec_of("FlowMatchEulerDiscreteScheduler", shift=1.0))
    assert fixed.sigmas == [1, 0.75, 0.5, 0.25, 0]
    dynamic = spec_of("DPMSolverMultistepScheduler", use_dynamic_shifting=True)
    sampled = sample(pipeline_of(family_folders, "flux"), request_of("flux", dynamic))
    assert sampled.schedule == resolved(family_folders, "flux", dynamic)


def test_a_spacing_of_the_schedule_replaces_that_of_the_checkpoint() -> None:
    from generation.pipelines.schedules import build_scheduler

    pristine = {"use_karras_sigmas": True, "_class_name": "DPMSolverMultistepScheduler"}
    scheduler = build_scheduler(spec_of("DPMSolverMultistepScheduler", use_beta_sigmas=True), pristine)
    assert [scheduler.config[name] for name in SPACINGS_OF_SIGMAS] == [False, False, True, False]


SD3_NEEDS = "needs the network's input scaled, and StableDiffusion3Pipeline never does that; choose one of Flow"
NO_NOISE = "draws random numbers at every step, and StableDiffusion3Pipeline hands it no generator"


@pytest.mark.parametrize(
    ("name", "spec", "sentence"),
    [
        ("sd3-eps", spec_of("EulerDiscreteScheduler"), SD3_NEEDS),
        ("sd3-eps", spec_of("HeunDiscreteScheduler"), SD3_NEEDS),
        ("sd3-eps", spec_of("LMSDiscreteScheduler"), SD3_NEEDS),
        ("sd3-eps", spec_of("EulerAncestralDiscreteScheduler"), SD3_NEEDS),
        ("sd3-eps", spec_of("DDPMScheduler"), NO_NOISE),
        ("sd3-eps", spec_of("LCMScheduler"), NO_NOISE),
        ("sd3-eps", spec_of("DPMSolverMultistepScheduler", algorithm_type="sde-dpmsolver++"), NO_NOISE),
        ("sd3-eps", spec_of("FlowMatchEulerDiscreteScheduler"), "predicts no flow, so FlowMatchEuler"),
        ("sd3-eps", spec_of("DPMSolverMultistepScheduler", use_flow_sigmas=True), "predicts no flow, so DPMSolver"),
        ("sd3-eps", spec_of("DPMSolverMultistepScheduler", shift=2.0), "A shift moves the sigmas of a flow"),
        ("sd3-t5", spec_of("DDIMScheduler"), "predicts a flow, and DDIMScheduler as configured here"),
        ("sd3-t5", spec_of("DPMSolverMultistepScheduler", prediction_type="epsilon"), "predicts a flow, and DPM"),
        ("sd15", spec_of("FlowMatchEulerDiscreteScheduler"), "asks its scheduler to scale the network's input"),
        ("flux", spec_of("FlowMatchHeunDiscreteScheduler"), "hands its scheduler explicit sigmas"),
        ("flux", spec_of("DPMSolverMultistepScheduler", shift=2.0), "always shifts by the picture's size"),
        ("sd15", spec_of("UniPCMultistepScheduler", sigmas=(1.0, 0.8, 0.5, 0.1)), "cannot make 4 steps: Passing `sig"),
        ("sd15", spec_of("DPMSolverMultistepScheduler", algorithm_type="dpmsolver"), "cannot be built with these opt"),
    ],
)
def test_what_would_draw_noise_or_never_the_same_again_is_refused(
    name: str, spec: ScheduleSpec, sentence: str, family_folders: Path
) -> None:
    with pytest.raises(GenerationError) as caught:
        resolved(family_folders, name, spec)
    assert sentence in str(caught.value)


def test_noise_between_steps_of_ddim_needs_generators(family_folders: Path) -> None:
    spec = spec_of("DDIMScheduler")
    resolved(family_folders, "sd15", spec, call_options={"eta": 0.5})
    with pytest.raises(GenerationError, match="draws random numbers at every step"):
        resolved(family_folders, "sd3-eps", spec, call_options={"eta": 0.5})


def test_a_correction_of_the_pipeline_class_is_part_of_the_resolved_schedule(
    family_folders: Path, tmp_path: Path
) -> None:
    import json
    import shutil

    # StableDiffusionPipeline sets steps_offset to 1 in every scheduler that it is made with.
    folder = shutil.copytree(family_folders / "sd15", tmp_path / "sd15")
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"steps_offset": 0}))
    spec = spec_of("PNDMScheduler", 3)
    sampled = sample(pipeline_of(tmp_path, "sd15"), request_of("sd15", spec))
    assert sampled.schedule == resolve(folder=folder, spec=spec, pipeline_class="StableDiffusionPipeline", **SIZE)
    assert np.array_equal(sampled.pictures, direct_call(folder, "sd15"))
