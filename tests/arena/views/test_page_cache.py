"""Pages of large studies are kept for a moment, and never beyond what the viewer has just done."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from arena import fitting, page_cache
from arena.models import Exclusion, Study, StudyMember
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_user
from tests.arena.fit_cases import bare_study

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(page_cache, "FEWEST_VOTES", 100)
    cache.clear()
    study = bare_study()
    bulk_votes(study)
    fitting.refit(study)
    return study


def client_of(name: str = "ada") -> Client:
    client = Client()
    client.force_login(make_user(name))
    return client


def test_a_second_look_costs_next_to_nothing(study: Study, django_assert_max_num_queries: Callable[..., Any]) -> None:
    client, address = client_of(), reverse("arena:study", args=[study.slug])
    first = client.get(address)
    with django_assert_max_num_queries(7):
        second = client.get(address)
    assert second.content == first.content
    assert second.headers["Cache-Control"] == "private, no-cache"


def test_what_somebody_did_is_seen_at_once(study: Study) -> None:
    client, address = client_of(), reverse("arena:study", args=[study.slug])
    first = client.get(address).content
    rater = study.raters.first()
    Exclusion.objects.create(study=study, scope="rater", rater=rater, reason="asleep")
    excluded = client.get(address).content
    fitting.refit(study)
    refitted = client.get(address).content
    assert b"Settings, exclusions, undone votes or the method have changed" in excluded
    assert len({first, excluded, refitted}) == 3
    assert (
        b"Simulated raters are now left out."
        in client.post(reverse("arena:count_simulated", args=[study.slug]), {"counts": "no"}, follow=True).content
    )
    assert b"Simulated raters are now left out." not in client.get(address).content


def test_nobody_gets_the_page_of_another(study: Study) -> None:
    address = reverse("arena:study", args=[study.slug])
    own, other = client_of(), client_of("grace")
    own.get(address)
    assert other.get(address).status_code == 404
    StudyMember.objects.create(study=study, user=make_user("grace"), role="analyst")
    assert b"grace" in other.get(address).content
    # The same person in another browser has another token for forms.
    elsewhere = client_of()
    elsewhere.get(address)
    assert own.cookies["csrftoken"].value != elsewhere.cookies["csrftoken"].value


def test_the_moving_part_is_left_out_where_it_was_seen(study: Study) -> None:
    client, address = client_of(), reverse("arena:study", args=[study.slug])
    part = client.get(address, headers={"HX-Request": "true"})
    stamp = part.content.decode().split("?seen=")[1][:20]
    again = client.get(f"{address}?seen={stamp}", headers={"HX-Request": "true"})
    assert (again.status_code, again.content) == (204, b"")


def test_small_studies_are_built_anew(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "FEWEST_VOTES", 100_000)
    assert page_cache.key_of(study, 1) is None
