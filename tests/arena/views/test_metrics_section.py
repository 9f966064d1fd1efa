"""The section on automatic metrics over HTTP."""

import html
import re

import pytest
from django.core.cache import cache
from django.urls import reverse

from arena.automatic_metrics import columns_of, correlations_of
from arena.leaderboard import results_of
from tests.arena.test_automatic_metrics import measured_study, score
from tests.arena.views.test_results import Queries, chart_address, client_of, page_of, voted_study

pytestmark = pytest.mark.django_db


@pytest.mark.once
def test_the_section_shows_numbers_correlations_charts_and_the_decrease_over_steps() -> None:
    study = measured_study(4)
    page = html.unescape(page_of(study))
    (column,) = columns_of(study)
    results = results_of(study)[0]
    for row in results.rows:
        share = "baseline" if row.is_baseline else row.against_baseline.percent
        cells = re.escape(f"{row.label}</th><td>{share}</td>") + ".*" + re.escape(column.values[row.contender.pk].text)
        assert re.search(cells, page), cells
    (found,) = correlations_of(results, [column])
    assert f'<th scope="row">CLIP score</th><td>4</td><td>{found.interval.number}</td>' in page
    assert "Only 4 contenders: a correlation of so few says little" in page
    assert "Contenders of one checkpoint are alike" in page
    assert "CLIP score against number of steps" in page
    assert '<a href="#metrics">Automatic metrics</a>' in page
    assert "CLIP score: CLIP tiny" in page


@pytest.mark.once
def test_its_charts_can_be_fetched_and_draw_every_contender() -> None:
    study = measured_study(4)
    response = client_of().get(chart_address(study, "metric-clip_score-prompt-following"))
    assert response.status_code == 200
    svg = response.content.decode()
    for steps in ("1 step", "2 steps", "4 steps", "8 steps"):
        assert f">{steps}</text>" in svg
    for contender in study.contenders.all():
        assert f"{contender.label} " in svg.split("</desc>")[0]
    assert "Strength rises with CLIP score: r = " in svg or "No sure link between CLIP score and strength: r" in svg
    assert client_of().get(chart_address(study, "metric-nothing-prompt-following")).status_code == 404


def test_numbers_are_shown_before_anybody_has_voted() -> None:
    page = page_of(measured_study(3, prompts=4, votes=False))
    assert "No votes yet" in page
    assert "20.150 ± 0.065" in page
    assert "metric against strength" not in page


@pytest.mark.once
def test_without_metrics_there_is_no_section() -> None:
    page = page_of(voted_study())
    assert "metrics" not in page


@pytest.mark.parametrize(("contender_count", "prompts"), [(3, 4), (6, 12)])
def test_the_page_with_metrics_costs_the_same_number_of_queries_for_any_study(
    contender_count: int, prompts: int, django_assert_num_queries: Queries
) -> None:
    study = measured_study(contender_count, prompts=prompts)
    score(study, name="other", source="import")
    client = client_of()
    cache.clear()
    with django_assert_num_queries(35):
        page_of(study, client)


@pytest.mark.once
def test_a_new_number_reaches_an_open_page() -> None:
    study = measured_study(4)
    client = client_of()
    found = re.search(r'hx-get="([^"]+)"', page_of(study, client))
    assert found is not None
    address = html.unescape(found[1])
    assert client.get(address, headers={"HX-Request": "true"}).status_code == 204
    score(study, name="another", source="import")
    changed = client.get(address, headers={"HX-Request": "true"})
    assert changed.status_code == 200 and "another" in changed.content.decode()


@pytest.mark.once
def test_strangers_find_no_chart_of_a_metric() -> None:
    study = measured_study(3)
    address = reverse("arena:chart", args=[study.slug, "metric-clip_score-prompt-following", "svg"])
    assert client_of("eve").get(address).status_code == 404
