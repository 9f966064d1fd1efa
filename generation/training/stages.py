"""The stages of a training run in a work folder; each goes on where it was stopped, or ends at once."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL

from generation.pipelines.environment import device_name
from generation.training import family
from generation.training.adapter import train_adapter, with_adapter
from generation.training.autoencoder import fresh_vae, train_autoencoder, train_decoder
from generation.training.components import build_vae
from generation.training.dataset import LatentDataset, load_dataset, prepare_dataset
from generation.training.denoisers import Denoiser, MMDiT, fresh_denoiser, train_denoiser
from generation.training.family import Member
from generation.training.formulations.formulation import formulation
from generation.training.loop import Progress
from generation.training.spelling import train_spelling
from generation.training.text_encoders import TextEncoders, fresh_text_encoders, train_text_encoders


@dataclass(frozen=True)
class Workshop:
    """A folder of training states, and the device to train on."""

    folder: Path
    device: str = "cpu"

    def vae(self) -> AutoencoderKL:
        """The encoder as it was fixed, scaled so that latents have unit deviation; the newest decoder."""
        scale_file = self.folder / "scale.pt"
        vae = fresh_vae()
        vae.load_state_dict(_average(self.folder / "autoencoder.pt"))
        if not scale_file.exists():
            torch.save(_latent_scale(vae), scale_file)
        scaled = build_vae(scaling_factor=round(1 / float(torch.load(scale_file, weights_only=True)), 4))
        scaled.load_state_dict(vae.state_dict())
        if (self.folder / "decoder.pt").exists():
            scaled.decoder.load_state_dict(_average(self.folder / "decoder.pt"))
        return scaled.to(self.device).eval().requires_grad_(False)

    def own_t5(self, checkpoint: str) -> Path:
        """The file of a T5 encoder that only this checkpoint has; most have none."""
        return self.folder / f"{checkpoint}-t5.pt"

    def spelling_of(self, checkpoint: str) -> dict[str, Any]:
        """How a checkpoint learnt to spell, for its card; {} for one that did not."""
        file = self.own_t5(checkpoint)
        told: dict[str, Any] = torch.load(file, weights_only=True)["told"] if file.exists() else {}
        return told

    def text_encoders(self, checkpoint: str = "") -> TextEncoders:
        """The encoders as they were fixed; for a checkpoint that has a T5 encoder of its own, with that one."""
        model = fresh_text_encoders()
        model.load_state_dict(_average(self.folder / "text_encoders.pt"))
        if checkpoint and self.own_t5(checkpoint).exists():
            model.encoders.t5.load_state_dict(torch.load(self.own_t5(checkpoint), weights_only=True)["weights"])
        return model.encoders.to(self.device).eval().requires_grad_(False)

    def dataset(self) -> LatentDataset:
        """The prepared scenes."""
        return load_dataset(self.folder / "dataset.pt", device=self.device)

    def denoiser(self, member: Member, *, checkpoint: str) -> Denoiser:
        """A member's averaged weights: its own name is the newest state, another one of its earlier checkpoints."""
        denoiser = fresh_denoiser(member.denoiser)
        if checkpoint == member.name:
            weights = _average(self.folder / f"{member.name}.pt")
        else:
            weights = torch.load(self.folder / f"{checkpoint}.pt", weights_only=True)
        denoiser.load_state_dict(weights)
        return denoiser.to(self.device).eval()

    def steps_done(self, name: str) -> int:
        """Steps of a stage so far, 0 where it has not begun."""
        file = self.folder / f"{name}.pt"
        return int(torch.load(file, weights_only=True, map_location="cpu", mmap=True)["step"]) if file.exists() else 0

    def warm_from(self, name: str) -> int:
        """The step at which a stage's optimisers began anew, from shipped weights; 0 for a run without such a break."""
        state = torch.load(self.folder / f"{name}.pt", weights_only=True, map_location="cpu", mmap=True)
        return int(state.get("warm_from", 0))


