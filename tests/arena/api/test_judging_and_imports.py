"""Who judges the judges, by calls; and studies that come from elsewhere."""

from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile

from arena import judging
from arena.api import imports
from arena.bundles.writing import export_study
from arena.models import AuditEvent, Exclusion, Study, Vote
from generation.models import PromptSet
from tests.arena import factories
from tests.arena.api.callers import Answer, body_of, caller, problem

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    cache.clear()


def test_a_rater_is_looked_at_excluded_and_taken_back() -> None:
    study = factories.make_study(contenders=3, prompts=4)
    rater = factories.make_rater(study)
    factories.cast(rater, ballots=4)
    judging.judge(study)
    call, here = caller("ada"), f"/studies/{study.slug}"
    found = body_of(call.get(f"{here}/rater-table"))
    assert found["count"] == 1 and found["counted_at"] is not None
    assert (
        found["items"][0] | {"rater": rater.public_id, "votes": study.votes.count(), "exclusion": None}
        == (found["items"][0])
    )
    said = {"scope": "rater", "target": rater.public_id, "reason": "clicked without looking"}
    assert problem(call.post(f"{here}/exclusions", said | {"reason": " "}), 422)["errors"][0]["field"] == "reason"
    done = body_of(call.post(f"{here}/exclusions", said), 201)
    assert done | {"target": rater.public_id, "author": "ada", "stands": True, "revokes": None} == done
    assert not Vote.objects.counted().exists()
    assert body_of(call.get(f"{here}/rater-table"))["items"][0]["exclusion"] == done["id"]
    back = body_of(call.post(f"{here}/exclusions/{done['id']}/readmit", {"reason": "a mistake"}), 201)
    assert (back["revokes"], back["stands"]) == (done["id"], False)
    assert Vote.objects.counted().count() == study.votes.count()
    listed = body_of(call.get(f"{here}/exclusions"))
    assert [(each["id"], each["stands"]) for each in listed["items"]] == [(done["id"], False), (back["id"], False)]
    assert problem(call.post(f"{here}/exclusions/{done['id']}/readmit", {"reason": "again"}), 422)["code"] == (
        "not_standing"
    )


@pytest.mark.parametrize("scope", ["vote", "ballot", "image"])
def test_other_things_are_excluded_by_what_names_them(scope: str) -> None:
    study = factories.make_study(contenders=3, prompts=2)
    factories.cast(factories.make_rater(study))
    vote = study.votes.all()[0]
    target = {"vote": vote.pk, "ballot": vote.ballot.token, "image": vote.ballot.left_image_id}[scope]
    said = {"scope": scope, "target": str(target), "reason": "broken"}
    done = body_of(caller("ada").post(f"/studies/{study.slug}/exclusions", said), 201)
    assert done["target"] == str(target)
    assert not Vote.objects.counted().filter(pk=vote.pk).exists()


def test_what_another_study_has_cannot_be_excluded_here() -> None:
    study, other = (factories.make_study(contenders=2, prompts=1, slug=slug) for slug in ("mine", "other"))
    factories.cast(factories.make_rater(other))
    vote = other.votes.all()[0]
    call = caller("ada")
    targets = [("vote", vote.pk), ("ballot", vote.ballot.token), ("image", vote.ballot.left_image_id)]
    for scope, target in [*targets, ("rater", vote.rater.public_id)]:
        said = {"scope": scope, "target": str(target), "reason": "x"}
        problem(call.post(f"/studies/{study.slug}/exclusions", said), 404)
    for target in ("x", "9" * 30, "-1"):
        said = {"scope": "vote", "target": target, "reason": "x"}
        assert problem(call.post(f"/studies/{study.slug}/exclusions", said), 422)["errors"][0]["field"] == "target"
    assert not Exclusion.objects.exists()


