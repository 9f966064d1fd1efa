"""The section on automatic metrics in a real Chromium: charts drawn, nothing wider than the window."""

from pathlib import Path

import numpy as np
import pytest
from django.urls import reverse

from arena import fitting
from arena.models import Study
from generation.models import Image, Metric
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_study
from tests.browser.conftest import PHONE, OpenWindow
from tests.browser.results_window import draw_charts
from tests.browser.signing_in import sign_in
from tests.browser.test_results_page import STRENGTHS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def study() -> Study:
    """Eight contenders of two checkpoints with votes, and numbers that go with their strengths."""
    study = make_study(contenders=8, prompts=12, with_text=4, copies=False)
    for number, criterion in enumerate(study.criteria.all()):
        bulk_votes(study, criterion=criterion, raters=5, strengths=STRENGTHS, seed=number)
    fitting.refit(study)
    rng = np.random.default_rng(4)
    place = dict(study.contenders.values_list("recipe", "position"))
    for name, source, scale, base in (
        ("checker", "picture checker 1", 0.3, 0.5),
        ("checker_colours", "picture checker 1", 0.2, 0.6),
        ("checker_letters", "picture checker 1", 0.2, 0.1),
        ("clip_score", "CLIP clip-vit-base-patch32 (0123456789ab)", 4.0, 27.0),
    ):
        Metric.objects.bulk_create(
            Metric(
                image=image,
                name=name,
                source=source,
                value=base + scale * (STRENGTHS[place[image.recipe_id]] + rng.normal(0, 0.3)),
            )
            for image in Image.objects.all()
        )
    return study


def test_every_chart_is_drawn_and_nothing_is_wider_than_the_window(
    study: Study, open_window: OpenWindow, pictures: Path
) -> None:
    for name, options in {"desk": {}, "dark": {"color_scheme": "dark"}, "phone": PHONE}.items():
        page = open_window(**options)
        sign_in(page)
        page.goto(reverse("arena:study", args=[study.slug]))
        section = page.locator("#metrics")
        for summary in section.locator("details > summary").all():
            if summary.evaluate("each => !each.parentElement.open"):
                summary.click()
        # Forest and steps of each criterion, four metrics against each, and matrices that stay folded.
        assert draw_charts(page) >= 6 + 12
        section.scroll_into_view_if_needed()
        section.screenshot(path=pictures / f"metrics-{name}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