def _average(file: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(file, weights_only=True, map_location="cpu")["average"]
    return weights


def _latent_scale(vae: AutoencoderKL) -> torch.Tensor:
    """The root mean square of latents of a thousand random scenes."""
    import numpy as np

    from generation.training.pictures import random_pictures

    rng = np.random.default_rng(5)
    with torch.no_grad():
        squares = [vae.encode(random_pictures(rng, 100)[0]).latent_dist.mean.square().mean() for _ in range(10)]
    return torch.stack(squares).mean().sqrt()


@dataclass(frozen=True)
class Stage:
    """A piece of work with a name, its size in steps, and what does it."""

    name: str
    steps: int
    run: Callable[[], Iterator[Progress]]


def shared_stages(shop: Workshop) -> list[Stage]:
    """What every member needs: text encoders, autoencoder, data."""
    return [
        Stage(
            "text encoders",
            family.TEXT_STEPS,
            lambda: train_text_encoders(shop.folder / "text_encoders.pt", steps=family.TEXT_STEPS, device=shop.device),
        ),
        Stage(
            "autoencoder",
            family.AUTOENCODER_STEPS,
            lambda: train_autoencoder(
                shop.folder / "autoencoder.pt", steps=family.AUTOENCODER_STEPS, device=shop.device
            ),
        ),
        Stage("scenes", family.SCENES, lambda: _prepare(shop)),
    ]


def decoder_stage(shop: Workshop) -> Stage:
    """The decoder's own training; nothing waits for it but the export."""
    return Stage(
        "decoder",
        family.DECODER_STEPS,
        lambda: train_decoder(shop.folder / "decoder.pt", vae=_trainable(shop.vae()), steps=family.DECODER_STEPS),
    )


def _trainable(vae: AutoencoderKL) -> AutoencoderKL:
    vae.decoder.requires_grad_(True).train()
    return vae


def _prepare(shop: Workshop) -> Iterator[Progress]:
    chunks = prepare_dataset(
        shop.folder / "dataset.pt",
        vae=shop.vae(),
        encoders=shop.text_encoders(),
        scenes=family.SCENES,
        device=shop.device,
    )
    for done in chunks:
        yield Progress(step=done, steps=family.SCENES, loss=float("nan"), seconds_left=float("nan"))


def member_stage(shop: Workshop, member: Member, *, steps: int | None = None) -> Stage:
    """A member's own training, to its budget or to another number of steps."""
    member = replace(member, steps=steps or member.steps)
    if member.base:
        return Stage(member.name, member.steps, lambda: _train_adapter(shop, member))

    def run() -> Iterator[Progress]:
        yield from train_denoiser(
            shop.folder / f"{member.name}.pt",
            denoiser=fresh_denoiser(member.denoiser).to(shop.device),
            formulation=formulation(member.formulation),
            data=shop.dataset(),
            steps=member.steps,
            cool_down=member.cool_down,
            offset_noise=member.offset_noise,
            save_average_at={step: shop.folder / f"{name}.pt" for name, step in member.earlier.items()},
        )

    return Stage(member.name, member.steps, run)


def spelling_stage(shop: Workshop, member: Member) -> Stage:
    """A finished member goes on to learn words; it then has a T5 encoder of its own."""
    plan = member.spelling
    if plan is None:
        raise ValueError(f"{member.name} has no plan for spelling.")

    def run() -> Iterator[Progress]:
        done = shop.steps_done(member.name)
        if done >= member.steps + plan.steps:
            return
        denoiser = shop.denoiser(member, checkpoint=member.name)
        if not isinstance(denoiser, MMDiT):
            raise TypeError(f"{member.name} has no T5 encoder to spell with.")
        spelled = yield from train_spelling(
            shop.folder / "scenes",
            plan=plan,
            denoiser=denoiser,
            encoders=shop.text_encoders(),
            vae=shop.vae(),
            formulation=formulation(member.formulation),
            processes=os.cpu_count() or 1,
        )
        told = {"t5_steps": plan.t5_steps, "steps": plan.steps, "batch": plan.batch, "device": device_name(shop.device)}
        told["scenes"] = plan.shards * plan.scenes
        torch.save({"weights": spelled.t5, "told": told}, shop.own_t5(member.name))
        weights = spelled.denoiser
        state = {"step": done + plan.steps, "warm_from": done, "weights": weights, "average": weights, "optimizers": []}
        torch.save(state, shop.folder / f"{member.name}.pt")

    return Stage(f"{member.name}'s spelling", plan.shards + plan.t5_steps + plan.steps, run)


def _train_adapter(shop: Workshop, member: Member) -> Iterator[Progress]:
    base = shop.denoiser(family.MEMBERS[member.base], checkpoint=member.base)
    if not isinstance(base, MMDiT):
        raise TypeError(f"{member.name} adapts an MM-DiT, and {member.base} is none.")
    yield from train_adapter(
        shop.folder / f"{member.name}.pt",
        denoiser=with_adapter(base),
        formulation=formulation(member.formulation),
        vae=shop.vae(),
        encoders=shop.text_encoders(member.base),
        steps=member.steps,
    )
