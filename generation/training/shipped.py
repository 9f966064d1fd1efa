"""Training states made from shipped checkpoints: a machine without the old states goes on from their weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import nn

from generation.model_folders import read_json
from generation.training.autoencoder import fresh_vae
from generation.training.denoisers import MMDiT, fresh_denoiser
from generation.training.family import AUTOENCODER_STEPS, MEMBERS, TEXT_STEPS
from generation.training.publishing import PARTS
from generation.training.stages import Workshop
from generation.training.text_encoders import fresh_text_encoders

WEIGHTS = "diffusion_pytorch_model.safetensors"


def recover_states(shop: Workshop, models: Path) -> Iterator[str]:
    """Write the states that `shop` lacks from the checkpoints below `models`, yielding one sentence about each.

    Shipped weights are averages rounded to half precision, and no optimiser is shipped: training that goes on from them
    warms up again. Adapters are left out; they are trained in minutes.
    """
    shared = models / "tiny-sd3"
    if not shared.is_dir():
        yield f"{shared} is not there, so nothing can be recovered."
        return
    if not (shop.folder / "autoencoder.pt").exists():
        yield _recover_autoencoder(shop, shared)
    if not (shop.folder / "text_encoders.pt").exists():
        yield _recover_text_encoders(shop, models)
    for member in MEMBERS.values():
        for checkpoint in (*member.earlier, member.name):
            folder, state_file = models / checkpoint, shop.folder / f"{checkpoint}.pt"
            if member.base or state_file.exists() or not folder.is_dir():
                continue
            denoiser = fresh_denoiser(member.denoiser)
            part, name = (
                (denoiser.transformer, "transformer") if isinstance(denoiser, MMDiT) else (denoiser.unet, "unet")
            )
            part.load_state_dict(_single_precision(folder / name / WEIGHTS), strict=False)
            step = int(read_json(folder / "checkpoint.json")["training_step"])
            if checkpoint == member.name:
                _save(denoiser, state_file, step=step)
            else:
                torch.save(denoiser.state_dict(), state_file)
            yield f"{checkpoint}: recovered at step {step:,}"


def _recover_autoencoder(shop: Workshop, shared: Path) -> str:
    vae = fresh_vae()
    shipped: AutoencoderKL = AutoencoderKL.from_pretrained(shared / "vae", use_safetensors=True)
    vae.load_state_dict(shipped.state_dict())
    _save(vae, shop.folder / "autoencoder.pt", step=AUTOENCODER_STEPS)
    torch.save(torch.tensor(1 / float(shipped.config.scaling_factor)), shop.folder / "scale.pt")
    return f"autoencoder: recovered, scaling factor {shipped.config.scaling_factor}"


def _recover_text_encoders(shop: Workshop, models: Path) -> str:
    """The encoders; the questions that trained them are not shipped and stay untrained."""
    model = fresh_text_encoders()
    encoders, shared = model.encoders, models / PARTS
    for encoder, folder in (
        (encoders.clip, shared / "text_encoder"),
        (encoders.small_clip, shared / "text_encoder_2"),
        (encoders.t5, shared / "text_encoder_3"),
    ):
        encoder.load_state_dict(_shipped_weights(encoder, folder))
    _save(model, shop.folder / "text_encoders.pt", step=TEXT_STEPS)
    for name in MEMBERS:
        facts = models / name / "checkpoint.json"
        if facts.exists() and (told := read_json(facts).get("spelling")):
            weights = _shipped_weights(encoders.t5, models / name / "text_encoder_3")
            torch.save({"weights": weights, "told": told}, shop.own_t5(name))
    return "text encoders: recovered"


def _shipped_weights(encoder: Any, folder: Path) -> dict[str, torch.Tensor]:
    shipped = type(encoder).from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
    weights: dict[str, torch.Tensor] = shipped.state_dict()
    return weights


def _single_precision(file: Path) -> dict[str, torch.Tensor]:
    return {name: value.float() for name, value in load_file(file).items()}


def _save(module: nn.Module, state_file: Path, *, step: int) -> None:
    weights = module.state_dict()
    state: dict[str, Any] = {"step": step, "weights": weights, "average": weights, "optimizers": []}
    torch.save(state, state_file)
