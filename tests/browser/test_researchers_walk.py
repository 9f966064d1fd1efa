"""A new researcher's whole way in a real Chromium: from the account link to a report, with images by the demo model.

Pages are reached by what a person would click; typed are only the two links that were sent.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from playwright.sync_api import Browser, Download, Page, Response, expect

from arena.models import Ballot, Study, Vote
from generation.models import Image, PromptSet
from tests.browser.conftest import OpenWindow
from tests.browser.results_window import draw_charts
from tests.browser.test_staff_pages import sign_in as sign_in_as_ada
from tests.browser.vote_window import answer_by_keys, press, wait_until_ready
from tests.conftest import StartWorker
from tests.servers.redis_server import RedisServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once, pytest.mark.torch]

PROMPTS = """bildtext,art,schild
two red circles on a white background,shapes,
a green star on the right on a black background,shapes,
a yellow square below a red cross on a pink background,shapes,
"a red sign that says ""CUP"" on a black background",signs,CUP
"a blue sign that says ""OPEN"" on a white background",signs,OPEN
three blue triangles on an orange background,shapes,
"""
NAME, PASSWORD = "grace", "a compiler of her own"
STUDY = "Are four steps enough?"
FEW, MANY = "tiny-sd3, 1 step", "tiny-sd3, 4 steps"
FOR_WORKERS = 240_000  # milliseconds for twelve images, or three fits, where twenty programs want two cores


@dataclass
class Walk:
    """One person's window, with a numbered picture of every page and a note of every request that failed."""

    page: Page
    pictures: Path
    failed: list[str] = field(default_factory=list)
    taken: int = 0

    def __post_init__(self) -> None:
        self.page.on("response", self._look_at)

    def _look_at(self, response: Response) -> None:
        if response.status >= 400:
            self.failed.append(f"{response.status} {response.url}")

    def shoot(self, name: str) -> None:
        """A picture of the page from top to bottom."""
        self.taken += 1
        self.page.screenshot(path=self.pictures / f"walk-{self.taken:02}-{name}.png", full_page=True)

    def download(self, link: str, *, within: str = "main") -> Download:
        """What a link gives to keep."""
        with self.page.expect_download() as coming:
            self.page.locator(within).get_by_role("link", name=link, exact=True).first.click()
        return coming.value

    def go(self, name: str) -> None:
        """To one of the study's pages, by the row of them."""
        self.page.locator(".study-pages").get_by_role("link", name=name, exact=True).click()
        self.page.wait_for_load_state()


@pytest.fixture
def shots(pictures: Path) -> Path:
    """A folder of the walk's own."""
    folder = pictures / "walk"
    folder.mkdir(exist_ok=True)
    return folder


def make_account(page: Page) -> str:
    """The administrator makes an account and sees its link."""
    get_user_model().objects.create_superuser("ada", password="correct horse battery")
    sign_in_as_ada(page)
    page.get_by_role("link", name="People").click()
    page.get_by_label("Name to sign in with").fill(NAME)
    page.get_by_label("Kind").select_option("researcher")
    page.get_by_role("button", name="Make the account and its link").click()
    return page.locator(".links code").inner_text()


def settle_in(walk: Walk, link: str) -> None:
    page = walk.page
    page.goto(link)
    walk.shoot("password")
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Save the password").click()
    expect(page.get_by_text("Your password is set. Sign in with it.")).to_be_visible()
    walk.shoot("sign-in")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No study yet")).to_be_visible()
    walk.shoot("home")


