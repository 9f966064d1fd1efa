"""Browsers of raters for tests: Django's client, joined by a real invitation link."""

import re

from django.test import Client
from django.urls import reverse

from arena import raters
from arena.models import Ballot, Rater, Study

JSON = {"Accept": "application/json"}


def joined_browser(study: Study) -> tuple[Client, Rater]:
    """A browser that opened an invitation link and agreed, and the rater it became."""
    _, token = raters.invite(study=study)
    browser = Client()
    browser.post(reverse("arena:join", args=[token]))
    return browser, Rater.objects.filter(study=study).latest("pk")


def vote_address(study: Study) -> str:
    return reverse("arena:vote", args=[study.slug])


def open_ballot(browser: Client, study: Study) -> Ballot:
    """The ballot that the vote page shows."""
    found = re.search(r'data-ballot="([0-9a-f]{32})"', browser.get(vote_address(study)).content.decode())
    assert found, "the vote page shows no ballot"
    return Ballot.objects.get(token=found[1])


def answers_to(ballot: Ballot, choice: str = "left") -> dict[str, str]:
    """A complete form for a ballot."""
    asked = ballot.study_prompt.criteria.values_list("key", flat=True)
    return {"ballot": ballot.token, **{f"answer.{key}": choice for key in asked}}
