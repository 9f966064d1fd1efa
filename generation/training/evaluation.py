"""What a model can draw: samples for held-out captions, measured by the picture checker."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from diffusers import DiffusionPipeline, StableDiffusion3Pipeline

from generation.scenes import Findings, caption_of, check, held_out_scenes
from generation.training.assembly import sample
from generation.training.formulations.formulation import Formulation
from generation.training.formulations.schedulers import samplers_for

BATCH = 25
SEED = 0
ATTRIBUTES = ("background", "colours", "place", "count", "shape", "letters", "word")
"""Columns of the model cards. letters: share of the letters that read right; the others: share of captions."""

Quality = dict[str, float]
"""Attribute -> share of the held-out captions that name it in which it is right; and the mean `cleanliness`."""


def evaluate(pipeline: DiffusionPipeline, *, steps: int, count: int = 200) -> Quality:
    """Sample once for every one of `count` held-out captions (a quarter of them signs) and measure."""
    scenes = held_out_scenes(count, seed=4242)
    pictures: list[np.ndarray] = []
    for start in range(0, count, BATCH):
        captions = [caption_of(scene) for scene in scenes[start : start + BATCH]]
        pictures += sample(pipeline, captions, steps=steps, seed=SEED + start)
    return quality_of(check(picture, scene) for picture, scene in zip(pictures, scenes, strict=True))


def evaluate_by_sampler(
    pipeline: DiffusionPipeline, formulation: Formulation, *, step_counts: Iterable[int], count: int = 200
) -> dict[str, dict[int, Quality]]:
    """The same with other schedulers than the stored one: sampler -> steps -> quality. The pipeline keeps its own."""
    stored = pipeline.scheduler
    step_counts, found = tuple(step_counts), {}
    try:
        for name, scheduler in samplers_for(formulation).items():
            pipeline.register_modules(scheduler=scheduler)
            found[name] = {steps: evaluate(pipeline, steps=steps, count=count) for steps in step_counts}
    finally:
        pipeline.register_modules(scheduler=stored)
    return found


def evaluate_without_t5(pipeline: StableDiffusion3Pipeline, *, steps: int, count: int = 200) -> Quality:
    """The same without the third text encoder, which the pipeline then replaces by zeros; it is put back."""
    encoder, tokenizer = pipeline.text_encoder_3, pipeline.tokenizer_3
    pipeline.register_modules(text_encoder_3=None, tokenizer_3=None)
    try:
        return evaluate(pipeline, steps=steps, count=count)
    finally:
        pipeline.register_modules(text_encoder_3=encoder, tokenizer_3=tokenizer)


def quality_of(findings: Iterable[Findings]) -> Quality:
    """Shares over many pictures."""
    seen: dict[str, list[float]] = defaultdict(list)
    for found in findings:
        for attribute, is_right in found.verdicts().items():
            seen[attribute].append(float(is_right))
        if found.letters is not None:
            seen["letters"][-1] = found.letters
        seen["cleanliness"].append(found.cleanliness)
    return {attribute: float(np.mean(values)) for attribute, values in seen.items()}
