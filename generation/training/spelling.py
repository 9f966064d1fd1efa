"""Spelling on a graphics card: tiny-sd3 goes on with thirty times the pictures, most of them signs.

A CPU's budget draws colours, shapes, places and counts right and no word, first because the T5 encoder of that budget
tells only half of the letters of a word. So a copy of it is trained on first, then the denoiser goes on with what that
copy says: on fresh scenes drawn on all cores, in large batches, each step recorded once and replayed.
"""

from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn
from transformers import T5EncoderModel

from generation.scenes import caption_of, draw, random_scene
from generation.training.components import T5_WIDTH, build_clip_tokenizer, build_t5_tokenizer
from generation.training.dataset import LatentDataset
from generation.training.denoisers import CAPTION_DROPOUT, T5_DROPOUT, MMDiT, dropped
from generation.training.family import Spelling
from generation.training.formulations.formulation import Formulation
from generation.training.loop import Progress
from generation.training.recorded import RecordedTrainer
from generation.training.text_encoders import SEEN, SPELLED, Questions, TextEncoders, TextFeatures, token_ids

SHARES = (0.15, 0.13, 0.12, 0.60)
"""Of single things, pairs, several and signs."""
LEARNING_RATE = 1.5e-3
COOL_DOWN = 0.5
SEED = 20_30
ENCODED_AT_ONCE = 2_048


@dataclass(frozen=True)
class Spelled:
    """What came out: weights of the T5 encoder and averaged weights of the denoiser, by name."""

    t5: dict[str, torch.Tensor]
    denoiser: dict[str, torch.Tensor]


def train_spelling(
    folder: Path,
    *,
    plan: Spelling,
    denoiser: MMDiT,
    encoders: TextEncoders,
    vae: AutoencoderKL,
    formulation: Formulation,
    processes: int,
) -> Generator[Progress, None, Spelled]:
    """Scenes into `folder`, then the T5 encoder of `encoders`, then the denoiser; both are changed in place."""
    total = plan.shards + plan.t5_steps + plan.steps
    device = str(vae.device)
    if vae.device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    for now in draw_shards(folder, shards=plan.shards, scenes=plan.scenes, processes=processes):
        yield replace(now, steps=total)
    scenes = load_shards(folder, shards=plan.shards, device=device)
    speller = Speller(encoders.t5.requires_grad_(True)).to(device).train()
    trainer = t5_trainer(speller, scenes, batch=plan.batch)
    for now in trainer.run(steps=plan.t5_steps, cool_down=COOL_DOWN):
        yield replace(now, step=plan.shards + now.step, steps=total)
    trainer.take_average()
    encoders.t5.eval().requires_grad_(False)
    data = encoded(scenes, vae=vae, encoders=encoders)
    del scenes, trainer
    trainer = denoiser_trainer(denoiser.train(), formulation=formulation, data=data, batch=plan.batch)
    for now in trainer.run(steps=plan.steps, cool_down=COOL_DOWN):
        yield replace(now, step=total - plan.steps + now.step, steps=total)
    trainer.take_average()
    return Spelled(_weights_of(encoders.t5), _weights_of(denoiser))


def _weights_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu() for name, value in module.state_dict().items()}


