"""Export of single members, of all of them after a change of a shared part, and of an adapter; what the cards tell."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from PIL import Image

from generation.checkpoints import told_call_options
from generation.model_folders import read_json
from generation.models import Checkpoint
from generation.pipelines.loading import Source, load
from generation.training import contact_sheet, export
from generation.training.contact_sheet import GAP, HEADINGS, LABELS, PICTURE, Row
from generation.training.evaluation import evaluate, evaluate_by_sampler, evaluate_without_t5
from generation.training.export import export_family
from generation.training.family import MEMBERS
from generation.training.formulations.formulation import formulation
from generation.training.publishing import ExportError
from generation.training.shipped import recover_states
from generation.training.stages import Workshop, member_stage

SHIPPED = Path(export.__file__).parents[1] / "demo_models"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    shop = Workshop(tmp_path_factory.mktemp("work"))
    assert list(recover_states(shop, SHIPPED))
    return shop


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "HELD_OUT_SCENES", 4)
    monkeypatch.setattr(export, "STEP_COUNTS", (1, 2))
    monkeypatch.setattr(export, "OTHER_SAMPLERS_AT", (2,))
    monkeypatch.setattr(export, "WITHOUT_T5_AT", 2)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two members as they are shipped, with their parts."""
    for name in ("parts", "tiny-sd3-v", "tiny-ldm"):
        shutil.copytree(SHIPPED / name, tmp_path / "models" / name, symlinks=True)
    return tmp_path / "models"


def exported(shop: Workshop, models: Path, *names: str) -> list[str]:
    return list(export_family(shop, [MEMBERS[name] for name in names], out=models, examples=4))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_member_alone_keeps_the_shared_parts_and_tells_its_samplers(shop: Workshop, models: Path) -> None:
    before = contents(models)
    (said,) = exported(shop, models, "tiny-ldm")
    assert said.startswith("tiny-ldm: step ")
    after = contents(models)
    assert {name for name in before if after[name] != before[name]} == {
        "tiny-ldm/checkpoint.json",
        "tiny-ldm/README.md",
    }
    assert sorted(path.name for path in models.iterdir()) == ["parts", "tiny-ldm", "tiny-sd3-v"]
    assert (models / "tiny-ldm" / "vae" / "config.json").is_symlink()
    metrics = read_json(models / "tiny-ldm" / "checkpoint.json")["metrics"]
    assert list(metrics) == ["checker", "checker_by_sampler"]
    assert {name: list(found) for name, found in metrics["checker_by_sampler"].items()} == {
        "DDIM": ["2"],
        "Euler": ["2"],
        "DPM++": ["2"],
    }
    card = (models / "tiny-ldm" / "README.md").read_text()
    assert "| sampler, steps | background |" in card
    assert all(f"\n| {name}, 2 | " in card for name in ("DDIM", "Euler", "DPM++"))


def test_a_changed_decoder_is_published_with_all_who_link_to_it_and_with_nobody_less(
    shop: Workshop, models: Path, tmp_path: Path
) -> None:
    other = Workshop(shutil.copytree(shop.folder, tmp_path / "work"))
    state = torch.load(other.folder / "autoencoder.pt", weights_only=True)
    state["average"]["decoder.conv_in.weight"] += 0.5
    torch.save(state, other.folder / "autoencoder.pt")
    before = contents(models)
    with pytest.raises(ExportError, match="has changed and tiny-ldm still need the old one"):
        exported(other, models, "tiny-sd3-v")
    assert contents(models) == before
    assert not (models / ".exporting").exists()

    assert len(exported(other, models, "tiny-sd3-v", "tiny-ldm")) == 2
    decoder = "parts/vae/diffusion_pytorch_model.safetensors"
    assert contents(models)[decoder] != before[decoder]
    assert contents(models).keys() == before.keys()
    metrics = read_json(models / "tiny-sd3-v" / "checkpoint.json")["metrics"]
    assert list(metrics) == ["checker", "checker_without_text_encoder_3"]
    assert list(metrics["checker_without_text_encoder_3"]) == ["2"]
    assert "\n| 2, without T5 | " in (models / "tiny-sd3-v" / "README.md").read_text()


def test_without_t5_is_what_loading_without_it_gives_and_the_encoder_is_put_back() -> None:
    whole = load(Source(SHIPPED / "tiny-sd3", "StableDiffusion3Pipeline", "float32", "cpu")).pipe
    source = Source(SHIPPED / "tiny-sd3", "StableDiffusion3Pipeline", "float32", "cpu", without=("text_encoder_3",))
    found = evaluate_without_t5(whole, steps=2, count=4)
    assert found == evaluate(load(source).pipe, steps=2, count=4)
    assert found != evaluate(whole, steps=2, count=4)