def test_a_known_answer_is_proposed_reviewed_and_retired() -> None:
    study = factories.make_study(contenders=2, prompts=2)
    call, here = caller("ada"), f"/studies/{study.slug}/gold"
    pair = {"prompt": 1, "first": 0, "second": 1, "answers": {"aesthetics": "first"}}
    assert problem(call.post(here, pair | {"answers": {"charm": "first"}}), 422)["code"] == "not_asked"
    problem(call.post(here, pair | {"prompt": 99}), 404)
    made = body_of(call.post(here, pair), 201)
    assert (made["answers"], made["reviewed_at"], made["retired_at"]) == (pair["answers"], None, None)
    assert problem(call.post(here, pair), 422)["code"] == "proposed_already"
    assert body_of(call.post(f"{here}/{made['id']}/review"))["reviewed_at"] is not None
    assert problem(call.post(f"{here}/{made['id']}/review"), 422)["code"] == "not_waiting"
    assert body_of(call.post(f"{here}/{made['id']}/retire"))["retired_at"] is not None
    assert [each["id"] for each in body_of(call.get(here))["items"]] == [made["id"]]
    acts = list(AuditEvent.objects.filter(act__startswith="gold").order_by("pk").values_list("act", flat=True))
    assert acts == ["gold proposed", "gold reviewed", "gold retired"]


@pytest.mark.parametrize(("role", "status"), [("analyst", 403), ("rater_manager", 201), ("owner", 201)])
def test_a_colleague_decides_about_raters_where_the_role_says_so(role: str, status: int) -> None:
    study = factories.make_study(contenders=2, prompts=1)
    rater = factories.make_rater(study)
    study.members.create(user=factories.make_user("ana"), role=role)
    said = {"scope": "rater", "target": rater.public_id, "reason": "x"}
    answer = caller("ana").post(f"/studies/{study.slug}/exclusions", said)
    assert answer.status_code == status
    assert Exclusion.objects.exists() == (status == 201)


VOTES = b"left,right,choice,rater\nA,B,left,1\nB,A,right,2\nA,B,left,3\n"


def test_votes_from_elsewhere_become_a_study() -> None:
    call = caller("ada")
    fields = {"slug": "theirs", "name": "Theirs", "baseline": "A", "source": "a colleague"}
    made = body_of(call.form("/imports/votes", file=SimpleUploadedFile("v.csv", VOTES), **fields), 201)
    assert (made["study"], made["votes"], made["skips"]) == ("theirs", 3, 0)
    study = body_of(call.get("/studies/theirs"))
    assert (study["state"], study["vote_count"], study["name"]) == ("closed", 3, "Theirs")
    problem(caller("bob").get("/studies/theirs"), 404)
    again = call.form("/imports/votes", file=SimpleUploadedFile("v.csv", VOTES), **fields)
    assert problem(again, 422)["errors"][0]["field"] == "slug"
    bad = SimpleUploadedFile("v.csv", VOTES + b"A,B,sideways,4\n")
    assert "line 5" in problem(call.form("/imports/votes", file=bad, slug="bad"), 422)["detail"]
    assert Study.objects.count() == 1


