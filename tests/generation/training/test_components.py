"""The tiny SD3 is the stock pipeline: it saves, loads and draws like any other."""

from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusion3Pipeline

from generation.scenes import draw, parse_caption
from generation.training.components import T5_TOKENS, build_pipeline, build_tokenizer
from generation.training.latents import as_tensor, fit_patch_basis
from generation.training.tiny_sd3 import TextToVelocity


def test_scene_words_are_whole_tokens_and_signs_are_spelled() -> None:
    tokenizer = build_tokenizer()
    ids = tokenizer('a red sign that says "RED"')["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == [
        *("<|startoftext|>", "a</w>", "red", "sign", "that", "says"),
        *('"</w>', "r", "e", "d</w>", '"</w>', "<|endoftext|>"),
    ]


def test_training_calls_the_model_the_way_the_pipeline_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pipeline = build_pipeline(layers=1, heads=2)
    torch.nn.init.normal_(pipeline.transformer.proj_out.weight, std=0.5)
    model = TextToVelocity(pipeline)
    captions = ["a red circle on the left on a blue background", ""]
    with torch.no_grad():
        tokens, pooled = model.encode(captions)
        piped_tokens, _, piped_pooled, _ = pipeline.encode_prompt(
            prompt=captions,
            prompt_2=None,
            prompt_3=None,
            do_classifier_free_guidance=False,
            max_sequence_length=T5_TOKENS,
        )
    assert torch.equal(tokens, piped_tokens)
    assert torch.equal(pooled, piped_pooled)


def test_the_pipeline_survives_saving_and_loading(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pipeline = build_pipeline(layers=1, heads=2)
    pipeline.save_pretrained(tmp_path, safe_serialization=True)
    loaded = StableDiffusion3Pipeline.from_pretrained(
        tmp_path, text_encoder_3=None, tokenizer_3=None, use_safetensors=True, local_files_only=True
    )
    pictures = []
    for one in (pipeline, loaded):
        one.set_progress_bar_config(disable=True)
        generator = torch.Generator("cpu").manual_seed(1)
        picture = one(
            "a red circle",
            num_inference_steps=2,
            height=64,
            width=64,
            max_sequence_length=T5_TOKENS,
            generator=generator,
        )
        pictures.append(np.asarray(picture.images[0]))
    assert pictures[0].shape == (64, 64, 3)
    assert np.array_equal(pictures[0], pictures[1])


def test_patch_latents_keep_what_a_picture_shows() -> None:
    basis = fit_patch_basis(scenes=300)
    picture = as_tensor(draw(parse_caption("a red star at the top on a white background")))[None]
    latents = basis.encode(picture)
    assert latents.shape == (1, 12, 16, 16)
    patches = (
        torch.einsum("ndhw,dc->nchw", latents, torch.linalg.pinv(basis.directions)) + basis.mean[None, :, None, None]
    )
    error = (torch.nn.functional.pixel_shuffle(patches, 4) - picture).pow(2).mean() / 4
    assert -10 * torch.log10(error) > 20  # dB
