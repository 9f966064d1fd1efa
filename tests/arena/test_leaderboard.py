"""The read model: it shows the numbers of the fit, in words people can read."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arena import fitting, leaderboard
from arena.leaderboard import Estimate, StratumCount, raters_in_words, results_of, vote_counts
from arena.models import Contender, Fit, Rater, Study
from generation.models import Recipe
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_recipe, make_study

Queries = Callable[..., Any]


def voted_study(contenders: int = 4, **options: Any) -> Study:
    study = make_study(contenders=contenders, images=False, copies=False, **options)
    bulk_votes(study, strengths=[0.5 * index for index in range(contenders)])
    return study


@pytest.mark.parametrize(
    ("estimate", "shown"),
    [
        (Estimate(0.62, 0.57, 0.67), "62 % (57-67)"),
        (Estimate(0.62), "62 %"),
        (Estimate(), "–"),
        (Estimate(0.999, 0.98, 0.9999), ">99 % (98-100)"),
        (Estimate(0.001, 0.0001, 0.02), "<1 % (0-2)"),
        (Estimate(0.5, 0.5, 0.5), "50 % (50-50)"),
    ],
)
def test_a_share_is_written_as_percentage_with_its_interval(estimate: Estimate, shown: str) -> None:
    assert estimate.percent == shown


@pytest.mark.parametrize(
    ("estimate", "shown"),
    [(Estimate(0.414, -0.1, 0.7), "0.41 (-0.10 to 0.70)"), (Estimate(1.0), "1.00"), (Estimate(), "–")],
)
def test_a_strength_is_written_to_two_decimals(estimate: Estimate, shown: str) -> None:
    assert estimate.number == shown


@pytest.mark.parametrize(
    ("low", "high", "side"), [(0.51, 0.7, 1), (0.3, 0.49, -1), (0.4, 0.6, 0), (0.5, 0.6, 0), (None, None, None)]
)
def test_an_estimate_knows_on_which_side_of_even_it_surely_lies(
    low: float | None, high: float | None, side: int | None
) -> None:
    assert Estimate(0.55, low, high).side == side


def test_rater_kinds_are_counted_in_words() -> None:
    counts = (StratumCount("people", 1204, 31), StratumCount("anonymous", 1, 1), StratumCount("simulated", 800, 20))
    assert raters_in_words(counts) == (
        "1,204 votes by 31 people, 1 vote by 1 anonymous rater, 800 votes by 20 simulated raters"
    )


@pytest.mark.django_db
def test_rows_show_the_numbers_of_the_fit_from_strongest_to_weakest() -> None:
    study = voted_study()
    (fit,) = fitting.refit(study)
    shown = results_of(study)[0]

    stored = {entry["id"]: entry for entry in fit.results["contenders"]}
    against = {entry["id"]: entry for entry in fit.results["against_baseline"]}
    assert len(shown.rows) == 4
    for row in shown.rows:
        entry, share = stored[row.contender.pk], against[row.contender.pk]
        assert row.strength == Estimate(entry["log_strength"], entry["low"], entry["high"])
        assert row.against_baseline == Estimate(share["estimate"], share["low"], share["high"])
        assert [row.rank_low, row.rank_high] == [entry["rank_low"], entry["rank_high"]]
        assert [row.votes, row.wins, row.ties, row.losses] == [
            entry[name] for name in ("votes", "wins", "ties", "losses")
        ]
    strengths = [row.strength.value for row in shown.rows]
    assert strengths == sorted(strengths, key=lambda strength: -(strength or 0))
    assert [row.is_baseline for row in shown.rows] == [row.contender.is_baseline for row in shown.rows]
    assert [shown.votes, shown.raters, shown.prompts] == [fit.vote_count, fit.rater_count, fit.prompt_count]


@pytest.mark.django_db
def test_the_matrix_follows_the_order_of_the_rows() -> None:
    study = voted_study()
    (fit,) = fitting.refit(study)
    shown = results_of(study)[0]
    place = {entry["id"]: index for index, entry in enumerate(fit.results["contenders"])}
    estimates = fit.results["win_probability"]["estimate"]
    for row, cells in shown.rows_with_cells:
        for other, cell in zip(shown.rows, cells, strict=True):
            assert cell.value == estimates[place[row.contender.pk]][place[other.contender.pk]]
            assert shown.between(row.contender, other.contender) == cell
    upper = shown.matrix[0][1].value
    assert upper is not None
    assert upper > 0.5


@pytest.mark.django_db
def test_criteria_come_in_order_and_those_without_votes_are_empty() -> None:
    study = voted_study()
    fitting.refit(study)
    shown = results_of(study)
    assert [results.criterion.key for results in shown] == ["prompt-following", "aesthetics", "typography"]
    assert [results.votes for results in shown] == [180, 0, 0]
    assert [results.fit is None for results in shown] == [False, True, True]
    assert [row.note for row in shown[1].rows] == ["no votes yet"] * 4


@pytest.mark.django_db
def test_a_withdrawn_contender_stays_visible() -> None:
    study = voted_study()
    fitting.refit(study)
    Contender.objects.filter(study=study, position=2).update(withdrawn_at="2026-01-01T00:00Z")
    shown = results_of(study)[0]
    assert [row.contender.position for row in shown.rows if row.is_withdrawn] == [2]
    assert all(row.strength.value is not None for row in shown.rows)


@pytest.mark.django_db
def test_a_contender_added_after_the_fit_is_shown_without_numbers() -> None:
    study = voted_study()
    fitting.refit(study)
    recipe = make_recipe("late", steps=50)
    assert recipe.state == Recipe.State.READY
    Contender.objects.create(study=study, recipe=recipe, position=9, label="late")
    shown = results_of(study)[0]
    assert [shown.rows[-1].label, shown.rows[-1].note, shown.rows[-1].ranks] == ["late", "no votes yet", "–"]
    assert shown.is_current is False
    assert [cell.value for cell in shown.matrix[-1]] == [None] * 5


@pytest.mark.django_db
def test_shares_of_simulated_raters_are_stated() -> None:
    study = voted_study()
    bulk_votes(study, raters=2, kind=Rater.Kind.SIMULATED, seed=4)
    fitting.refit(study)
    shown = results_of(study)[0]
    assert [shown.votes, shown.simulated_votes, shown.people_votes, shown.simulated_share] == [240, 60, 180, 0.25]
    assert vote_counts(study) == (StratumCount("people", 180, 6), StratumCount("simulated", 60, 2))


@pytest.mark.django_db
@pytest.mark.once
def test_counting_answers_reads_neither_votes_nor_answered_ballots() -> None:
    """Of a million votes either would take a second: the indexes hold all that is asked for."""
    study = voted_study()
    with CaptureQueriesContext(connection) as context:
        vote_counts(study)
    plans = []
    with connection.cursor() as cursor:
        for query in context.captured_queries:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plans.append(" | ".join(row[-1] for row in cursor.fetchall()))
    assert "SEARCH arena_vote USING COVERING INDEX votes_by_stratum_and_choice" in plans[0]
    assert "SEARCH arena_ballot USING INDEX undone_ballots" in plans[1] and len(plans) == 3


@pytest.mark.django_db
@pytest.mark.parametrize("contender_count", [2, 6])
def test_results_cost_the_same_number_of_queries_for_any_number_of_contenders(
    contender_count: int, django_assert_num_queries: Queries
) -> None:
    study = voted_study(contenders=contender_count)
    fitting.refit(study)
    with django_assert_num_queries(9):
        shown = leaderboard.results_of(study)
        _ = [str(row.contender.recipe.schedule) + str(row.contender.recipe.checkpoint) for row in shown[0].rows]
    assert Fit.objects.count() == 1
