"""The pages of a rater who has no ballot: images are still being made, or there is nothing left to ask."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from arena import studies
from arena.intake import take_in_images
from arena.models import Study
from generation.models import Image, ImageJob
from tests.arena.factories import make_image, make_study
from tests.arena.views.browsers import answers_to, joined_browser, open_ballot, vote_address
from tests.arena.views.test_voting import queue_of

pytestmark = pytest.mark.django_db


def test_while_images_are_being_made_the_page_waits_and_looks_again() -> None:
    study = make_study(images=False, copies=False)
    browser, _ = joined_browser(study)
    page = browser.get(vote_address(study))
    assert page.status_code == 200
    assert "Images are still being made" in page.content.decode()
    assert "arena/wait" in page.content.decode()
    said = queue_of(browser, study)
    assert (said["ballots"], said["waiting"]) == ([], True)


def spoil_one_original(study: Study) -> None:
    """One image of a study of two contenders and two prompts whose file is not in the store."""
    lost = Image.objects.filter(recipe__contenders__study=study).earliest("pk")
    Image.objects.filter(pk=lost.pk).update(file_sha256="0" * 64)
    take_in_images(study=study)


def test_one_unreadable_original_does_not_keep_raters_waiting() -> None:
    study = make_study(contenders=2, prompts=2, with_text=0, copies=False)
    spoil_one_original(study)
    browser, _ = joined_browser(study)
    browser.post(vote_address(study), answers_to(open_ballot(browser, study)))
    assert "Images are still being made" in browser.get(vote_address(study)).content.decode()
    long_ago = timezone.now() - timedelta(minutes=11)
    Image.objects.update(created_at=long_ago)
    assert queue_of(browser, study)["waiting"] is True  # the study is new: copies of images made before it take a while
    Study.objects.update(opened_at=long_ago)
    assert queue_of(browser, study)["waiting"] is False
    assert "Thank you!" in browser.get(vote_address(study), follow=True).content.decode()


def test_while_the_run_goes_on_raters_wait_whatever_cannot_be_read() -> None:
    study = make_study(contenders=2, prompts=2, with_text=0, images=False, copies=False)
    first, second = study.contenders.all()
    text = study.study_prompts.earliest("position").prompt.text
    studies.ask_for_images(study)
    make_image(recipe=first.recipe, prompt_text=text)
    spoil_one_original(study)
    Image.objects.update(created_at=timezone.now() - timedelta(minutes=11))
    Study.objects.update(opened_at=timezone.now() - timedelta(minutes=11))
    browser, _ = joined_browser(study)
    assert queue_of(browser, study)["waiting"] is True
    ImageJob.objects.update(state=ImageJob.State.CANCELLED)
    assert queue_of(browser, study)["waiting"] is False


def test_the_quota_ends_on_a_page_that_says_what_was_contributed() -> None:
    study = make_study(ballots_per_rater=2, prompts=2, with_text=0)
    browser, _ = joined_browser(study)
    for _ in range(2):
        last = browser.post(vote_address(study), answers_to(open_ballot(browser, study)), follow=True)
    assert last.redirect_chain[-1][0] == reverse("arena:done", args=[study.slug])
    page = last.content.decode()
    assert re.findall(r"<dd>(\d+)</dd>", page)[:2] == ["2", "4"]
    assert "Thank you!" in page


def test_a_pair_that_was_reported_is_not_one_that_was_compared() -> None:
    study = make_study(contenders=2, prompts=2, with_text=0)
    browser, _ = joined_browser(study)
    browser.post(vote_address(study), answers_to(open_ballot(browser, study)))
    reported = {"ballot": open_ballot(browser, study).token, "report": "1", "report_reason": "not_shown"}
    browser.post(vote_address(study), {**reported, "bad_side": "left"})
    page = browser.get(reverse("arena:done", args=[study.slug])).content.decode()
    assert "<dt>pair compared</dt><dd>1</dd>" in page


def test_every_pair_seen_is_the_end_too() -> None:
    study = make_study(contenders=2, prompts=1)
    browser, _ = joined_browser(study)
    end = browser.post(vote_address(study), answers_to(open_ballot(browser, study)), follow=True)
    assert "Thank you!" in end.content.decode()


def test_the_done_page_leads_on_while_there_is_more() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    page = browser.get(reverse("arena:done", args=[study.slug])).content.decode()
    assert f'href="{vote_address(study)}"' in page
