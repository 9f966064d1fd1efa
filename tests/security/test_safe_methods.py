"""Looking changes nothing, in the admin too, and no method but POST does anything."""

from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.urls import reverse

from tests.arena.dumps import dump
from tests.security.addresses import routes
from tests.security.cast_of_characters import Scene, set_scene
from tests.security.test_access_matrix import MARKING, address, check_headers, site_routes
from tests.security.test_admin_and_sessions import admin_addresses

pytestmark = [pytest.mark.django_db, pytest.mark.once]
# Sessions note who is there; small copies of images are made when they are first looked at.
DERIVED = ("django_session", "arena_displaycopy", "arena_minutecount")


def pages_of_rows() -> list[str]:
    """In the admin, the list of every model, and form and question before deletion of its newest row."""
    found = []
    for model in admin.site._registry:
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{base}_changelist"))
        if (row := model._base_manager.order_by("-pk").first()) is not None:
            found += [reverse(f"{base}_{page}", args=[row.pk]) for page in ("change", "delete")]
    return found


def of_no_row(scene: Scene) -> list[str]:
    """All others: the start page, passwords, forms for something new."""
    return [path for path in admin_addresses(scene).values() if "/1/" not in path]


def test_looking_around_in_the_admin_changes_nothing_and_has_the_headers_of_every_page() -> None:
    scene = set_scene()
    before = dump(without=DERIVED)
    answers = [scene.browsers["superuser"].get(path) for path in {*pages_of_rows(), *of_no_row(scene)}]
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) > 60 and max(statuses) < 500
    for answer in answers:
        check_headers(answer.headers)
    assert dump(without=DERIVED) == before


def test_no_post_to_the_admin_works_without_the_forms_token() -> None:
    scene = set_scene(enforce_csrf_checks=True)
    before = dump(without=DERIVED)
    form = {"post": "yes", "action": "delete_selected", "select_across": "1"}
    for path in {*pages_of_rows(), *admin_addresses(scene).values()}:
        reply = scene.browsers["superuser"].post(path, form)
        assert reply.status_code == 403, path
    assert dump(without=DERIVED) == before


def test_other_methods_do_nothing() -> None:
    scene = set_scene()
    before = dump(without=DERIVED)
    for name in site_routes():
        for method in ("PUT", "DELETE", "FROB") if name not in MARKING else ():
            reply = scene.browsers["superuser"].generic(method, address(name, scene), b"act=cancel&reason=x&sure=on")
            assert reply.status_code < 500, (method, name)
    assert dump(without=DERIVED) == before


CANARY = "zqcanaryzq"
REACHES = ("owner__password__startswith", "study__owner__password__startswith", "rater__identity__user__email")


def test_no_parameter_of_any_list_reaches_into_other_tables() -> None:
    """What nobody offers as a filter comes into no query, whoever asks: neither to choose nor to sort by."""
    scene = set_scene()
    browser, met = scene.browsers["superuser"], list[str]()
    everything: dict[str, Any] = dict.fromkeys(REACHES, CANARY)
    everything |= dict.fromkeys(("order", "ordering", "order_by", "o", "sort", "fields"), f"-owner__{CANARY}")

    def watch(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's
        if CANARY in sql or CANARY in str(parameters):
            met.append(sql)
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(watch):
        for name in site_routes():
            assert browser.get(address(name, scene), everything).status_code < 500, name
        for name, pattern in routes().items():
            if name.startswith("admin:") and name.endswith("_changelist"):
                for reach in REACHES:
                    assert browser.get(f"/{pattern}", {reach: CANARY}).status_code in (302, 400), (name, reach)
        assert met == []
        browser.get(reverse("admin:arena_study_changelist"), {"q": CANARY})
        assert met  # the search that is offered is seen
