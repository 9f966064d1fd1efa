"""Prompt sets in the browser: the list, a file on its way in, a set's page, who may see what."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from arena.models import AuditEvent
from generation.models import PromptSet, PromptUpload
from generation.prompt_files import PromptRow
from generation.prompt_sets import save_prompt_set
from tests.arena.factories import make_study, make_user
from tests.security.cast_of_characters import staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> Client:
    browser = Client()
    browser.force_login(staff("ada"))
    return browser


def send(browser: Client, data: bytes, name: str = "file.csv", **options: Any) -> Any:
    return browser.post(reverse("arena:upload_prompts"), {"file": SimpleUploadedFile(name, data)}, **options)


def uploaded(browser: Client, data: bytes, name: str = "file.csv") -> str:
    reply = send(browser, data, name)
    assert reply.status_code == 302, reply.content.decode()
    return str(reply.headers["Location"])


def test_a_file_is_understood_then_saved(ada: Client) -> None:
    page = uploaded(ada, b'prompt,category\na cat,animals\n"a sign ""STOP""",signs\na cat,animals\n', "Mine.csv")
    text = ada.get(page).content.decode()
    assert "<dt>prompts</dt><dd>3</dd>" in text and "<dt>with text to render</dt><dd>1</dd>" in text
    assert "<dt>duplicates, kept</dt><dd>1</dd>" in text and "Save 3 prompts" in text
    reply = ada.post(page, {"act": "save", "name": "Mine", "licence": "CC0-1.0", "source": "me"}, follow=True)
    assert "Saved as “Mine v1”." in reply.content.decode()
    saved = PromptSet.objects.get()
    assert (saved.owner, saved.licence, saved.prompts.count()) == (User.objects.get(username="ada"), "CC0-1.0", 3)
    assert not PromptUpload.objects.exists()
    assert AuditEvent.objects.filter(act="prompt set saved").count() == 1


def test_problems_are_listed_with_their_lines_and_rows(ada: Client) -> None:
    text = ada.get(uploaded(ada, b"prompt,note\na cat,x\na dog\n,y\n")).content.decode()
    assert "2 problems" in text and "<strong>Line 3.</strong>" in text and '<code class="row">a dog</code>' in text
    assert "Save " not in text


def test_the_columns_can_be_corrected(ada: Client) -> None:
    page = uploaded(ada, b"id,beschreibung,group\n1,a cat,pets\n")
    assert "There is no prompt column" in ada.get(page).content.decode()
    said = {"act": "read", "column_text": "beschreibung", "column_category": "group", "column_tags": ""}
    assert ada.post(page, said).status_code == 302
    text = ada.get(page).content.decode()
    assert "Save 1 prompt<" in text and "<td>pets</td>" in text
    twice = ada.post(page, said | {"column_category": "beschreibung"})
    assert twice.status_code == 400 and "cannot mean two things" in twice.content.decode()
    unknown = ada.post(page, said | {"column_category": "nowhere"})
    assert unknown.status_code == 400


def test_text_from_a_file_stays_text(ada: Client) -> None:
    page = uploaded(ada, b"prompt\n<img src=x onerror=alert(1)>\n{{ 7 * 7 }}\njavascript:go()\n", "bad.csv")
    ada.post(page, {"act": "save", "name": "<b>bad</b>"})
    for address in (reverse("arena:prompt_sets"), reverse("arena:prompt_set", args=[PromptSet.objects.get().pk])):
        text = ada.get(address).content.decode()
        assert "<img src=x" not in text and "<b>bad" not in text and "&lt;b&gt;bad" in text
    assert "{{ 7 * 7 }}" in text and "&lt;img src=x" in text


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b"prompt\nein K\xe4fer\n", "line 2: byte 0xE4 is not UTF-8"),
        (b"PK\x03\x04rest", "an Excel workbook or a zip archive"),
        (b"prompt\na\0b\n", "line 2: there is a NUL byte"),
    ],
)
def test_what_is_no_text_is_refused_at_once(ada: Client, data: bytes, sentence: str) -> None:
    reply = send(ada, data)
    assert reply.status_code == 400 and sentence in reply.content.decode()
    assert not PromptUpload.objects.exists()


def test_a_header_alone_is_an_error_not_an_empty_set(ada: Client) -> None:
    assert "There are no prompts in this file" in ada.get(uploaded(ada, b"prompt,category\n")).content.decode()


