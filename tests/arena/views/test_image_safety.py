"""The page of one image: who may see it, take it away and bring it back; and what raters' browsers get then."""

import pytest
from django.test import Client
from django.urls import reverse

from arena import voting
from arena.models import Exclusion, ImageReport, Rater, Study
from generation import image_store
from generation.models import Image
from tests.arena import factories
from tests.arena.views.browsers import JSON, answers_to, joined_browser, open_ballot, vote_address

pytestmark = pytest.mark.django_db
SAID = {"kind": "disturbing", "reason": "blood & <b>bones</b>"}


@pytest.fixture
def study() -> Study:
    return factories.make_study(contenders=3, prompts=4)


@pytest.fixture
def image(study: Study) -> Image:
    return Image.objects.earliest("pk")


def browser_of(name: str = "ada") -> Client:
    client = Client()
    client.force_login(factories.make_user(name))
    return client


def address(image: Image, act: str = "image") -> str:
    return reverse(f"arena:{act}", args=[image.pk])


def test_the_owner_withdraws_and_restores_from_the_page(image: Image) -> None:
    ada = browser_of()
    assert f'formaction="{address(image, "withdraw_image")}"' in ada.get(address(image)).content.decode()
    page = ada.post(address(image, "withdraw_image"), SAID, follow=True).content.decode()
    assert "Withdrawn: no rater meets it any more" in page
    assert "blood &amp; &lt;b&gt;bones&lt;/b&gt;" in page and "<b>bones" not in page
    assert address(image, "restore_image") in page and address(image, "withdraw_image") not in page
    page = ada.post(address(image, "restore_image"), {"reason": "a mix-up"}, follow=True).content.decode()
    assert "Restored: it is shown and counted again." in page
    assert [report.author for report in ImageReport.objects.all()] == [factories.make_user()] * 2
    assert Exclusion.objects.standing().count() == 0


def test_a_prefetched_picture_of_it_is_refused_and_the_queue_has_others(study: Study) -> None:
    rater, _ = joined_browser(study)
    ballot = open_ballot(rater, study)
    queue = f"{vote_address(study)}queue.json"
    tokens = [entry["token"] for entry in rater.get(queue, headers=JSON).json()["ballots"]]
    assert tokens[0] == ballot.token and rater.get(f"/ballots/{ballot.token}/left.webp").status_code == 200
    assert ballot.left_image is not None
    browser_of().post(address(ballot.left_image, "withdraw_image"), SAID)
    assert rater.get(f"/ballots/{ballot.token}/left.webp").status_code == 404
    now = [entry["token"] for entry in rater.get(queue, headers=JSON).json()["ballots"]]
    assert ballot.token not in now and len(now) == 3
    refused = rater.post(vote_address(study), answers_to(ballot), headers=JSON)
    assert (refused.status_code, refused.json()["code"]) == (409, "ballot_expired")
    assert "was withdrawn meanwhile" in refused.json()["problem"]
    assert open_ballot(rater, study).token != ballot.token


def test_an_answered_ballots_pictures_of_it_are_refused_too(study: Study) -> None:
    rater, _ = joined_browser(study)
    ballot = open_ballot(rater, study)
    rater.post(vote_address(study), answers_to(ballot))
    assert ballot.right_image is not None
    browser_of().post(address(ballot.right_image, "withdraw_image"), SAID)
    answers = [rater.get(f"/ballots/{ballot.token}/{side}.webp").status_code for side in ("left", "right")]
    assert answers == [200, 404]


def test_strangers_find_nothing_and_members_only_report(study: Study, image: Image) -> None:
    eve, ann = browser_of("eve"), browser_of("ann")
    study.members.create(user=factories.make_user("ann"), role="analyst")
    for act in ("image", "image_picture"):
        assert eve.get(address(image, act)).status_code == 404
        assert Client().get(address(image, act)).status_code == 302
    for act in ("withdraw_image", "restore_image", "report_image"):
        assert eve.post(address(image, act), SAID).status_code == 404
        assert Client().post(address(image, act), SAID).status_code == 302
    assert ann.post(address(image, "withdraw_image"), SAID).status_code == 403
    assert ann.post(address(image, "restore_image"), SAID).status_code == 403
    page = ann.get(address(image)).content.decode()
    assert address(image, "withdraw_image") not in page
    assert "Reported." in ann.post(address(image, "report_image"), SAID, follow=True).content.decode()
    image.refresh_from_db()
    assert not image.is_quarantined and ImageReport.objects.get().study == study


def test_raters_are_not_people_who_may_see_it(study: Study, image: Image) -> None:
    rater, _ = joined_browser(study)
    assert (
        rater.get(address(image)).status_code == 302 and rater.get(address(image, "image_picture")).status_code == 302
    )


def test_acts_are_posts_with_a_token(image: Image) -> None:
    ada = browser_of()
    assert ada.get(address(image, "withdraw_image")).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(factories.make_user())
    assert strict.post(address(image, "withdraw_image"), SAID).status_code == 403


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({}, "Say why, in a few words."),
        ({"reason": "x", "kind": "ugly"}, "Say what is wrong with the image: broken or"),
    ],
)
def test_a_refusal_is_its_sentence(image: Image, said: dict[str, str], sentence: str) -> None:
    page = browser_of().post(address(image, "withdraw_image"), said, follow=True).content.decode()
    assert sentence in page and not ImageReport.objects.exists()


@pytest.mark.once
@pytest.mark.parametrize(
    ("asked", "reached"),
    [
        ("/studies/colours/", "/studies/colours/"),
        ("https://evil.example/", None),
        ("//evil.example/", None),
        ("", None),
    ],
)
def test_one_goes_back_to_a_page_of_ours_only(image: Image, asked: str, reached: str | None) -> None:
    answer = browser_of().post(address(image, "withdraw_image"), {**SAID, "next": asked})
    assert answer["Location"] == (reached or address(image))


def test_the_picture_is_the_stored_file_also_when_it_is_withdrawn(image: Image) -> None:
    ada = browser_of()
    ada.post(address(image, "withdraw_image"), SAID)
    answer = ada.get(address(image, "image_picture"))
    assert answer.content == image_store.read(image.file_sha256, suffix=".png")
    Image.objects.filter(pk=image.pk).update(file_sha256="0" * 64)
    assert ada.get(address(image, "image_picture")).status_code == 404


def test_a_simulated_rater_goes_on_too(study: Study) -> None:
    rater = factories.make_rater(study, kind=Rater.Kind.SIMULATED)
    [ballot] = voting.open_ballots(rater=rater, wanted=1)
    assert ballot.left_image is not None
    browser_of().post(address(ballot.left_image, "withdraw_image"), SAID)
    assert len(factories.cast(rater, "left")) == 1
