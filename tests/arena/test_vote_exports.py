"""Votes as files: `rank` finds the numbers of the study's own fit in them, and nobody finds a rater."""

import csv
import json
import re
import tracemalloc
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arena import fitting, rank_report, raters, vote_exports
from arena.models import Contender, Exclusion, Study
from arena.vote_exports import VoteExportError, export_votes
from arena.vote_files.cells import escaped, unescaped
from arena.vote_files.shapes import read_votes
from arena.vote_imports import import_votes
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import cast, make_rater, make_study
from tests.arena.fit_cases import add_vote, bare_study

pytestmark = pytest.mark.django_db

NASTY = ("=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "'=quoted", "''-twice")


def voted_study() -> Study:
    study = bare_study(contenders=4, prompts=5, slug="voted")
    people = bulk_votes(study, raters=6, ballots_per_rater=40, strengths=[0, 0.3, 0.8, 1.5])
    add_vote(study, make_rater(study), left=0, right=1, choice="skip")
    raters.exclude(study=study, scope=Exclusion.Scope.RATER, target=people[0], reason="bored", author=None)
    return study


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.once
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("is_public", [True, False])
def test_rank_finds_the_numbers_of_the_fit_in_the_file(tmp_path: Path, suffix: str, is_public: bool) -> None:
    study = voted_study()
    (fit,) = fitting.refit(study)
    path = tmp_path / f"votes{suffix}"
    export = export_votes(study, path, is_public=is_public)
    assert (export.votes, export.skips) == (fit.vote_count, 1) == (200, 1)

    (ranking,) = rank_report.rank_file(read_votes(path), rank_report.RankOptions())

    labels = list(study.contenders.order_by("position").values_list("label", flat=True))
    order = [ranking.data.names.index(label) for label in labels]
    assert (ranking.data.number, ranking.data.skips) == (200, 1)
    assert (ranking.data.raters, ranking.data.prompts) == (fit.rater_count, fit.prompt_count)
    for name, theirs in (("log_strength", "estimate"), ("low", "low"), ("high", "high")):
        stored = [entry[name] for entry in fit.results["contenders"]]
        np.testing.assert_allclose(getattr(ranking.strengths, theirs)[order], stored, atol=1e-9, rtol=0)
    for name in ("estimate", "low", "high"):
        matrix = np.array(fit.results["win_probability"][name], dtype=float)
        found = getattr(ranking.win_probabilities, name)[np.ix_(order, order)]
        np.testing.assert_allclose(found, matrix, atol=1e-9, rtol=0)


def test_real_votes_on_several_criteria_are_all_there(tmp_path: Path) -> None:
    study = make_study(contenders=3, prompts=3)
    cast(make_rater(study), "right", ballots=4)
    export_votes(study, tmp_path / "votes.csv", is_public=False)
    told = [
        (row["criterion"], row["left"], row["right"], row["prompt_text"]) for row in rows_of(tmp_path / "votes.csv")
    ]
    stored = study.votes.order_by("pk").values_list(
        "criterion__key", "left_contender__label", "right_contender__label", "study_prompt__prompt__text"
    )
    assert told == list(stored)


def test_two_public_files_share_no_rater_and_tell_no_id_and_no_minute(tmp_path: Path) -> None:
    study = voted_study()
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    for path in (one, other):
        export_votes(study, path, is_public=True)
    first, second = ({row["rater"] for row in rows_of(path)} for path in (one, other))
    assert len(first) == len(second) == 6 and not first & second
    text = one.read_text()
    for rater in study.raters.all():
        assert rater.public_id not in text
    assert {"skip_reason", "milliseconds"}.isdisjoint(rows_of(one)[0])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00:00\+00:00", row["cast_at"]) for row in rows_of(one))
    patterns = [[row[name] for row in rows_of(path)] for path in (one, other) for name in ("left", "choice", "prompt")]
    assert patterns[:3] == patterns[3:]


def test_a_file_for_researchers_names_the_ids_of_the_admin(tmp_path: Path) -> None:
    study = voted_study()
    export_votes(study, tmp_path / "votes.csv", is_public=False)
    ids = set(study.raters.filter(votes__isnull=False).values_list("public_id", flat=True))
    excluded = study.exclusions.get().rater
    assert excluded and {row["rater"] for row in rows_of(tmp_path / "votes.csv")} == ids - {excluded.public_id}


@pytest.mark.parametrize("text", [*NASTY, "\tTab", "plain", "'quoted'", "", "a=b"])
def test_a_cell_comes_back_as_it_was_and_is_no_formula(text: str) -> None:
    cell = escaped(text)
    assert unescaped(cell) == text
    assert not re.match(r"[=+\-@\t\r\n]", cell)
    assert (cell == text) == (text in ("plain", "'quoted'", "", "a=b"))


def test_names_that_look_like_formulas_are_harmless_and_read_back(tmp_path: Path) -> None:
    study = bare_study(contenders=6, prompts=2)
    for contender, name in zip(study.contenders.all(), NASTY, strict=True):
        Contender.objects.filter(pk=contender.pk).update(label=name)
    bulk_votes(study, raters=3, ballots_per_rater=40)
    export_votes(study, tmp_path / "votes.csv", is_public=True)
    cells = {cell for row in rows_of(tmp_path / "votes.csv") for cell in (row["left"], row["right"])}
    assert not [cell for cell in cells if cell[0] in "=+-@\t\r"]
    assert set(read_votes(tmp_path / "votes.csv").criteria[0].names) == set(NASTY)
    export_votes(study, tmp_path / "votes.jsonl", is_public=True)
    lines = [json.loads(line) for line in (tmp_path / "votes.jsonl").read_text().splitlines()]
    assert {line["left"] for line in lines} <= set(NASTY)


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = voted_study()
    path = tmp_path / "votes.csv"
    path.write_text("what was there before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("arena.vote_exports._write_csv", fail)
    with pytest.raises(VoteExportError, match="cannot be written: no space left on device"):
        export_votes(study, path, is_public=True)
    assert [each.name for each in tmp_path.iterdir()] == ["votes.csv"]
    assert path.read_text() == "what was there before"


@pytest.mark.parametrize("each", [10, 40])
def test_the_number_of_queries_does_not_grow_with_the_votes(tmp_path: Path, each: int) -> None:
    study = bare_study()
    bulk_votes(study, raters=3, ballots_per_rater=each)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        export_votes(study, tmp_path / "votes.csv", is_public=True)
    assert len(queries) == 5  # the last is the audit log's


@pytest.mark.once
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_memory_does_not_grow_with_the_votes(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vote_exports, "_BATCH", 100)

    def peak(study: Study) -> int:
        tracemalloc.start()
        try:
            export_votes(study, tmp_path / f"votes{suffix}", is_public=True)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = (bare_study(contenders=4, prompts=5, slug=slug) for slug in ("few", "many"))
    bulk_votes(few, raters=3, ballots_per_rater=100)
    bulk_votes(many, raters=3, ballots_per_rater=600)
    peak(few)  # modules and caches that stay
    more = peak(many) - peak(few)
    assert more < 1_500 * 100, f"{more:,} bytes more for 1,500 more votes"


def test_the_command_says_what_it_wrote_and_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = voted_study()
    call_command("export_votes", study.slug, str(tmp_path / "votes.csv"), "--public")
    assert capsys.readouterr().out == f"200 votes and 1 skips written to {tmp_path / 'votes.csv'}.\n"
    for arguments, sentence in (
        (("nowhere", "votes.csv"), "There is no study 'nowhere'. Known: voted."),
        ((study.slug, "votes.xlsx"), "votes.xlsx: the file must end in .csv, .jsonl, .parquet."),
        ((study.slug, "/nowhere/votes.csv"), "/nowhere/votes.csv cannot be written: no such file or directory."),
    ):
        with pytest.raises(CommandError) as refused:
            call_command("export_votes", *arguments)
        assert str(refused.value) == sentence


def test_public_times_are_rounded_down(tmp_path: Path) -> None:
    study = make_study(contenders=2, prompts=1, with_text=0)
    cast(make_rater(study), "left")
    vote = study.votes.earliest("pk")
    export_votes(study, tmp_path / "votes.csv", is_public=True)

    told = datetime.fromisoformat(rows_of(tmp_path / "votes.csv")[0]["cast_at"])
    assert timedelta(0) <= vote.cast_at - told < timedelta(hours=1)


def test_pick_a_pics_columns_come_back_as_the_same_votes(tmp_path: Path) -> None:
    study = make_study(contenders=3, prompts=3)
    for choice in ("right", "tie"):
        cast(make_rater(study), choice, ballots=4)
    for suffix in (".csv", ".jsonl", ".parquet"):
        export_votes(study, tmp_path / f"pick{suffix}", is_public=True, shape="pickapic")
        back = import_votes(tmp_path / f"pick{suffix}", slug=f"back-{suffix[1:]}").study
        columns = ("left_contender__label", "right_contender__label", "choice", "study_prompt__prompt__text")
        assert list(back.votes.order_by("pk").values_list(*columns)) == list(
            study.votes.order_by("pk").values_list(*columns)
        )
    row = rows_of(tmp_path / "pick.csv")[0]
    assert (row["label_0"], row["label_1"], row["has_label"]) == ("0.0", "1.0", "True")
    assert row["best_image_uid"] == row["image_1_uid"] and len(row["image_1_uid"]) == 64


def test_triples_hold_decisive_votes_and_say_what_they_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(contenders=3, prompts=3)
    cast(make_rater(study), "left", ballots=3)
    cast(make_rater(study), "tie", ballots=3)
    call_command("export_votes", study.slug, str(tmp_path / "dpo.jsonl"), "--as", "dpo")
    votes = list(study.votes.filter(choice="left").order_by("pk").select_related("ballot__left_image"))
    told = [json.loads(line) for line in (tmp_path / "dpo.jsonl").read_text().splitlines()]
    images = [vote.ballot.left_image.file_sha256 for vote in votes if vote.ballot.left_image]
    assert [each["chosen"] for each in told] == [f"images/{name}.png" for name in images] != []
    assert set(told[0]) == {"prompt", "chosen", "rejected", "chosen_model", "rejected_model", "criterion", "rater"}
    assert f"Left out: {study.votes.exclude(choice='left').count()} ties" in capsys.readouterr().out
