"""What the API does: prompt sets out, contenders and images in, coverage; and how it refuses."""

import json

import pytest
from django.core.cache import cache

from arena.models import Study
from generation.models import Image, PromptSet, Recipe
from tests.arena import factories
from tests.arena.api.callers import Caller, body_of, caller, problem
from tests.generation.image_imports import files

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    cache.clear()


@pytest.fixture
def prompts(db: None) -> PromptSet:
    return factories.make_prompts(3, name="Mine")[0].prompt_set


@pytest.fixture
def call(db: None) -> Caller:
    return caller()


def contender(call: Caller, name: str = "SDXL") -> int:
    made: int = body_of(call.post("/contenders", {"name": name}), 201)["id"]
    return made


def test_prompts_come_a_page_at_a_time(call: Caller, prompts: PromptSet) -> None:
    (found,) = body_of(call.get("/prompt-sets"))["items"]
    assert (found["id"], found["name"], found["prompt_count"]) == (prompts.pk, "Mine", 3)
    page = body_of(call.get(f"/prompt-sets/{prompts.pk}/prompts", limit=1, offset=1))
    assert page["count"] == 3 and [each["position"] for each in page["items"]] == [1]
    assert page["items"][0]["text"] == "Mine: a plain surface number 1"


def test_a_contender_is_made_once(call: Caller) -> None:
    first = body_of(call.post("/contenders", {"name": "SDXL", "notes": "March"}), 201)
    again = body_of(call.post("/contenders", {"name": "SDXL"}), 200)
    assert first == again and Recipe.objects.get().owner == factories.make_user()
    assert body_of(call.get(f"/contenders/{first['id']}")) == first


def test_images_are_uploaded_by_rows_and_listed(call: Caller, prompts: PromptSet) -> None:
    pk = contender(call)
    rows = [{"file": "a.png", "prompt": "Mine: a plain surface number 2", "seed": 7, "steps": 30}]
    rows.append({"file": "b.jpg", "prompt_id": 1, "sample": 1})
    sent = {"a.png": files.png(0), "b.jpg": files.saved(files.picture(), "JPEG")}
    done = body_of(call.upload(pk, sent, prompt_set=prompts.pk, rows=json.dumps(rows)), 201)
    assert (done["stored"], done["already_there"], done["unknown"]) == (2, 0, [])
    listed = body_of(call.get(f"/contenders/{pk}/images"))
    assert listed["items"] == done["images"] and listed["count"] == 2
    image = Image.objects.get(sample=0)
    assert image.provenance["told"] == {"seed": 7, "metadata": {"steps": 30}}
    assert listed["items"][0]["request_digest"] == image.request_digest


def test_images_are_uploaded_by_their_names(call: Caller, prompts: PromptSet) -> None:
    pk = contender(call)
    sent = {"0_0.png": files.png(0), "2_0.png": files.png(2), "17_0.png": files.png(3), "note.png": files.png(4)}
    done = body_of(call.upload(pk, sent, prompt_set=prompts.pk), 201)
    assert (done["stored"], done["unknown"]) == (2, ["note.png", "17_0.png"])


def test_the_same_upload_again_stores_nothing(call: Caller, prompts: PromptSet) -> None:
    pk = contender(call)
    sent = {"0_0.png": files.png(0), "1_0.png": files.png(1)}
    body_of(call.upload(pk, sent, prompt_set=prompts.pk), 201)
    before = list(Image.objects.values())
    done = body_of(call.upload(pk, sent, prompt_set=prompts.pk), 200)
    assert (done["stored"], done["already_there"]) == (0, 2) and list(Image.objects.values()) == before
    more = body_of(call.upload(pk, sent | {"2_0.png": files.png(2)}, prompt_set=prompts.pk), 201)
    assert (more["stored"], more["already_there"]) == (1, 2)


def test_another_picture_for_a_filled_place_is_a_conflict(call: Caller, prompts: PromptSet) -> None:
    pk = contender(call)
    body_of(call.upload(pk, {"0_0.png": files.png(0)}, prompt_set=prompts.pk), 201)
    said = problem(call.upload(pk, {"0_0.png": files.png(9), "1_0.png": files.png(1)}, prompt_set=prompts.pk), 409)
    assert said["code"] == "image_exists" and "has another image already" in said["detail"]
    assert Image.objects.count() == 1


def test_coverage_names_what_is_missing(call: Caller, prompts: PromptSet) -> None:
    pk = contender(call)
    body_of(call.upload(pk, {"0_0.png": files.png(0)}, prompt_set=prompts.pk), 201)
    found = body_of(call.get(f"/contenders/{pk}/coverage", prompt_set=prompts.pk))
    assert (found["wanted"], found["found"], found["missing_count"]) == (3, 1, 2)
    assert found["missing"][0] == {"position": 1, "prompt": "Mine: a plain surface number 1", "sample": 0}


