"""An image is withdrawn while a rater's browser holds it: the page moves on by itself, and no answer to it is kept."""

import pytest
from playwright.sync_api import Page, expect

from arena.image_safety import withdraw_image
from arena.models import Ballot, Study, Vote
from generation.models import Image
from tests.arena.factories import make_study
from tests.browser.conftest import OpenWindow
from tests.browser.vote_window import answer_by_keys, join, saved_line, wait_for_the_next_two, wait_until_ready

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def study() -> Study:
    return make_study(contenders=3, prompts=8)


def images_of(ballot: Ballot) -> set[int]:
    return {pk for pk in (ballot.left_image_id, ballot.right_image_id) if pk is not None}


def withdraw(pk: int) -> None:
    withdraw_image(image=Image.objects.get(pk=pk), kind="disturbing", reason="blood", author=None)


def shown(page: Page) -> Ballot:
    return Ballot.objects.get(token=wait_until_ready(page))


def test_the_page_moves_on_from_withdrawn_images_and_says_why(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    first = Ballot.objects.get(token=wait_for_the_next_two(page))
    second = Ballot.objects.get(rater=first.rater, position=first.position + 1)
    prefetched = min(images_of(second) - images_of(first))
    withdraw(prefetched)
    answer_by_keys(page)
    expect(page.locator(f'form.ballot[data-ballot="{second.token}"]')).to_have_count(0)
    expect(saved_line(page)).to_have_text("✓ Saved")
    third = shown(page)
    assert third.state == Ballot.State.OPEN and prefetched not in images_of(third)

    withdraw(min(images_of(third)))
    answer_by_keys(page)
    expect(saved_line(page)).to_have_text("Not saved")
    expect(page.locator("[data-problem]")).to_contain_text("An image of this pair was withdrawn meanwhile")
    assert shown(page).state == Ballot.State.OPEN
    assert set(Vote.objects.values_list("ballot", flat=True)) == {first.pk}
