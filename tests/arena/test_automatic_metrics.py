"""A study's metrics beside preference: what is averaged, what is left out, and how the two are correlated."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from arena import fitting
from arena.automatic_metrics import MetricColumn, columns_of, correlations_of, lines_of, loss_columns
from arena.clip_decrease import clip_decreases, relative_decrease
from arena.curves import step_curves
from arena.leaderboard import results_of
from arena.measuring import prompts_digest_of
from arena.metrics_report import metrics_report
from arena.models import Contender, Fit, Study
from arena.ranking.correlation import correlate
from generation.measuring.rows import prompts_digest
from generation.models import Checkpoint, Image, Metric
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_image, make_study

pytestmark = pytest.mark.django_db


def measured_study(contenders: int = 6, *, prompts: int = 12, votes: bool = True, **options: Any) -> Study:
    """Contender i is the stronger, and has the higher CLIP score, the higher i is."""
    study = make_study(contenders=contenders, prompts=prompts, copies=False, **options)
    if votes:
        bulk_votes(study, raters=8, ballots_per_rater=60, strengths=[0.5 * index for index in range(contenders)])
        fitting.refit(study)
    score(study)
    return study


def score(study: Study, *, name: str = "clip_score", source: str = "CLIP tiny") -> None:
    """20 + 2 i + a little that depends on the prompt."""
    place = dict(study.contenders.values_list("recipe", "position"))
    prompts = list(study.study_prompts.order_by("position").values_list("prompt__text_digest", flat=True))
    Metric.objects.bulk_create(
        Metric(
            image=image,
            name=name,
            source=source,
            value=20 + 2 * place[image.recipe_id] + 0.1 * prompts.index(image.prompt_digest),
        )
        for image in Image.objects.filter(recipe__in=place)
    )


def texts_of(column: MetricColumn, study: Study) -> list[str | None]:
    contenders = study.contenders.order_by("position")
    return [column.values[one.pk].text if one.pk in column.values else None for one in contenders]


def test_a_metric_of_images_is_their_mean_with_its_standard_error() -> None:
    study = measured_study(3, prompts=4, votes=False)
    (column,) = columns_of(study)
    spread = 0.1 * math.sqrt(5 / 3) / math.sqrt(4)
    values = [column.values[one.pk] for one in study.contenders.order_by("position")]
    assert [value.value for value in values] == pytest.approx([20.15, 22.15, 24.15])
    assert [value.error for value in values] == pytest.approx([spread] * 3)
    assert [value.images for value in values] == [4, 4, 4]
    assert texts_of(column, study) == ["20.150 ± 0.065", "22.150 ± 0.065", "24.150 ± 0.065"]
    assert (column.key, column.title, column.source) == ("clip_score", "CLIP score", "CLIP tiny")


def test_images_in_quarantine_and_of_other_prompts_and_withdrawn_contenders_are_left_out() -> None:
    study = measured_study(3, prompts=4, votes=False)
    first, second, third = study.contenders.order_by("position")
    held = Image.objects.filter(recipe=first.recipe).first()
    assert held is not None
    Image.objects.filter(pk=held.pk).update(is_quarantined=True)
    other = make_image(recipe=first.recipe, prompt_text="of another study")
    Metric.objects.create(image=other, name="clip_score", source="CLIP tiny", value=1000)
    Contender.objects.filter(pk=third.pk).update(withdrawn_at="2026-01-01T00:00Z")
    (column,) = columns_of(study)
    assert {pk: value.images for pk, value in column.values.items()} == {first.pk: 3, second.pk: 4}
    assert column.values[first.pk].value < 21


def test_numbers_of_whole_recipes_are_those_over_the_studys_own_prompts() -> None:
    study = make_study(contenders=3, prompts=4, images=False, copies=False)
    own = prompts_digest_of(study)
    assert own == prompts_digest(study.study_prompts.values_list("prompt__text_digest", flat=True))
    first, second, third = study.contenders.order_by("position")
    for contender, digest, value in ((first, own, 1), (first, "", 9), (second, "f" * 64, 2), (third, "", 3)):
        Metric.objects.create(
            recipe=contender.recipe, name="clip_fd", source="CLIP x", prompts_digest=digest, value=value
        )
    (column,) = columns_of(study)
    assert texts_of(column, study) == ["1", None, "3"]


def test_one_name_from_two_sources_is_two_columns_that_say_so() -> None:
    study = measured_study(3, prompts=2, votes=False)
    score(study, source="CLIP large")
    columns = columns_of(study)
    assert [column.title for column in columns] == ["CLIP score by CLIP large", "CLIP score by CLIP tiny"]
    assert len({column.key for column in columns}) == 2


def test_the_correlation_is_that_of_the_fits_strengths_with_their_covariance() -> None:
    study = measured_study()
    results = results_of(study)[0]
    columns = columns_of(study)
    (found,) = correlations_of(results, columns)
    assert found.found is not None
    stored = Fit.objects.get(study=study, criterion=results.criterion).results
    strengths = np.array([entry["log_strength"] for entry in stored["contenders"]])
    metric = np.array([columns[0].values[entry["id"]].value for entry in stored["contenders"]])
    covariance = np.array(stored["covariance"])
    assert covariance.shape == (6, 6) and np.linalg.eigvalsh(covariance).min() > -1e-12
    wanted = correlate(strengths, covariance, metric, sizes=np.full(6, 3e6))
    for name in ("n", "pearson", "spearman", "kendall", "low", "high", "warnings"):
        assert getattr(found.found, name) == pytest.approx(getattr(wanted, name)), name
    assert found.found.pearson > 0.9
    assert any("Only 6 contenders" in sentence for sentence in found.found.warnings)
    # The second time from the cache, and the same.
    again = correlations_of(results, columns)[0].found
    assert again is not None and asdict(again) == asdict(found.found)


@pytest.mark.once
def test_a_fit_without_a_covariance_still_gives_a_correlation() -> None:
    study = measured_study()
    fit = Fit.objects.get(study=study, criterion__position=0)
    Fit.objects.filter(pk=fit.pk).update(results={key: fit.results[key] for key in fit.results if key != "covariance"})
    (found,) = correlations_of(results_of(study)[0], columns_of(study))
    assert found.found is not None and found.found.pearson > 0.9


def test_what_cannot_be_correlated_says_why() -> None:
    study = measured_study(4, prompts=2)
    recipes = [contender.recipe for contender in study.contenders.order_by("position")]
    for recipe in recipes[:2]:
        Metric.objects.create(recipe=recipe, name="few", source="import", value=recipe.pk)
    for recipe in recipes:
        Metric.objects.create(recipe=recipe, name="same", source="import", value=1)
    found = {each.column.name: each for each in correlations_of(results_of(study)[0], columns_of(study))}
    assert found["few"].reason == "needs three contenders that have both, there are 2"
    assert found["same"].reason == "needs numbers that differ between contenders"
    assert found["clip_score"].found is not None


def test_without_votes_there_is_a_table_and_no_correlation() -> None:
    study = measured_study(3, prompts=2, votes=False)
    results = results_of(study)
    assert correlations_of(results[0], columns_of(study)) == ()
    lines = lines_of(results, columns_of(study))
    assert [line.preferences for line in lines] == [("baseline",) * 3, ("–",) * 3, ("–",) * 3]


def test_validation_loss_is_one_number_a_checkpoint_within_its_family() -> None:
    study = make_study(contenders=19, prompts=2, images=False, copies=False)
    assert loss_columns(results_of(study)[0].rows) == ()
    for checkpoint, loss in zip(Checkpoint.objects.order_by("name"), (0.5, 0.4, 0.3, 0.9), strict=True):
        family = "eps" if loss == 0.9 else "rf"
        Checkpoint.objects.filter(pk=checkpoint.pk).update(validation_loss=loss, loss_family=family)
    (column,) = loss_columns(results_of(study)[0].rows)
    labels = dict(study.contenders.values_list("pk", "label"))
    assert {labels[pk]: value.value for pk, value in column.values.items()} == {
        "colours-0, 28 steps": 0.5,
        "colours-1, 28 steps": 0.4,
        "colours-2, 28 steps": 0.3,
    }
    assert (column.title, column.key) == ("Validation loss (rf)", "validation-loss-rf")


@pytest.mark.once
def test_the_clip_score_falls_by_percent_of_that_at_the_most_steps() -> None:
    study = measured_study(4, prompts=12)
    results = results_of(study)[0]
    (decrease,) = clip_decreases(study, step_curves(results, seconds={}))
    means = [20 + 2 * index + 0.55 for index in range(4)]
    assert [level.steps for level in decrease.levels] == [1, 2, 4, 8]
    assert [level.decrease.value for level in decrease.levels] == pytest.approx(
        [100 * (means[3] - mean) / means[3] for mean in means]
    )
    assert decrease.levels[3].text == "reference"
    assert [level.images for level in decrease.levels] == [12] * 4
    for level in decrease.levels[:3]:
        assert level.decrease.low is not None and level.decrease.high is not None and level.decrease.value is not None
        assert level.decrease.low < level.decrease.value < level.decrease.high


def test_the_decrease_is_over_the_images_that_both_have_and_its_interval_is_of_the_right_size() -> None:
    rng = np.random.default_rng(8)
    covered = 0
    for _ in range(400):
        base = rng.normal(30, 3, size=60)
        mine = 0.95 * base + rng.normal(0, 2, size=60)
        reference = {(f"p{k // 2}", k % 2): float(value) for k, value in enumerate(base)}
        own = {(f"p{k // 2}", k % 2): float(value) for k, value in enumerate(mine)} | {("alone", 0): 1e6}
        found, images = relative_decrease(own, reference)
        assert images == 60 and found.low is not None and found.high is not None
        covered += found.low < 5 < found.high
    assert 0.91 <= covered / 400 <= 0.98
    few, _ = relative_decrease({("p", 0): 1.0}, {("p", 0): 2.0})
    assert (few.value, few.low) == (50, None)
    assert relative_decrease({}, {("p", 0): 2.0})[0].value is None
    assert relative_decrease({("p", 0): 0.0}, {("p", 0): 0.0})[0].value is None


@pytest.mark.once
def test_the_report_is_nothing_without_metrics_and_names_each_chart_once() -> None:
    bare = make_study(contenders=3, images=False, copies=False)
    assert metrics_report(bare, results_of(bare), ()) is None
    study = measured_study(4, slug="measured")
    score(study, name="my metric", source="import x.csv")
    report = metrics_report(study, results_of(study), ())
    assert report is not None
    assert [chart.name for chart in report.charts] == [
        "metric-clip_score-prompt-following",
        "metric-my-metric-prompt-following",
    ]
    assert report.has_siblings and report.decreases == ()
