"""The first page, signed in and not, and the pages that say what went wrong."""

import re
from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse
from django.views import defaults

from arena.models import StudyMember
from tests.arena.factories import cast, make_rater, make_study, make_user
from tests.arena.views.browsers import joined_browser, vote_address

pytestmark = pytest.mark.django_db


def signed_in(name: str, *, is_superuser: bool = False) -> Client:
    browser = Client()
    browser.force_login(make_user(name, is_superuser=is_superuser))
    return browser


def text_of(browser: Client) -> str:
    page = browser.get(reverse("arena:home"))
    assert page.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.content.decode()))


def test_a_visitor_reads_what_this_is_and_gets_no_cookie() -> None:
    make_study()
    browser = Client()
    words = text_of(browser)
    assert "Sign in as a researcher" in words
    assert "Use the link you were sent" in words
    assert "Colours" not in words
    assert not browser.cookies


def test_a_researcher_sees_their_studies_with_images_and_votes() -> None:
    study = make_study(owner=make_user("ada"), contenders=3, prompts=4, with_text=0)
    cast(make_rater(study), ballots=2)
    cast(make_rater(study, "simulated"), ballots=3)
    words = text_of(signed_in("ada"))
    assert "Colours Open" in words
    assert "votes by people 4" in words
    assert "simulated 6" in words
    assert "images 12" in words
    assert reverse("arena:study", args=[study.slug]) in signed_in("ada").get("/").content.decode()


def test_images_on_their_way_are_a_bar() -> None:
    make_study(owner=make_user("ada"), contenders=3, prompts=4, images=False, copies=False, opened=False)
    browser = signed_in("ada")
    assert "images 0 of 12" in text_of(browser)
    assert '<progress value="0" max="12"' in browser.get("/").content.decode()


def test_others_studies_are_not_shown_until_they_are_shared() -> None:
    study = make_study(owner=make_user("ada"))
    browser = signed_in("bob")
    assert "No study yet" in text_of(browser)
    StudyMember.objects.create(study=study, user=make_user("bob"), role=StudyMember.Role.ANALYST)
    assert "Colours" in text_of(browser)


def test_the_empty_state_says_what_to_do_next() -> None:
    assert "python manage.py demo" in text_of(signed_in("ada"))


@pytest.mark.parametrize("studies", [1, 4])
def test_the_number_of_queries_does_not_grow_with_the_studies(studies: int, django_assert_num_queries: Any) -> None:
    for number in range(studies):
        make_study(slug=f"study-{number}", owner=make_user("ada"), prompts=2)
    browser = signed_in("ada")
    with django_assert_num_queries(5):  # session, user, studies, images, votes
        browser.get("/")


def test_signing_in_leads_home_and_out_again() -> None:
    user = make_user("ada")
    user.set_password("correct horse battery")
    user.save(update_fields=["password"])
    browser = Client()
    wrong = browser.post(reverse("arena:login"), {"username": "ada", "password": "wrong"})
    assert "Name and password do not match" in wrong.content.decode()
    right = browser.post(reverse("arena:login"), {"username": "ada", "password": "correct horse battery"})
    assert (right.status_code, right.headers["Location"]) == (302, "/")
    assert "No study yet" in text_of(browser)
    browser.post(reverse("arena:logout"))
    assert "Sign in as a researcher" in text_of(browser)


def test_no_page_has_a_script_or_a_style_in_it() -> None:
    """The content security policy would refuse them, and the page would be broken in a way no other test sees."""
    study = make_study(owner=make_user("ada"))
    rater, _ = joined_browser(study)
    visitor, researcher = Client(), signed_in("ada")
    pages = [visitor.get("/"), visitor.get(reverse("arena:login")), researcher.get("/"), rater.get(vote_address(study))]
    for page in pages:
        source = page.content.decode()
        assert not re.search(r"\sstyle=|\son\w+=|javascript:", source)
        assert "<style" not in source
        assert not re.search(r"<script(?![^>]*\s(src=|type=\"application/json\"))", source)


def test_wrong_addresses_and_errors_get_a_sentence_and_a_way_out() -> None:
    missing = Client().get("/nothing/here/")
    assert missing.status_code == 404
    request = RequestFactory().get("/")
    for page in (missing, defaults.server_error(request), defaults.bad_request(request, ValueError("x"))):
        source = page.content.decode()
        assert "<h1>" in source
        assert 'href="/"' in source
        assert "Traceback" not in source
