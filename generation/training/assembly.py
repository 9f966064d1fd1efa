"""From training states to the stock pipelines, in memory."""

from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline, StableDiffusion3Pipeline, StableDiffusionPipeline
from transformers import CLIPTextConfig, CLIPTextModel

from generation.training.components import PICTURE_SIZE, T5_TOKENS
from generation.training.denoisers import MMDiT
from generation.training.family import Member
from generation.training.formulations.formulation import formulation
from generation.training.formulations.schedulers import scheduler_for
from generation.training.stages import Workshop
from generation.training.text_encoders import TextEncoders

GUIDANCE = 3.0


def assemble(shop: Workshop, member: Member, *, checkpoint: str) -> DiffusionPipeline:
    """The pipeline of one checkpoint of a member, in single precision."""
    encoders, denoiser = shop.text_encoders(checkpoint), shop.denoiser(member, checkpoint=checkpoint)
    scheduler = scheduler_for(formulation(member.formulation))
    pipeline: DiffusionPipeline
    if isinstance(denoiser, MMDiT):
        pipeline = StableDiffusion3Pipeline(
            transformer=denoiser.transformer,
            scheduler=scheduler,
            vae=shop.vae(),
            text_encoder=encoders.clip,
            tokenizer=encoders.clip_tokenizer,
            text_encoder_2=encoders.small_clip,
            tokenizer_2=encoders.clip_tokenizer,
            text_encoder_3=encoders.t5,
            tokenizer_3=encoders.t5_tokenizer,
        )
    else:
        pipeline = StableDiffusionPipeline(
            unet=denoiser.unet,
            scheduler=scheduler,
            vae=shop.vae(),
            text_encoder=plain_clip(encoders),
            tokenizer=encoders.clip_tokenizer,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def plain_clip(encoders: TextEncoders) -> CLIPTextModel:
    """The first CLIP encoder without its projection, as StableDiffusionPipeline wants it."""
    plain = CLIPTextModel(CLIPTextConfig(**encoders.clip.config.to_dict()))
    wanted = plain.state_dict()
    weights = {name.removeprefix("text_model."): value for name, value in encoders.clip.state_dict().items()}
    plain.load_state_dict({name: weights[name.removeprefix("text_model.")] for name in wanted})
    return plain.eval()


def sample(pipeline: DiffusionPipeline, captions: list[str], *, steps: int, seed: int) -> list[np.ndarray]:
    """uint8 pictures (64, 64, 3) for captions, each from its own seeded generator; the study's schedules.

    Flow models on explicit sigmas linspace(1, 1/N, N), the others on their scheduler's own timesteps.
    """
    extra: dict[str, Any] = {}
    if isinstance(pipeline, StableDiffusion3Pipeline):
        extra["max_sequence_length"] = T5_TOKENS
        if hasattr(pipeline.scheduler.config, "shift"):
            extra["sigmas"] = np.linspace(1, 1 / steps, steps).tolist()
    with torch.inference_mode():
        pictures = pipeline(
            prompt=captions,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            height=PICTURE_SIZE,
            width=PICTURE_SIZE,
            generator=[torch.Generator("cpu").manual_seed(seed + k) for k in range(len(captions))],
            output_type="np",
            **extra,
        ).images
    return list((pictures * 255).round().astype(np.uint8))
