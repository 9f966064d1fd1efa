"""The tiny family is made of stock pipelines: they encode, save, load and draw like any other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusion3Pipeline

from generation.training.assembly import assemble, plain_clip, sample
from generation.training.autoencoder import fresh_vae
from generation.training.components import T5_TOKENS, build_clip_tokenizer, build_t5_tokenizer
from generation.training.denoisers import Denoiser, fresh_denoiser
from generation.training.family import MEMBERS, Member
from generation.training.publishing import share_parts
from generation.training.stages import Workshop
from generation.training.text_encoders import TextEncoders, fresh_text_encoders

CAPTIONS = ['a red sign that says "CAT" on a blue background', "two pink hearts on a grey background", ""]


class UntrainedWorkshop(Workshop):
    """Everything as it is before the first step."""

    def vae(self):  # type: ignore[no-untyped-def]
        return fresh_vae().eval()

    def text_encoders(self, checkpoint: str = "") -> TextEncoders:
        return fresh_text_encoders().encoders.eval()

    def denoiser(self, member: Member, *, checkpoint: str) -> Denoiser:
        denoiser = fresh_denoiser(member.denoiser)
        torch.manual_seed(1)
        for weight in denoiser.parameters():  # the zero-initialised output would draw the same from any caption
            weight.data += 0.02 * torch.randn(weight.shape)
        return denoiser.eval()


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return UntrainedWorkshop(tmp_path)


def test_clip_knows_the_words_of_the_grammar_and_cannot_spell_and_t5_can() -> None:
    clip, t5 = build_clip_tokenizer(), build_t5_tokenizer()
    assert clip.convert_ids_to_tokens(clip('a red sign that says "RED"')["input_ids"]) == [
        *("<|startoftext|>", "a", "red", "sign", "that", "says", '"</w>'),
        *("<|unknown|>", "<|unknown|>", "<|unknown|>", '"</w>', "<|endoftext|>"),
    ]
    assert t5.convert_ids_to_tokens(t5('a red sign that says "RED"')["input_ids"]) == [
        *("▁a", "▁red", "▁sign", "▁that", "▁says", "▁", '"', "R", "E", "D", '"', "</s>"),
    ]


def test_training_sees_the_features_that_the_pipelines_see(shop: Workshop) -> None:
    pipeline = assemble(shop, MEMBERS["tiny-sd3"], checkpoint="tiny-sd3")
    encoders = shop.text_encoders()
    with torch.no_grad():
        features = encoders(CAPTIONS)
        tokens, _, pooled, _ = pipeline.encode_prompt(
            prompt=CAPTIONS,
            prompt_2=None,
            prompt_3=None,
            do_classifier_free_guidance=False,
            max_sequence_length=T5_TOKENS,
        )
        plain = assemble(shop, MEMBERS["tiny-ldm"], checkpoint="tiny-ldm")
        last, _ = plain.encode_prompt(CAPTIONS, "cpu", 1, do_classifier_free_guidance=False)
    assert torch.equal(features.joint_tokens(), tokens)
    assert torch.equal(features.pooled, pooled)
    assert torch.allclose(features.last_clip_tokens, last, atol=1e-6)
    assert plain_clip(encoders).config.hidden_size == 96


@pytest.mark.parametrize("name", ["tiny-sd3", "tiny-sd3-v", "tiny-ldm"])
def test_a_member_draws_the_same_after_saving_with_shared_parts_and_loading(
    name: str, shop: Workshop, tmp_path: Path
) -> None:
    pipeline = assemble(shop, MEMBERS[name], checkpoint=name)
    folder = tmp_path / "models" / name
    pipeline.save_pretrained(folder, safe_serialization=True)
    share_parts(folder, tmp_path / "models" / "parts")
    assert (folder / "vae" / "config.json").is_symlink()
    absent = {} if name != "tiny-ldm" else {"safety_checker": None, "feature_extractor": None}
    loaded = DiffusionPipeline.from_pretrained(folder, use_safetensors=True, local_files_only=True, **absent)
    loaded.set_progress_bar_config(disable=True)
    one, other = (sample(each, CAPTIONS[:2], steps=2, seed=1) for each in (pipeline, loaded))
    assert one[0].shape == (64, 64, 3)
    assert not np.array_equal(one[0], one[1])
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_part_that_is_not_the_same_is_not_shared(shop: Workshop, tmp_path: Path) -> None:
    pipeline = assemble(shop, MEMBERS["tiny-sd3"], checkpoint="tiny-sd3")
    assert isinstance(pipeline, StableDiffusion3Pipeline)
    pipeline.save_pretrained(tmp_path / "one", safe_serialization=True)
    share_parts(tmp_path / "one", tmp_path / "parts")
    pipeline.vae.decoder.conv_in.weight.data += 1
    pipeline.save_pretrained(tmp_path / "two", safe_serialization=True)
    with pytest.raises(ValueError, match="differs between members of one export"):
        share_parts(tmp_path / "two", tmp_path / "parts")