def test_samplers_differ_and_the_stored_one_is_put_back() -> None:
    pipe = load(Source(SHIPPED / "tiny-ldm", "StableDiffusionPipeline", "float32", "cpu")).pipe
    stored = pipe.scheduler
    found = evaluate_by_sampler(pipe, formulation("eps/linear"), step_counts=(4,), count=4)
    assert pipe.scheduler is stored
    clean = {name: quality[4]["cleanliness"] for name, quality in found.items()}
    assert len(set(clean.values())) > 1
    # With a number of steps that divides 1000, DDIM and DPM++ of order 1 are one update.
    assert clean["DDIM"] == pytest.approx(evaluate(pipe, steps=4, count=4)["cleanliness"], abs=1e-3)


@pytest.mark.once
@pytest.mark.django_db
def test_an_adapter_is_trained_exported_listed_and_added_as_a_checkpoint(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    for name in ("parts", "tiny-sd3"):
        shutil.copytree(SHIPPED / name, models / name, symlinks=True)
    member = MEMBERS["tiny-sd3-pastel"]
    assert [progress.step for progress in member_stage(shop, member, steps=2).run()][-1] == 2
    assert exported(shop, models, member.name) == ["tiny-sd3-pastel: step 2, an adapter on tiny-sd3"]

    facts = read_json(models / member.name / "checkpoint.json")
    assert facts.pop("adapter_parameters") > 10_000
    assert facts == {
        "name": "tiny-sd3-pastel",
        "adapter_of": "tiny-sd3",
        "licence": "Apache-2.0",
        "loss_family": "rf/lognorm(0,1)",
        "training_step": 2,
        "call_options": {"max_sequence_length": 18},
    }
    assert sorted(path.name for path in (models / member.name).iterdir()) == [
        "README.md",
        "checkpoint.json",
        "pytorch_lora_weights.safetensors",
    ]
    card = (models / member.name / "README.md").read_text()
    assert "A LoRA adapter (rank 8, attention only) on `tiny-sd3`" in card
    assert "2 steps of 32 scenes" in card

    call_command("train_demo_models", list=True, out=models)
    assert "tiny-sd3-pastel: shipped, step 2 (an adapter on tiny-sd3), " in capsys.readouterr().out

    monkeypatch.setattr(contact_sheet, "ROWS", (Row("tiny-sd3", 1), Row("tiny-sd3-pastel", 1)))
    call_command("train_demo_models", contact_sheet=tmp_path / "sheet.png", captions=1, out=models)
    with Image.open(tmp_path / "sheet.png") as sheet:
        plain, styled = (
            np.asarray(sheet)[HEADINGS + line * (PICTURE + GAP) :][:PICTURE, LABELS : LABELS + PICTURE]
            for line in range(2)
        )
    assert not np.array_equal(plain, styled), "the adapter acts, if only a little after two steps"

    monkeypatch.setattr(settings, "MODELS_ROOT", models)
    call_command("add_checkpoint", member.name, member.name)
    checkpoint = Checkpoint.objects.get(name=member.name)
    assert (checkpoint.state, checkpoint.base, checkpoint.training_step) == (Checkpoint.State.READY, "tiny-sd3", 2)
    assert checkpoint.parameters is not None
    assert checkpoint.parameters > read_json(models / "tiny-sd3" / "checkpoint.json")["parameters"]
    assert told_call_options(checkpoint) == {"max_sequence_length": 18}


def test_a_contact_sheet_shows_what_is_there_and_says_what_is_not(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (Row("tiny-sd3-v", 2), Row("tiny-sd3-v", 1, ("text_encoder_3",)), Row("tiny-sd3-pastel"), Row("tiny-ldm", 1))
    monkeypatch.setattr(contact_sheet, "ROWS", rows)
    file = tmp_path / "sheet.png"
    call_command("train_demo_models", contact_sheet=file, captions=2, out=models)
    assert "tiny-sd3-pastel is not there; left out" in capsys.readouterr().out
    with Image.open(file) as sheet:
        assert sheet.size == (LABELS + 2 * (PICTURE + GAP), HEADINGS + 3 * (PICTURE + GAP))
    with pytest.raises(CommandError, match="No model of the family lies below"):
        call_command("train_demo_models", contact_sheet=file, out=tmp_path / "nowhere")
    with pytest.raises(CommandError, match="1 to 60 captions, not 0"):
        call_command("train_demo_models", contact_sheet=file, captions=0, out=models)