def test_a_bundle_from_elsewhere_becomes_a_study_with_the_same_numbers(tmp_path: Path) -> None:
    study = factories.make_study(contenders=3, prompts=3)
    factories.cast(factories.make_rater(study), ballots=5)
    export_study(study, tmp_path / "b.zip", actor=None)
    data = (tmp_path / "b.zip").read_bytes()
    call = caller("bob")
    made = body_of(call.form("/imports/bundle", file=SimpleUploadedFile("b.zip", data), slug="again"), 201)
    assert (made["study"], made["votes"]) == ("again", study.votes.count())
    assert made["comparisons"] and Study.objects.get(slug="again").owner == factories.make_user("bob")
    torn = SimpleUploadedFile("b.zip", data[: len(data) // 2])
    assert problem(call.form("/imports/bundle", file=torn, slug="torn"), 422)["code"] == "bad_bundle"
    assert not Study.objects.filter(slug="torn").exists()


def test_who_imported_what_is_told_to_those_alone_who_see_it(tmp_path: Path) -> None:
    study = factories.make_study(contenders=2, prompts=1)
    factories.cast(factories.make_rater(study))
    export_study(study, tmp_path / "b.zip", actor=None)
    data = (tmp_path / "b.zip").read_bytes()
    body_of(caller("bob").form("/imports/bundle", file=SimpleUploadedFile("b.zip", data), slug="bobs-secret"), 201)
    told = problem(caller("bob").form("/imports/bundle", file=SimpleUploadedFile("../my run.zip", data)), 422)
    assert told["detail"] == "my_run.zip was imported already, as the study bobs-secret."
    own = body_of(caller("eve").form("/imports/bundle", file=SimpleUploadedFile("../my run.zip", data)), 201)
    assert Study.objects.get(slug=own["study"], owner__username="eve") and "bobs-secret" not in str(own)
    assert [each["slug"] for each in body_of(caller("eve").get("/studies"))["items"]] == [own["study"]]


def test_an_odd_file_name_is_told_tamed() -> None:
    names = {"vötes 1.csv": "vötes_1.csv", "x" * 300 + ".csv": "x" * 40 + "x" * 16 + ".csv", ".\n": "_", "": "upload"}
    assert {said: imports._safe_name(said) for said in names} == names


@pytest.mark.parametrize(
    "path", ["/studies", "/prompt-sets", "/prompt-sets/preview", "/imports/votes", "/imports/bundle"]
)
def test_who_only_rates_brings_nothing_in(path: str) -> None:
    call = caller("rita", may_design=False)
    study = {
        "slug": "new",
        "name": "New",
        "prompt_set": 1,
        "contenders": [{"label": name, "recipe": 1} for name in "ab"],
    }
    fields = {"slug": "new", "name": "New"}
    file = SimpleUploadedFile("v.csv", VOTES)
    answer = call.post(path, study) if path == "/studies" else call.form(path, file=file, **fields)
    assert problem(answer, 403)["code"] == "not_researcher"
    assert not Study.objects.exists() and not PromptSet.objects.exists()


def test_an_import_that_would_take_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MOST_BYTES", 10)
    call = caller("ada")
    for path in ("/imports/votes", "/imports/bundle"):
        answer = call.form(path, file=SimpleUploadedFile("../../v.csv", VOTES), slug="big")
        assert problem(answer, 413)["errors"][0]["field"] == "file"
    assert not Study.objects.exists()


def test_a_prompt_file_is_looked_at_before_it_is_saved() -> None:
    call = caller("ada")
    data = b"caption,kind\na fox,animal\na cat,animal\na fox,animal\n"

    def send(path: str, **fields: str) -> Answer:
        return call.form(path, file=SimpleUploadedFile("odd.csv", data), **fields)

    chosen = {"columns": '{"text": "caption", "category": "kind"}'}
    look = body_of(send("/prompt-sets/preview", **chosen, drops_duplicates="true"))
    assert look["is_readable"] and look["first_prompts"] == ["a fox", "a cat"]
    assert (look["categories"], look["dropped"], look["prompt_count"]) == ({"animal": 2}, 1, 2)
    unread = body_of(send("/prompt-sets/preview", columns='{"text": "colour"}'))
    assert not unread["is_readable"] and unread["problems"][0]["sentence"].startswith("There is no prompt column")
    assert not PromptSet.objects.exists()
    for columns in ("[]", "{", '{"text": 3}', "[" * 1000):
        assert problem(send("/prompt-sets/preview", columns=columns), 422)["errors"][0]["field"] == "columns"
    saved = body_of(send("/prompt-sets", name="Odd", **chosen, drops_duplicates="true"), 201)
    assert saved["prompt_count"] == 2
    assert [each["category"] for each in body_of(call.get(f"/prompt-sets/{saved['id']}/prompts"))["items"]] == [
        "animal",
        "animal",
    ]
