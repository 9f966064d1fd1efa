"""Votes that nobody may cast: wrong tokens, other people's ballots, swapped sides, other ways than the form."""

import secrets
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone

from arena import voting
from arena.models import Ballot, Study, Vote
from tests.arena.factories import make_rater, make_study
from tests.arena.views.browsers import JSON, answers_to, joined_browser, open_ballot, vote_address
from tests.security.attacks import ATTACKS

pytestmark = pytest.mark.django_db

Forge = Callable[[Ballot, Study, int], dict[str, str]]


def expired(ballot: Ballot, study: Study, number: int) -> dict[str, str]:
    """A few ballots of the rater's own whose time is over, each tried again and again."""
    if number < 3:
        old = voting.open_ballots(rater=ballot.rater, wanted=1)[0]
        Ballot.objects.filter(pk=old.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    else:
        over = Ballot.objects.filter(rater=ballot.rater, lease_until__lt=timezone.now()).order_by("pk")
        old = over[number % over.count()]
    return answers_to(old)


def of_another_rater(ballot: Ballot, study: Study, number: int) -> dict[str, str]:
    if not (foreign := Ballot.objects.filter(study=study).exclude(rater=ballot.rater).first()):
        foreign = voting.open_ballots(rater=make_rater(study), wanted=1)[0]
    return answers_to(foreign)


def of_another_study(ballot: Ballot, study: Study, number: int) -> dict[str, str]:
    if not (foreign := Ballot.objects.exclude(study=study).first()):
        foreign = voting.open_ballots(rater=make_rater(make_study(slug="other")), wanted=1)[0]
    return answers_to(foreign)


def near_miss(ballot: Ballot, study: Study, number: int) -> dict[str, str]:
    place = number % 32
    digit = "0123456789abcdef"[(int(ballot.token[place], 16) + 1 + number // 32 % 15) % 16]
    return answers_to(ballot) | {"ballot": ballot.token[:place] + digit + ballot.token[place + 1 :]}


FORGERIES: dict[str, Forge] = {
    "invented": lambda ballot, study, number: answers_to(ballot) | {"ballot": secrets.token_hex(16)},
    "one digit off": near_miss,
    "row numbers": lambda ballot, study, number: answers_to(ballot) | {"ballot": str(ballot.pk + number)},
    "signed by somebody": lambda ballot, study, number: (
        answers_to(ballot) | {"ballot": signing.dumps({"ballot": ballot.pk}, key=secrets.token_hex())}
    ),
    "capitals": lambda ballot, study, number: answers_to(ballot) | {"ballot": ballot.token.upper() + " " * number},
    "expired": expired,
    "another rater's": of_another_rater,
    "another study's": of_another_study,
}


@pytest.mark.once
@pytest.mark.parametrize("name", FORGERIES)
def test_no_forged_token_casts_a_vote(name: str) -> None:
    study = make_study(contenders=3, prompts=3, with_text=0, ballots_per_rater=None)
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    if ballot.token.isdigit():  # a token without letters has no other form in capitals
        return
    for number in range(ATTACKS):
        reply = browser.post(vote_address(study), FORGERIES[name](ballot, study, number), headers=JSON)
        assert reply.status_code in (400, 409), (number, reply.status_code)
        assert reply.json()["saved"] is False
    assert Vote.objects.count() == 0
    print(f"{name}: 0 of {ATTACKS} accepted")


def test_sides_images_and_contenders_said_by_the_browser_change_nothing() -> None:
    """On fresh ballots the answer counts as it stands on the page; on answered ones nothing changes any more."""
    study = make_study(contenders=3, prompts=6, with_text=0, ballots_per_rater=None)
    browser, rater = joined_browser(study)
    said: list[tuple[Ballot, str]] = []
    for number in range(ATTACKS):
        is_fresh = number < 12
        ballot, choice = (open_ballot(browser, study), ["right", "left"][number % 2]) if is_fresh else said[number % 12]
        lies = {
            **dict.fromkeys(("left_image", "left", "left_contender", "image_left"), str(ballot.right_image_id)),
            **dict.fromkeys(("right_image", "right", "right_contender"), str(ballot.left_image_id)),
            **{"study": "0", "rater": "0", "criterion": "0", "stratum": "people", "purpose": "gold", "swap": "1"},
        }
        other = choice if is_fresh else {"left": "right", "right": "left"}[choice]
        browser.post(vote_address(study), answers_to(ballot, other) | lies)
        said += [(ballot, choice)] if is_fresh else []
        told = set(ballot.votes.values_list("choice", "left_contender", "right_contender", "rater", "stratum"))
        assert told == {(choice, ballot.left_contender_id, ballot.right_contender_id, rater.pk, "people")}


@pytest.mark.once
def test_a_vote_is_cast_by_no_get_and_no_page_elsewhere() -> None:
    study = make_study(contenders=3, prompts=3, with_text=0)
    browser, _ = joined_browser(study)
    form = answers_to(open_ballot(browser, study))
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    token = strict.cookies["csrftoken"].value
    for number in range(ATTACKS):
        headers: dict[str, str] = [{}, JSON][number % 2]
        assert browser.get(vote_address(study), form, headers=headers).status_code == 200
        assert browser.head(vote_address(study), form).status_code == 200
        assert browser.put(vote_address(study), form).status_code == 405
        assert strict.post(vote_address(study), form, headers=headers).status_code == 403
        guess = form | {"csrfmiddlewaretoken": secrets.token_hex(32)}
        assert strict.post(vote_address(study), guess, headers=headers).status_code == 403
        elsewhere = {**headers, "Origin": "https://elsewhere.example"}
        stolen = form | {"csrfmiddlewaretoken": token}
        assert strict.post(vote_address(study), stolen, headers=elsewhere).status_code == 403
    assert Vote.objects.count() == 0
    assert strict.post(vote_address(study), form | {"csrfmiddlewaretoken": token}, headers=JSON).status_code == 200
