"""From training states to shipped checkpoints: the stock pipeline in half precision, its facts, and its model card."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import StableDiffusion3Pipeline

from generation.training.components import T5_TOKENS
from generation.training.evaluation import Quality, evaluate
from generation.training.latents import fit_patch_basis
from generation.training.tiny_sd3 import BATCH, TextToVelocity, fresh_pipeline, held_out_loss

STEP_COUNTS = (1, 4, 16, 28)


@dataclass(frozen=True)
class CheckpointFacts:
    """What `checkpoint.json` says beside the weights; `add_checkpoint` reads it."""

    name: str
    licence: str
    loss_family: str
    validation_loss: float
    training_step: int
    parameters: int
    call_options: dict[str, int]


def assemble(
    *, transformer_weights: dict[str, torch.Tensor], decoder_weights: dict[str, torch.Tensor]
) -> StableDiffusion3Pipeline:
    """The pipeline with these trained weights, in float32."""
    pipeline = fresh_pipeline()
    TextToVelocity(pipeline).load_state_dict(transformer_weights)
    pipeline.vae.decoder.load_state_dict(decoder_weights)
    return pipeline


def export_checkpoint(
    pipeline: StableDiffusion3Pipeline, *, name: str, step: int, folder: Path, examples: int = 200
) -> dict[int, Quality]:
    """Write weights, facts and card to `folder`; returns the quality on held-out captions by step count."""
    model = TextToVelocity(pipeline).eval()
    loss = held_out_loss(model, fit_patch_basis())
    parameters = sum(
        weight.numel()
        for part in (pipeline.transformer, pipeline.text_encoder, pipeline.text_encoder_2, pipeline.vae)
        for weight in part.parameters()
    )
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    # What is measured is what is shipped: the rounded weights, read back.
    shipped = load_shipped(folder)
    quality = {steps: evaluate(shipped, steps=steps, count=examples) for steps in STEP_COUNTS}
    facts = CheckpointFacts(
        name=name,
        licence="Apache-2.0",
        loss_family="rf/lognorm(0,1)",
        validation_loss=round(loss, 5),
        training_step=step,
        parameters=parameters,
        call_options={"max_sequence_length": T5_TOKENS},
    )
    (folder / "checkpoint.json").write_text(json.dumps(asdict(facts), indent=2) + "\n")
    (folder / "README.md").write_text(model_card(facts, quality, examples=examples))
    return quality


def load_shipped(folder: Path) -> StableDiffusion3Pipeline:
    """The shipped pipeline, computing in float32."""
    pipeline = StableDiffusion3Pipeline.from_pretrained(
        folder,
        text_encoder_3=None,
        tokenizer_3=None,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
    )
    # Once more: without accelerate, diffusers leaves the transformer in the type of its file.
    pipeline.to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def model_card(facts: CheckpointFacts, quality: dict[int, Quality], *, examples: int) -> str:
    """What this is, what it was made of, and what it can do."""
    rows = "\n".join(_row(steps, measured) for steps, measured in quality.items())
    return f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---
# {facts.name}

A Stable Diffusion 3 in miniature: the stock `StableDiffusion3Pipeline` with an MM-DiT, two CLIP text encoders, no third
encoder, and an f=4 autoencoder with 12 latent channels; {facts.parameters / 1e6:.1f} million parameters. It draws
64 x 64 pictures of coloured shapes and signs and exists so that Winrate can be tried and tested on a CPU.

- **Data**: scenes drawn by `generation/scenes`, captions of its grammar. 5 % of all captions (chosen by hash) and all
  signs with the held-out words were never seen in training.
- **Training**: {facts.loss_family}, {facts.training_step:,} steps of {BATCH} pictures on one or two CPU cores, Muon and
  AdamW, EMA 0.999, 10 % caption dropout; `python manage.py train_demo_models`. Latents are fixed (patch PCA), the
  decoder learned to paint them; the autoencoder's encoder was not trained: do not use it.
- **Validation loss**: {facts.validation_loss} ({facts.loss_family}; noise levels equidistant in t, averaged, on 256
  held-out scenes, after SD3, arXiv 2403.03206, section 5.3).
- **Sampling**: `max_sequence_length={T5_TOKENS}`, guidance 3, explicit sigmas `linspace(1, 1/N, N)`.
- **Licence**: Apache-2.0, weights and data.

What the picture checker (`generation/scenes/checker.py`) sees on {examples} held-out captions, a quarter of them signs,
guidance 3. Background, colours, place and shape: share of captions where they are right; words: share of signs spelled
exactly; letters: share of letters that read right.

| steps | background | colours | place | shape | words | letters |
|---|---|---|---|---|---|---|
{rows}
"""


def _row(steps: int, q: Quality) -> str:
    shares = (q.background, q.colours, q.place, q.shape, q.words, q.letters)
    return f"| {steps} | " + " | ".join(f"{share:.0%}" for share in shares) + " |"
