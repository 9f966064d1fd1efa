"""From training states to shipped checkpoints: half precision, shared parts once, facts, model cards."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, StableDiffusion3Pipeline

from generation.training.adapter import LowRank, save_adapter, with_adapter
from generation.training.assembly import assemble
from generation.training.cards import Measured, adapter_card, model_card
from generation.training.components import T5_TOKENS
from generation.training.dataset import held_out_dataset
from generation.training.denoisers import MMDiT, held_out_loss
from generation.training.evaluation import Quality, evaluate, evaluate_by_sampler, evaluate_without_t5
from generation.training.family import MEMBERS, Member
from generation.training.formulations.formulation import formulation
from generation.training.publishing import PARTS, STAGING, publish, share_parts
from generation.training.stages import Workshop
from generation.training.text_encoders import TextEncoders

STEP_COUNTS = (1, 4, 28)
OTHER_SAMPLERS_AT = (4, 28)
WITHOUT_T5_AT = 28
HELD_OUT_SCENES = 256
LICENCE = "Apache-2.0"


def export_family(shop: Workshop, members: list[Member], *, out: Path, examples: int) -> Iterator[str]:
    """Write every checkpoint of these members below `out`, yielding one sentence about each.

    A member whose training has not begun is left out, with a sentence; one that is not finished is exported as it is.
    All of it is written in a folder below `out` first and put into place at the end. Raises ExportError where that
    would leave other checkpoints with the wrong parts.
    """
    staging = out / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield from _export(shop, members, out=staging, examples=examples)
        publish(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _export(shop: Workshop, members: list[Member], *, out: Path, examples: int) -> Iterator[str]:
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
    folder, spelling = out / checkpoint, shop.spelling_of(checkpoint)
    # Only what is measured is shipped, and what is shipped is measured: the weights rounded to half precision.
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    pipeline.to(torch.float32)
    share_parts(folder, out / PARTS, own=["text_encoder_3"] if spelling else [])
    loss = _loss_of(shop, member, pipeline, encoders=shop.text_encoders(checkpoint))
    measured = _measure(pipeline, member, examples=examples)
    facts: dict[str, Any] = {
        "name": checkpoint,
        "licence": LICENCE,
        "loss_family": member.formulation,
        "validation_loss": round(loss, 5),
        "training_step": step,
        **_break_in(shop, member, step),
        **({"spelling": spelling} if spelling else {}),
        "parameters": _parameters_of(pipeline),
        "call_options": {"max_sequence_length": T5_TOKENS} if isinstance(pipeline, StableDiffusion3Pipeline) else {},
    }
    _write_facts(folder, facts, _metrics_of(measured))
    (folder / "README.md").write_text(model_card(member, facts, measured, examples=examples))
    words = _in_words(measured.by_steps[max(measured.by_steps)])
    return f"{checkpoint}: step {step:,}, validation loss {loss:.4f}; {words}"


def _measure(pipeline: DiffusionPipeline, member: Member, *, examples: int) -> Measured:
    by_steps = {steps: evaluate(pipeline, steps=steps, count=examples) for steps in STEP_COUNTS}
    if isinstance(pipeline, StableDiffusion3Pipeline):
        without_t5 = evaluate_without_t5(pipeline, steps=WITHOUT_T5_AT, count=examples)
        return Measured(by_steps, without_t5={WITHOUT_T5_AT: without_t5})
    by_sampler = evaluate_by_sampler(
        pipeline, formulation(member.formulation), step_counts=OTHER_SAMPLERS_AT, count=examples
    )
    return Measured(by_steps, by_sampler=by_sampler)


def _metrics_of(measured: Measured) -> dict[str, Any]:
    metrics = {
        "checker": measured.by_steps,
        "checker_without_text_encoder_3": measured.without_t5,
        "checker_by_sampler": measured.by_sampler,
    }
    return {name: _rounded(found) for name, found in metrics.items() if found}


def _rounded(found: Any) -> Any:
    """Step counts as text, attributes in order, shares to four places."""
    if isinstance(found, float):
        return round(found, 4)
    rounded = {str(name): _rounded(value) for name, value in found.items()}
    return dict(sorted(rounded.items())) if all(isinstance(value, float) for value in rounded.values()) else rounded


def _export_adapter(shop: Workshop, member: Member, *, out: Path) -> str:
    folder = out / member.name
    denoiser = shop.denoiser(MEMBERS[member.base], checkpoint=member.base)
    if not isinstance(denoiser, MMDiT):
        raise TypeError(f"{member.name} adapts an MM-DiT, and {member.base} is none.")
    denoiser = with_adapter(denoiser)
    save_adapter(denoiser, shop.folder / f"{member.name}.pt", folder)
    facts: dict[str, Any] = {
        "name": member.name,
        "adapter_of": member.base,
        "licence": LICENCE,
        "loss_family": member.formulation,
        "training_step": shop.steps_done(member.name),
        "call_options": {"max_sequence_length": T5_TOKENS},
        # Not `parameters`: a checkpoint's are those of all its parts, which are counted when it is added.
        "adapter_parameters": sum(weight.numel() for weight in LowRank(denoiser).weights),
    }
    _write_facts(folder, facts, {})
    (folder / "README.md").write_text(adapter_card(member, facts))
    return f"{member.name}: step {facts['training_step']:,}, an adapter on {member.base}"


def _break_in(shop: Workshop, member: Member, step: int) -> dict[str, int]:
    """The fact that a run went on from rounded weights with fresh optimisers, where it did so before this step."""
    warm_from = shop.warm_from(member.name)
    return {"optimiser_fresh_from": warm_from} if 0 < warm_from < step else {}


def _loss_of(shop: Workshop, member: Member, pipeline: DiffusionPipeline, *, encoders: TextEncoders) -> float:
    denoiser = shop.denoiser(member, checkpoint=member.name)
    part = "transformer" if isinstance(denoiser, MMDiT) else "unet"
    setattr(denoiser, part, getattr(pipeline, part))
    held_out = held_out_dataset(vae=shop.vae(), encoders=encoders, scenes=HELD_OUT_SCENES)
    return held_out_loss(denoiser, formulation=formulation(member.formulation), held_out=held_out)


def _parameters_of(pipeline: DiffusionPipeline) -> int:
    modules = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return sum(weight.numel() for module in modules for weight in module.parameters())


def _write_facts(folder: Path, facts: dict[str, Any], metrics: dict[str, Any]) -> None:
    told = facts | ({"metrics": metrics} if metrics else {})
    (folder / "checkpoint.json").write_text(json.dumps(told, indent=2) + "\n")


def _in_words(quality: Quality) -> str:
    return ", ".join(f"{attribute} {share:.0%}" for attribute, share in quality.items() if attribute != "cleanliness")