def test_a_huge_file_is_refused_before_it_is_read(ada: Client) -> None:
    reply = send(ada, b"prompt\na\n", headers={"Content-Length": str(200 * 2**20)}, CONTENT_LENGTH=200 * 2**20)
    assert reply.status_code == 413 and "larger than 32 MB" in reply.content.decode()


@pytest.mark.parametrize("files", [{}, {"file": ""}])
def test_a_form_without_a_file_is_told_so(ada: Client, files: dict[str, str]) -> None:
    reply = ada.post(reverse("arena:upload_prompts"), files)
    assert reply.status_code == 400 and "Choose one prompt file" in reply.content.decode()


def test_the_upload_wants_the_form_token() -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(staff("ada"))
    assert send(browser, b"prompt\na\n").status_code == 403
    assert not PromptUpload.objects.exists()


def test_a_file_can_be_forgotten(ada: Client) -> None:
    page = uploaded(ada, b"prompt\na\n")
    assert ada.post(page, {"act": "forget"}).status_code == 302
    assert not PromptUpload.objects.exists()


def test_files_and_sets_of_others_do_not_exist(ada: Client) -> None:
    page = uploaded(ada, b"prompt\na\n")
    hers = save_prompt_set(name="Hers", rows=[PromptRow(text="a")], owner=User.objects.get(username="ada"))
    eve = Client()
    eve.force_login(staff("eve"))
    for method in (eve.get, eve.post):
        assert method(page, {"act": "forget"}).status_code == 404
    assert eve.get(reverse("arena:prompt_set", args=[hers.pk])).status_code == 404
    assert "Hers" not in eve.get(reverse("arena:prompt_sets")).content.decode()


def test_who_only_rates_has_no_such_pages_and_who_has_a_study_does() -> None:
    browser = Client()
    browser.force_login(make_user("rita"))
    assert browser.get(reverse("arena:prompt_sets")).status_code == 403
    study = make_study(contenders=2, prompts=1, opened=False, images=False, copies=False)
    study.members.create(user=make_user("rita"), role="analyst")
    assert browser.get(reverse("arena:prompt_sets")).status_code == 200


def make_set(count: int = 120) -> PromptSet:
    rows = [
        PromptRow(
            text=f"{'animal' if at % 3 else 'sign'} {at}",
            category="animals" if at % 3 else "signs",
            target_text=None if at % 3 else f"T{at}",
        )
        for at in range(count)
    ]
    return save_prompt_set(name="Large", rows=rows)


def test_a_set_is_searched_filtered_and_paged(ada: Client) -> None:
    address = reverse("arena:prompt_set", args=[make_set().pk])
    first = ada.get(address).content.decode()
    assert "1 to 50 of 120" in first and "animal 49" in first and "animal 50" not in first
    assert "101 to 120 of 120" in ada.get(address, {"page": 3}).content.decode()
    signs = ada.get(address, {"category": "signs", "has_text": "on"}).content.decode()
    assert "sign 0" in signs and "animal 1<" not in signs
    found = ada.get(address, {"search": "animal 11"}).content.decode()
    assert "animal 110" in found and "animal 112" in found and "animal 10<" not in found
    assert "No prompt is like this" in ada.get(address, {"search": "nothing"}).content.decode()
    assert ada.get(address, {"category": "x' OR 1=1", "page": "²"}).status_code == 200


def test_a_draw_is_shown_and_carried_to_the_designer(ada: Client) -> None:
    found = make_set()
    query = {"sample": "1", "count": "9", "seed": "4", "stratified": "on", "text": "any", "exclude_numbers": "1-3"}
    text = ada.get(reverse("arena:prompt_set", args=[found.pk]), query).content.decode()
    assert "animals 6" in text and "signs 3" in text
    assert f"/studies/new/?prompts={found.pk}&amp;count=9&amp;seed=4&amp;stratified=on&amp;text=any" in text
    wrong = ada.get(reverse("arena:prompt_set", args=[found.pk]), query | {"exclude_numbers": "9-1"})
    assert wrong.status_code == 400 and "is no number and no range" in wrong.content.decode()


@pytest.mark.parametrize("sets", [2, 6])
def test_the_list_costs_the_same_for_any_number_of_sets(
    ada: Client, sets: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(sets):
        save_prompt_set(name=f"Set {number}", rows=[PromptRow(text="a")])
    ada.get(reverse("arena:prompt_sets"))
    with django_assert_num_queries(5):
        ada.get(reverse("arena:prompt_sets"))
