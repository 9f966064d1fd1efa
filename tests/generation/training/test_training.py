"""Training of every part, a few steps each: losses fall, nothing that is frozen moves, dropped text is dropped."""

from pathlib import Path

import pytest
import torch

from generation.training.adapter import save_adapter, train_adapter, with_adapter
from generation.training.autoencoder import fresh_vae, peak_signal_to_noise, train_autoencoder, train_decoder
from generation.training.dataset import LatentDataset, load_dataset, prepare_dataset
from generation.training.denoisers import MMDiT, batch_of, dropped, fresh_denoiser, held_out_loss, train_denoiser
from generation.training.formulations.formulation import formulation
from generation.training.muon import Muon, orthogonalise
from generation.training.text_encoders import TextEncoders, fresh_text_encoders, train_text_encoders


@pytest.fixture(scope="module")
def encoders() -> TextEncoders:
    return fresh_text_encoders().encoders.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def data(encoders: TextEncoders, tmp_path_factory: pytest.TempPathFactory) -> LatentDataset:
    file = tmp_path_factory.mktemp("data") / "dataset.pt"
    assert list(prepare_dataset(file, vae=fresh_vae(), encoders=encoders, scenes=20)) == [20]
    assert list(prepare_dataset(file, vae=fresh_vae(), encoders=encoders, scenes=20)) == [20]
    return load_dataset(file)


def test_text_encoders_learn_what_captions_say(tmp_path: Path) -> None:
    losses = [p.loss for p in train_text_encoders(tmp_path / "text.pt", steps=14)]
    first = fresh_text_encoders()
    state = torch.load(tmp_path / "text.pt", weights_only=True)
    assert state["step"] == 14
    assert losses[-1] < losses[0]
    assert not torch.equal(state["weights"]["of_t5.queries"], first.of_t5.queries)


def test_the_autoencoder_learns_and_then_its_decoder_alone(tmp_path: Path) -> None:
    for _ in train_autoencoder(tmp_path / "vae.pt", steps=6):
        pass
    vae = fresh_vae()
    before = peak_signal_to_noise(vae, scenes=10)
    vae.load_state_dict(torch.load(tmp_path / "vae.pt", weights_only=True)["weights"])
    assert peak_signal_to_noise(vae, scenes=10) > before
    encoder = {name: value.clone() for name, value in vae.encoder.state_dict().items()}
    decoder = vae.decoder.conv_in.weight.clone()
    for _ in train_decoder(tmp_path / "decoder.pt", vae=vae, steps=2):
        pass
    assert all(torch.equal(value, encoder[name]) for name, value in vae.encoder.state_dict().items())
    assert not torch.equal(decoder, vae.decoder.conv_in.weight)


@pytest.mark.parametrize(("kind", "name"), [("mmdit", "rf/lognorm(0,1)"), ("mmdit", "v/cos"), ("unet", "eps/linear")])
def test_a_denoiser_trains_under_a_formulation_and_keeps_the_earlier_average(
    kind: str, name: str, data: LatentDataset, tmp_path: Path
) -> None:
    chosen = formulation(name)
    denoiser = fresh_denoiser(kind)
    before = held_out_loss(denoiser, formulation=chosen, held_out=data)
    early = {2: tmp_path / "early.pt"}
    run = train_denoiser(
        tmp_path / "state.pt", denoiser=denoiser, formulation=chosen, data=data, steps=3, save_average_at=early
    )
    assert [p.step for p in run][-1] == 3
    assert held_out_loss(denoiser, formulation=chosen, held_out=data) < before
    assert torch.load(early[2], weights_only=True).keys() == denoiser.state_dict().keys()


def test_a_batch_repeats_with_its_generator_and_dropping_is_what_the_pipeline_does(data: LatentDataset) -> None:
    one, other = (batch_of(data, generator=torch.Generator().manual_seed(3), size=40) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[2].t5_tokens, other[2].t5_tokens)
    captions = data.features.of(torch.tensor([0, 1, 2]))
    without_caption, without_t5 = torch.tensor([False, True, True]), torch.tensor([True, False, True])
    left = dropped(captions, data.empty, without_caption=without_caption, without_t5=without_t5)
    assert left.t5_tokens[0].abs().sum() == 0
    assert torch.equal(left.clip_tokens[0], captions.clip_tokens[0])
    assert torch.equal(left.t5_tokens[1], data.empty.t5_tokens[0].float())
    assert torch.equal(left.pooled[2], data.empty.pooled[0].float())
    assert left.t5_tokens[2].abs().sum() == 0


def test_an_adapter_trains_alone_and_the_stock_pipeline_can_load_it(encoders: TextEncoders, tmp_path: Path) -> None:
    base = fresh_denoiser("mmdit")
    frozen = {name: value.clone() for name, value in base.state_dict().items()}
    assert isinstance(base, MMDiT)
    run = train_adapter(
        tmp_path / "adapter.pt",
        denoiser=with_adapter(base),
        formulation=formulation("rf"),
        vae=fresh_vae(),
        encoders=encoders,
        steps=1,
    )
    assert [p.step for p in run] == [1]
    weights = {
        name.replace(".base_layer", ""): value for name, value in base.state_dict().items() if "lora" not in name
    }
    assert all(torch.equal(value, frozen[name]) for name, value in weights.items())
    fresh = fresh_denoiser("mmdit")
    assert isinstance(fresh, MMDiT)
    save_adapter(with_adapter(fresh), tmp_path / "adapter.pt", tmp_path / "out")
    plain = fresh_denoiser("mmdit")
    assert isinstance(plain, MMDiT)
    plain.transformer.load_lora_adapter(
        tmp_path / "out", weight_name="pytorch_lora_weights.safetensors", prefix="transformer", use_safetensors=True
    )
    assert any("lora" in name for name in plain.state_dict())


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    matrices = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(0))
    for wide in (matrices, matrices.mT.contiguous()):
        values = torch.linalg.svdvals(orthogonalise(wide))
        assert values.min() > 0.4
        assert values.max() < 1.3


def test_muon_refuses_vectors() -> None:
    with pytest.raises(ValueError, match="matrices and kernels only"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=0.1)


def test_offset_noise_moves_whole_channels_by_the_deviation_asked_for(data: LatentDataset) -> None:
    _, plain, _ = batch_of(data, generator=torch.Generator().manual_seed(1), size=400)
    _, moved, _ = batch_of(data, generator=torch.Generator().manual_seed(1), size=400, offset_noise=0.3)
    assert plain.mean(dim=(2, 3)).std() == pytest.approx(1 / 16, rel=0.05)
    shift = moved - plain
    assert shift.std(dim=(2, 3)).max() < 1e-6
    assert shift.mean(dim=(2, 3)).std() == pytest.approx(0.3, rel=0.05)
