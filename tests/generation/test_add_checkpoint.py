"""The command that registers weights: ready with size and hash, or one sentence and exit 1."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from generation.model_folders import hash_file
from generation.models import Checkpoint

pytestmark = pytest.mark.django_db


def test_a_good_folder_is_reported_with_size_and_hashes(models_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("add_checkpoint", "tiny", "tiny", "--licence", "Apache-2.0", "--validation-loss", "0.2")
    said = capsys.readouterr().out
    assert said.startswith("tiny is ready: StableDiffusion3Pipeline, ")
    for path in (models_root / "tiny").rglob("*.safetensors"):
        assert f"sha256 {hash_file(path)}  {path.relative_to(models_root / 'tiny')}" in said
    checkpoint = Checkpoint.objects.get()
    assert (checkpoint.state, checkpoint.licence, checkpoint.validation_loss) == ("ready", "Apache-2.0", 0.2)


def test_an_unsafe_folder_is_refused_and_may_be_mended(own_models_root: Path) -> None:
    bad = own_models_root / "tiny" / "vae" / "weights.bin"
    bad.write_bytes(b"\x80")
    with pytest.raises(CommandError, match=r"tiny is refused: vae/weights\.bin is refused: only safetensors"):
        call_command("add_checkpoint", "tiny", "tiny")
    bad.unlink()
    call_command("add_checkpoint", "tiny", "tiny")
    assert Checkpoint.objects.get().state == "ready"


def test_a_folder_outside_the_models_root_is_refused(models_root: Path) -> None:
    with pytest.raises(CommandError, match="'../tiny' is no folder below the models root"):
        call_command("add_checkpoint", "x", "../tiny")


def test_a_taken_name_is_refused(models_root: Path) -> None:
    call_command("add_checkpoint", "tiny", "tiny")
    with pytest.raises(CommandError, match="There is already a checkpoint 'tiny'"):
        call_command("add_checkpoint", "tiny", "tiny")
