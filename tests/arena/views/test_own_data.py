"""The page "Your data": look, download, erase in two steps, all of it without a script."""

import json
import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from arena.models import AuditEvent, Rater, Study
from tests.arena.factories import make_study, make_user
from tests.arena.views.browsers import answers_to, joined_browser, open_ballot, vote_address

pytestmark = pytest.mark.django_db


def data_address(study: Study) -> str:
    return reverse("arena:own_data", args=[study.slug])


def test_the_page_shows_the_number_and_leads_to_the_file() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    browser.post(vote_address(study), answers_to(open_ballot(browser, study)))
    page = browser.get(data_address(study)).content.decode()
    assert rater.public_id in page
    file = browser.get(re.search(r'href="([^"]+\.json)"', page)[1])  # type: ignore[index]
    assert file.headers["Content-Disposition"] == 'attachment; filename="my-data-colours.json"'
    assert json.loads(file.content)["number"] == rater.public_id
    assert "no-store" in file.headers["Cache-Control"]


def test_the_thank_you_page_leads_there() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    assert data_address(study) in browser.get(reverse("arena:done", args=[study.slug])).content.decode()


def test_one_click_only_asks_and_the_second_erases() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    asked = browser.post(data_address(study))
    assert "Erase your data?" in asked.content.decode()
    assert Rater.objects.get(pk=rater.pk).erased_at is None
    done = browser.post(data_address(study), {"sure": "yes"})
    assert (done.status_code, "Your data is erased" in done.content.decode()) == (200, True)
    assert Rater.objects.get(pk=rater.pk).erased_at is not None
    assert browser.get(vote_address(study)).status_code == browser.get(data_address(study)).status_code == 403
    assert "sessionid" not in browser.cookies or not browser.cookies["sessionid"].value


def test_a_browser_that_rates_elsewhere_or_is_signed_in_keeps_its_session() -> None:
    study, other = make_study(slug="one"), make_study(slug="other")
    browser, _ = joined_browser(study)
    browser.force_login(make_user("ada"))
    joined = joined_browser(study)[0]
    joined.force_login(make_user("ada"))
    joined.post(data_address(study), {"sure": "yes"})
    assert joined.get(reverse("arena:study", args=[other.slug])).status_code == 200


def test_erasing_needs_the_form_token_and_never_a_get() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    assert strict.post(data_address(study), {"sure": "yes"}).status_code == 403
    browser.get(data_address(study), {"sure": "yes"})
    assert Rater.objects.get(pk=rater.pk).erased_at is None


def test_a_stranger_learns_nothing() -> None:
    study = make_study()
    for address in (data_address(study), reverse("arena:own_data_file", args=[study.slug])):
        assert Client().get(address).status_code == 403
    assert Client().get(reverse("arena:own_data", args=["none"])).content == Client().get(data_address(study)).content


def test_staff_erase_on_request_after_a_second_look() -> None:
    study = make_study()
    _, rater = joined_browser(study)
    staff, address = Client(), reverse("admin:arena_rater_changelist")
    boss = make_user("boss", is_superuser=True)
    staff.force_login(boss)
    form = {"action": "erase_raters", "_selected_action": [rater.pk]}
    assert "Yes, erase them" in staff.post(address, form).content.decode()
    assert Rater.objects.get(pk=rater.pk).erased_at is None
    staff.post(address, {**form, "sure": "yes"})
    assert Rater.objects.get(pk=rater.pk).erased_at is not None
    event = AuditEvent.objects.get(act="rater erased")
    assert (event.actor, event.detail["rater"], rater.public_id in str(event.detail)) == (boss, rater.pk, False)


def test_staff_without_the_right_or_of_another_study_erase_nobody() -> None:
    study = make_study(owner=make_user("ada"))
    _, rater = joined_browser(study)
    for name, rights in (("looker", ["view_rater"]), ("eve", ["view_rater", "change_rater"])):
        person = make_user(name)
        person.is_staff = True
        person.save(update_fields=["is_staff"])
        person.user_permissions.set(Permission.objects.filter(codename__in=rights))
        staff = Client()
        staff.force_login(person)
        form = {"action": "erase_raters", "_selected_action": [rater.pk], "sure": "yes"}
        staff.post(reverse("admin:arena_rater_changelist"), form)
        assert Rater.objects.get(pk=rater.pk).erased_at is None
