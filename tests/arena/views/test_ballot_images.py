"""A ballot's images: for its own rater, for its own time, and alike in everything but the pixels."""

import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone
from PIL import Image as Pictures

from arena import display, voting
from arena.models import Ballot
from generation import image_store
from tests.arena.factories import make_rater, make_study
from tests.arena.views.browsers import answers_to, joined_browser, open_ballot, vote_address

pytestmark = pytest.mark.django_db


def address(ballot: Ballot, side: str = "left") -> str:
    return f"/ballots/{ballot.token}/{side}.webp"


def headers_of(reply: Any) -> dict[str, str]:
    """All but the number of the request, which chance draws for each answer."""
    assert re.fullmatch("[0-9a-f]{16}", reply.headers["X-Request-ID"])
    return {name: value for name, value in reply.headers.items() if name != "X-Request-ID"}


def test_the_ballots_rater_gets_the_copies_of_its_two_images() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    for side, image in (("left", ballot.left_image), ("right", ballot.right_image)):
        reply = browser.get(address(ballot, side))
        assert reply.status_code == 200
        assert image is not None
        copy = display.copy_of(image, study=study)
        assert copy is not None
        assert reply.content == display.read_copy(copy)


def test_everybody_else_gets_the_same_as_for_an_invented_token() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    other, _ = joined_browser(study)
    for stranger in (other, Client()):
        refused, invented = stranger.get(address(ballot)), stranger.get(f"/ballots/{'0' * 32}/left.webp")
        assert (refused.status_code, invented.status_code) == (404, 404)
        assert (refused.content, headers_of(refused)) == (invented.content, headers_of(invented))


def test_no_other_file_lies_beside_them() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    for name in ("middle.webp", "left.png", "left.webp/", "../left.webp"):
        assert browser.get(f"/ballots/{ballot.token}/{name}").status_code == 404
    assert browser.post(address(ballot)).status_code == 405


def test_an_answered_ballots_images_stay_for_an_hour() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    browser.post(vote_address(study), answers_to(ballot))
    assert browser.get(address(ballot)).status_code == 200
    Ballot.objects.filter(pk=ballot.pk).update(answered_at=timezone.now() - timedelta(minutes=61))
    assert browser.get(address(ballot)).status_code == 404


def test_an_expired_ballots_images_are_gone() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    Ballot.objects.filter(pk=ballot.pk).update(state=Ballot.State.EXPIRED)
    assert browser.get(address(ballot)).status_code == 404


def test_a_missing_file_is_nothing_here_and_no_crash() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    assert ballot.left_image is not None
    copy = display.copy_of(ballot.left_image, study=study)
    assert copy is not None
    storages[image_store.STORAGE_ALIAS].delete(image_store.name_of(copy.file_sha256, suffix=".webp"))
    assert browser.get(address(ballot)).status_code == 404


def test_headers_and_format_are_the_same_for_all_contenders() -> None:
    study = make_study(contenders=6, prompts=6)
    headers, formats, contenders = set(), set(), set()
    browser, rater = joined_browser(study)
    for _ in range(12):
        ballot = open_ballot(browser, study)
        for side, contender in (("left", ballot.left_contender_id), ("right", ballot.right_contender_id)):
            reply = browser.get(address(ballot, side))
            contenders.add(contender)
            headers.add(
                tuple(sorted((name, value) for name, value in headers_of(reply).items() if name != "Content-Length"))
            )
            with Pictures.open(io.BytesIO(reply.content)) as picture:
                formats.add((picture.format, picture.size, picture.mode, tuple(sorted(picture.info))))
        browser.post(vote_address(study), answers_to(ballot))
    assert len(contenders) == 6
    assert len(headers) == 1
    assert len(formats) == 1
    names = {name for name, _ in headers.pop()}
    assert {"Content-Type", "Cache-Control", "Content-Disposition", "X-Content-Type-Options"} <= names
    assert not names & {"ETag", "Last-Modified", "Set-Cookie"}


def test_a_simulated_raters_ballot_is_open_to_nobody() -> None:
    study = make_study()
    ballot = voting.open_ballots(rater=make_rater(study, "simulated"), wanted=1)[0]
    browser, _ = joined_browser(study)
    assert browser.get(address(ballot)).status_code == 404
