"""The upload of many images in a real Chromium: sent a few at a time, looked at, taken in."""

import re
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from playwright.sync_api import Page, expect

from generation.models import Image
from tests.arena.factories import make_prompts
from tests.browser.conftest import PHONE, OpenWindow
from tests.browser.test_staff_pages import has_sideways_scroll, sign_in
from tests.generation.image_imports import files

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture(autouse=True)
def _ada() -> None:
    get_user_model().objects.create_superuser("ada", password="correct horse battery")  # noqa: S106


def begin(page: Page, *, layout: str = "dalle3") -> None:
    sign_in(page)
    page.get_by_role("link", name="Import images").click()
    page.get_by_label("Prompts").select_option(label="Many v1")
    page.get_by_label("Contender").fill("SDXL")
    page.get_by_label("Prompt and sample are told by").select_option(layout)
    page.get_by_role("button", name="Go on to the files").click()
    page.wait_for_url(re.compile(r"/images/import/\d+/$"))  # its script too: by the form alone 16 files go at once
    expect(page.get_by_role("heading", name="SDXL")).to_be_visible()


def test_160_images_are_sent_in_parts_and_taken_in(open_window: OpenWindow, tmp_path: Path, pictures: Path) -> None:
    make_prompts(170, name="Many")
    named = {f"{at}_0.png": files.png(at, size=(16, 16)) for at in range(160)} | {"notes.png": files.png()}
    files.write_all(tmp_path, named | {"7_0.png": b"not a picture"})
    page = open_window()
    begin(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if request.method == "POST" else None)
    page.get_by_label("Images", exact=True).set_input_files([tmp_path / name for name in named])
    page.get_by_role("button", name="Send the files").click()
    expect(page.get_by_role("status")).to_have_text("161 files sent, 2 cannot be taken: see below.", timeout=60_000)
    assert len(requests) == 41
    expect(page.get_by_text("1 problem stands in the way.")).to_be_visible()
    expect(page.get_by_role("button", name="Take in")).to_be_disabled()
    page.screenshot(path=pictures / "import-problem.png", full_page=True)
    files.write_all(tmp_path, {"7_0.png": files.png(7)})
    page.get_by_label("Images", exact=True).set_input_files([tmp_path / "7_0.png"])
    page.get_by_role("button", name="Send the files").click()
    expect(page.get_by_role("button", name="Take in 160 images")).to_be_enabled()
    page.get_by_text("SDXL: 10 missing").click()
    page.screenshot(path=pictures / "import.png", full_page=True)
    page.get_by_role("button", name="Take in 160 images").click()
    expect(page.get_by_text("160 images imported for SDXL.")).to_be_visible()
    assert Image.objects.count() == 160


def test_a_folder_is_sent_with_its_paths(open_window: OpenWindow, tmp_path: Path) -> None:
    make_prompts(2, name="Many")
    files.write_all(tmp_path / "run", {f"0000{at}/samples/0000.png": files.png(at) for at in range(2)})
    page = open_window()
    begin(page, layout="geneval")
    page.get_by_label("or a whole folder").set_input_files(tmp_path / "run")
    page.get_by_role("button", name="Send the files").click()
    expect(page.get_by_role("button", name="Take in 2 images")).to_be_enabled()


def test_without_javascript_a_few_files_work(open_window: OpenWindow, tmp_path: Path) -> None:
    make_prompts(2, name="Many")
    files.write_all(tmp_path, {f"{at}_0.png": files.png(at) for at in range(2)})
    page = open_window(java_script_enabled=False)
    begin(page)
    expect(page.get_by_text("Without JavaScript, send at most 16 files at once.")).to_be_visible()
    page.get_by_label("Images", exact=True).set_input_files([tmp_path / "0_0.png", tmp_path / "1_0.png"])
    page.get_by_role("button", name="Send the files").click()
    page.get_by_role("button", name="Take in 2 images").click()
    expect(page.get_by_text("2 images imported for SDXL.")).to_be_visible()


def test_on_a_phone_in_the_dark(open_window: OpenWindow, tmp_path: Path, pictures: Path) -> None:
    make_prompts(3, name="Many")
    files.write_all(tmp_path, {"0_0.png": files.png()})
    page = open_window(**PHONE, color_scheme="dark")
    begin(page)
    assert not has_sideways_scroll(page)
    page.get_by_label("Images", exact=True).set_input_files([tmp_path / "0_0.png"])
    page.get_by_role("button", name="Send the files").click()
    expect(page.get_by_role("button", name="Take in 1 image")).to_be_enabled()
    assert not has_sideways_scroll(page)
    page.screenshot(path=pictures / "import-phone.png", full_page=True)
    page.goto(reverse("arena:new_import"))
    assert not has_sideways_scroll(page)
    page.screenshot(path=pictures / "new-import-phone.png", full_page=True)
