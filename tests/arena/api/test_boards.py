"""Boards through the API and the command line: made, fitted, read."""

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from arena import board_fitting
from arena.models import AuditEvent, Board
from tests.arena.api.callers import body_of, caller, problem
from tests.arena.board_cases import linked_study, make_board, two_studies

pytestmark = pytest.mark.django_db

BODY = {"name": "Weekly", "studies": ["first", "second"], "criteria": ["prompt-following"]}


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    cache.clear()


def test_a_board_is_made_and_read() -> None:
    two_studies()
    ada = caller("ada")
    made = body_of(ada.post("/boards", BODY), 201)
    assert (made["slug"], made["studies"], made["fits"]) == ("weekly", ["first", "second"], [])
    assert made["criteria"][0]["key"] == "prompt-following" and not made["is_public"]
    board_fitting.refit_changed_boards()
    (fit,) = body_of(ada.get("/boards/weekly"))["fits"]
    assert fit["vote_count"] == 480 and len(fit["results"]["contenders"]) == 5
    assert sorted(source["slug"] for source in fit["sources"]) == ["first", "second"]
    assert [each["slug"] for each in body_of(ada.get("/boards"))["items"]] == ["weekly"]
    assert problem(caller("bob").get("/boards/weekly"), 404)["code"] == "not_found"


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"studies": ["first", "secret"]}, 422, "studies"),
        ({"studies": ["first", "apart"]}, 422, "studies"),
        ({"criteria": ["beauty"]}, 422, "criteria"),
        ({"reference": "x"}, 422, "reference"),
        ({"name": ""}, 422, "name"),
        ({"slug": "a b"}, 422, "slug"),
    ],
)
def test_wrong_input_is_refused_with_its_field(change: dict[str, Any], status: int, field: str) -> None:
    two_studies()
    linked_study("apart", "fgh", votes=0)
    linked_study("secret", "abc", votes=0, owner="eve")
    said = problem(caller("ada").post("/boards", BODY | change), status)
    assert said["errors"][0]["field"] == field and not Board.objects.exists()


def test_people_who_only_rate_make_no_board() -> None:
    two_studies()
    assert problem(caller("nobody", may_design=False).post("/boards", BODY), 403)["code"] == "not_researcher"


def test_an_administrator_publishes_a_board_and_hides_it_again() -> None:
    two_studies()
    ada, root = caller("ada"), caller("root", is_superuser=True)
    ada.post("/boards", BODY)
    everybody = Client()
    for act, is_public, said in (("publish", True, "board published"), ("unpublish", False, "board hidden again")):
        assert problem(ada.post(f"/boards/weekly/{act}"), 403)["code"] == "not_administrator"
        assert Board.objects.get().is_public is not is_public
        assert body_of(root.post(f"/boards/weekly/{act}"))["is_public"] is is_public
        assert body_of(root.post(f"/boards/weekly/{act}"))["is_public"] is is_public  # twice is once
        event = AuditEvent.objects.get(act=said)
        assert event.actor is not None and event.actor.username == "root" and event.detail["board"] == "weekly"
        assert everybody.get("/public/boards/weekly/").status_code == (200 if is_public else 404)
    assert problem(root.post("/boards/nothing/publish"), 404)["code"] == "not_found"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    call_command("board", *words, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_same_from_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    two_studies()
    studies = ("--study", "first", "--study", "second")
    made = run(capsys, "create", "Weekly", *studies, "--criterion", "prompt-following", "--owner", "ada")
    assert (made["version"], made["board"], made["studies"]) == (1, "weekly", ["first", "second"])
    assert made["criteria"] == [{"criterion": "prompt-following", "votes": 0, "fitted_at": None, "results": None}]
    assert run(capsys, "refit", "weekly")["criteria"][0]["votes"] == 480
    (line,) = run(capsys, "list")["boards"]
    assert line["board"] == "weekly" and line["fitted_at"]
    call_command("board", "show", "weekly")
    told = capsys.readouterr().out
    assert "480 votes, fit 1." in told and "1. model c: log strength" in told
    for words, said in (
        (("show", "nothing"), "Known: weekly"),
        (("create", "x", "--study", "third", "--criterion", "prompt-following"), "no study 'third'"),
        (("create", "x", "--study", "first", "--criterion", "beauty"), "None of these studies asks beauty"),
        (("create", "x", "--study", "first", "--criterion", "beauty", "--owner", "zoe"), "no user 'zoe'"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("board", *words)
    assert Board.objects.count() == 1


def test_a_board_of_drafts_or_twins_is_refused() -> None:
    first, second = two_studies()
    assert make_board(first, second)
    twin = linked_study("twin", "ab", votes=0)
    a, b = (contender.recipe for contender in twin.contenders.all())
    for recipe in (a, b):
        recipe.kind, recipe.checkpoint, recipe.schedule, recipe.name = "external", None, None, "Dream"
        recipe.save()
    said = problem(caller("ada").post("/boards", BODY | {"slug": "x", "studies": ["twin"]}), 422)
    assert "two contenders that would be one" in said["detail"]
