"""The upload pages: staff's own imports, files a few at a time, the report before the act, and 150 files at once."""

import json
import re
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from arena.models import AuditEvent, Study
from generation.models import Image, ImageImport, PromptSet, Recipe, StagedImage
from tests.arena import factories
from tests.generation.image_imports import files

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, settings: Settings) -> None:
    place = {"BACKEND": "generation.image_store.AtomicFileSystemStorage", "OPTIONS": {"location": str(tmp_path / "i")}}
    settings.STORAGES = settings.STORAGES | {"images": place}


@pytest.fixture
def prompts() -> PromptSet:
    return factories.make_prompts(3, name="Mine")[0].prompt_set


def staff(name: str = "ada") -> Client:
    user = factories.make_user(name)
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    browser = Client()
    browser.force_login(user)
    return browser


def begin(browser: Client, prompts: PromptSet, **said: object) -> int:
    form = {"prompt_set": prompts.pk, "contender": "SDXL", "layout": "dalle3", "first_index": 0, "samples": "", **said}
    answer = browser.post(reverse("arena:new_import"), form)
    assert answer.status_code == 302, re.findall(r"errorlist[^/]*", answer.content.decode())
    return int(answer.headers["Location"].rstrip("/").rpartition("/")[2])


def send(browser: Client, pk: int, sent: dict[str, bytes], *, paths: list[str] | None = None) -> list[dict[str, str]]:
    uploaded = [SimpleUploadedFile(name.rpartition("/")[2], data) for name, data in sent.items()]
    form = {"files": uploaded, "paths": list(sent) if paths is None else paths}
    answer = browser.post(reverse("arena:upload_files", args=[pk]), form, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.content
    said: list[dict[str, str]] = json.loads(answer.content)["files"]
    return said


def page_of(browser: Client, pk: int) -> str:
    answer = browser.get(reverse("arena:image_import", args=[pk]))
    assert answer.status_code == 200
    return answer.content.decode()


THREE = {f"{at}_0.png": files.png(at) for at in range(3)}


def test_files_come_in_parts_are_reported_on_and_taken_in_at_once(prompts: PromptSet) -> None:
    browser = staff()
    pk = begin(browser, prompts)
    send(browser, pk, {"0_0.png": files.png(0), "notes.png": files.png(8)})
    page = page_of(browser, pk)
    assert "Take in 1 image<" in page and "prompt 1 &quot;Mine: a plain surface number 1&quot;, sample 0" in page
    assert "1 file of no prompt, left out" in page and not Image.objects.exists() and not Recipe.objects.exists()
    send(browser, pk, {"1_0.png": files.png(1), "2_0.jpg": files.with_every_metadata("JPEG")})
    assert browser.post(reverse("arena:commit_import", args=[pk])).status_code == 302
    assert set(Image.objects.values_list("prompt_text", flat=True)) == set(
        prompts.prompts.values_list("text", flat=True)
    )
    recipe = Recipe.objects.get(name="SDXL")
    assert (recipe.kind, recipe.owner) == ("external", factories.make_user())
    assert AuditEvent.objects.get(act="images imported").detail == {"contenders": ["SDXL"], "images": 3}
    assert not StagedImage.objects.exists()
    again = browser.post(reverse("arena:commit_import", args=[pk]), follow=True).content.decode()
    assert "this import was taken in already" in again and Image.objects.count() == 3


def test_bad_files_are_named_stop_the_act_and_can_be_sent_again(prompts: PromptSet) -> None:
    browser = staff()
    pk = begin(browser, prompts)
    said = send(browser, pk, THREE | {"1_0.png": files.SVG, "2_0.png": files.one_bit_png(9000)})
    assert [outcome["refusal"].partition(",")[0] for outcome in said] == [
        "",
        "1_0.png: this is no PNG",
        "2_0.png: the image is 9000 x 9000 pixels",
    ]
    page = page_of(browser, pk)
    assert "2 problems stand in the way." in page and re.search(r"<button disabled>\s*Take in", page)
    browser.post(reverse("arena:commit_import", args=[pk]))
    assert not Image.objects.exists()
    send(browser, pk, {"1_0.png": files.png(1), "2_0.png": files.png(2)})
    browser.post(reverse("arena:commit_import", args=[pk]))
    assert Image.objects.count() == 3


def test_a_manifest_says_what_the_files_are_of_and_folders_are_matched(prompts: PromptSet) -> None:
    browser = staff()
    rows = b"file,prompt_id,model\nimg/a.png,0,Ours\nimg/b.png,0,Theirs\nimg/c.png,1,Ours\n"
    manifest = SimpleUploadedFile("m.csv", rows)
    pk = begin(browser, prompts, layout="manifest", contender="", manifest=manifest)
    send(browser, pk, {"chosen/img/a.png": files.png(0), "b.png": files.png(1)})
    assert "Take in 2 images" in page_of(browser, pk)
    browser.post(reverse("arena:commit_import", args=[pk]))
    assert set(Image.objects.values_list("recipe__name", flat=True)) == {"Ours", "Theirs"}


def test_folders_that_mean_something_are_sent_beside_the_files(prompts: PromptSet) -> None:
    browser = staff()
    pk = begin(browser, prompts, layout="geneval")
    send(browser, pk, {"00000/samples/0000.png": files.png(0), "00002/samples/0001.png": files.png(1)})
    browser.post(reverse("arena:commit_import", args=[pk]))
    assert set(Image.objects.values_list("prompt_text", "sample")) == {
        (prompts.prompts.get(position=0).text, 0),
        (prompts.prompts.get(position=2).text, 1),
    }


def test_imported_contenders_are_added_to_a_draft(prompts: PromptSet) -> None:
    browser = staff()
    study = factories.make_study(contenders=2, prompts=1, opened=False, owner=factories.make_user())
    pk = begin(browser, prompts)
    send(browser, pk, THREE)
    answer = browser.post(reverse("arena:commit_import", args=[pk]), {"study": study.slug})
    assert answer.headers["Location"] == reverse("arena:study", args=[study.slug])
    assert study.contenders.filter(label="SDXL").exists()
    other = factories.make_study(contenders=2, prompts=1, opened=False, slug="other", owner=factories.make_user("bob"))
    pk = begin(browser, prompts, contender="DALL-E")
    send(browser, pk, THREE)
    browser.post(reverse("arena:commit_import", args=[pk]), {"study": other.slug})
    assert not other.contenders.filter(label="DALL-E").exists() and Study.objects.count() == 2


def test_discarding_forgets_everything(prompts: PromptSet) -> None:
    browser = staff()
    pk = begin(browser, prompts)
    send(browser, pk, THREE)
    browser.post(reverse("arena:discard_import", args=[pk]))
    assert not ImageImport.objects.exists() and not StagedImage.objects.exists() and not Image.objects.exists()


# --- B27, B20: many files, strange names ------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [17, 100, 150])
def test_a_form_with_too_many_files_gets_a_sentence(count: int, prompts: PromptSet) -> None:
    browser = staff()
    pk = begin(browser, prompts)
    sent = [SimpleUploadedFile(f"{at}_0.png", files.png(at)) for at in range(count)]
    answer = browser.post(reverse("arena:upload_files", args=[pk]), {"files": sent})
    page = answer.content.decode()
    assert answer.status_code in (400, 413) and "<h1>SDXL</h1>" in page
    assert re.search(
        r'role="alert">(Too much at once: choose at most 16 files|Choose 1 to 16 files and send them)', page
    )
    assert not StagedImage.objects.exists()


def test_150_files_come_in_a_few_at_a_time() -> None:
    prompts = factories.make_prompts(150, name="Many")[0].prompt_set
    browser = staff()
    pk = begin(browser, prompts)
    for start in range(0, 150, 15):
        send(browser, pk, {f"{at}_0.png": files.png(at, size=(16, 16)) for at in range(start, start + 15)})
    assert "Take in 150 images" in page_of(browser, pk)
    browser.post(reverse("arena:commit_import", args=[pk]))
    assert Image.objects.count() == 150


def test_a_request_that_is_too_large_gets_a_sentence(prompts: PromptSet, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = staff()
    pk = begin(browser, prompts)
    monkeypatch.setattr("arena.views.image_imports.MOST_REQUEST_BYTES", 100)
    answer = browser.post(
        reverse("arena:upload_files", args=[pk]),
        {"files": [SimpleUploadedFile("0_0.png", files.png())]},
        headers={"Accept": "application/json"},
    )
    assert answer.status_code == 413 and json.loads(answer.content)["sentence"].startswith("Too much at once")


STRANGE = ["../../0_0.png", "/etc/0_0.png", "C:\\0_0.png", "a" * 300 + "/0_0.png", "\u202egnp/0_0.png", "con/0_0.png"]


def test_strange_names_make_no_file_anywhere_but_under_a_hash(prompts: PromptSet, tmp_path: Path) -> None:
    browser = staff()
    pk = begin(browser, prompts)
    for name in STRANGE:
        send(browser, pk, {"0_0.png": files.png()}, paths=[name])
    send(browser, pk, {"0_0.png": files.png()}, paths=[])
    stored = [path.relative_to(tmp_path / "i").as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert stored and all(re.fullmatch(r"[0-9a-f]{2}/[0-9a-f]{64}\.png", name) for name in stored)
    for name in StagedImage.objects.values_list("name", flat=True):
        assert name.isprintable() and len(name) <= 300
    refused = set(StagedImage.objects.exclude(refusal="").values_list("refusal", flat=True))
    assert len(refused) == 5 and all(sentence.endswith(".") for sentence in refused)
    page = page_of(browser, pk)
    assert "\u202e" not in page


def test_a_name_with_markup_is_text(prompts: PromptSet) -> None:
    browser = staff()
    pk = begin(browser, prompts, contender="<img src=x onerror=alert(1)>")
    send(browser, pk, {"<script>alert(1)</script>.png": files.png(), "0_0.png": files.png()})
    page = page_of(browser, pk)
    assert "<script>alert" not in page and "<img src=x" not in page and "&lt;img src=x" in page


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"contender": ""}, "it is not said whose images these are; name the contender."),
        ({"layout": "manifest"}, "there is no manifest; choose its file."),
        ({"layout": "mine"}, "Select a valid choice."),
        ({"prompt_set": 0}, "Select a valid choice."),
        ({"samples": 0}, "Ensure this value is greater than or equal to 1."),
        ({"first_index": 2}, "Select a valid choice."),
    ],
)
def test_a_form_that_cannot_be_is_refused_at_its_field(
    said: dict[str, object], sentence: str, prompts: PromptSet
) -> None:
    form = {"prompt_set": prompts.pk, "contender": "SDXL", "layout": "dalle3", "first_index": 0, **said}
    answer = staff().post(reverse("arena:new_import"), form)
    assert answer.status_code == 400 and sentence in answer.content.decode()
    assert not ImageImport.objects.exists()


