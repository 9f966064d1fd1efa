"""Votes and ratings from elsewhere become studies, with the numbers that `rank` finds in the same file."""

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from arena import fitting
from arena.design_files import design_file_of
from arena.leaderboard import results_of
from arena.models import AuditEvent, Rater, Study
from arena.refusals import Refusal
from arena.trust_panel import trust_panel
from arena.vote_chain import check_chain
from arena.vote_imports import import_votes
from generation.models import Recipe
from tests.arena.dumps import dump
from tests.arena.factories import make_study, make_user

pytestmark = pytest.mark.django_db

MODELS = ("sd-1", "sd-2", "vq", "mini")


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ratings(*, prompts: int = 25, raters: int = 5) -> list[dict[str, Any]]:
    """Five raters score each model on each prompt from 1 to 5, some cells left empty."""
    rng = np.random.default_rng(160)
    worth = dict(zip(MODELS, (3.6, 3.2, 2.6, 2.2), strict=True))
    rows = []
    for prompt, model in itertools.product(range(prompts), MODELS):
        hardness = rng.normal(0, 0.5)
        for rater in range(raters):
            score = int(np.clip(np.rint(worth[model] + hardness + rng.normal(0, 0.8)), 1, 5))
            empty = prompt == 3 and rater == 2 and model == "vq"
            rows.append(
                {
                    "prompt": f"prompt {prompt}",
                    "model": model,
                    "rater": f"anna-{rater}@example.org",
                    "criterion": "faithfulness",
                    "score": "" if empty else score,
                }
            )
    return rows


