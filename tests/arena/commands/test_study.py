"""`manage.py study`: from a design file to a closed study."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from arena.models import Study
from generation.models import Recipe
from generation.prompt_files import PromptRow
from generation.prompt_sets import save_prompt_set
from tests.arena.factories import make_recipe

pytestmark = pytest.mark.django_db


def run(*arguments: object) -> str:
    output = io.StringIO()
    call_command("study", *map(str, arguments), stdout=output)
    return output.getvalue()


def told(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return found


@pytest.fixture
def design() -> dict[str, Any]:
    """A design of a sweep over one checkpoint; its images are nobody's yet."""
    save_prompt_set(name="Ten", rows=[PromptRow(text=f"prompt {at}", category="ab"[at % 2]) for at in range(10)])
    make_recipe("known", steps=7, checkpoint="final")
    return {
        "format": "winrate-design",
        "slug": "steps",
        "name": "Which steps?",
        "prompts": {"set": "Ten", "sample": {"count": 4, "seed": 1}},
        "sweeps": [
            {
                "checkpoints": ["final"],
                "steps": [1, 4, 28],
                "guidances": [3],
                "width": 64,
                "height": 64,
                "scheduler_class": "FlowMatchEulerDiscreteScheduler",
            }
        ],
        "labels": {"final, 28 steps, FlowMatchEulerDiscrete": "reference"},
        "baseline": "reference",
        "criteria": "sd3_house",
        "design": {"pairs": "baseline", "target_votes": 2, "planning": {"raters": 8, "ties": 0}},
    }


def written(folder: Path, design: dict[str, Any]) -> Path:
    file = folder / "design.json"
    file.write_text(json.dumps(design))
    return file


def test_a_study_is_made_opened_amended_and_closed(tmp_path: Path, design: dict[str, Any]) -> None:
    file = written(tmp_path, design)
    planned = told("summary", file)
    assert (planned["pairs"], planned["prompts"], planned["images_missing"]) == (2, 4, 12)
    assert planned["ordinary_ballots"] == 16 and not Study.objects.exists()
    assert Recipe.objects.count() == 1
    assert told("create", file)["state"] == "draft"
    assert "compares" not in run("status", "steps")
    opened = told("open", "steps", "--images")
    assert (opened["state"], opened["images"]["wanted"], len(opened["digest"])) == ("open", 12, 64)
    study = Study.objects.get()
    assert study.run is not None and study.run.jobs.count() == 12
    late = tmp_path / "late.json"
    late.write_text(
        json.dumps(
            {
                "checkpoint": "final",
                "steps": 8,
                "guidance": 3,
                "width": 64,
                "height": 64,
                "scheduler_class": "FlowMatchEulerDiscreteScheduler",
                "label": "late",
            }
        )
    )
    assert told("add-contender", "steps", late, "--reason", "asked for by a reviewer")["amendments"] == 1
    assert told("status", "steps")["images"]["wanted"] == 16
    assert [told(act, "steps")["state"] for act in ("pause", "resume", "close")] == ["paused", "open", "closed"]


def test_the_exported_design_makes_an_equal_study(tmp_path: Path, design: dict[str, Any]) -> None:
    run("create", written(tmp_path, design), "--open")
    exported = json.loads(run("export", "steps"))
    plan = told("export", "steps", "--plan")
    again = tmp_path / "again.json"
    again.write_text(json.dumps(exported))
    assert told("create", again, "--slug", "again", "--open")["digest"] == plan["digest"]
    assert "## Power" in run("export", "steps", "--plan")


@pytest.mark.once
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"colour": 1}, "unknown entry 'colour'"),
        ({"slug": "new"}, "'new' cannot be one"),
        ({"name": ""}, "has no name"),
        ({"prompts": {"set": "Eleven"}}, "There is no prompt set 'Eleven'"),
        ({"prompts": {"set": "Ten", "version": 2}}, "in version 2"),
        ({"prompts": {"set": "Ten", "digest": "0" * 64}}, "their content differs"),
        ({"prompts": {"set": "Ten", "sample": {"count": 0}}}, "The sample's count"),
        ({"prompts": None}, "“prompts” must be an object"),
        ({"sweeps": [{"checkpoints": ["nowhere"], "steps": [1]}]}, "there is no checkpoint 'nowhere'; known: final"),
        ({"sweeps": [{"checkpoints": ["final"], "steps": [1]}]}, "width must be a whole number"),
        ({"sweeps": [], "contenders": [{"service": "DALL-E 3"}]}, "there is no service 'DALL-E 3'"),
        ({"sweeps": [], "contenders": [{"recipe": "x", "service": "y"}]}, "exactly one of"),
        ({"sweeps": [], "labels": {}, "baseline": ""}, "compares at least two contenders"),
        ({"baseline": "nobody"}, "No contender is called 'nobody'"),
        ({"criteria": "sd4"}, "no list of questions 'sd4'"),
        ({"criteria": [{"key": "a b", "name": "A", "question": "?"}]}, "a key has letters"),
        ({"criteria": [{"key": "a", "name": "A", "question": "?", "applies_to": "categories"}]}, "name categories"),
        ({"design": {"pairs": "some"}}, "pairs must be one of"),
        ({"design": {"planning": {"ties": 2}}}, "ties must be a number from 0 to 0.95"),
        ({"rater_rules": []}, "“rater_rules” must be an object"),
        ({"version": 2}, "known is 1"),
    ],
)
def test_a_wrong_design_is_refused_in_one_sentence(
    tmp_path: Path, design: dict[str, Any], changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(CommandError) as refused:
        run("create", written(tmp_path, design | changed))
    assert words in str(refused.value) and not Study.objects.exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[]", "A design is a JSON object"),
        (b'{"name": NaN}', "line 1"),
        (b'{"name": 1,\n"name": 2}', 'the key "name" is there twice'),
        (b"\xff\xfe", "is not UTF-8"),
        (b'{"a":' * 10_000, "nested"),
    ],
)
def test_a_file_that_is_no_design_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(data)
    with pytest.raises(CommandError) as refused:
        run("create", file)
    assert words in str(refused.value)


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    for arguments in (("status", "nowhere"), ("create", tmp_path / "none.json"), ("create", tmp_path)):
        with pytest.raises(CommandError):
            run(*arguments)