def test_a_bad_manifest_is_refused_with_its_line(prompts: PromptSet) -> None:
    form = {"prompt_set": prompts.pk, "contender": "SDXL", "layout": "manifest", "first_index": 0}
    form["manifest"] = SimpleUploadedFile("m.csv", b"file,prompt_id\na.png,0\n,1\n")
    answer = staff().post(reverse("arena:new_import"), form)
    assert "m.csv, line 3: the row names no file" in answer.content.decode()


# --- whose it is ------------------------------------------------------------------------------------------------------
ADDRESSES = {
    "new_import": ("get", "post"),
    "image_import": ("get",),
    "upload_files": ("post",),
    "commit_import": ("post",),
    "discard_import": ("post",),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_visitors_sign_in_others_are_refused_and_colleagues_see_nothing(name: str, prompts: PromptSet) -> None:
    pk = begin(staff("ada"), prompts)
    address = reverse(f"arena:{name}", args=[] if name == "new_import" else [pk])
    visitor, rater, colleague = Client(), Client(), staff("bob")
    rater.force_login(factories.make_user("eve"))
    for method in ADDRESSES[name]:
        assert getattr(visitor, method)(address).headers["Location"].startswith(reverse("arena:login"))
        assert getattr(rater, method)(address).status_code == 403
        if name != "new_import":
            assert getattr(colleague, method)(address).status_code == 404
    assert ImageImport.objects.count() == 1


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_form_of_another_site_changes_nothing_and_neither_does_looking(name: str, prompts: PromptSet) -> None:
    pk = begin(staff("ada"), prompts)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(factories.make_user("ada"))
    address = reverse(f"arena:{name}", args=[] if name == "new_import" else [pk])
    if "post" in ADDRESSES[name]:
        form = {"files": [SimpleUploadedFile("0_0.png", files.png())]}
        assert browser.post(address, form).status_code == 403
    browser.get(address)
    assert ImageImport.objects.count() == 1 and not StagedImage.objects.exists()


def test_prompt_sets_of_others_cannot_be_chosen(prompts: PromptSet) -> None:
    PromptSet.objects.update(owner=factories.make_user("bob"))
    page = staff("ada").get(reverse("arena:new_import")).content.decode()
    assert "Mine v1" not in page
    PromptSet.objects.update(owner=None)
    assert "Mine v1" in staff("ada").get(reverse("arena:new_import")).content.decode()
