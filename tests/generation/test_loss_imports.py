"""Validation losses from a file: taken whole, or refused with file, line and reason."""

from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from generation.loss_imports import LossFileError, import_losses
from generation.models import Checkpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def checkpoints() -> None:
    for name, family in (("early", "rf"), ("late", "rf"), ("bare", "")):
        Checkpoint.objects.create(name=name, source=name, pipeline_class="X", loss_family=family, training_step=7)


def file_of(folder: Path, text: str) -> Path:
    path = folder / "losses.csv"
    path.write_text(text)
    return path


def facts() -> dict[str, tuple[float | None, int | None, str]]:
    rows = Checkpoint.objects.values_list("name", "validation_loss", "training_step", "loss_family")
    return {name: (loss, step, family) for name, loss, step, family in rows}


def test_losses_and_steps_are_written_to_their_checkpoints(
    checkpoints: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file_of(
        tmp_path, "\ufeffcheckpoint, loss,step,family\nearly,0.31,1000,\nlate,0.22,,\nbare,0.5,,eps/linear\n"
    )
    call_command("import_losses", path)
    assert "3 checkpoints have a new loss, 0 had it already." in capsys.readouterr().out
    assert facts() == {"early": (0.31, 1000, "rf"), "late": (0.22, 7, "rf"), "bare": (0.5, 7, "eps/linear")}
    assert import_losses(path).unchanged == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("checkpoint,loss\nearly,0.3\nnobody,0.2\n", "losses.csv, line 3: there is no checkpoint 'nobody'."),
        ("checkpoint,loss\nearly,0.3\nlate,nan\n", "line 3: the loss must be a number from 0 on, not 'nan'."),
        ("checkpoint,loss\nearly,-1\n", "line 2: the loss must be a number"),
        ("checkpoint,loss,step\nearly,0.3,1.5\n", "line 2: the step must be a whole number, not '1.5'."),
        ("checkpoint,loss,step\nearly,0.3,99999999999999999999999\n", "line 2: the step must be a whole number"),
        ("checkpoint,loss\nearly,0.3\nearly,0.2\n", "line 3: 'early' stands on line 2 already."),
        ("checkpoint,loss\nearly,0.3,5\n", "line 2: has more or fewer cells than the head."),
        ("checkpoint,value\nearly,0.3\n", "line 1: the column 'loss' is missing"),
        ("checkpoint,loss,size\nearly,0.3,5\n", "line 1: the column 'size' is unknown"),
        ("checkpoint,loss\nearly,0.3\nbare,0.2\n", "line 3: 'bare' has no loss family yet"),
        ("checkpoint,loss\n", "has no losses below its head."),
        ("", "line 1: the column 'checkpoint' is missing"),
    ],
)
def test_a_bad_file_changes_nothing(checkpoints: None, tmp_path: Path, text: str, reason: str) -> None:
    before = facts()
    with pytest.raises(LossFileError) as refusal:
        import_losses(file_of(tmp_path, text))
    assert reason in str(refusal.value)
    assert facts() == before


def test_a_file_that_is_not_there_or_no_text_is_refused(checkpoints: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"losses\.csv cannot be read: No such file"):
        call_command("import_losses", tmp_path / "losses.csv")
    (tmp_path / "losses.csv").write_bytes(b"checkpoint,loss\n\xff\xfe,1\n")
    with pytest.raises(CommandError, match=r"not a CSV file in UTF-8"):
        call_command("import_losses", tmp_path / "losses.csv")
