"""`manage.py report`: a folder that needs no server."""

import csv
import json
import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from arena import fitting
from arena.leaderboard import results_of
from arena.models import Study
from tests.arena.bulk_votes import bulk_votes
from tests.arena.fit_cases import bare_study

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def study() -> Study:
    study = bare_study(contenders=3, prompts=6)
    bulk_votes(study, raters=6, strengths=[0, 0.6, 1.2])
    fitting.refit(study)
    return study


def test_the_folder_has_the_page_the_figures_in_all_forms_and_the_texts(study: Study, tmp_path: Path) -> None:
    call_command("report", study.slug, out=tmp_path / "out")
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    charts = ("forest-prompt-following", "matrix-prompt-following", "steps-prompt-following")
    assert {f"figures/{chart}.{suffix}" for chart in charts for suffix in ("svg", "pdf", "png", "csv")} <= names
    assert {"report.html", "results.json", "methods.txt", "table.tex"} <= names
    page = (tmp_path / "out/report.html").read_text()
    # Nothing is loaded from elsewhere and nothing runs.
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert "<script" not in page
    assert page.count("data:image/svg+xml;base64,") == len(charts)
    assert "Can this be trusted?" in page


def test_figures_come_with_the_numbers_that_they_show(study: Study, tmp_path: Path) -> None:
    call_command("report", study.slug, out=tmp_path)
    with (tmp_path / "figures/forest-prompt-following.csv").open() as file:
        lines = {line["contender"]: line for line in csv.DictReader(file)}
    shown = {row.label: row for row in results_of(study)[0].rows if not row.is_baseline}
    assert lines.keys() == shown.keys()
    for label, row in shown.items():
        told = [float(lines[label][name]) for name in ("preferred_to_baseline", "low", "high")]
        assert told == [row.against_baseline.value, row.against_baseline.low, row.against_baseline.high]


def test_json_says_the_same_and_where_the_files_are(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("report", study.slug, out=tmp_path, json=True)
    told = json.loads(capsys.readouterr().out)
    first = told["criteria"][0]
    assert (first["votes"], first["raters"], first["prompts"]) == (180, 6, 6)
    assert first["contenders"][0]["label"] == results_of(study)[0].rows[0].label
    assert all((tmp_path / name).is_file() for name in told["files"])
    assert json.loads((tmp_path / "results.json").read_text())["criteria"] == told["criteria"]


def test_a_folder_that_cannot_be_written_is_refused_in_a_sentence(study: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CommandError, match=r"The report cannot be written to .*file: "):
        call_command("report", study.slug, out=tmp_path / "file")
    with pytest.raises(CommandError, match=r"There is no study 'nothing'\. Known: colours\."):
        call_command("report", "nothing", out=tmp_path)
