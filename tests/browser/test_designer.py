"""From a prompt file to an open study in a real Chromium; without JavaScript too."""

from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from playwright.sync_api import expect

from arena.models import Study
from tests.arena.factories import make_recipe
from tests.browser.conftest import PHONE, OpenWindow
from tests.browser.test_staff_pages import sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

ROWS = [
    f'"{word} {number}, painted",{word}s,' if number % 4 else f'"a sign that says ""{word} {number}""",signs,'
    for word in ("cat", "boat", "tree")
    for number in range(1, 17)
]
FILE = "caption,kind,target\n" + "\n".join(ROWS) + "\n"


@pytest.fixture(autouse=True)
def _scene() -> None:
    get_user_model().objects.create_superuser("ada", password="correct horse battery")  # noqa: S106
    for steps in (1, 4, 28):
        make_recipe(f"final, {steps} steps", steps=steps)


def test_prompts_come_in_and_a_study_is_designed_and_opened(
    open_window: OpenWindow, tmp_path: Path, pictures: Path
) -> None:
    (tmp_path / "captions.csv").write_text(FILE)
    page = open_window()
    sign_in(page)
    page.get_by_role("link", name="Prompts", exact=True).click()
    page.get_by_label("Prompt file").set_input_files(tmp_path / "captions.csv")
    page.get_by_role("button", name="Look at the file").click()
    page.get_by_label("Category").select_option("kind")
    page.get_by_role("button", name="Read again").click()
    expect(page.get_by_role("button", name="Save 48 prompts")).to_be_visible()
    page.get_by_label("Licence").fill("CC0-1.0")
    page.get_by_role("button", name="Save 48 prompts").click()
    page.get_by_label("How many").fill("24")
    page.get_by_role("button", name="See the draw").click()
    expect(page.get_by_role("status").filter(has_text="signs 6")).to_be_visible()
    page.screenshot(path=pictures / "prompt-set.png")
    page.get_by_role("link", name="Design a study with this sample").click()
    page.get_by_role("link", name="SD3", exact=True).click()
    expect(page.get_by_text("Where this departs from SD3")).to_be_visible()
    page.get_by_label("Name", exact=True).first.fill("How many steps?")
    for steps in (1, 4, 28):
        page.get_by_label(f"final, {steps} steps").check()
    page.get_by_label("Baseline").select_option("final, 28 steps")
    expect(page.locator("#summary")).to_contain_text("images to make")
    expect(page.locator("#summary .power tbody tr")).to_have_count(3)
    expect(page.locator("#id_baseline option")).to_have_count(4)
    expect(page.get_by_label("Baseline")).to_have_value("final, 28 steps")
    expect(page.locator("#summary .summary-problems")).to_have_count(0)
    page.evaluate("scrollTo(0, 620)")
    page.screenshot(path=pictures / "designer.png")
    page.get_by_role("button", name="Save the draft").click()
    expect(page.get_by_text("Draft: nothing is frozen yet")).to_be_visible()
    page.get_by_role("button", name="Open: freeze the design").click()
    expect(page.get_by_text("is open: its design is frozen")).to_be_visible()
    study = Study.objects.get()
    expect(page.get_by_text(study.frozen_digest)).to_be_visible()
    page.screenshot(path=pictures / "plan.png")
    assert study.run is not None and study.run.jobs.count() == 3 * study.study_prompts.count()


def test_the_designer_on_a_phone_and_without_javascript(
    open_window: OpenWindow, tmp_path: Path, pictures: Path
) -> None:
    (tmp_path / "captions.csv").write_text(FILE)
    page = open_window(**PHONE, color_scheme="dark", java_script_enabled=False)
    sign_in(page)
    page.goto(reverse("arena:prompt_sets"))
    page.get_by_label("Prompt file").set_input_files(tmp_path / "captions.csv")
    page.get_by_role("button", name="Look at the file").click()
    page.get_by_role("button", name="Save 48 prompts").click()
    page.get_by_role("link", name="Design a study with these").click()
    for steps in (4, 28):
        page.get_by_label(f"final, {steps} steps").check()
    page.get_by_role("button", name="Update").click()
    expect(page.locator("#summary")).to_contain_text("images to make")
    page.screenshot(path=pictures / "designer-phone.png")
    page.get_by_label("Name", exact=True).first.fill("Two")
    page.get_by_role("button", name="Save the draft").click()
    expect(page.get_by_text("Draft: nothing is frozen yet")).to_be_visible()
