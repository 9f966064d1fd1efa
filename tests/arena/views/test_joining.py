"""The invitation page: nothing before consent, one rater per consent, a sentence for a link that does not open."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena import consent, raters, stock, studies, withdrawing
from arena.models import Consent, Invitation, Provider, Rater
from tests.arena.factories import make_study, make_user
from tests.arena.views.browsers import joined_browser, vote_address

pytestmark = pytest.mark.django_db


def join_address(token: str) -> str:
    return reverse("arena:join", args=[token])


def test_the_page_says_what_is_asked_how_long_who_runs_it_and_what_is_kept() -> None:
    study = make_study(owner=make_user("ada"), ballots_per_rater=9)
    _, token = raters.invite(study=study)
    page = Client().get(join_address(token))
    assert page.status_code == 200
    for words in (
        "up to 9 pairs",
        "about 2 minutes",
        "run by the people who run this site",
        "Kept are your answers",
        "I agree, begin",
    ):
        assert words in page.content.decode()


def test_nobody_is_told_of_more_pairs_than_there_are_nor_asked_again_when_they_change() -> None:
    study = make_study(contenders=4, prompts=1, with_text=0, ballots_per_rater=40)
    browser, rater = joined_browser(study)
    assert rater.consents.get().text.startswith("You will see up to 6 pairs of images")
    for position, words in ((3, "up to 3 pairs of images"), (2, "one pair of images")):
        contender = study.contenders.get(position=position)
        withdrawing.withdraw_contender(contender=contender, reason="It was made with a wrong checkpoint.", author=None)
        stock.forget()  # else the number may be a minute old
        assert consent.consent_text(study).startswith(f"You will see {words}")
    assert browser.get(vote_address(study)).status_code == 200
    assert rater.consents.get().version == consent.consent_version(study)


def test_the_page_names_the_owner_in_full_and_never_by_their_login() -> None:
    owner = make_user("ada-login-7")
    study = make_study(owner=owner)
    _, token = raters.invite(study=study)
    nameless = Client().get(join_address(token)).content.decode()
    assert "run by the people who run this site" in nameless and "ada-login-7" not in nameless
    owner.first_name, owner.last_name = "Ada", "Lovelace"
    owner.save(update_fields=["first_name", "last_name"])
    named = Client().get(join_address(token)).content.decode()
    assert "run by Ada Lovelace" in named and "ada-login-7" not in named


def test_no_cookie_but_the_form_token_is_set_before_consent() -> None:
    _, token = raters.invite(study=make_study())
    browser = Client()
    browser.get(join_address(token))
    assert set(browser.cookies) == {"csrftoken"}
    assert Rater.objects.count() == 0


def test_agreeing_makes_a_rater_keeps_the_text_and_opens_the_vote_page() -> None:
    study = make_study()
    _, token = raters.invite(study=study)
    browser = Client()
    answer = browser.post(join_address(token))
    assert (answer.status_code, answer.headers["Location"]) == (302, vote_address(study))
    assert Consent.objects.get().text == consent.consent_text(study)
    assert browser.session["raters"] == {str(study.pk): Rater.objects.get().public_id}


def test_agreeing_needs_the_form_token() -> None:
    _, token = raters.invite(study=make_study())
    assert Client(enforce_csrf_checks=True).post(join_address(token)).status_code == 403
    assert Rater.objects.count() == 0


def test_the_session_key_is_a_new_one_after_consent() -> None:
    _, token = raters.invite(study=make_study())
    browser = Client()
    browser.force_login(make_user("eve"))
    planted = browser.session.session_key
    browser.post(join_address(token))
    assert browser.session.session_key != planted


def test_the_same_link_leads_back_to_the_same_rater_even_when_it_is_used_up() -> None:
    study = make_study()
    _, token = raters.invite(study=study, most_uses=1)
    browser = Client()
    browser.post(join_address(token))
    for again in (browser.get(join_address(token)), browser.post(join_address(token))):
        assert (again.status_code, again.headers["Location"]) == (302, vote_address(study))
    assert Rater.objects.count() == 1


def test_a_browser_can_be_a_rater_of_two_studies() -> None:
    one, other = make_study(slug="one"), make_study(slug="other")
    browser, _ = joined_browser(one)
    _, token = raters.invite(study=other)
    browser.post(join_address(token))
    assert [browser.get(vote_address(study)).status_code for study in (one, other)] == [200, 200]


def test_a_link_that_does_not_open_says_why() -> None:
    study = make_study()
    used, used_token = raters.invite(study=study, most_uses=1)
    raters.join(invitation=used, consent_text="yes")
    old, old_token = raters.invite(study=study)
    Invitation.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(days=1))
    withdrawn, withdrawn_token = raters.invite(study=study)
    raters.revoke(invitation=withdrawn, actor=None)
    said = {token: Client().get(join_address(token)) for token in ("0" * 32, used_token, old_token, withdrawn_token)}
    assert [page.status_code for page in said.values()] == [404, 410, 410, 410]
    for page, words in zip(said.values(), ("not known", "used up", "expired", "withdrawn"), strict=True):
        assert words in page.content.decode()
        assert not page.cookies


def test_a_study_that_closes_between_page_and_consent_takes_nobody() -> None:
    study = make_study()
    _, token = raters.invite(study=study)
    browser = Client()
    browser.get(join_address(token))
    studies.close_study(study, actor=None)
    assert browser.post(join_address(token)).status_code == 410
    assert Rater.objects.count() == 0


def test_the_page_says_what_else_is_kept_where_anything_is() -> None:
    plain = make_study(slug="plain", images=False)
    asked = {"key": "k", "question": "q?", "choices": ["a", "b"], "allowed": ["a"]}
    study = make_study(images=False, rules={"requires_login": True, "screening": [asked]})
    Provider.objects.create(study=study, kind=Provider.Kind.GENERIC, settings={"id_param": "pid"})
    assert "Kept apart" not in consent.consent_text(plain)
    assert (
        "Kept apart from your votes, and deleted on request: which account you signed in with, the id under which your "
        "panel sent you and your answers to a few questions about you."
    ) in consent.consent_text(study)
