"""Inviting colleagues, lost passwords, disabling accounts."""

import re

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from arena import api_tokens
from arena.models import AuditEvent
from tests.arena.factories import make_user

pytestmark = pytest.mark.django_db
PEOPLE = reverse("arena:people")
PASSWORD = "a long enough one"  # noqa: S105 - of a test


def root_browser() -> Client:
    browser = Client()
    browser.force_login(make_user("root", is_superuser=True))
    return browser


def link_in(page: str) -> str:
    found = re.search(r"<code>http://testserver(/accounts/new/[^<]+)</code>", page)
    assert found is not None
    return found[1]


def set_password(browser: Client, link: str, password: str = PASSWORD) -> int:
    form = browser.get(link, follow=True)
    place = form.redirect_chain[-1][0] if form.redirect_chain else link
    assert "Referrer-Policy" in form.headers
    return browser.post(place, {"new_password1": password, "new_password2": password}).status_code


def test_a_colleague_chooses_a_password_by_a_link_that_works_once() -> None:
    answer = root_browser().post(PEOPLE, {"name": "grace", "email": "", "kind": "researcher"})
    link = link_in(answer.content.decode())
    grace = Client()
    assert not grace.login(username="grace", password="")
    assert set_password(grace, link) == 302
    assert grace.login(username="grace", password=PASSWORD)
    user = User.objects.get(username="grace")
    assert (user.is_staff, user.is_superuser) == (True, False)
    assert "no longer works" in Client().get(link, follow=True).content.decode()
    assert link not in root_browser().get(PEOPLE).content.decode()
    acts = list(AuditEvent.objects.order_by("pk").values_list("act", "actor__username"))
    made = [("account made", "root"), ("password link made", "root")]
    assert acts == [*made, ("password chosen by a link", "grace")]
    assert not any(link.split("/")[-2] in str(event.detail) for event in AuditEvent.objects.all())


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "a b"}, "letters, digits"),
        ({"name": "ADA"}, "There is an account"),
        ({"name": "x", "email": "x@"}, "valid email"),
        ({"name": "x", "kind": "king"}, "valid choice"),
        ({"name": ""}, "required"),
    ],
)
def test_a_wrong_invitation_says_what_is_wrong_and_makes_nothing(form: dict[str, str], said: str) -> None:
    make_user("ada")
    browser = root_browser()
    answer = browser.post(PEOPLE, {"email": "", "kind": "rater"} | form)
    assert answer.status_code == 400 and said in answer.content.decode()
    assert set(User.objects.values_list("username", flat=True)) == {"ada", "root"}


def test_disabling_ends_sessions_tokens_and_links_at_once() -> None:
    ada = make_user("ada")
    browser = Client()
    browser.force_login(ada)
    _, token = api_tokens.create_token(user=ada, label="script")
    root = root_browser()
    link = link_in(root.post(reverse("arena:password_link", args=[ada.pk])).content.decode())
    assert browser.get(reverse("arena:runs")).status_code == 200
    root.post(reverse("arena:switch_account", args=[ada.pk]), {"act": "disable"})
    assert browser.get(reverse("arena:runs")).status_code == 302
    assert Client().get("/api/v1/prompt-sets", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    set_password(Client(), link)
    assert not Client().login(username="ada", password=PASSWORD)
    root.post(reverse("arena:switch_account", args=[ada.pk]), {"act": "enable"})
    assert User.objects.get(username="ada").is_active
    assert Client().get("/api/v1/prompt-sets", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_nobody_disables_their_own_account() -> None:
    root = root_browser()
    user = User.objects.get(username="root")
    page = root.post(reverse("arena:switch_account", args=[user.pk]), {"act": "disable"}, follow=True)
    assert "your own account" in page.content.decode() and User.objects.get(username="root").is_active


def test_a_new_password_ends_the_other_sessions() -> None:
    ada = make_user("ada")
    ada.set_password(PASSWORD)
    ada.save()
    here, elsewhere = Client(), Client()
    assert here.login(username="ada", password=PASSWORD) and elsewhere.login(username="ada", password=PASSWORD)
    new = "quite another one"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post(reverse("arena:password_change"), form).status_code == 302
    assert here.get(reverse("arena:runs")).status_code == 200
    assert elsewhere.get(reverse("arena:runs")).status_code == 302


def test_without_a_mail_server_the_page_shows_the_way_to_an_administrator() -> None:
    page = Client().get(reverse("arena:forgotten"))
    assert "sends no mail" in page.content.decode() and "<form" not in page.content.decode()
    assert Client().post(reverse("arena:forgotten"), {"email": "a@example.org"}).status_code == 403


def test_mail_goes_to_known_addresses_only_and_the_page_says_the_same_of_both(settings: Settings) -> None:
    settings.EMAIL_URL = "smtp://localhost"
    ada = make_user("ada")
    ada.email = "ada@example.org"
    ada.set_password("something")
    ada.save()
    said = [
        Client().post(reverse("arena:forgotten"), {"email": address}, follow=True).content.decode()
        for address in ("ada@example.org", "eve@example.org")
    ]
    assert all("is on its way" in page for page in said)
    assert [message.to for message in mail.outbox] == [["ada@example.org"]]
    found = re.search(r"http://testserver(\S+)", str(mail.outbox[0].body))
    assert found is not None and set_password(Client(), found[1]) == 302
    codes = [Client().post(reverse("arena:forgotten"), {"email": "ada@example.org"}).status_code for _ in range(5)]
    assert codes[-1] == 429
