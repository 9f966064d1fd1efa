"""Colleagues of a study, and the log."""

import pytest
from django.test import Client
from django.urls import reverse

from arena.audit import note
from arena.models import AuditEvent, Study
from tests.arena.factories import make_study, make_user

pytestmark = pytest.mark.django_db


def signed_in(name: str, *, is_superuser: bool = False) -> Client:
    browser = Client()
    browser.force_login(make_user(name, is_superuser=is_superuser))
    return browser


@pytest.fixture
def study() -> Study:
    return make_study(images=False, owner=make_user("ada"))


def members(study: Study) -> str:
    return reverse("arena:members", args=[study.slug])


def test_a_shared_study_appears_and_goes_again(study: Study) -> None:
    bob, ada = signed_in("bob"), signed_in("ada")
    page = reverse("arena:study", args=[study.slug])
    assert bob.get(page).status_code == 404
    assert ada.post(members(study), {"name": "bob", "role": "analyst"}).status_code == 302
    assert bob.get(page).status_code == 200
    assert ada.post(members(study), {"name": "bob", "role": "owner"}).status_code == 302
    member = study.members.get()
    assert member.role == "owner"
    assert bob.post(reverse("arena:remove_member", args=[study.slug, member.pk])).status_code == 302
    assert bob.get(page).status_code == 404
    events = AuditEvent.objects.filter(study=study, act__contains="shared").order_by("pk")
    assert [(event.act, event.detail["role"]) for event in events] == [
        ("study shared", "analyst"),
        ("study shared", "owner"),
        ("study no longer shared", "owner"),
    ]


@pytest.mark.parametrize("role", ["analyst", "rater_manager"])
def test_only_owners_share(study: Study, role: str) -> None:
    study.members.create(user=make_user("bob"), role=role)
    bob = signed_in("bob")
    make_user("eve")
    assert bob.get(members(study)).status_code == 200
    assert "Share this study" not in bob.get(members(study)).content.decode()
    assert bob.post(members(study), {"name": "eve", "role": "owner"}).status_code == 403
    own = study.members.get()
    assert bob.post(reverse("arena:remove_member", args=[study.slug, own.pk])).status_code == 403
    assert study.members.count() == 1


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "nobody", "role": "owner"}, "no account"),
        ({"name": "ada", "role": "analyst"}, "its owner already"),
        ({"name": "bob", "role": "king"}, "valid choice"),
        ({"name": "", "role": "owner"}, "required"),
    ],
)
def test_a_wrong_name_or_role_is_said(study: Study, form: dict[str, str], said: str) -> None:
    make_user("bob")
    answer = signed_in("ada").post(members(study), form)
    assert answer.status_code == 400 and said in answer.content.decode() and not study.members.exists()


def test_a_member_of_another_study_cannot_be_removed_through_this_one(study: Study) -> None:
    other = make_study(slug="other", images=False, owner=make_user("eve"))
    member = other.members.create(user=make_user("bob"), role="analyst")
    assert signed_in("ada").post(reverse("arena:remove_member", args=[study.slug, member.pk])).status_code == 404
    assert other.members.exists()


def test_the_log_of_a_study_shows_its_events_and_nobody_elses(study: Study) -> None:
    other = make_study(slug="other", images=False, owner=make_user("eve"))
    note(other, make_user("eve"), "secret act")
    note(study, make_user("ada"), "study shared", user=make_user("bob").pk, role="<b>analyst</b>")
    page = signed_in("ada").get(reverse("arena:study_log", args=[study.slug]))
    text = page.content.decode()
    assert "user: bob" in text and "secret act" not in text and "<b>analyst" not in text
    filtered = signed_in("ada").get(reverse("arena:study_log", args=[study.slug]), {"act": "study created"})
    assert "user: bob" not in filtered.content.decode()
    everything = signed_in("root", is_superuser=True).get(reverse("arena:site_log")).content.decode()
    assert "secret act" in everything and "user: bob" in everything


def test_the_log_comes_in_pages(study: Study) -> None:
    for number in range(120):
        note(study, None, "tick", number=number)
    ada = signed_in("ada")
    address = reverse("arena:study_log", args=[study.slug])
    first, second = (ada.get(address, {"page": page, "act": "tick"}).content.decode() for page in (1, 2))
    assert "number: 119" in first and "number: 19<" not in first and "number: 19<" in second
    assert ada.get(address, {"page": "x"}).status_code == 200
