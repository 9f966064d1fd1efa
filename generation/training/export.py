"""From training states to shipped checkpoints: half precision, shared parts once, facts, model cards.

A checkpoint's folder looks complete to every reader: the parts it shares with the others are links to the files in
`parts/`.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, StableDiffusion3Pipeline

from generation.training.adapter import save_adapter, with_adapter
from generation.training.assembly import assemble
from generation.training.cards import adapter_card, model_card
from generation.training.components import T5_TOKENS
from generation.training.dataset import held_out_dataset
from generation.training.denoisers import MMDiT, held_out_loss
from generation.training.evaluation import Quality, evaluate
from generation.training.family import MEMBERS, Member
from generation.training.formulations.formulation import formulation
from generation.training.stages import Workshop

STEP_COUNTS = (1, 4, 28)
PARTS = "parts"
HELD_OUT_SCENES = 256
LICENCE = "Apache-2.0"


def export_family(shop: Workshop, members: list[Member], *, out: Path, examples: int) -> Iterator[str]:
    """Write every checkpoint of these members below `out`, yielding one sentence about each.

    A member whose training has not begun is left out, with a sentence; one that is not finished is exported as it is.
    """
    for member in members:
        if shop.steps_done(member.name) == 0:
            yield f"{member.name}: not trained yet, nothing to export"
        elif member.base:
            yield _export_adapter(shop, member, out=out)
        else:
            for checkpoint, step in (*member.earlier.items(), (member.name, shop.steps_done(member.name))):
                if (shop.folder / f"{checkpoint}.pt").exists():
                    yield _export_checkpoint(shop, member, checkpoint, step, out=out, examples=examples)


def _export_checkpoint(shop: Workshop, member: Member, checkpoint: str, step: int, *, out: Path, examples: int) -> str:
    pipeline = assemble(shop, member, checkpoint=checkpoint)
    folder = out / checkpoint
    if folder.exists():
        shutil.rmtree(folder)
    # Only what is measured is shipped, and what is shipped is measured: the weights rounded to half precision.
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    pipeline.to(torch.float32)
    share_parts(folder, out / PARTS)
    loss = _loss_of(shop, member, pipeline)
    quality = {steps: evaluate(pipeline, steps=steps, count=examples) for steps in STEP_COUNTS}
    facts: dict[str, Any] = {
        "name": checkpoint,
        "licence": LICENCE,
        "loss_family": member.formulation,
        "validation_loss": round(loss, 5),
        "training_step": step,
        **_break_in(shop, member, step),
        "parameters": _parameters_of(pipeline),
        "call_options": {"max_sequence_length": T5_TOKENS} if isinstance(pipeline, StableDiffusion3Pipeline) else {},
    }
    _write_facts(folder, facts, {"checker": {str(steps): measured for steps, measured in quality.items()}})
    (folder / "README.md").write_text(model_card(member, facts, quality, examples=examples))
    return f"{checkpoint}: step {step:,}, validation loss {loss:.4f}; {_in_words(quality[max(quality)])}"


def _export_adapter(shop: Workshop, member: Member, *, out: Path) -> str:
    folder = out / member.name
    if folder.exists():
        shutil.rmtree(folder)
    denoiser = shop.denoiser(MEMBERS[member.base], checkpoint=member.base)
    if not isinstance(denoiser, MMDiT):
        raise TypeError(f"{member.name} adapts an MM-DiT, and {member.base} is none.")
    save_adapter(with_adapter(denoiser), shop.folder / f"{member.name}.pt", folder)
    facts = {
        "name": member.name,
        "adapter_of": member.base,
        "licence": LICENCE,
        "training_step": shop.steps_done(member.name),
        "call_options": {"max_sequence_length": T5_TOKENS},
    }
    _write_facts(folder, facts, {})
    (folder / "README.md").write_text(adapter_card(member, facts))
    return f"{member.name}: step {facts['training_step']:,}, an adapter on {member.base}"


def share_parts(folder: Path, parts: Path) -> None:
    """Move the files of every part that other checkpoints have as well to `parts`, and link to them.

    Raises ValueError where a part of that name is there with other content: the family would no longer share it.
    """
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        if part.name in ("transformer", "unet", "scheduler"):
            continue
        # Latent diffusion's CLIP class has no projection, so its file is another one.
        is_plain = 'CLIPTextModel"' in (folder / "model_index.json").read_text() and part.name == "text_encoder"
        shared = parts / (f"plain_{part.name}" if is_plain else part.name)
        for file in sorted(path for path in part.rglob("*") if path.is_file()):
            target = shared / file.relative_to(part)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and target.read_bytes() != file.read_bytes():
                raise ValueError(f"{target} differs from {file}: export the whole family again, into an empty folder.")
            os.replace(file, target)
            file.symlink_to(os.path.relpath(target, file.parent))


def _break_in(shop: Workshop, member: Member, step: int) -> dict[str, int]:
    """The fact that a run went on from rounded weights with fresh optimisers, where it did so before this step."""
    warm_from = shop.warm_from(member.name)
    return {"optimiser_fresh_from": warm_from} if 0 < warm_from < step else {}


def _loss_of(shop: Workshop, member: Member, pipeline: DiffusionPipeline) -> float:
    denoiser = shop.denoiser(member, checkpoint=member.name)
    part = "transformer" if isinstance(denoiser, MMDiT) else "unet"
    setattr(denoiser, part, getattr(pipeline, part))
    held_out = held_out_dataset(vae=shop.vae(), encoders=shop.text_encoders(), scenes=HELD_OUT_SCENES)
    return held_out_loss(denoiser, formulation=formulation(member.formulation), held_out=held_out)


def _parameters_of(pipeline: DiffusionPipeline) -> int:
    modules = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return sum(weight.numel() for module in modules for weight in module.parameters())


def _write_facts(folder: Path, facts: dict[str, Any], metrics: dict[str, dict[str, Quality]]) -> None:
    rounded = {
        name: {steps: {k: round(v, 4) for k, v in sorted(quality.items())} for steps, quality in by_steps.items()}
        for name, by_steps in metrics.items()
    }
    (folder / "checkpoint.json").write_text(
        json.dumps(facts | ({"metrics": rounded} if rounded else {}), indent=2) + "\n"
    )


def _in_words(quality: Quality) -> str:
    return ", ".join(f"{attribute} {share:.0%}" for attribute, share in quality.items() if attribute != "cleanliness")
