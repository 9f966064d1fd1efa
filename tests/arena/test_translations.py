"""Raters' pages speak the rater's language, all of it; the catalogue that is used is the one that can be read."""

import gettext
import re
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from arena import raters
from arena.models import Consent, Provider
from tests import catalogues
from tests.arena.factories import cast, make_study
from tests.arena.views.browsers import JSON, joined_browser, open_ballot, vote_address

GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
RATER_TEMPLATES = (
    *("_ballot", "_choice", "_language", "vote", "done", "join"),
    *("join_refused", "not_joined", "vote_waiting", "vote_paused", "own_data", "erased"),
    *("consent", "instructions", "_example_pair", "screening", "qualification"),
)
PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w*\}")

TRANSLATED = [str(code) for code, _ in settings.LANGUAGES if not code.startswith("en")]


def po_of(language: str) -> polib.POFile:
    return polib.pofile(str(catalogues.LOCALES / language / "LC_MESSAGES" / "django.po"))


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_has_its_translation_with_the_same_places(language: str) -> None:
    entries = {entry.msgid: entry for entry in po_of(language) if not entry.obsolete}
    assert set(entries) == catalogues.in_sources()
    for msgid, entry in entries.items():
        forms = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
        assert len(forms) == (2 if entry.msgid_plural else 1) and all(forms) and not entry.fuzzy, msgid
        for form, source in zip(forms, (msgid, entry.msgid_plural), strict=False):
            assert sorted(PLACEHOLDER.findall(form)) == sorted(PLACEHOLDER.findall(source)), msgid


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_compiled_catalogue_is_that_of_the_text(language: str) -> None:
    with (catalogues.LOCALES / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in po_of(language):
        if entry.msgid_plural:
            said = [compiled.ngettext(entry.msgid, entry.msgid_plural, number) for number in (1, 2)]
            assert said == list(entry.msgstr_plural.values())
        else:
            assert compiled.gettext(entry.msgid) == entry.msgstr


@pytest.mark.parametrize("name", RATER_TEMPLATES)
def test_no_word_of_a_raters_template_stands_outside_of_a_translation(name: str) -> None:
    source = (Path(settings.BASE_DIR) / "templates" / "arena" / f"{name}.html").read_text()
    source = re.sub(r"\{% blocktranslate.*?endblocktranslate %\}", "", source, flags=re.DOTALL)
    source = re.sub(r"\{% block (?:main|body)_class %\}.*?\{% endblock %\}", "", source)
    attributes = re.findall(r'(?:alt|title|aria-label)="([^"]*)"', source)
    text = re.sub(r"<kbd[^>]*>[^<]*</kbd>|<[^>]*>", " ", re.sub(r"\{#.*?#\}|\{[%{].*?[%}]\}", "", source))
    words = re.findall(r"[A-Za-z]{2,}", " ".join([text, *(re.sub(r"\{%.*?%\}", "", each) for each in attributes)]))
    assert set(words) <= {"Winrate"}


def test_no_script_of_a_raters_page_says_anything_itself() -> None:
    folder = Path(settings.BASE_DIR) / "arena" / "static" / "arena"
    for name in ("vote", "outbox", "queue", "zoom", "keys", "wait", "instructions"):
        code = re.sub(r"//.*|/\*.*?\*/", "", (folder / f"{name}.js").read_text())
        assert re.findall(r'"[A-Z][a-z]+ [^"]*"', code) == [], name


@pytest.mark.django_db
def test_the_browsers_language_is_spoken_from_the_invitation_to_the_thanks() -> None:
    study = make_study(ballots_per_rater=1)
    _, token = raters.invite(study=study)
    browser = Client(headers=GERMAN)
    invitation = browser.get(reverse("arena:join", args=[token]))
    assert "Einverstanden, anfangen" in invitation.content.decode()
    assert '<html lang="de">' in invitation.content.decode()
    assert invitation.headers["Content-Language"] == "de"
    assert {"Accept-Language", "Cookie"} <= {name.strip() for name in invitation.headers["Vary"].split(",")}
    browser.post(reverse("arena:join", args=[token]), {"language": "de"})
    page = browser.get(vote_address(study)).content.decode()
    assert "Dieses Paar auslassen" in page and "0 von 1" in page
    refused = browser.post(vote_address(study), {"ballot": open_ballot(browser, study).token}, headers=JSON).json()
    assert refused["problem"].endswith("hat noch keine Antwort: Wählen Sie eine.")
    cast(study.raters.get())
    assert "Vielen Dank!" in browser.get(vote_address(study), follow=True).content.decode()


@pytest.mark.django_db
def test_consent_is_kept_in_the_language_in_which_it_was_read() -> None:
    study = make_study()
    _, token = raters.invite(study=study)
    browser = Client(headers=GERMAN)
    shown = browser.get(reverse("arena:join", args=[token])).content.decode()
    browser.post(reverse("arena:set_language"), {"language": "en-gb", "next": "/"})  # in another tab, meanwhile
    browser.post(reverse("arena:join", args=[token]), {"language": "de"})
    text = Consent.objects.get().text
    assert "Gespeichert werden Ihre Antworten" in text
    assert all(paragraph in shown for paragraph in text.split("\n\n"))


@pytest.mark.django_db
def test_a_translation_of_the_consent_is_the_same_version() -> None:
    study = make_study()
    _, token = raters.invite(study=study)
    browser = Client(headers=GERMAN)
    browser.post(reverse("arena:join", args=[token]), {"language": "de"})
    english = browser.get(vote_address(study), headers={"Accept-Language": "en"})
    assert english.status_code == 200  # not sent to agree anew
    browser.post(reverse("arena:consent", args=[study.slug]), {"language": "en-gb"})
    assert Consent.objects.count() == 1


@pytest.mark.django_db
def test_a_panels_door_and_the_pages_behind_it_speak_german() -> None:
    question = {"key": "sight", "question": "Rot?", "choices": ["ja", "nein"], "allowed": ["ja"]}
    study = make_study(rules={"instructions": True, "screening": [question]})
    Provider.objects.create(study=study, kind="generic", settings={"id_param": "who"})
    browser, door = Client(headers=GERMAN), reverse("arena:join_from_panel", args=[study.slug]) + "?who=p1"
    asked = browser.get(door).content.decode()
    assert "Getrennt von Ihren Antworten gespeichert" in asked and f'name="next" value="{door}"' in asked
    browser.post(door, {"language": "de"})
    assert "Getrennt von Ihren Antworten gespeichert" in Consent.objects.get().text
    assert "So funktioniert es" in browser.get(vote_address(study), follow=True).content.decode()
    browser.post(reverse("arena:instructions", args=[study.slug]), {"read": "1"})
    assert "Zuerst ein paar Fragen" in browser.get(vote_address(study), follow=True).content.decode()
    assert "Ihre Daten" in browser.get(reverse("arena:own_data", args=[study.slug])).content.decode()


@pytest.mark.django_db
def test_the_switch_outlives_the_page_and_goes_back_to_it() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    assert 'name="language" value="de"' in browser.get(vote_address(study)).content.decode()
    answer = browser.post(reverse("arena:set_language"), {"language": "de", "next": vote_address(study)})
    assert answer.headers["Location"] == vote_address(study)
    assert "Auslassen" in browser.get(vote_address(study)).content.decode()


@pytest.mark.django_db
def test_researchers_pages_stay_english_whatever_the_browser_asks_for() -> None:
    page = Client(headers=GERMAN).get(reverse("arena:login"))
    assert '<html lang="en-gb">' in page.content.decode()
