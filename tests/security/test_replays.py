"""One ballot sent again and again, many at once, over real HTTP: one set of votes, and never an error."""

import http.client
import json
import re
import urllib.parse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from arena.vote_chain import check_chain
from tests.arena.factories import make_study
from tests.arena.views.browsers import answers_to, joined_browser, open_ballot, vote_address
from tests.security.attacks import ATTACKS

AT_ONCE = 8


@pytest.mark.django_db(transaction=True)
def test_a_ballot_replayed_by_eight_at_once_is_recorded_once(live_server: LiveServer) -> None:
    study = make_study(contenders=2, prompts=2)
    browser, rater = joined_browser(study)
    ballot = open_ballot(browser, study)
    body, headers = form_of(browser, vote_address(study), answers_to(ballot))

    def replay(times: int) -> Counter[tuple[int, bool, bool]]:
        said: Counter[tuple[int, bool, bool]] = Counter()
        connection = http.client.HTTPConnection(urlsplit(live_server.url).netloc, timeout=60)
        for _ in range(times):
            connection.request("POST", vote_address(study), body, headers)
            reply = connection.getresponse()
            told = json.loads(reply.read())
            said[reply.status, told["saved"], told["already"]] += 1
        connection.close()
        return said

    each = max(ATTACKS // AT_ONCE, 2)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = sum(pool.map(replay, [each] * AT_ONCE), Counter())

    assert answers == {(200, True, False): 1, (200, True, True): each * AT_ONCE - 1}
    assert rater.votes.count() == ballot.study_prompt.criteria.count()
    assert check_chain(rater) == []


def form_of(browser: Client, path: str, fields: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The body and headers with which a real browser would send this form."""
    page = browser.get(path).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())
    headers = {"Cookie": cookies, "Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    return urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token[1]}), headers
