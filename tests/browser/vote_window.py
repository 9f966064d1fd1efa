"""What a rater does on the vote page, for tests: join, see the open ballot, answer it."""

from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from arena import raters
from arena.models import Study
from arena.voting import MOST_OPEN

# The coming ballots wait outside the document, where no locator finds them. This counts on the root element how many
# ballots have had both images decoded; an image that cannot be decoded is never counted.
COUNT_DECODED = """
  const decode = HTMLImageElement.prototype.decode;
  const sides = new Map();
  HTMLImageElement.prototype.decode = async function () {
    await decode.call(this);
    const [, token, side] = /ballots[/]([0-9a-f]+)[/](left|right)[.]webp/.exec(this.src);
    sides.set(token, (sides.get(token) ?? new Set()).add(side));
    const whole = [...sides.values()].filter((each) => each.size === 2);
    document.documentElement.dataset.ballotsDecoded = String(whole.length);
  };
"""


def join(page: Page, study: Study) -> None:
    """Open a new invitation link and agree, by keyboard alone."""
    page.add_init_script(COUNT_DECODED)
    _, token = raters.invite(study=study)
    page.goto(reverse("arena:join", args=[token]))
    press(page, page.get_by_role("button", name="I agree, begin"), most=3)
    expect(page).to_have_url(f"{page.url.split('/join/')[0]}{reverse('arena:vote', args=[study.slug])}")


def press(page: Page, target: Locator, *, key: str = "Enter", most: int = 25) -> None:
    """Walk to a control with the Tab key, `most` times at most, and press a key on it."""
    expect(target).to_be_visible()
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("control => control === document.activeElement"):
            page.keyboard.press(key)
            return
    raise AssertionError(f"{target} is not reached by {most} times Tab")


def wait_until_ready(page: Page) -> str:
    """Wait until the open ballot can be answered; returns its token."""
    expect(page.locator("[data-pair]")).to_have_attribute("data-state", "ready")
    return page.locator("form.ballot").get_attribute("data-ballot") or ""


def wait_for_the_next_two(page: Page, *, answered: int = 0) -> str:
    """Wait until the open ballot can be answered and the two after it are here; returns the open one's token.

    `answered` is how many ballots were answered since the page was loaded.
    """
    token = wait_until_ready(page)
    expect(page.locator("html")).to_have_attribute("data-ballots-decoded", str(answered + MOST_OPEN))
    return token


def questions(page: Page) -> list[str]:
    """Keys of the criteria asked on the open ballot, from top to bottom."""
    return [row.get_attribute("data-criterion") or "" for row in page.locator("[data-criterion]").all()]


def saved_line(page: Page) -> Locator:
    return page.locator("[data-saved]")


def answer_by_keys(page: Page, keys: str | list[str] = "ArrowLeft", *, waits_for_next: bool = True) -> dict[str, str]:
    """Answer the open ballot with one key, or with one for each question, and send it; returns question -> key."""
    token = wait_until_ready(page)
    asked = questions(page)
    pressed = dict(zip(asked, [keys] * len(asked) if isinstance(keys, str) else keys, strict=False))
    for key in pressed.values():
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    if waits_for_next:
        expect(page.locator(f'form.ballot[data-ballot="{token}"]')).to_have_count(0)
    return pressed
