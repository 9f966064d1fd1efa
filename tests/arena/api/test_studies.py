"""A study through the API alone: prompts in, contenders, images, study, ballots, results, exports."""

import io
import json
import zipfile

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile

from arena import fitting
from arena.intake import take_in_images
from arena.models import AuditEvent, Study
from generation.models import Checkpoint, PromptSet, Run
from tests.arena import factories
from tests.arena.api.callers import Caller, body_of, caller, problem
from tests.generation.image_imports import files
from tests.security.cast_of_characters import staff

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    cache.clear()


def upload_prompts(call: Caller, data: bytes = b"a fox\na cat\n", **fields: str) -> dict[str, object]:
    file = SimpleUploadedFile("animals.txt", data)
    answer = call.form("/prompt-sets", file=file, **({"name": "Animals"} | fields))
    found: dict[str, object] = body_of(answer, answer.status_code)
    return found


def ready_study(call: Caller) -> str:
    """An open study of two services with all images, made by calls alone but for the raters' copies."""
    prompt_set = upload_prompts(call)["id"]
    contenders = []
    for number, name in enumerate(("SDXL", "Dream")):
        pk = body_of(call.post("/contenders", {"name": name}), 201)["id"]
        sent = {f"{prompt}_0.png": files.png(10 * number + prompt) for prompt in range(2)}
        body_of(call.upload(pk, sent, prompt_set=prompt_set), 201)
        contenders.append({"label": name, "recipe": pk, "is_baseline": number == 0})
    study = {"slug": "mine", "name": "Mine", "prompt_set": prompt_set, "contenders": contenders}
    made = body_of(call.post("/studies", study | {"rater_rules": {"instructions": False}}), 201)
    assert (made["state"], made["prompt_count"], len(made["criteria"])) == ("draft", 2, 3)
    assert body_of(call.post("/studies/mine/open"))["state"] == "open"
    take_in_images(study=Study.objects.get(), most=100)
    return "mine"


def test_a_front_end_of_ones_own_asks_a_rater_everything() -> None:
    call = caller("ada")
    slug = ready_study(call)
    text = body_of(call.get(f"/studies/{slug}/consent"))
    old = call.post(f"/studies/{slug}/raters", {"consent_version": "old"})
    assert problem(old, 422)["errors"][0]["field"] == "consent_version"
    rater = body_of(call.post(f"/studies/{slug}/raters", {"consent_version": text["version"]}), 201)["rater"]
    here = f"/studies/{slug}/raters/{rater}/ballots"
    seen = 0
    while items := body_of(call.post(here))["items"]:
        ballot = items[0]
        image = call.get(ballot["left"].removeprefix("/api/v1"))
        assert image.status_code == 200 and image.headers["Content-Type"] == "image/webp" and len(image.content) > 50
        wrong = {"answers": {each["key"]: "sideways" for each in ballot["criteria"]}}
        assert problem(call.post(f"{here}/{ballot['token']}", wrong), 422)["code"]
        answers = {"answers": {each["key"]: "left" for each in ballot["criteria"]}, "page_milliseconds": 900}
        first = body_of(call.post(f"{here}/{ballot['token']}", answers))
        again = body_of(call.post(f"{here}/{ballot['token']}", answers))
        assert (first["already"], again["already"]) == (False, True)
        problem(call.get(ballot["left"].removeprefix("/api/v1")), 404)  # answered: nothing more to look at
        seen += 1
    assert seen == 2 and Study.objects.get().votes.count() == body_of(call.get(f"/studies/{slug}"))["vote_count"]
    assert body_of(call.get(f"/studies/{slug}/results"))["items"] == []
    fitting.refit(Study.objects.get())
    items = body_of(call.get(f"/studies/{slug}/results"))["items"]
    assert [each["vote_count"] for each in items] == [2, 2]  # no prompt has text to render
    closed = body_of(call.post(f"/studies/{slug}/close"))
    assert closed["state"] == "closed"
    late = call.post(f"/studies/{slug}/raters", {"consent_version": text["version"]})
    assert problem(late, 422)["code"] == "study_closed"


def test_nobody_answers_for_a_rater_who_came_by_themselves() -> None:
    study = factories.make_study(contenders=2, prompts=2)
    rater = factories.make_rater(study)
    call = caller("ada")
    problem(call.post(f"/studies/{study.slug}/raters/{rater.public_id}/ballots"), 404)
    assert study.ballots.count() == 0


def test_votes_and_bundle_come_as_files_and_it_is_noted_down() -> None:
    study = factories.make_study(contenders=3, prompts=2)
    factories.cast(factories.make_rater(study), "right", ballots=3)
    call = caller("ada", scope="read")
    votes = call.get(f"/studies/{study.slug}/votes", format="jsonl", public="true")
    lines = b"".join(votes.streaming_content).decode().splitlines()
    assert len(lines) == study.votes.count() and json.loads(lines[0])["choice"] == "right"
    assert votes.headers["Content-Disposition"] == f'attachment; filename="{study.slug}.jsonl"'
    bundle = call.get(f"/studies/{study.slug}/bundle")
    with zipfile.ZipFile(io.BytesIO(b"".join(bundle.streaming_content))) as archive:
        assert archive.read("votes.jsonl").count(b"\n") == study.votes.count()
    assert problem(call.get(f"/studies/{study.slug}/votes", format="xls"), 422)["errors"][0]["field"] == "format"
    acts = AuditEvent.objects.filter(act__endswith="exported").order_by("pk").values_list("act", "actor__username")
    assert list(acts) == [("votes exported", "ada"), ("study exported", "ada")]


