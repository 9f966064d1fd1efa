"""The admin lets in staff only and shows nothing of others; sessions end when they should, and no host is believed."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import NoReverseMatch, reverse

from arena.models import Vote
from tests.security.addresses import routes
from tests.security.cast_of_characters import PERSONAS, Scene, set_scene, staff

pytestmark = pytest.mark.django_db


def admin_addresses(scene: Scene) -> dict[str, str]:
    """All of them by name, rows filled in by the first of the study's own."""
    found = {}
    for name, pattern in routes().items():
        if not name.startswith("admin:"):
            continue
        words = re.findall(r"<(?:P<|\w+:)?(\w+)>", pattern)
        known = {"app_label": "arena", "url": "nowhere", "id": 1, "object_id": 1, "content_type_id": 1, "pk": 1}
        try:
            found[name] = reverse(name, kwargs={word: known[word] for word in words})
        except NoReverseMatch:  # Django's old addresses of rows have no name
            found[name] = "/" + re.sub(r"<[^>]+>", "1", pattern)
    return found


def test_the_admin_lets_in_staff_only() -> None:
    scene = set_scene()
    outside = [persona for persona in PERSONAS if persona not in ("staff", "superuser")]
    for name, path in admin_addresses(scene).items():
        for persona in outside if name != "admin:login" else ():
            reply = scene.browsers[persona].get(path)
            assert (reply.status_code, "/admin/" in reply.headers.get("Location", "")) == (302, True), (name, persona)
        staff_sees = scene.browsers["staff"].get(path).status_code
        is_of_rows = re.match(
            r"admin:(?:arena|auth|generation)_[a-z]+_(changelist|add|change|history|delete|original|password_change)$",
            name,
        )
        assert not is_of_rows or staff_sees in (302, 403), (name, staff_sees)  # 302: no such row


@pytest.fixture
def eve_in_the_admin() -> tuple[Scene, Client]:
    """Another researcher who has every right in the admin but none in the study."""
    scene = set_scene()
    staff("eve", has_rights=True)
    return scene, scene.browsers["other researcher"]


def test_in_the_admin_too_studies_of_others_do_not_exist(eve_in_the_admin: tuple[Scene, Client]) -> None:
    scene, eve = eve_in_the_admin
    study = scene.study
    rows = [study, scene.ballot, Vote.objects.filter(study=study).latest("pk"), scene.ballot.rater]
    rows += [study.study_prompts.latest("pk"), study.fits.latest("pk"), study.invitations.latest("pk")]
    rows += [study.audit_events.latest("pk")]
    for row in rows:
        base = f"admin:arena_{row._meta.model_name}"
        for page in ("change", "history"):
            assert eve.get(reverse(f"{base}_{page}", args=[row.pk])).status_code in (302, 403), (row, page)
        listed = eve.get(reverse(f"{base}_changelist")).content.decode()
        assert study.name not in re.sub(r"<title>.*?</title>", "", listed), row


@pytest.mark.parametrize(
    "query", ["owner__password__startswith=m", "study__owner__password__startswith=m", "rater__identity__user__email=a"]
)
def test_lists_are_filtered_by_what_they_offer_and_nothing_else(
    eve_in_the_admin: tuple[Scene, Client], query: str
) -> None:
    _, eve = eve_in_the_admin
    for name, pattern in routes().items():
        if name.startswith("admin:arena_") and name.endswith("_changelist"):
            assert eve.get(f"/{pattern}?{query}").status_code in (302, 400), name


def test_a_session_is_new_at_login_and_over_at_logout_and_after_a_new_password() -> None:
    user = User.objects.create_user("ada", password="correct horse battery")
    form = {"username": "ada", "password": "correct horse battery"}
    browser, second = Client(), Client()
    browser.session.save()
    planted = str(browser.session.session_key)
    browser.cookies["sessionid"] = planted
    for one in (browser, second):
        assert one.post(reverse("arena:login"), form).status_code == 302
    assert browser.session.session_key != planted
    page = reverse("arena:runs")
    assert [one.get(page).status_code for one in (browser, second)] == [200, 200]
    kept = browser.cookies["sessionid"].value
    browser.post(reverse("arena:logout"))
    browser.cookies["sessionid"] = kept
    assert browser.get(page).status_code == 302
    user.set_password("another horse, another battery")
    user.save()
    assert second.get(page).status_code == 302


def test_another_host_name_is_refused_and_enters_no_link() -> None:
    scene = set_scene()
    reply = scene.browsers["superuser"].get(reverse("arena:home"), headers={"Host": "evil.example"})
    assert reply.status_code == 400
    form = {"study": scene.study.pk, "label": "", "most_uses": "", "expires_at_0": "", "expires_at_1": ""}
    elsewhere = {"X-Forwarded-Host": "evil.example"}
    made = scene.browsers["superuser"].post(reverse("admin:arena_invitation_add"), form, headers=elsewhere, follow=True)
    assert "http://testserver/join/" in made.content.decode() and "evil.example" not in made.content.decode()
