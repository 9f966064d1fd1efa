"""How a model of each formulation is sampled: the stock diffusers scheduler that undoes its forward process.

StableDiffusion3Pipeline starts from N(0, 1), hands each timestep to the transformer as it is and never calls
`scale_model_input`. So the scheduler's timesteps must be the `network_time` of training, and z must need no scaling.
"""

from typing import Final

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SchedulerMixin,
)

from generation.training.formulations.formulation import Formulation
from generation.training.formulations.processes import GRID, Cosine, LatentDiffusionLinear, RectifiedFlow
from generation.training.formulations.targets import Noise, Velocity, VPrediction

_PREDICTION_TYPES: Final[dict[type[object], str]] = {Noise: "epsilon", VPrediction: "v_prediction"}


def cosine_betas() -> list[float]:
    """Betas whose alphas_cumprod at timestep k is cos^2(pi/2 * k/1000): the timestep is 1000 t, as in training.

    The grid ends at t = .999 (a = .0016: noise for every purpose), so no beta needs a cap. At k = 0 the formula gives
    beta 0 and DDIM would divide by it; 1e-6 stands for t = .0006, less than a grid step away.
    """
    t = torch.arange(GRID, dtype=torch.float64) / GRID
    squared = torch.cos(torch.pi / 2 * t).square()
    squared[0] = 1 - 1e-6
    before = torch.cat([torch.ones(1, dtype=torch.float64), squared[:-1]])
    betas: list[float] = (1 - squared / before).tolist()
    return betas


def _betas_of(formulation: Formulation) -> dict[str, object]:
    process = formulation.process
    if isinstance(process, LatentDiffusionLinear):
        return {"beta_schedule": "scaled_linear", "beta_start": process.first_beta, "beta_end": process.last_beta}
    if isinstance(process, Cosine):
        return {"trained_betas": cosine_betas()}
    raise ValueError(
        f"StableDiffusion3Pipeline cannot sample {formulation.name}: the network of this formulation sees scaled input,"
        " and the pipeline does not scale it."
    )


def variance_preserving_options(formulation: Formulation) -> dict[str, object]:
    """The options that tell DDIM, DPM++ and Euler of diffusers about an eps- or v-predicting formulation.

    Raises:
        ValueError: the network wants scaled input (EDM), or no stock scheduler knows the target.
    """
    betas = _betas_of(formulation)
    prediction_type = _PREDICTION_TYPES.get(type(formulation.target))
    if prediction_type is None:
        raise ValueError(f"No stock scheduler samples the target of {formulation.name}.")
    return {
        **betas,
        "num_train_timesteps": GRID,
        "prediction_type": prediction_type,
        "timestep_spacing": "trailing",
    }


def scheduler_for(formulation: Formulation) -> SchedulerMixin:
    """The scheduler to store with a model of this formulation: Euler steps for rectified flow, DDIM's for the others.

    DDIM's steps are taken by DPM-Solver++ of order 1, which is the same update (Lu et al., 2211.01095, section 4.1).
    DDIMScheduler itself steps to `t - 1000 // steps` while its next timestep is `1000 / steps` lower, so with 28 steps
    every picture keeps noise that the network is not told of; for step counts that divide 1000 the two agree.

    Raises:
        ValueError: no stock scheduler undoes the process without scaling the network's input (EDM).
    """
    scheduler: SchedulerMixin
    if isinstance(formulation.process, RectifiedFlow) and isinstance(formulation.target, Velocity):
        scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=GRID, shift=1.0)
    else:
        scheduler = DPMSolverMultistepScheduler(**variance_preserving_options(formulation), solver_order=1)
    return scheduler


def ddim_scheduler_for(formulation: Formulation) -> DDIMScheduler:
    """DDIMScheduler itself, as latent diffusion was published with; see `scheduler_for` for its step counts."""
    return DDIMScheduler(**variance_preserving_options(formulation), clip_sample=False, set_alpha_to_one=True)


def samplers_for(formulation: Formulation) -> dict[str, SchedulerMixin]:
    """The samplers that latent diffusion is usually drawn with, by name, for a pipeline that scales its input.

    Raises:
        ValueError: as `variance_preserving_options` does.
    """
    options = variance_preserving_options(formulation)
    return {
        "DDIM": ddim_scheduler_for(formulation),
        "Euler": EulerDiscreteScheduler(**options),
        "DPM++": DPMSolverMultistepScheduler(**options, solver_order=2),
    }