def test_who_only_looks_on_changes_nothing() -> None:
    study = factories.make_study(contenders=2, prompts=2)
    study.members.create(user=factories.make_user("ana"), role="analyst")
    ana = caller("ana", may_design=False)
    assert body_of(ana.get("/studies"))["count"] == 1
    for act in ("open", "pause", "resume", "close", "images"):
        assert problem(ana.post(f"/studies/{study.slug}/{act}"), 403)["code"] == "not_yours"
    problem(ana.get(f"/studies/{study.slug}/consent"), 404)
    problem(ana.post(f"/studies/{study.slug}/raters", {"consent_version": "x"}), 404)
    study.refresh_from_db()
    assert study.state == "open" and not study.raters.exists() and study.run is None


def test_prompt_files_are_saved_once_and_bad_ones_named() -> None:
    call = caller("ada")
    first = upload_prompts(call, licence="CC0")
    assert upload_prompts(call) == first and first["prompt_count"] == 2
    bad = call.form("/prompt-sets", file=SimpleUploadedFile("bad.csv", b"prompt\n\xff\xfe\n"), name="Bad")
    assert problem(bad, 422)["errors"][0]["field"] == "file"
    other = caller("bob").form("/prompt-sets", file=SimpleUploadedFile("a.txt", b"a fox\na cat\n"), name="Animals")
    assert problem(other, 409)["code"] == "name_taken" and PromptSet.objects.count() == 1


def test_whoever_designs_studies_makes_recipes_as_the_designer_does() -> None:
    ready = factories.make_recipe("four", steps=4).checkpoint
    assert ready is not None
    wish = {"name": "eight", "checkpoint": ready.pk, "steps": 8, "width": 64, "height": 64}
    assert problem(caller("rita", may_design=False).post("/recipes", wish), 403)["code"] == "no_right"
    ana = caller("ana")
    factories.make_study(contenders=2, prompts=1).members.create(user=User.objects.get(username="ana"), role="owner")
    assert body_of(ana.post("/recipes", wish), 201)["steps"] == 8


def test_checkpoints_recipes_and_runs_need_the_rights_of_the_admin() -> None:
    prompts = factories.make_prompts(2)
    call, sam = caller("ada"), staff("sam", has_rights=True)
    weights = {"name": "new", "source": "new"}
    assert problem(call.post("/checkpoints", weights), 403)["code"] == "no_right"
    own = caller(sam.username)
    made = body_of(own.post("/checkpoints", weights), 201)
    assert (made["state"], Checkpoint.objects.get().owner) == ("draft", sam)
    recipe = {"name": "four", "checkpoint": made["id"], "steps": 4, "width": 64, "height": 64}
    found = body_of(own.post("/recipes", recipe), 201)
    assert (found["steps"], found["state"]) == (4, "checking")
    assert problem(own.post("/recipes", recipe | {"steps": 10**9}), 422)["errors"][0]["field"] == "steps"
    assert problem(own.post("/recipes", recipe | {"guidance": -1}), 422)["detail"].startswith("guidance must be")
    wish = {"name": "r", "prompt_set": prompts[0].prompt_set_id, "recipes": [found["id"]]}
    run = body_of(own.post("/runs", wish), 201)
    assert (run["waiting"], run["state"]) == (2, "running")
    assert body_of(own.post(f"/runs/{run['id']}/steer", {"act": "cancel"}))["detail"].startswith("The run is cancelled")
    assert problem(own.post(f"/runs/{run['id']}/steer", {"act": "explode"}), 422)["errors"][0]["field"] == "act"
    # Of another person's checkpoint, recipe and run there is nothing to see.
    for path in (f"/checkpoints/{made['id']}", f"/recipes/{found['id']}", f"/runs/{run['id']}"):
        problem(call.get(path), 404)
    problem(call.post(f"/runs/{run['id']}/steer", {"act": "cancel"}), 404)
    study = {"slug": "x", "name": "X", "prompt_set": prompts[0].prompt_set_id}
    both = [{"label": name, "recipe": found["id"]} for name in "ab"]
    assert problem(call.post("/studies", study | {"contenders": both}), 404)["errors"][0]["field"] == "contenders"
    assert not Study.objects.exists() and Run.objects.count() == 1


def test_a_body_cannot_set_what_is_not_asked_for() -> None:
    call = caller("ada")
    slug = ready_study(call)
    prompt_set = PromptSet.objects.get().pk
    wish = {"slug": "other", "name": "Other", "prompt_set": prompt_set, "owner": 1, "state": "open", "is_staff": True}
    both = [{"label": row.label, "recipe": row.recipe_id} for row in Study.objects.get(slug=slug).contenders.all()]
    made = body_of(call.post("/studies", wish | {"contenders": both, "frozen_digest": "0" * 64}), 201)
    study = Study.objects.get(slug="other")
    assert (made["state"], study.frozen_digest, study.owner) == ("draft", "", factories.make_user("ada"))
    assert not factories.make_user("ada").is_staff
