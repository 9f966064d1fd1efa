"""Training goes on from shipped weights where the training states are lost."""

from pathlib import Path

import pytest
import torch
from django.conf import settings
from safetensors.torch import load_file

from generation.model_folders import read_json
from generation.training.autoencoder import fresh_vae
from generation.training.loop import Trainer
from generation.training.shipped import recover_states
from generation.training.stages import Workshop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    shop = Workshop(tmp_path_factory.mktemp("work"))
    said = list(recover_states(shop, Path(settings.MODELS_ROOT)))
    assert [sentence.split(":")[0] for sentence in said][:2] == ["autoencoder", "text encoders"]
    assert list(recover_states(shop, Path(settings.MODELS_ROOT))) == []
    return shop


def shipped(file: str) -> dict[str, torch.Tensor]:
    return load_file(Path(settings.MODELS_ROOT) / file)


def test_a_recovered_member_has_the_shipped_weights_and_step(shop: Workshop) -> None:
    state = torch.load(shop.folder / "tiny-ldm.pt", weights_only=True)
    wanted = shipped("tiny-ldm/unet/diffusion_pytorch_model.safetensors")
    assert state["step"] == shop.steps_done("tiny-ldm") > 0
    for name, value in wanted.items():
        assert torch.equal(state["weights"][f"unet.{name}"], value.float()), name
    early = torch.load(shop.folder / "tiny-sd3-early.pt", weights_only=True)
    weights = shipped("tiny-sd3-early/transformer/diffusion_pytorch_model.safetensors")
    assert all(torch.equal(early[f"transformer.{name}"], value.float()) for name, value in weights.items())


def test_recovered_shared_parts_are_the_shipped_ones(shop: Workshop) -> None:
    clip = shop.text_encoders().clip.state_dict()
    for name, value in shipped("tiny-sd3/text_encoder/model.safetensors").items():
        assert torch.equal(clip[name], value.float()), name
    assert (
        shop.vae().config.scaling_factor
        == read_json(Path(settings.MODELS_ROOT) / "parts/vae/config.json")["scaling_factor"]
    )
    decoder = shop.vae().state_dict()
    for name, value in shipped("tiny-sd3/vae/diffusion_pytorch_model.safetensors").items():
        assert torch.equal(decoder[name], value.float()), name


def test_a_t5_encoder_of_its_own_is_recovered_beside_the_shared_one(shop: Workshop) -> None:
    shared, own = (shop.text_encoders(name).t5.state_dict() for name in ("tiny-sd3-mid", "tiny-sd3"))
    assert not torch.equal(own["shared.weight"], shared["shared.weight"])
    for folder, weights in (("tiny-sd3-mid", shared), ("tiny-sd3", own)):
        for name, value in shipped(f"{folder}/text_encoder_3/model.safetensors").items():
            assert torch.equal(weights[name], value.float()), (folder, name)
    assert (
        shop.spelling_of("tiny-sd3") == read_json(Path(settings.MODELS_ROOT) / "tiny-sd3/checkpoint.json")["spelling"]
    )


def test_training_that_goes_on_from_them_warms_up_again_and_says_so(shop: Workshop) -> None:
    trainer = Trainer(fresh_vae(), state_file=shop.folder / "autoencoder.pt", learning_rate=1e-3, seed=1)
    begun_at = trainer.step
    first = next(trainer.module.parameters())
    for _ in trainer.run(lambda generator, step: first.square().sum(), steps=begun_at + 1):
        pass
    rates = {group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups}
    assert sorted(rates) == pytest.approx([1e-3 / 50])
    assert shop.warm_from("autoencoder") == begun_at


def test_without_shipped_models_one_sentence_says_so(tmp_path: Path) -> None:
    assert list(recover_states(Workshop(tmp_path), tmp_path / "none")) == [
        f"{tmp_path / 'none' / 'tiny-sd3'} is not there, so nothing can be recovered."
    ]