def draw_shards(folder: Path, *, shards: int, scenes: int, processes: int) -> Iterator[Progress]:
    """Draw what is missing of `shards` files of scenes: pictures and their captions' tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [shard for shard in range(shards) if not _file(folder, shard).exists()]
    done = shards - len(missing)
    yield Progress(done, shards, float("nan"), float("nan"))
    tasks = [folder] * len(missing), missing, [scenes] * len(missing)
    with ExitStack() as stack:
        act: Any = map
        if processes > 1:
            act = stack.enter_context(ProcessPoolExecutor(processes, mp_context=get_context("spawn"))).map
        for _ in act(_draw_shard, *tasks):
            done += 1
            yield Progress(done, shards, float("nan"), float("nan"))


def _file(folder: Path, shard: int) -> Path:
    return folder / f"{shard:04}.npz"


def _draw_shard(folder: Path, shard: int, count: int) -> None:
    rng = np.random.default_rng([SEED, shard])
    scenes = [random_scene(rng, shares=SHARES) for _ in range(count)]
    pictures = np.stack([draw(scene, rng=rng) for scene in scenes])
    clip_ids, t5_ids = token_ids(build_clip_tokenizer(), build_t5_tokenizer(), [caption_of(scene) for scene in scenes])
    answers = Questions(SEEN | SPELLED, T5_WIDTH).numbered(scenes)
    temporary = folder / f"{shard:04}.tmp.npz"
    np.savez(temporary, pictures=pictures, clip_ids=clip_ids.numpy(), t5_ids=t5_ids.numpy(), answers=answers.numpy())
    temporary.replace(_file(folder, shard))


@dataclass(frozen=True)
class ManyScenes:
    """Scenes on a device: pictures uint8 (n, 3, 64, 64), tokens (n, 16) and (n, 18), answers (n, questions)."""

    pictures: torch.Tensor
    clip_ids: torch.Tensor
    t5_ids: torch.Tensor
    answers: torch.Tensor


def load_shards(folder: Path, *, shards: int, device: str) -> ManyScenes:
    """All scenes of the shards, as they were drawn."""
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in ("pictures", "clip_ids", "t5_ids", "answers")}
    for shard in range(shards):
        with np.load(_file(folder, shard), allow_pickle=False) as kept:
            for name, tensors in parts.items():
                tensors.append(torch.from_numpy(kept[name]).to(device))
    scenes = {name: torch.cat(tensors) for name, tensors in parts.items()}
    return ManyScenes(**scenes | {"pictures": scenes["pictures"].permute(0, 3, 1, 2)})


@torch.no_grad()
def encoded(scenes: ManyScenes, *, vae: AutoencoderKL, encoders: TextEncoders) -> LatentDataset:
    """Latents and captions' features of the scenes, in half precision."""
    latents, features = [], []
    for some in torch.arange(len(scenes.t5_ids), device=scenes.t5_ids.device).split(ENCODED_AT_ONCE):
        pictures = scenes.pictures[some].float() / 127.5 - 1.0
        latents.append((vae.encode(pictures).latent_dist.mean * vae.config.scaling_factor).half())
        features.append(encoders.of_ids(scenes.clip_ids[some], scenes.t5_ids[some]).half())
    return LatentDataset(torch.cat(latents), TextFeatures.cat(features), encoders([""]).half())


class Speller(nn.Module):
    """A T5 encoder and the questions it is trained on; the questions are thrown away."""

    def __init__(self, t5: T5EncoderModel) -> None:
        super().__init__()
        self.t5 = t5
        self.questions = Questions(SEEN | SPELLED, T5_WIDTH)


def t5_trainer(speller: Speller, scenes: ManyScenes, *, batch: int) -> RecordedTrainer:
    """The trainer of a T5 encoder on what captions say, letter by letter."""
    torch.manual_seed(SEED)
    count, device = len(scenes.t5_ids), scenes.t5_ids.device

    def loss_of() -> torch.Tensor:
        rows = torch.randint(count, (batch,), device=device)
        return speller.questions.loss_of(speller.t5(scenes.t5_ids[rows])[0], scenes.answers[rows])

    return RecordedTrainer(speller, loss_of, learning_rate=LEARNING_RATE)


def denoiser_trainer(denoiser: MMDiT, *, formulation: Formulation, data: LatentDataset, batch: int) -> RecordedTrainer:
    """The trainer of a denoiser on scenes that lie on its device."""
    device = data.latents.device
    torch.manual_seed(SEED)
    # The device's own generator, which a recorded step moves on; on a CPU, the CPU's.
    generator = torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator
    if device.type == "cuda":
        denoiser.transformer.compile(dynamic=False)

    def loss_of() -> torch.Tensor:
        rows = torch.randint(len(data), (batch,), device=device)
        latents = data.latents[rows].float()
        without_caption = torch.rand(batch, device=device) < CAPTION_DROPOUT
        without_t5 = torch.rand(batch, device=device) < T5_DROPOUT
        captions = dropped(data.features.of(rows), data.empty, without_caption=without_caption, without_t5=without_t5)
        t = formulation.sample_times(batch, generator)
        noise = torch.randn_like(latents)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            return formulation.losses(lambda shown, time: denoiser(shown, time, captions), latents, noise, t).mean()

    return RecordedTrainer(denoiser, loss_of, learning_rate=LEARNING_RATE)
