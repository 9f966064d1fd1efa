"""A board as a zip: what stands in it, that it fits again to the same numbers, and what is no such file."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from arena import board_fitting
from arena.board_exports import BOARD, export_board
from arena.board_refits import BoardFileError, refit_file
from arena.models import AuditEvent, Board, Rater, RuleTie, Vote
from tests.arena.board_cases import add_votes, linked_study, make_board
from tests.arena.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def board() -> Board:
    """Two studies, one with a tie by rule."""
    first, second = linked_study("first", "abc", votes=30), linked_study("second", "bcde", votes=30, seed=2)
    prompt = first.study_prompts.all()[0]
    low, high = first.contenders.order_by("pk")[:2]
    RuleTie.objects.create(study=first, study_prompt=prompt, low_contender=low, high_contender=high)
    return make_board(first, second)


def contents(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        tables = {
            name: list(csv.reader(io.StringIO(archive.read(name).decode())))
            for name in archive.namelist()
            if name != BOARD
        }
        return {BOARD: json.loads(archive.read(BOARD)), **tables}


def changed(path: Path, name: str, change: Callable[[str], str]) -> Path:
    """The same zip with another text in one of its files."""
    with zipfile.ZipFile(path) as archive:
        texts = {each: archive.read(each).decode() for each in archive.namelist()}
    other = path.with_name("changed.zip")
    with zipfile.ZipFile(other, "w") as archive:
        for each, text in texts.items():
            archive.writestr(each, change(text) if each == name else text)
    return other


def all_ties(text: str) -> str:
    head, rows = text.split("\n", 1)
    return f"{head}\n{rows.replace(',left,', ',tie,')}"


def test_it_fits_again_to_the_same_numbers_and_names_no_rater(board: Board, tmp_path: Path) -> None:
    (fit,) = board_fitting.refit_board(board)
    root = make_user("root", is_superuser=True)
    done = export_board(board, tmp_path / "board.zip", actor=root)
    assert (done.questions, done.stale) == (1, ()) and AuditEvent.objects.get(act="board exported").actor == root
    (found,) = refit_file(tmp_path / "board.zip")
    assert found.largest is not None and found.largest < 1e-9 and not found.is_other
    assert "give the same numbers" in found.sentence
    known = {entry["label"]: entry["log_strength"] for entry in fit.results["contenders"]}
    assert found.strengths == pytest.approx(known, abs=1e-9)

    told = contents(tmp_path / "board.zip")
    votes = told["votes/prompt-following.csv"][1:]
    assert len(votes) - 2 == done.votes == Vote.objects.count()  # the tie by rule stands in both orders
    assert [(row[3], row[6]) for row in votes if row[4] == ""] == [("tie", "0.5")] * 2
    assert {int(row[4]) for row in votes if row[4]} == set(range(8))
    table = {row[0]: row for row in told["tables/prompt-following.csv"][1:]}
    assert float(table["model c"][2]) == known["model c"] and len(told["prompts.csv"]) == 1 + 8
    assert {row[2] for row in told["history/prompt-following.csv"][1:]} == {
        entry["id"] for entry in fit.results["contenders"]
    }
    with zipfile.ZipFile(tmp_path / "board.zip") as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert not any(rater.public_id in everything for rater in Rater.objects.all())


def test_votes_that_no_fit_has_seen_are_told(board: Board, tmp_path: Path) -> None:
    file = tmp_path / "board.zip"
    assert export_board(board, file).stale == () and refit_file(file)[0].largest is None  # no fit at all
    board_fitting.refit_board(board)
    add_votes(board.studies.get(slug="first"), "abc", votes=2, seed=9)
    assert export_board(board, file).stale == ("prompt-following",)
    (found,) = refit_file(file)
    assert not found.is_other and "the fit in the file saw others" in found.sentence


def test_the_same_from_a_terminal(board: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "board.zip"
    call_command("board", "export", board.slug, str(file))
    assert "votes on 1 question written to" in capsys.readouterr().out and board.fits.count() == 1
    call_command("board", "check", str(file))
    assert "give the same numbers" in capsys.readouterr().out
    wrong = changed(file, "votes/prompt-following.csv", all_ties)
    with pytest.raises(CommandError, match="OTHER NUMBERS"):
        call_command("board", "check", str(wrong))
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("board", "export", board.slug, str(tmp_path / "nowhere" / "board.zip"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["board.zip", "changed.zip"]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (BOARD, lambda text: "[]", "is not that of an exported board"),
        (BOARD, lambda text: text.replace('"version": 1', '"version": 9', 1), "version 9"),
        (
            "votes/prompt-following.csv",
            lambda text: text.replace("study,", "st,", 1),
            "line 1: should name the columns",
        ),
        ("votes/prompt-following.csv", lambda text: text + "0,1\n", "is no line of 7 columns"),
        (
            "votes/prompt-following.csv",
            lambda text: text + "0,1,99,left,0,0,1\n",
            "right: '99' is not a number from 0 to",
        ),
        ("votes/prompt-following.csv", lambda text: text + "0,1,1,left,0,0,1\n", "another contender"),
        ("votes/prompt-following.csv", lambda text: text + "0,1,2,better,0,0,1\n", "outcome: 'better' is not one of"),
        ("votes/prompt-following.csv", lambda text: text + "0,1,2,left,0,0,nan\n", "weight: 'nan' is not"),
    ],
)
def test_what_is_no_exported_board_is_refused_with_its_place(
    board: Board, tmp_path: Path, name: str, change: Callable[[str], str], said: str
) -> None:
    export_board(board, tmp_path / "board.zip")
    with pytest.raises(BoardFileError) as refused:
        refit_file(changed(tmp_path / "board.zip", name, change))
    assert said in refused.value.sentence and refused.value.sentence.startswith(f"changed.zip, {name}")


def test_a_file_that_is_no_zip_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "board.zip").write_text("study,left,right")
    with pytest.raises(BoardFileError, match="is no zip that can be read"):
        refit_file(tmp_path / "board.zip")
