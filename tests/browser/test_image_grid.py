"""Ten thousand images in a real Chromium: few are fetched, contenders and prompts stay in sight, keys lead around."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from playwright.sync_api import Page, expect

from arena import studies
from arena.models import Study
from generation import image_store
from generation.models import Image, ImageJob
from generation.provenance import digest_of, request_digest
from tests.arena.factories import cast, colour_of, make_image, make_rater, make_study, png_of
from tests.browser.conftest import PHONE, OpenWindow
from tests.browser.test_staff_pages import has_sideways_scroll, sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

LONG_PATIENCE = 90_000  # milliseconds: two pages of 2,000 cells, on a machine that may be busy
SEEN_ARE_LOADED = """() => {
  const box = document.querySelector('.grid-scroll').getBoundingClientRect();
  const seen = [...document.querySelectorAll('.shot img')].filter((each) => {
    const place = each.getBoundingClientRect();
    return place.bottom > box.top && place.top < box.bottom && place.right > box.left && place.left < box.right;
  });
  return seen.length > 20 && seen.every((each) => each.complete && each.naturalWidth);
}"""


def large_study() -> Study:
    """250 prompts x 40 contenders, 10,000 image rows over eight files."""
    owner = get_user_model().objects.create_superuser("ada", password="correct horse battery")  # noqa: S106
    study = make_study(contenders=40, prompts=250, images=False, copies=False, opened=False, owner=owner)
    files = [image_store.put(png_of(colour_of("file", number)), suffix=".png") for number in range(8)]
    recipes = [contender.recipe for contender in study.contenders.select_related("recipe")]
    prompts = [row.prompt for row in study.study_prompts.select_related("prompt")]
    Image.objects.bulk_create(
        (
            Image(
                recipe=recipe,
                prompt_text=prompt.text,
                prompt_digest=prompt.text_digest,
                request_digest=request_digest(recipe_digest=recipe.digest, prompt_text=prompt.text, sample=0),
                file_sha256=files[(place + other) % len(files)],
                pixels_sha256=files[(place + other) % len(files)],
                width=64,
                height=64,
                size_bytes=100,
                provenance_digest=digest_of({}),
            )
            for place, prompt in enumerate(prompts)
            for other, recipe in enumerate(recipes)
        ),
        batch_size=1000,
    )
    return study


def fetched_images(page: Page) -> Callable[[], int]:
    """How many different thumbnails the page has asked for since."""
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url) if request.url.endswith(".webp") else None)
    return lambda: len(asked)


def scroll(page: Page, *, down: int = 0, right: int = 0) -> None:
    page.locator(".grid-scroll").evaluate("(box, [x, y]) => box.scrollBy(x, y)", [right, down])


def test_ten_thousand_images_are_looked_at_with_a_few_hundred_fetched(open_window: OpenWindow) -> None:
    study = large_study()
    page = open_window()
    sign_in(page)
    count = fetched_images(page)
    page.goto(reverse("arena:study_grid", args=[study.slug]), timeout=LONG_PATIENCE)
    page.wait_for_function(SEEN_ARE_LOADED, timeout=LONG_PATIENCE)
    assert count() < 300
    first = page.locator(".grid-label").first.bounding_box()
    scroll(page, down=20_000, right=2_000)  # past everything between, to the next page of prompts and beyond
    expect(page.locator(".grid-row:not(.grid-top)")).to_have_count(100, timeout=LONG_PATIENCE)
    page.wait_for_function(SEEN_ARE_LOADED, timeout=LONG_PATIENCE)
    assert count() < 600
    skipped = page.locator(".grid-row").nth(30).locator(".shot img").nth(3)
    assert not skipped.evaluate("(image) => image.complete && image.naturalWidth > 0")
    # Header and first column have stayed where they were.
    box = page.locator(".grid-scroll").bounding_box()
    corner = page.locator(".grid-corner").bounding_box()
    label = page.locator(".grid-label").nth(20).bounding_box()
    assert box and corner and label and first
    assert (round(corner["x"] - box["x"]), round(corner["y"] - box["y"])) == (1, 1)
    assert label["y"] == first["y"]


def test_an_image_is_looked_at_large_and_keys_lead_to_its_neighbours(open_window: OpenWindow, pictures: Path) -> None:
    owner = get_user_model().objects.create_superuser("ada", password="correct horse battery")  # noqa: S106
    study = make_study(contenders=4, prompts=6, owner=owner, samples=2)
    cast(make_rater(study), ballots=8)
    page = open_window()
    sign_in(page)
    page.get_by_role("link", name="Open results").click()
    page.get_by_role("link", name="Images", exact=True).click()
    labels = list(study.contenders.order_by("position").values_list("label", flat=True))
    # Before the page's script is there, an image's link leads to the image.
    page.wait_for_url(f"**{reverse('arena:study_grid', args=[study.slug])}")
    page.locator(".shot").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    dialog = page.locator("#zoom")
    expect(dialog).to_be_visible()
    expect(dialog.locator("[data-zoom-label]")).to_have_text(f"{labels[0]}, sample 1")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(dialog.locator("[data-zoom-label]")).to_have_text(f"{labels[2]}, sample 0")
    expect(dialog.locator("[data-zoom-prompt]")).to_have_text(study.study_prompts.all()[1].prompt.text)
    expect(dialog.locator("img")).to_have_js_property("naturalWidth", 64)
    image = Image.objects.get(
        recipe__contenders__label=labels[2], prompt_text=study.study_prompts.all()[1].prompt.text, sample=0
    )
    expect(dialog.locator("[data-zoom-about]")).to_contain_text(image.file_sha256)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    place = page.locator(".grid-row").nth(2).locator(".grid-cell").nth(2)
    expect(place.locator(".shot").first).to_be_focused()
    page.keyboard.press("Enter")
    dialog.get_by_text("Report or withdraw").click()
    dialog.get_by_label("Why").fill("half of it is grey")
    page.keyboard.press("ArrowLeft")  # in the text, not to the neighbour
    dialog.get_by_role("button", name=f"Withdraw image {image.pk}").click()
    expect(place.locator(".gap-quarantined")).to_contain_text("half of it is grey")
    assert page.url.endswith(reverse("arena:study_grid", args=[study.slug]))


def test_a_failed_image_is_tried_again_in_its_cell(open_window: OpenWindow) -> None:
    owner = get_user_model().objects.create_superuser("ada", password="correct horse battery")  # noqa: S106
    study = make_study(contenders=2, prompts=2, images=False, copies=False, owner=owner)
    run = studies.ask_for_images(study)
    failed = run.jobs.order_by("pk")[0]
    ImageJob.objects.filter(pk=failed.pk).update(state="failed", reason="no memory", attempts=3)
    page = open_window()
    sign_in(page)
    page.goto(reverse("arena:study_grid", args=[study.slug]))
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".gap-failed")).to_have_count(0)
    expect(page.locator(".gap-waiting")).to_have_count(4)
    assert page.url.endswith("/grid/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_only_the_grid_itself_scrolls_sideways(open_window: OpenWindow, scheme: str) -> None:
    owner = get_user_model().objects.create_superuser("ada", password="correct horse battery")  # noqa: S106
    study = make_study(contenders=6, prompts=6, owner=owner)
    run = studies.ask_for_images(study)
    page = open_window(**PHONE, color_scheme=scheme)
    sign_in(page)
    for address in (
        reverse("arena:study_grid", args=[study.slug]),
        reverse("arena:study_images", args=[study.slug]),
        reverse("arena:run", args=[run.pk]),
        reverse("arena:runs"),
    ):
        page.goto(address)
        assert not has_sideways_scroll(page), address
    page.goto(reverse("arena:study_grid", args=[study.slug]))
    page.locator(".shot").first.tap()
    expect(page.locator("#zoom")).to_be_visible()
    page.get_by_role("button", name="Close").tap()
    expect(page.locator("#zoom")).to_be_hidden()


def test_a_finished_image_appears_on_the_run_page_without_a_reload(open_window: OpenWindow) -> None:
    owner = get_user_model().objects.create_superuser("ada", password="correct horse battery")  # noqa: S106
    study = make_study(contenders=2, prompts=2, images=False, copies=False, owner=owner)
    run = studies.ask_for_images(study)
    page = open_window()
    sign_in(page)
    page.goto(reverse("arena:run", args=[run.pk]))
    expect(page.get_by_text("No living worker takes messages")).to_be_visible()
    page.evaluate("window.unreloaded = true")
    page.get_by_label("Priority").fill("12")
    job = run.jobs.order_by("pk")[0]
    make_image(recipe=job.recipe, prompt_text=job.prompt_text)
    ImageJob.objects.filter(pk=job.pk).update(state="done")
    expect(page.locator(".facts div").first).to_contain_text("1 of 4")
    assert page.evaluate("window.unreloaded")
    expect(page.get_by_label("Priority")).to_have_value("12")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("The run is paused.")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