def bring_in_prompts(walk: Walk, file: Path) -> None:
    """A file whose columns have names that nothing is known of: said by hand, looked at, saved."""
    page = walk.page
    page.get_by_role("link", name="Bring in prompts").click()
    walk.shoot("prompt-sets")
    page.get_by_label("Prompt file").set_input_files(file)
    page.get_by_role("button", name="Look at the file").click()
    expect(page.get_by_role("alert")).to_contain_text("1 problem")
    walk.shoot("columns-unknown")
    for meaning, column in (("Prompt", "bildtext"), ("Category", "art"), ("Text to render", "schild")):
        page.get_by_label(meaning, exact=True).select_option(column)
    page.get_by_role("button", name="Read again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    walk.shoot("columns-said")
    page.get_by_label("Name", exact=True).fill("Shapes and signs")
    page.get_by_label("Licence").fill("CC0-1.0")
    page.get_by_role("button", name="Save 6 prompts").click()
    expect(page.get_by_role("heading", name="Shapes and signs")).to_be_visible()
    walk.shoot("prompt-set")
    saved = PromptSet.objects.get()
    assert saved.owner is not None and saved.owner.get_username() == NAME
    assert list(saved.prompts.order_by("position").values_list("target_text", flat=True))[3:5] == ["CUP", "OPEN"]


def design(walk: Walk) -> None:
    """A study begun from a protocol; its contenders are a sweep over steps."""
    page = walk.page
    page.get_by_role("link", name="Design a study with these").click()
    page.get_by_role("link", name="SD3", exact=True).click()
    page.get_by_label("Name", exact=True).first.fill(STUDY)
    page.get_by_label("tiny-sd3").check()
    page.get_by_label("Steps", exact=True).fill("1, 4")
    page.get_by_label("Guidance", exact=True).fill("3")
    page.get_by_label("Width").fill("64")
    page.get_by_label("Height").fill("64")
    expect(page.locator("#id_baseline option")).to_have_count(3)
    page.get_by_label("Baseline").select_option(MANY)
    page.get_by_label("Raters expected").fill("3")
    expect(page.locator("#summary .facts")).to_contain_text("12")
    expect(page.locator("#summary .summary-problems")).to_have_count(0)
    expect(page.locator("#summary .power tbody tr")).to_have_count(3)
    walk.shoot("designer")
    page.get_by_role("button", name="Save the draft").click()
    expect(page.get_by_text("Draft: nothing is frozen yet")).to_be_visible()
    walk.shoot("plan-of-the-draft")


def make_images(walk: Walk) -> None:
    """Ask for the images and watch the run to its end."""
    page = walk.page
    page.get_by_role("main").get_by_role("link", name="Plan the images").first.click()
    walk.shoot("plan-of-the-images")
    page.get_by_role("button", name="Ask for 12 images").click()
    expect(page.locator("#run .badge")).to_be_visible()
    walk.shoot("run")
    expect(page.locator("#run .badge")).to_have_text("finished", timeout=FOR_WORKERS)
    page.get_by_role("link", name="Images", exact=True).click()
    images = page.locator("main img").filter(visible=True)
    expect(images).to_have_count(12)
    for image in images.all():
        image.scroll_into_view_if_needed()
        expect(image).not_to_have_js_property("naturalWidth", 0)
    walk.shoot("images-of-the-run")
    made = Image.objects.values_list("recipe__schedule__steps", "width", "height")
    assert sorted(made) == [(1, 64, 64)] * 6 + [(4, 64, 64)] * 6


def open_study(walk: Walk) -> None:
    """Freeze the design, keep its text and take a link for raters along."""
    page = walk.page
    page.get_by_role("link", name=STUDY).click()  # from the images back to the run
    expect(page.get_by_role("heading", name=STUDY)).to_be_visible()
    page.get_by_role("link", name=STUDY).click()
    expect(page.get_by_role("heading", name="Not open yet")).to_be_visible()
    walk.shoot("results-of-the-draft")
    walk.go("Plan")
    page.get_by_role("button", name="Open: freeze the design").click()
    expect(page.get_by_text("is open: its design is frozen")).to_be_visible()
    walk.shoot("plan")
    digest = Study.objects.get().frozen_digest
    assert digest in walk.download("Plan as text").path().read_text()


def invite(walk: Walk) -> str:
    page = walk.page
    walk.go("Invite raters")
    page.get_by_label("For whom").fill("the lab")
    page.get_by_role("button", name="Make and show once").click()
    link = page.locator(".links code").inner_text()
    walk.shoot("invitations")
    return link


def vote(walk: Walk, link: str, key_for: Callable[[Ballot], str]) -> None:
    """Consent and every ballot, by keyboard alone."""
    page = walk.page
    page.goto(link)
    expect(page.get_by_role("heading", name=STUDY)).to_be_visible()
    walk.shoot("consent")
    press(page, page.get_by_role("button", name="I agree, begin"))
    expect(page.get_by_role("heading", name="How it works")).to_be_visible()
    walk.shoot("instructions")
    press(page, page.get_by_role("button", name="Understood, begin"))
    while is_asked(page):
        token = wait_until_ready(page)
        if walk.taken == 2:
            walk.shoot("ballot")
        answer_by_keys(page, key_for(Ballot.objects.select_related("left_contender").get(token=token)))
    walk.shoot("thanks")


def is_asked(page: Page) -> bool:
    """Whether there is a ballot; else it was the last."""
    ballot = page.locator("form.ballot")
    expect(ballot.or_(page.get_by_role("heading", name="Thank you!"))).to_be_visible()
    return ballot.is_visible()


def many(ballot: Ballot) -> str:
    """The key of the image made in four steps."""
    return "ArrowLeft" if ballot.left_contender.label == MANY else "ArrowRight"


def mixed(ballot: Ballot) -> str:
    """Four steps on shapes, a tie on signs."""
    return "ArrowDown" if ballot.study_prompt.prompt.target_text else many(ballot)


def read_results(walk: Walk) -> None:
    """Numbers, another margin, the ballots behind a number."""
    page = walk.page
    walk.go("Progress")
    walk.shoot("progress")
    walk.go("Raters")
    walk.shoot("raters")
    walk.go("Results")
    for question, votes in (("prompt-following", 12), ("aesthetics", 12), ("typography", 4)):
        expect(page.locator(f"#{question} caption").first).to_contain_text(f"{votes} votes", timeout=FOR_WORKERS)
    draw_charts(page)  # not before: the page is put anew whenever a fit comes in
    walk.shoot("results")
    page.locator("#prompt-following-margin").fill("10")
    page.locator("form.margin").first.get_by_role("button", name="Show").click()
    expect(page.locator("form.margin").first).to_contain_text("The plan says")
    page.locator("#prompt-following-matrix summary").click()
    page.locator("#prompt-following-matrix td a").first.click()
    expect(page.get_by_role("heading", name="Ballots")).to_be_visible()
    pictures = page.locator(".ballot-list img")
    expect(pictures.first).not_to_have_js_property("naturalWidth", 0)
    assert pictures.count() == 2 * Vote.objects.filter(criterion__key="prompt-following").count()
    walk.shoot("ballots")


def take_figures(walk: Walk) -> None:
    walk.go("Results")
    svg = walk.download("SVG", within="#prompt-following figure").path().read_text()
    assert "<svg" in svg and MANY in svg
    data = walk.download("CSV", within="#prompt-following figure").path().read_text()
    assert FEW in data
    walk.go("For a paper")
    expect(walk.page.get_by_role("heading", name="LaTeX table")).to_be_visible()
    walk.shoot("for-a-paper")


def take_away(walk: Walk, folder: Path) -> Path:
    """The report, unpacked, and a bundle with all images."""
    walk.go("For a paper")
    with walk.page.expect_download() as coming:
        walk.page.get_by_role("button", name="Report (ZIP)").click()
    with zipfile.ZipFile(coming.value.path()) as report:
        report.extractall(folder)
    with walk.page.expect_download() as coming:
        walk.page.get_by_role("button", name="Bundle with images (ZIP)").click()
    with zipfile.ZipFile(coming.value.path()) as bundle:
        assert sum(name.startswith("images/") for name in bundle.namelist()) == 12
    return folder / f"{Study.objects.get().slug}-report"


def close(walk: Walk) -> None:
    walk.go("Plan")
    walk.page.get_by_role("button", name="Close for good").click()
    expect(walk.page.get_by_text("is closed for good")).to_be_visible()
    walk.shoot("closed")


def read_report(chromium: Browser, folder: Path, shots: Path) -> None:
    """The report needs no server: it is read without any network."""
    context = chromium.new_context(offline=True)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / "report.html").as_uri())
    expect(page.get_by_role("heading", name=STUDY)).to_be_visible()
    assert page.locator("figure img").count() > 3
    page.screenshot(path=shots / "report.png", full_page=True)
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_from_the_account_link_to_the_report(
    open_window: OpenWindow,
    chromium: Browser,
    broker: RedisServer,
    start_worker: StartWorker,
    tmp_path: Path,
    shots: Path,
) -> None:
    call_command("add_checkpoint", "tiny-sd3", "tiny-sd3")
    workers = [start_worker("default", has_beat=True, waits=False), start_worker("gen.cpu", waits=False)]
    (tmp_path / "captions.csv").write_text(PROMPTS)
    walk = Walk(open_window(), shots)
    settle_in(walk, make_account(open_window()))
    bring_in_prompts(walk, tmp_path / "captions.csv")
    design(walk)
    for worker in workers:
        worker.wait_until_ready()
    make_images(walk)
    open_study(walk)
    link = invite(walk)
    for key_for in (many, mixed):
        rater = Walk(open_window(), shots / "rater")
        vote(rater, link, key_for)
        assert rater.failed == []
    read_results(walk)
    take_figures(walk)
    close(walk)
    read_report(chromium, take_away(walk, tmp_path), shots)
    assert walk.failed == []
