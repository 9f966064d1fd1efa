"""Mechanical Turk's frame: a preview takes nothing, no cookie is needed, and the task goes to two hosts only."""

import re
from urllib.parse import urlencode

import pytest
from django.core import signing
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import reverse

from arena.models import Ballot, Provider, Rater, RaterIdentity, Study
from arena.views.passes import address_with_pass
from tests.arena.factories import cast, make_study
from tests.arena.views.browsers import JSON, answers_to, vote_address

pytestmark = pytest.mark.django_db

ACCEPTED = {"assignmentId": "A1", "hitId": "H1", "workerId": "W1", "turkSubmitTo": "https://workersandbox.mturk.com"}
FRAMED_BY = "frame-ancestors https://worker.mturk.com https://www.mturk.com https://workersandbox.mturk.com"


@pytest.fixture
def study() -> Study:
    study = make_study(ballots_per_rater=1, rules={"instructions": True})
    Provider.objects.create(study=study, kind=Provider.Kind.MTURK)
    return study


def link(study: Study, **parameters: str) -> str:
    return f"{reverse('arena:join_from_turk', args=[study.slug])}?{urlencode({**ACCEPTED, **parameters})}"


def fresh() -> Client:
    """A browser that brings no cookie and would have to bring a form token."""
    return Client(enforce_csrf_checks=True)


@pytest.mark.once
def test_a_preview_shows_the_instructions_and_nothing_to_begin_with(study: Study) -> None:
    for address in (
        link(study, assignmentId="ASSIGNMENT_ID_NOT_AVAILABLE"),
        reverse("arena:join_from_turk", args=["colours"]),
    ):
        page = fresh().get(address)
        said = page.content.decode()
        assert "This is a preview" in said and "Understood, begin" not in said and "<form" not in said
        fresh().post(address)
        assert not page.cookies and not Rater.objects.exists()


def test_the_whole_task_without_a_single_cookie(study: Study) -> None:
    begun = fresh().post(link(study))
    address = begun.headers["Location"]
    assert address.startswith("/with/") and not begun.cookies
    to_instructions = fresh().get(address).headers["Location"]
    assert "Understood, begin" in fresh().get(to_instructions).content.decode()
    assert fresh().post(to_instructions, {"read": "1"}).headers["Location"] == address
    page = fresh().get(address)
    ballot = Ballot.objects.get(token=re.search(r'data-ballot="([0-9a-f]{32})"', page.content.decode())[1])  # type: ignore[index]
    for image in re.findall(r'<img src="([^"]+)"', page.content.decode()):
        assert image.startswith("/with/") and fresh().get(image).status_code == 200
    queue = re.search(r'data-queue="([^"]+)"', page.content.decode())[1]  # type: ignore[index]
    assert fresh().get(queue, headers=JSON).json()["ballots"][0]["token"] == ballot.token
    assert fresh().post(address, answers_to(ballot), headers=JSON).json()["saved"] is True
    done = fresh().get(fresh().get(address).headers["Location"])
    assert 'action="https://workersandbox.mturk.com/mturk/externalSubmit"' in done.content.decode()
    assert 'name="assignmentId" value="A1"' in done.content.decode()
    for framed in (page, done, fresh().get(link(study))):
        assert "X-Frame-Options" not in framed.headers and FRAMED_BY in framed.headers["Content-Security-Policy"]
    assert "form-action 'self' https://www.mturk.com" in done.headers["Content-Security-Policy"]


def test_the_same_worker_is_the_same_rater_and_hands_in_the_assignment_of_this_visit(study: Study) -> None:
    fresh().post(link(study))
    again = pages_of(fresh().post(link(study, assignmentId="A2")))
    assert Rater.objects.count() == 1 and RaterIdentity.objects.get().captured["assignmentId"] == "A1"
    fresh().post(f"{again}/vote/colours/instructions/", {"read": "1"})
    cast(Rater.objects.get(), ballots=1)
    assert 'name="assignmentId" value="A2"' in fresh().get(f"{again}/vote/colours/done/").content.decode()


def pages_of(begun: HttpResponseBase) -> str:
    """The beginning of every address that the pass opens."""
    return "/".join(begun.headers["Location"].split("/")[:3])


def test_who_knows_a_worker_id_alone_sees_and_erases_nothing(study: Study) -> None:
    own = pages_of(fresh().post(link(study)))
    stranger = pages_of(fresh().post(link(study, assignmentId="EVIL")))
    stranger = pages_of(fresh().post(link(study, assignmentId="EVIL")))  # nor by coming twice
    for browser in (stranger, pages_of(fresh().post(link(study, assignmentId="")))):
        closed = fresh().get(f"{browser}/vote/colours/my-data/")
        assert closed.status_code == 403 and "write to the people of this study" in closed.content.decode()
        assert fresh().get(f"{browser}/vote/colours/my-data.json").status_code == 403
        assert fresh().post(f"{browser}/vote/colours/my-data/", {"sure": "yes"}).status_code == 403
        assert fresh().get(f"{browser}/vote/colours/").status_code == 302  # to the instructions: they can take part
    assert Rater.objects.get().erased_at is None
    for browser in (own, pages_of(fresh().post(link(study)))):
        assert fresh().get(f"{browser}/vote/colours/my-data.json").json()["identity"]["external_id"] == "W1"


@pytest.mark.once
@pytest.mark.parametrize(
    "host",
    [
        "https://evil.example.org",
        "http://www.mturk.com",
        "https://www.mturk.com.evil.example.org",
        "https://www.mturk.com@evil.example.org",
        "",
    ],
)
def test_a_task_of_another_host_is_refused_before_anything_is_kept(study: Study, host: str) -> None:
    assert fresh().post(link(study, turkSubmitTo=host)).status_code == 400
    assert not Rater.objects.exists()


def test_a_forged_pass_opens_nothing_and_a_true_one_only_rater_pages(study: Study) -> None:
    fresh().post(link(study))
    rater = Rater.objects.get()
    path = vote_address(study)
    forged = signing.dumps(rater.public_id, salt="another")
    assert fresh().get(f"/with/{forged}{path}").status_code == 404
    assert fresh().get(f"/with/{rater.public_id}{path}").status_code == 404
    for beyond in ("/admin/", "/", "/studies/colours/", "/studies/colours/invitations/", "/accounts/login/"):
        assert fresh().get(address_with_pass(rater, beyond)).status_code == 404, beyond


def test_pages_outside_the_pass_are_framed_by_nobody_also_after_one_with_it(study: Study) -> None:
    fresh().post(link(study))
    fresh().get(address_with_pass(Rater.objects.get(), vote_address(study)))
    page = fresh().get(vote_address(study))
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert reverse("arena:vote", args=["colours"]) == "/vote/colours/"


def test_a_pass_is_of_its_own_study_and_leaves_the_session_out(study: Study) -> None:
    other = make_study(slug="other")
    fresh().post(link(study))
    rater = Rater.objects.get()
    assert fresh().get(address_with_pass(rater, vote_address(other))).status_code == 403


def test_the_panels_own_door_is_not_mechanical_turks(study: Study) -> None:
    address = reverse("arena:join_from_panel", args=[study.slug])
    assert fresh().get(f"{address}?{urlencode(ACCEPTED)}").status_code == 404
    assert fresh().get(reverse("arena:join_from_turk", args=["no-such-study"])).status_code == 404
