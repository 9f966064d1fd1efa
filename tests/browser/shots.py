"""Pictures of a running site, taken in a real Chromium: those of the documentation, or of every page there is.

python -m tests.browser.shots http://127.0.0.1:8000 --rater-link LINK --admin-password WORD --out docs/images
python -m tests.browser.shots http://127.0.0.1:8000 --admin-password WORD --study demo --every-page --out pictures

Pictures of the designer, the judge table, runs and grids are taken by their tests: SCREENSHOTS=1 python -m pytest
tests/browser.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.results_window import draw_charts
from tests.servers.chromium import find_chromium, flags

DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
RATER_WINDOWS: dict[str, dict[str, Any]] = {
    "vote": DESK,
    "vote-dark": {**DESK, "color_scheme": "dark"},
    "vote-phone": PHONE,
}
MOST_TRIES = 8
NARROW: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
WINDOWS: dict[str, dict[str, Any]] = {"desk": NARROW, "dark": {**NARROW, "color_scheme": "dark"}, "phone": PHONE}
# By name of the picture; {} is the study's short name.
EVERY_PAGE = {
    **{
        "home": "/",
        "prompt-sets": "/prompts/",
        "import": "/images/import/",
        "runs": "/runs/",
        "people": "/people/",
    },
    **{"designer": "/studies/new/?protocol=sd3", "study": "/studies/{}/", "progress": "/studies/{}/progress/"},
    **{"grid": "/studies/{}/grid/", "raters": "/studies/{}/raters/", "contenders": "/studies/{}/contenders/"},
    **{"plan": "/studies/{}/plan/", "paper": "/studies/{}/paper/", "invitations": "/studies/{}/invitations/"},
    **{"colleagues": "/studies/{}/members/", "ballots": "/studies/{}/ballots/", "images": "/studies/{}/images/"},
    **{"known-answers": "/studies/{}/gold/", "log": "/studies/{}/log/", "api": "/api/"},
    **{"boards": "/boards/", "all-raters": "/raters/", "operation": "/operation/", "site-log": "/log/"},
}


def main(arguments: list[str] | None = None) -> int:
    """Take all pictures; says which file each is in."""
    options = _options().parse_args(arguments)
    if options.every_page and not (options.admin_password and options.study):
        print("--every-page needs --admin-password and --study.", file=sys.stderr)
        return 1
    if (path := find_chromium()) is None:
        print("No Chromium on PATH: install one (Debian: apt install chromium) and try again.", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=60_000)  # charts are drawn on the machine that also serves
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags(), headless=True)
        if options.rater_link:
            _rater_pictures(browser, link=options.rater_link, out=options.out)
        if options.every_page:
            _every_page(browser, options)
        elif options.admin_password:
            _researcher_pictures(browser, options)
        browser.close()
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Pictures of a running site for the documentation.")
    parser.add_argument("address", help="where the site runs, such as http://127.0.0.1:8000")
    parser.add_argument("--rater-link", help="an invitation link that can be used several times")
    parser.add_argument("--admin-name", default="admin")
    parser.add_argument("--admin-password")
    parser.add_argument("--study", help="short name of the study to show; the first on the home page if left out")
    parser.add_argument("--every-page", action="store_true", help="each page whole, on a desk, in the dark, on a phone")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    return parser


def _rater_pictures(browser: Browser, *, link: str, out: Path) -> None:
    for name, window in RATER_WINDOWS.items():
        page = _page_with_text_to_spell(browser, link=link, window=window)
        page.keyboard.press("ArrowLeft")  # the first question answered and the second lit shows how it goes
        _take(page, out / f"{name}.png")
        if name == "vote":
            page.keyboard.press("z")
            _take(page, out / "zoom.png")
        page.context.close()
    page = browser.new_context(**PHONE).new_page()
    page.goto(link)
    _take(page, out / "join-phone.png")
    page.context.close()


def _page_with_text_to_spell(browser: Browser, *, link: str, window: dict[str, Any]) -> Page:
    """A rater's first ballot is drawn by chance: join anew until it has text to spell, which shows all questions."""
    for attempt in range(MOST_TRIES):
        page = browser.new_context(**window).new_page()
        page.goto(link)
        page.get_by_role("button", name="I agree, begin").click()
        page.get_by_role("button", name="Understood, begin").click()
        expect(page.locator("[data-pair]")).to_have_attribute("data-state", "ready", timeout=30_000)
        if page.locator("#prompt mark").count() or attempt == MOST_TRIES - 1:
            return page
        page.context.close()
    raise AssertionError("the last try returns")


def _signed_in(browser: Browser, options: argparse.Namespace, window: dict[str, Any]) -> Page:
    page = browser.new_context(base_url=options.address, **window).new_page()
    page.goto("/accounts/login/")
    page.get_by_label("Name").fill(options.admin_name)
    page.get_by_label("Password").fill(options.admin_password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()
    return page


def _every_page(browser: Browser, options: argparse.Namespace) -> None:
    """Each page from top to bottom; a page that is not there stops the round."""
    for looks, window in WINDOWS.items():
        page = _signed_in(browser, options, window)
        for name, address in EVERY_PAGE.items():
            answer = page.goto(address.format(options.study))
            if answer is None or not answer.ok:
                raise SystemExit(f"{address.format(options.study)} answered {answer.status if answer else 'nothing'}.")
            for chart in page.locator("figure img").filter(visible=True).all():
                chart.scroll_into_view_if_needed()
                expect(chart).to_have_js_property("complete", True)
            page.screenshot(path=options.out / f"{name}-{looks}.png", full_page=True)
            print(options.out / f"{name}-{looks}.png")
        page.context.close()


def _researcher_pictures(browser: Browser, options: argparse.Namespace) -> None:
    page = _signed_in(browser, options, DESK)
    _take(page, options.out / "home.png")
    if options.study:
        page.goto(f"/studies/{options.study}/")
    else:
        page.get_by_role("link", name="Open results").first.click()
    page.set_viewport_size({"width": 1440, "height": 1680})
    draw_charts(page)
    _take(page, options.out / "study.png")
    page.emulate_media(color_scheme="dark")
    draw_charts(page)
    _take(page, options.out / "study-dark.png")
    page.emulate_media(color_scheme="light")
    if options.study and page.locator("#fronts").count():
        draw_charts(page)
        page.locator("#fronts").evaluate("section => section.scrollIntoView({block: 'end'})")
        _take(page, options.out / f"{options.study}.png")
    trust = page.locator(".trust").first
    trust.evaluate("details => { details.open = true; }")
    page.locator(".on-page").evaluate("row => { row.style.position = 'static'; }")  # else it lies over the picture
    trust.screenshot(path=options.out / "results-trust.png")
    page.set_viewport_size(DESK["viewport"])
    page.get_by_role("link", name="Progress", exact=True).click()
    draw_charts(page)
    page.screenshot(path=options.out / "progress.png", full_page=True)
    page.go_back()
    page.get_by_role("link", name="Settings").click()
    expect(page.locator("#content h1")).to_be_visible()
    _take(page, options.out / "admin.png")
    page.context.close()


def _take(page: Page, file: Path) -> None:
    page.screenshot(path=file)
    print(file)


if __name__ == "__main__":
    sys.exit(main())
