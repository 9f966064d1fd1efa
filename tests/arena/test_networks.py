"""Caps per network: codes instead of addresses, and no more than allowed however many ask at once."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena import networks, raters, studies
from arena.models import NetworkCount, NetworkKey, Provider, Rater, RaterIdentity, Study, Vote
from arena.networks import NetworkError, network_of
from tests.arena.factories import make_study
from tests.arena.joining_crowd import join_at_once
from tests.arena.views.browsers import JSON, answers_to, open_ballot, vote_address
from tests.servers import celery_worker

pytestmark = pytest.mark.django_db


def capped(**rules: int) -> Study:
    study = make_study(contenders=3, prompts=3, opened=False)
    studies.change_draft(study, actor=None, rater_rules={"ballots_per_rater": 40, "instructions": False, **rules})
    return studies.open_study(study, actor=None)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "proxies", "network"),
    [
        ("192.0.2.77", "", 0, "192.0.2.0/24"),
        ("192.0.2.77", "203.0.113.9", 0, "192.0.2.0/24"),
        ("10.0.0.1", "203.0.113.9", 1, "203.0.113.0/24"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", 1, "203.0.113.0/24"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9, 10.0.0.7", 2, "203.0.113.0/24"),
        ("10.0.0.1", "203.0.113.9", 2, "10.0.0.0/24"),
        ("10.0.0.1", "", 1, "unknown"),
        ("::ffff:192.0.2.77", "", 0, "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "", 0, "2001:db8:1::/48"),
        ("", "", 0, "unknown"),
        ("nonsense", "", 0, "unknown"),
    ],
)
def test_a_network_is_what_our_own_proxies_say(peer: str, forwarded_for: str, proxies: int, network: str) -> None:
    assert network_of(peer=peer, forwarded_for=forwarded_for, trusted_proxies=proxies) == network


def join_from(study: Study, address: str, **headers: str) -> int:
    _, token = raters.invite(study=study)
    return Client(REMOTE_ADDR=address, headers=headers).post(reverse("arena:join", args=[token])).status_code


def test_so_many_people_join_from_one_network_within_an_hour() -> None:
    study = capped(new_raters_per_network_and_hour=2)
    assert [join_from(study, f"192.0.2.{last}") for last in (1, 2, 3)] == [302, 302, 429]
    assert join_from(study, "198.51.100.1") == 302
    assert join_from(study, "192.0.2.9", X_Forwarded_For="198.51.100.9") == 429
    assert Rater.objects.count() == 3
    NetworkCount.objects.update(since=timezone.now() - timedelta(hours=2))
    assert join_from(study, "192.0.2.4") == 302


def test_a_refusal_for_another_reason_uses_up_nothing() -> None:
    study = capped(new_raters_per_network_and_hour=2)
    invitation, token = raters.invite(study=study, most_uses=1)
    raters.join(invitation=invitation, consent_text="yes")
    assert Client(REMOTE_ADDR="192.0.2.1").post(reverse("arena:join", args=[token])).status_code == 410
    assert [join_from(study, "192.0.2.1") for _ in range(2)] == [302, 302]


def test_a_busy_network_is_told_so_calmly_and_uses_up_no_link() -> None:
    study = capped(new_raters_per_network_and_hour=1)
    join_from(study, "192.0.2.1")
    invitation, token = raters.invite(study=study, most_uses=1)
    page = Client(REMOTE_ADDR="192.0.2.1").post(reverse("arena:join", args=[token]))
    assert "open the link again a little later" in page.content.decode()
    invitation.refresh_from_db()
    assert invitation.uses == 0


@pytest.mark.parametrize("headers", [{}, JSON])
def test_one_network_answers_so_many_ballots_within_a_day(headers: dict[str, str]) -> None:
    study = capped(ballots_per_network_and_day=2)
    _, token = raters.invite(study=study)
    browser = Client(REMOTE_ADDR="192.0.2.1")
    browser.post(reverse("arena:join", args=[token]))
    answered = [open_ballot(browser, study)]
    for _ in range(2):
        browser.post(vote_address(study), answers_to(answered[-1]), headers=headers)
        answered.append(open_ballot(browser, study))
    refused = browser.post(vote_address(study), answers_to(answered[-1]), headers=headers)
    assert refused.status_code == 409
    said = refused.json()["problem"] if headers else refused.content.decode()
    assert "please go on tomorrow" in said
    assert Vote.objects.values("ballot").distinct().count() == 2
    repeated = browser.post(vote_address(study), answers_to(answered[0]), headers=JSON)
    assert (repeated.status_code, repeated.json()["already"]) == (200, True)
    assert open_ballot(browser, study) == answered[-1]


def test_a_panels_people_count_once_for_their_network_and_come_back_freely() -> None:
    study = capped(new_raters_per_network_and_hour=1)
    Provider.objects.create(study=study, kind="generic", settings={"id_param": "who"})
    door = reverse("arena:join_from_panel", args=[study.slug])
    came = [Client(REMOTE_ADDR="192.0.2.1").post(f"{door}?who={who}") for who in ("p1", "p1", "p2")]
    assert [reply.status_code for reply in came] == [302, 302, 429]
    assert Rater.objects.count() == RaterIdentity.objects.count() == 1


def test_without_caps_nothing_is_counted() -> None:
    study = capped()
    assert join_from(study, "192.0.2.1") == 302
    assert not NetworkCount.objects.exists() and not NetworkKey.objects.exists()


def test_no_address_is_stored_and_the_code_differs_from_day_to_day() -> None:
    study = capped(new_raters_per_network_and_hour=5)
    join_from(study, "192.0.2.1")
    stored = NetworkCount.objects.get()
    assert len(stored.network) == 64 and "192.0" not in str(list(NetworkCount.objects.values()))
    yesterday = timezone.now().date() - timedelta(days=1)
    assert networks._code("192.0.2.0/24", day=yesterday) != stored.network


def test_keys_go_with_their_day_and_counts_after_thirty_days() -> None:
    study = capped(new_raters_per_network_and_hour=5)
    join_from(study, "192.0.2.1")
    networks._code("192.0.2.0/24", day=timezone.now().date() - timedelta(days=1))
    assert networks.forget_old() == 1
    assert NetworkKey.objects.get().day == timezone.now().date()
    NetworkCount.objects.update(since=timezone.now() - timedelta(days=31))
    assert networks.forget_old() == 1
    assert not NetworkCount.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_get_in_no_more_than_allowed() -> None:
    study = capped(new_raters_per_network_and_hour=5)
    tokens = [raters.invite(study=study)[1] for _ in range(16)]
    # Two processes: a count that each kept for itself would let in twice as many.
    said = join_at_once(
        [tokens[:8], tokens[8:]], database_url=celery_worker.test_database_url(), secret_key=str(settings.SECRET_KEY)
    )
    assert sorted(said) == [302] * 5 + [429] * 11
    assert Rater.objects.count() == NetworkCount.objects.get().number == 5


def test_a_cap_is_a_sentence_with_a_code() -> None:
    study = capped(ballots_per_network_and_day=1)
    networks.count_answer(study, network="192.0.2.0/24")
    with pytest.raises(NetworkError) as refused:
        networks.count_answer(study, network="192.0.2.0/24")
    assert refused.value.code == "network_full"