def test_a_study_says_which_images_it_lacks(call: Caller) -> None:
    study = factories.make_study(contenders=2, prompts=2)
    Image.objects.filter(recipe__contenders__position=1).first().delete()  # type: ignore[union-attr]
    found = body_of(call.get(f"/studies/{study.slug}/coverage"))
    assert (found["wanted"], found["made"], found["showable"]) == (4, 3, 3)
    (gap,) = found["gaps"]
    assert (gap["missing_count"], gap["is_external"], len(gap["missing"])) == (1, False, 1)
    assert Study.objects.count() == 1


@pytest.mark.once
def test_the_description_is_openapi_with_our_problems(call: Caller) -> None:
    found = body_of(call.get("/openapi.json"))
    assert found["openapi"].startswith("3.") and found["info"]["title"] == "Winrate"
    assert "/api/v1/contenders/{contender_id}/images" in found["paths"]
    assert set(found["components"]["schemas"]["Problem"]["properties"]) >= {"detail", "code", "errors"}
    for path in found["paths"].values():
        for operation in path.values():
            assert {"401", "404", "422", "429"} <= set(operation["responses"]) and operation["security"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "name"),
        ({"name": ""}, 422, "name"),
        ({"name": "  "}, 422, "name"),
        ({"name": "x" * 201}, 422, "name"),
        ({"name": 7}, 422, "name"),
        ({"name": "a\u202eb"}, 422, "name"),
        ("{", 400, ""),
        ("[" * 100_000, 400, ""),
        ('{"name": NaN}', 422, "name"),
    ],
)
def test_a_bad_body_is_a_problem_that_names_the_field(call: Caller, body: object, status: int, field: str) -> None:
    said = problem(call.post("/contenders", body), status)
    assert [error["field"] for error in said["errors"]] == ([field] if field else [])
    assert not Recipe.objects.exists()


def test_what_nobody_may_set_is_not_set(call: Caller) -> None:
    body = {"name": "SDXL", "owner": 1, "kind": "generated", "state": "refused", "id": 99}
    made = body_of(call.post("/contenders", body), 201)
    recipe = Recipe.objects.get(pk=made["id"])
    assert (recipe.kind, recipe.state, recipe.owner) == ("external", "ready", factories.make_user())


def test_a_bad_upload_is_a_problem_and_stores_nothing(call: Caller, prompts: PromptSet) -> None:
    pk = contender(call)
    good = {"0_0.png": files.png(0)}
    cases: list[tuple[dict[str, bytes], dict[str, object], int, str]] = [
        (good, {}, 422, "prompt_set"),
        (good, {"prompt_set": "x"}, 422, "prompt_set"),
        (good, {"prompt_set": 0}, 404, "no such prompt set"),
        (good, {"rows": "{"}, 422, "not valid JSON"),
        (good, {"rows": "{}"}, 422, "no JSON list"),
        (good, {"rows": '[{"file": "0_0.png"}]'}, 422, "names no prompt"),
        (good, {"rows": '[{"file": "0_0.png", "prompt_id": 0, "sample": -1}]'}, 422, '"sample" is'),
        (good, {"rows": '[{"file": "1_0.png", "prompt_id": 0}]'}, 422, "no such file"),
        (good, {"rows": '[{"file": "../0_0.png", "prompt_id": 0}]'}, 422, "leads out"),
        (good, {"layout": "mine"}, 422, "layout"),
        (good | {"1_0.png": files.SVG}, {}, 422, "1_0.png: this is no PNG"),
        (good | {"1_0.png": files.one_bit_png(9000)}, {}, 422, "9000 x 9000"),
        ({}, {}, 422, "files"),
        ({f"{at}_0.png": b"x" for at in range(17)}, {}, 413, "at most 16 images"),
        ({f"{at}_0.png": b"x" for at in range(150)}, {}, 413, "fewer files"),
    ]
    for sent, fields, status, words in cases:
        fields = fields if "prompt_set" in fields or words == "prompt_set" else fields | {"prompt_set": prompts.pk}
        said = problem(call.upload(pk, sent, **fields), status)
        assert words in said["detail"] + str(said["errors"]), said
    assert not Image.objects.exists()


def test_unknown_addresses_and_methods_are_problems(call: Caller, prompts: PromptSet) -> None:
    problem(call.get("/nothing/here"), 404)
    problem(call.get("/prompt-sets/x"), 404)
    problem(call.get("/prompt-sets", limit=100_000), 422)
    problem(call.get(f"/prompt-sets/{prompts.pk}/prompts", offset=-1), 422)
    answer = call.post(f"/prompt-sets/{prompts.pk}")
    assert problem(answer, 405)["code"] == "method_not_allowed" and answer.headers["Allow"] == "GET"
    problem(Caller().get("/nothing/here"), 401)
