"""The one-file client and the example, against the live server."""

import importlib.util
import inspect
import re
import zipfile
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.core.cache import cache
from pytest_django.live_server_helper import LiveServer

import winrate_client
from arena import api_tokens, fitting
from arena.api.routes import description
from arena.intake import take_in_images
from arena.models import Study
from tests.arena.factories import make_user
from tests.generation.image_imports import files
from winrate_client import Winrate, WinrateError

ROOT = Path(settings.BASE_DIR)


@pytest.fixture
def site(live_server: LiveServer) -> Winrate:
    cache.clear()
    user = make_user()
    user.user_permissions.add(Permission.objects.get(codename="add_study"))
    _, text = api_tokens.create_token(user=user, label="client", scope="write")
    return Winrate(live_server.url, text, attempts=1)


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_the_example_runs_a_study_from_prompts_to_files(
    site: Winrate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("example", ROOT / "docs" / "examples" / "study_from_python.py")
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    opened = Winrate.open_study

    def open_and_copy(self: Winrate, slug: str) -> object:
        told = opened(self, slug)
        take_in_images(study=Study.objects.get(slug=slug), most=100)  # a worker's part
        return told

    results = Winrate.results

    def fit_and_tell(self: Winrate, slug: str) -> object:
        fitting.refit(Study.objects.get(slug=slug))  # a worker's part
        return results(self, slug)

    monkeypatch.setattr(example.Winrate, "open_study", open_and_copy)
    monkeypatch.setattr(example.Winrate, "results", fit_and_tell)
    found = example.main(site.address, site.token, tmp_path)
    study = Study.objects.get()
    assert study.votes.count() == 6 * 4 * 2  # raters, prompts, criteria that apply
    for key in ("prompt-following", "aesthetics"):
        assert found[f"{key}: vivid"] > found[f"{key}: pale"]
    assert (tmp_path / "votes.csv").read_text().count("\n") == 1 + study.votes.count()
    with zipfile.ZipFile(tmp_path / "study.zip") as archive:
        assert len([name for name in archive.namelist() if name.endswith(".png")]) == 8


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_refusals_carry_the_sentence_the_code_and_the_field(site: Winrate, tmp_path: Path) -> None:
    with pytest.raises(WinrateError, match=r"^There is no such prompt set\.$") as refused:
        site.create_study(slug="x", name="X", prompt_set=99, contenders=[{"label": name, "recipe": 1} for name in "ab"])
    assert (refused.value.status, refused.value.code) == (404, "not_found")
    assert refused.value.errors[0]["field"] == "prompt_set"
    with pytest.raises(WinrateError) as refused:
        site.study("../../admin")
    assert refused.value.status == 404
    with pytest.raises(WinrateError):
        site.save_votes("nowhere", tmp_path / "votes.csv")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(WinrateError) as refused:
        Winrate(site.address, "winrate_wrong", attempts=1).study("x")
    assert refused.value.code == "token_needed" and "winrate_wrong" not in repr(Winrate(site.address, "winrate_wrong"))
    contender = site.create_contender("Mine")
    (tmp_path / "p.txt").write_text("a fox\na cat\n")
    prompts = site.upload_prompts(tmp_path / "p.txt", name="P")
    images = {"a fox": files.png(1), "a cat": files.png(2)}
    assert site.upload_images(contender["id"], images, prompt_set=prompts["id"]) == {"stored": 2, "already_there": 0}
    assert site.upload_images(contender["id"], images, prompt_set=prompts["id"])["already_there"] == 2
    assert [each["prompt"] for each in site.images(contender["id"])] == ["a fox", "a cat"]
    assert [each["text"] for each in site.prompts(prompts["id"])] == ["a fox", "a cat"]


def test_a_server_that_is_not_there_is_said_so() -> None:
    with pytest.raises(WinrateError, match="does not answer") as refused:
        Winrate("http://127.0.0.1:9", "winrate_x", attempts=1).study("x")
    assert refused.value.status == 0
    with pytest.raises(ValueError, match="begins with http"):
        Winrate("file:///etc/passwd", "winrate_x")


def test_the_client_knows_every_operation_and_stands_alone() -> None:
    source = inspect.getsource(winrate_client)
    wanted = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path.removeprefix("/api/v1")))
        for path, found in description()["paths"].items()
        for method in found
    }
    unheard = {each for each in wanted if last_word(each[1]) not in source}
    assert unheard == set()
    imported = set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE))
    assert imported <= set(__import__("sys").stdlib_module_names)


def last_word(path: str) -> str:
    """The last part of an address that is no id."""
    return [part for part in path.split("/") if part not in ("", "{}")][-1]
