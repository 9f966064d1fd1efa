"""Raters over all studies: whose, filtered, in as many queries for many."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from arena import raters
from arena.models import Flag
from tests.arena.board_cases import linked_study, two_studies
from tests.arena.factories import make_rater, make_user
from tests.arena.views.test_sharing import signed_in

pytestmark = pytest.mark.django_db


def test_staff_see_the_raters_of_their_studies_and_superusers_all() -> None:
    two_studies()
    linked_study("others", "ab", owner="eve", votes=5)
    User.objects.filter(username="ada").update(is_staff=True)
    address = reverse("arena:all_raters")
    ada, root = signed_in("ada"), signed_in("root", is_superuser=True)
    page = ada.get(address).content.decode()
    assert page.count('<th scope="row">') == 8 and "Others" not in page
    assert root.get(address).content.decode().count('<th scope="row">') == 12
    assert ada.get(address, {"study": "others"}).content.decode().count('<th scope="row">') == 0
    assert signed_in("bob").get(address).status_code == 403


def test_filters_choose_by_state_and_kind(django_assert_max_num_queries: object) -> None:
    first, _ = two_studies()
    root, address = signed_in("root", is_superuser=True), reverse("arena:all_raters")
    one, other = first.raters.all()[:2]
    Flag.objects.create(study=first, rater=one, kind="speed", p=0.001, statistic={}, sentence="Fast.")
    raters.exclude(study=first, scope="rater", target=other, reason="asleep", author=make_user("root"))
    silent = make_rater(first, "anonymous")

    def shown(**query: str) -> list[str]:
        page = root.get(address, query).content.decode()
        everybody = [*first.raters.all()]
        return [rater.public_id for rater in everybody if f"<code>{rater.public_id[:8]}</code>" in page]

    assert shown(state="flagged") == [one.public_id]
    assert shown(state="excluded") == [other.public_id]
    assert shown(state="silent") == shown(kind="anonymous") == [silent.public_id]
    assert shown(name=one.public_id[:12]) == [one.public_id]
    assert len(shown(kind="' OR 1", state="x")) == 5
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        root.get(address)
