"""What a researcher sees on the results page, for tests: its charts, drawn."""

from playwright.sync_api import Page, expect


def draw_charts(page: Page) -> int:
    """Bring every chart that is not folded away into sight and wait until it is drawn; returns how many there are."""
    expect(page.locator("#results")).to_be_visible()
    page.wait_for_load_state()  # the whole page has arrived, so that all charts can be counted
    charts = page.locator("figure img").filter(visible=True)
    number = charts.count()
    for chart in (charts.nth(each) for each in range(number)):
        chart.scroll_into_view_if_needed()  # charts load when they come near the window
        expect(chart).to_have_js_property("complete", True)
        expect(chart).not_to_have_js_property("naturalWidth", 0)
    page.evaluate("scrollTo(0, 0)")
    return number
