"""Charts: real SVG with the labels and numbers of the results, readable without seeing it."""

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from django.core.cache import cache

from arena import fitting
from arena.charts import Chart, forest_chart, matrix_chart, render, steps_chart
from arena.charts.rendering import DARK, LIGHT, NARROW, WIDE, Size, Theme
from arena.curves import step_curves
from arena.leaderboard import CriterionResults, results_of
from arena.models import Contender, Rater, Study
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_recipe, make_study

pytestmark = [pytest.mark.django_db, pytest.mark.once]

SVG = "{http://www.w3.org/2000/svg}"


def voted_study(**options: Any) -> Study:
    study = make_study(contenders=4, prompts=12, images=False, copies=False)
    bulk_votes(study, **{"raters": 8, "ballots_per_rater": 60, "strengths": [0, 1, 2, 2], **options})
    fitting.refit(study)
    return study


def results(study: Study) -> CriterionResults:
    return results_of(study)[0]


def charts_of(study: Study) -> list[Chart]:
    found = results(study)
    charts = [forest_chart(found), matrix_chart(found), steps_chart(found, step_curves(found, seconds={}))]
    return [chart for chart in charts if chart]


def words_of(svg: bytes) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own


def test_every_chart_is_svg_with_role_title_and_description() -> None:
    charts = charts_of(voted_study())
    assert [chart.name for chart in charts] == [
        "forest-prompt-following",
        "matrix-prompt-following",
        "steps-prompt-following",
    ]
    for chart in charts:
        root = ElementTree.fromstring(render(chart))  # noqa: S314 - our own
        assert root.tag == f"{SVG}svg"
        assert root.get("role") == "img"
        title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
        assert title is not None and title.text == ". ".join(chart.title)
        assert description is not None and description.text == chart.description
        assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


def test_forest_and_matrix_show_every_contender() -> None:
    study = voted_study()
    labels = set(study.contenders.values_list("label", flat=True))
    forest, matrix, _ = charts_of(study)
    assert labels <= set(words_of(render(forest)))
    assert labels <= set(words_of(render(matrix)))


def test_the_forest_draws_each_contender_at_its_win_probability() -> None:
    study = voted_study()
    shown = results(study)
    chart = forest_chart(shown)
    assert chart is not None
    drawn = {
        value["label"]: (value["value"], value.get("low"), value.get("high"))
        for value in chart.spec(LIGHT, WIDE)["data"]["values"]
    }
    expected = {
        row.label: (row.against_baseline.value, row.against_baseline.low, row.against_baseline.high)
        for row in shown.rows
        if not row.is_baseline
    }
    assert shown.baseline is not None
    assert drawn == {**expected, shown.baseline.label: (0.5, None, None)}


def test_the_matrix_leaves_cells_blank_where_nothing_can_be_compared() -> None:
    study = make_study(contenders=2, images=False, copies=False)
    bulk_votes(study)
    late = make_recipe("late", steps=50)
    Contender.objects.create(study=study, recipe=late, position=2, label="late")
    fitting.refit(study)
    shown = results(study)
    chart = matrix_chart(shown)
    assert chart is not None
    first, second, unseen = study.contenders.values_list("label", flat=True)
    cells = {(value["row"], value["column"]) for value in chart.spec(LIGHT, WIDE)["data"]["values"]}
    assert cells == {(first, second), (second, first)}
    assert unseen in words_of(render(chart))


def test_hues_differ_between_light_and_dark_and_both_are_transparent() -> None:
    forest, *_ = charts_of(voted_study())
    light, dark = render(forest, theme=LIGHT), render(forest, theme=DARK)
    assert LIGHT.text.encode() in light and DARK.text.encode() not in light
    assert DARK.text.encode() in dark and LIGHT.text.encode() not in dark
    for svg in (light, dark):
        assert b'fill="transparent"' not in svg.split(b"<g", 1)[0]
        assert b"@font-face" not in svg and b"<image" not in svg and b"url(http" not in svg


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_picture_has_the_dimensions_it_announces(theme: Theme, size: Size) -> None:
    for chart in charts_of(voted_study()):
        root = ElementTree.fromstring(render(chart, theme=theme, size=size))  # noqa: S314 - our own
        assert (root.get("width"), root.get("height")) == tuple(str(each) for each in chart.dimensions(size))


def test_labels_cannot_break_out_of_the_picture() -> None:
    study = voted_study()
    hostile = '"><script>alert(1)</script> & {{datum.x}}'
    Contender.objects.filter(study=study, position=1).update(label=hostile)
    for chart in charts_of(study):
        svg = render(chart)
        ElementTree.fromstring(svg)  # noqa: S314 - our own
        assert b"<script" not in svg
    forest, *_ = charts_of(study)
    assert hostile in words_of(render(forest))


def test_titles_count_what_can_be_told_apart() -> None:
    forest, matrix, _ = charts_of(voted_study())
    assert forest.title == ("3 of 3 contenders are preferred to colours-0, 1 steps",)
    apart = sum(abs(cell.side or 0) for line in results(Study.objects.get()).matrix for cell in line) // 2
    together = results(Study.objects.get()).pairs_apart
    assert together is not None and together[0] <= apart
    assert matrix.title == (f"{together[0]} of 6 pairs can be told apart all at once, {apart} each by itself",)


def test_a_title_says_so_where_nothing_can_be_told_apart() -> None:
    forest, matrix, _ = charts_of(voted_study(raters=3, ballots_per_rater=5, strengths=[0, 0, 0, 0]))
    assert forest.title == ("No contender can be told apart from colours-0, 1 steps yet",)
    assert matrix.title == ("0 of 6 pairs can be told apart all at once, 0 each by itself",)


def test_titles_claim_nothing_without_intervals() -> None:
    forest, matrix, steps = charts_of(voted_study(raters=1))
    assert forest.title == ("Win probability against colours-0, 1 steps; intervals need more raters",)
    assert matrix.title == ("Win probabilities of 6 pairs; intervals need more raters",)
    assert steps.title == ("Too few votes yet to compare step counts of colours-0",)


def test_the_subtitle_says_what_was_counted() -> None:
    study = voted_study()
    forest, *_ = charts_of(study)
    assert forest.subtitle.replace("\u00a0", " ") == (
        "Prompt following · 480 votes · 8 raters · 12 prompts · ties count half · 95 % intervals"
    )
    bulk_votes(study, raters=1, ballots_per_rater=1, kind=Rater.Kind.SIMULATED)
    fitting.refit(study)
    forest, *_ = charts_of(study)
    assert forest.subtitle.endswith("simulated raters included")


def test_there_is_no_chart_without_votes() -> None:
    assert charts_of(make_study(images=False, copies=False)) == []


def test_equal_charts_have_equal_digests_and_new_votes_change_them() -> None:
    study = voted_study()
    before = [chart.digest for chart in charts_of(study)]
    assert [chart.digest for chart in charts_of(study)] == before
    bulk_votes(study, raters=1, ballots_per_rater=20, seed=9)
    fitting.refit(study)
    assert not set(before) & {chart.digest for chart in charts_of(study)}


def test_a_finished_picture_is_kept() -> None:
    cache.clear()
    forest, *_ = charts_of(voted_study())
    drawn = render(forest)
    object.__setattr__(forest, "draw", None)
    with pytest.raises(TypeError):
        render(forest, theme=DARK)
    forest, *_ = charts_of(Study.objects.get())
    assert render(forest) == drawn


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_charts_come_as_other_files_too(suffix: str, magic: bytes) -> None:
    forest, *_ = charts_of(voted_study())
    assert render(forest, suffix=suffix).startswith(magic)