def pairs_by_hand(rows: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """(one model, another, sign of the gap), written down as simply as can be."""
    cells: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        if row["score"] != "":
            cells.setdefault((row["prompt"], row["rater"]), {})[row["model"]] = row["score"]
    return [
        (one, other, (scores[one] > scores[other]) - (scores[one] < scores[other]))
        for scores in cells.values()
        for one, other in itertools.combinations(sorted(scores), 2)
    ]


def ranked(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    call_command("rank", str(path), "--json", *options)
    (criterion,) = json.loads(capsys.readouterr().out)["criteria"]
    found: dict[str, Any] = criterion
    found["strengths"] = {
        each["name"]: each["log_strength"] for board in found["components"] for each in board["contenders"]
    }
    return found


def test_likert_ratings_give_all_estimates_through_the_public_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ratings()
    path, pairs = written(tmp_path / "ratings.csv", rows), pairs_by_hand(rows)
    call_command("import_votes", str(path), "tifa", "--baseline", "mini")
    told = capsys.readouterr().out
    assert f"{len(pairs):,} votes imported as the study tifa (read as scores)" in told
    assert "1 rows have no score and were left out" in told and "no side bias is estimated" in told

    (fit,) = fitting.refit(study := Study.objects.get(slug="tifa"))
    ties = sum(sign == 0 for *_, sign in pairs)
    assert (fit.vote_count, fit.rater_count, fit.prompt_count) == (len(pairs), 5, 25)
    assert np.array(fit.results["observed"]["ties"]).sum() / 2 == ties and 0.2 < ties / len(pairs) < 0.6
    assert fit.results["side_bias"] is None

    call_command("export_votes", "tifa", str(tmp_path / "out.csv"))
    for rule in ("half", "drop", "davidson", "rao-kupper"):
        direct = ranked(path, capsys, "--ties", rule)
        through = ranked(tmp_path / "out.csv", capsys, "--ties", rule, "--no-side-bias")
        assert through["strengths"] == pytest.approx(direct["strengths"], abs=1e-9)
        assert through["ties"]["parameter"] == pytest.approx(direct["ties"]["parameter"], abs=1e-9)
        if rule == "half":
            # The study's own fit, intervals and all.
            board = {each["name"]: each for each in direct["components"][0]["contenders"]}
            for each in fit.results["contenders"]:
                theirs = board[each["label"]]
                for name in ("log_strength", "standard_error", "low", "high"):
                    assert each[name] == pytest.approx(theirs[name], abs=1e-9)
        if rule == "davidson":
            stored = fit.results["ties"]["log_likelihoods"]["davidson"]
            assert stored == pytest.approx(direct["ties"]["log_likelihood"], abs=1e-7)
    assert study.state == "closed"
    call_command("fit", "tifa")
    assert f"{len(pairs):,} votes, 5 raters, 25 prompts" in capsys.readouterr().out


def test_names_of_raters_are_not_kept_and_chains_are_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "ratings.csv", ratings(prompts=3))
    ada = make_user()
    done = import_votes(path, slug="likert", owner=ada, source="TIFA")
    assert "example.org" not in dump() and Rater.objects.filter(study=done.study).count() == 5
    assert [problem for rater in done.study.raters.all() for problem in check_chain(rater)] == []
    assert {row.recipe.kind for row in done.study.contenders.select_related("recipe")} == {"external"}
    assert set(Recipe.objects.values_list("owner", flat=True)) == {ada.pk}
    event = AuditEvent.objects.get(act="votes imported")
    assert (event.actor, event.study, event.detail["source"]) == (ada, done.study, "TIFA")


def test_answers_to_several_questions_share_a_ballot(tmp_path: Path) -> None:
    rows = [
        {"criterion": key, "left": "a", "right": "b", "choice": choice, "rater": "r", "prompt": "p"}
        for key, choice in (("Look", "left"), ("Text", "right"), ("Look", "tie"), ("Look", "skip"))
    ]
    done = import_votes(written(tmp_path / "votes.jsonl", rows), slug="several")
    votes = list(done.study.votes.order_by("pk").values_list("criterion__key", "choice", "ballot__position"))
    assert votes == [("look", "left", 1), ("text", "right", 1), ("look", "tie", 2), ("look", "skip", 3)]
    assert (done.votes, done.skips, done.ballots) == (3, 1, 3)
    assert "unknown" not in done.study.design


ARENA: list[dict[str, Any]] = [
    {
        "question_id": "q1",
        "model_a": "llama",
        "model_b": "gpt",
        "winner": "model_b",
        "judge": "arena_user_1",
        "conversation_a": [{"role": "user", "content": "Draw a fox"}],
    },
    {"question_id": "q2", "model_a": "gpt", "model_b": "llama", "winner": "tie (bothbad)", "judge": "arena_user_2"},
    {"question_id": "q3", "model_a": "gpt", "model_b": "gpt", "winner": "tie", "judge": "arena_user_2"},
]
PICK_A_PIC: list[dict[str, Any]] = [
    {"caption": "a fox", "model_0": "sdxl", "model_1": "dream", "label_0": 1.0, "label_1": 0.0, "user_id": 7},
    {"caption": "a fox", "model_0": "dream", "model_1": "sdxl", "label_0": 0.5, "label_1": 0.5, "user_id": 8},
    {"caption": "a cat", "model_0": "sdxl", "model_1": "sdxl", "label_0": 0.0, "label_1": 1.0, "user_id": 8},
]


def test_an_arenas_log_and_pick_a_pic_are_read(tmp_path: Path) -> None:
    arena = import_votes(written(tmp_path / "arena.jsonl", ARENA), slug="arena").study
    told = arena.votes.order_by("pk").values_list(
        "left_contender__label", "right_contender__label", "choice", "study_prompt__prompt__text"
    )
    assert list(told) == [("llama", "gpt", "right", "Draw a fox"), ("gpt", "llama", "both_bad", "q2")]
    assert arena.criteria.get().allows_both_bad and arena.raters.count() == 2

    done = import_votes(written(tmp_path / "pick.csv", PICK_A_PIC), slug="pick")
    told = done.study.votes.order_by("pk").values_list(
        "left_contender__label", "right_contender__label", "choice", "study_prompt__prompt__text"
    )
    assert list(told) == [("sdxl", "dream", "left", "a fox"), ("dream", "sdxl", "tie", "a fox")]
    assert done.study.design["unknown"] == ["sides"]
    assert "1 rows compare a contender with itself and were left out." in done.notes


def test_what_is_not_named_is_said_and_adds_nothing_to_the_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(3)
    rows = []
    for number in range(120):
        left, right = rng.choice(3, 2, replace=False)
        winner = "left" if rng.random() < 0.5 + 0.15 * (left - right) else "right"
        rows.append({"left": f"m{left}", "right": f"m{right}", "choice": winner, "prompt": f"p{number % 12}"})
    path = written(tmp_path / "votes.csv", rows)
    done = import_votes(path, slug="unnamed")
    assert "The file names no raters: fits do not cluster by them." in done.notes
    (fit,) = fitting.refit(done.study)
    assert fit.results["cluster"]["by"] == ["prompt"]
    assert any("The votes name no raters" in sentence for sentence in fit.results["warnings"])
    board = {each["name"]: each for each in ranked(path, capsys)["components"][0]["contenders"]}
    for each in fit.results["contenders"]:
        for name in ("log_strength", "standard_error"):
            assert each[name] == pytest.approx(board[each["label"]][name], abs=1e-9)


@pytest.mark.once
def test_nothing_is_told_of_raters_and_prompts_that_a_file_does_not_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    rows = []
    for _ in range(90):
        left, right = rng.choice(3, 2, replace=False)
        rows.append({"left": f"m{left}", "right": f"m{right}", "choice": "left" if left < right else "right"})
        rows[-1]["choice"] = "tie" if rng.random() < 0.3 else rows[-1]["choice"]
    study = import_votes(written(tmp_path / "votes.csv", rows), slug="bare").study
    (fit,) = fitting.refit(study)
    findings = fit.results["findings"]
    assert findings["agreement"] is None
    assert findings["prompts"] == {"items": {}, "hardest": [], "disagreements": []}
    trust = findings["trust"]
    assert (trust["stop"], trust["flips"]["rater"], trust["flips"]["prompt"]) == (None, None, None)
    assert trust["unknown"] == ["prompts", "raters"]
    (results,) = results_of(study)
    panel = trust_panel(results)
    assert panel is not None and panel.stop is None
    answers = {finding.question: finding.answer for finding in panel.findings}
    for many in ("raters", "prompts"):
        assert answers[f"How many {many} hold up the first place?"] == f"Not known: the votes name no {many}."
    browser = Client()
    browser.force_login(make_user(is_superuser=True))
    page = browser.get(reverse("arena:study", args=[study.slug])).content.decode()
    assert "Not known: the votes name no raters, and the rule counts raters." in page
    assert browser.get(reverse("arena:progress", args=[study.slug])).status_code == 200

    named = [{**row, "prompt": f"p{place % 4}"} for place, row in enumerate(rows)]
    (fit,) = fitting.refit(import_votes(written(tmp_path / "named.csv", named), slug="prompts").study)
    told = fit.results["findings"]["prompts"]
    assert told["items"]["count"] == 12 and not told["hardest"] and not told["disagreements"]


def test_only_imports_say_what_votes_leave_out(tmp_path: Path) -> None:
    design = {"unknown": ["raters"]}
    with pytest.raises(Refusal, match="unknown is for imported votes alone"):
        make_study(design=design, images=False, copies=False)
    path = written(tmp_path / "votes.csv", [{"left": "a", "right": "b", "choice": "left"}])
    study = import_votes(path, slug="bare").study
    assert study.design["unknown"] == ["raters", "prompts"]
    assert "unknown" not in design_file_of(study)["design"]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("", r"votes.csv, line 1: the file is empty"),
        ("left,right\na,b\n", r"votes.csv, line 1: has none of the known sets of columns"),
        ("left,right,choice\na,b,up\n", r"votes.csv, line 2: choice must be one of left.* not 'up'"),
        ("left,right,choice\na,a,left\n", r"votes.csv, line 2: 'a' is compared with itself"),
        ("left,right,choice\na,,left\n", r"votes.csv, line 2: right is empty"),
        (f"left,right,choice\na,{'b' * 300},left\n", r"votes.csv, line 2: right is longer than 200 characters"),
        ("left,right,choice,weight\na,b,left,2\n", r"line 1: a study keeps whole votes"),
        ("left,right,wins_left,ties,wins_right\na,b,1,2,3\n", r"line 1: holds counts, not single votes"),
        ("model_a,model_b,winner\na,b,nobody\n", r"line 2: winner must be model_a, model_b, tie or tie \(bothbad\)"),
        ("model_0,model_1,label_0,label_1\na,b,1,1\n", r"line 2: label_0 and label_1 must be 1 and 0"),
        ("prompt,model,rater,score\np,m,r,NaN\n", r"line 2: score must be a number"),
        ("prompt,model,rater,score\np,m,r,3\n", r"there is nothing to compare"),
        ("left,right,choice\na\0,b,left\n", r"line 2: holds a NUL byte"),
    ],
)
def test_a_bad_file_makes_nothing(tmp_path: Path, text: str, pattern: str) -> None:
    (tmp_path / "votes.csv").write_text(text)
    before = dump()
    with pytest.raises(Refusal, match=pattern):
        import_votes(tmp_path / "votes.csv", slug="bad")
    assert dump() == before


def test_bad_options_make_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "votes.csv", [{"left": "a", "right": "b", "choice": "left"}])
    before = dump()
    for options, pattern in (
        (["../x"], "short name has 1 to 100 letters"),
        (["x", "--baseline", "c"], "has no contender 'c'; it has a, b"),
        (["x", "--owner", "nobody"], "There is no user 'nobody'"),
    ):
        with pytest.raises(CommandError, match=pattern):
            call_command("import_votes", str(path), *options)
    assert dump() == before
