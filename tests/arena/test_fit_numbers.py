"""What a fit says equals what `ranking` says of the same votes, and what it cannot say has a reason."""

import json

import numpy as np
import pytest

from arena.ranking.intervals import (
    outcome_probability_intervals,
    rank_ranges,
    strength_intervals,
    tiers,
    win_probability_intervals,
)
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.tallies import tally
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_rater
from tests.arena.fit_cases import add_vote, bare_study, columns, fit_of

pytestmark = pytest.mark.django_db


def test_numbers_of_a_fit_are_those_of_ranking_called_directly() -> None:
    study = bare_study(contenders=4, prompts=5)
    bulk_votes(study, raters=5, ballots_per_rater=40, strengths=[0, 0.3, 0.8, 1.5])
    votes = columns(study)
    found = estimate_precision(fit_model(tally(votes)), votes)
    strengths, win, ranks = strength_intervals(found), win_probability_intervals(found), rank_ranges(found)

    results = fit_of(study).results

    assert [entry["log_strength"] for entry in results["contenders"]] == pytest.approx(strengths.estimate, abs=1e-12)
    assert [entry["low"] for entry in results["contenders"]] == pytest.approx(strengths.low, abs=1e-12)
    assert [entry["high"] for entry in results["contenders"]] == pytest.approx(strengths.high, abs=1e-12)
    assert [entry["rank_low"] for entry in results["contenders"]] == ranks.best.tolist()
    assert [entry["rank_high"] for entry in results["contenders"]] == ranks.worst.tolist()
    assert [entry["tier"] for entry in results["contenders"]] == tiers(found).tolist()
    for name in ("estimate", "low", "high"):
        stored = np.array(results["win_probability"][name], dtype=float)
        np.testing.assert_allclose(stored, getattr(win, name), atol=1e-12, rtol=0)
    against = [[entry["estimate"], entry["low"], entry["high"]] for entry in results["against_baseline"]]
    direct = np.stack([win.estimate[:, 0], win.low[:, 0], win.high[:, 0]], axis=1)
    np.testing.assert_allclose(np.array(against, dtype=float), direct, atol=1e-12, rtol=0)
    assert results["side_bias"]["estimate"] == pytest.approx(found.fit.side_bias, abs=1e-12)
    assert results["side_bias"]["standard_error"] == pytest.approx(found.side_bias_error, abs=1e-12)
    assert results["choix_difference"] < 1e-9


@pytest.mark.once
def test_chances_to_win_tie_and_lose_are_those_of_the_likelier_model_of_ties() -> None:
    study = bare_study(contenders=4, prompts=5)
    bulk_votes(study, raters=5, ballots_per_rater=40, strengths=[0, 0.3, 0.8, 1.5])
    votes = columns(study)
    models = {name: fit_model(tally(votes), ties=name) for name in ("davidson", "rao-kupper")}
    likelier = max(models, key=lambda name: models[name].log_likelihood)
    chances = outcome_probability_intervals(estimate_precision(models[likelier], votes))

    results = fit_of(study).results

    assert results["ties"]["model"] == likelier
    assert results["ties"]["log_likelihoods"] == {
        name: pytest.approx(model.log_likelihood, abs=1e-9) for name, model in models.items()
    }
    baseline, *others = (entry["outcomes"] for entry in results["against_baseline"])
    assert baseline is None
    for contender, outcomes in enumerate(others, start=1):
        for place, name in enumerate(("win", "tie", "loss")):
            expected = [each[contender, 0, place] for each in (chances.estimate, chances.low, chances.high)]
            assert outcomes[name] == pytest.approx(expected, abs=1e-12)
        assert sum(outcomes[name][0] for name in ("win", "tie", "loss")) == pytest.approx(1)


@pytest.mark.once
def test_where_nobody_tied_there_is_no_model_of_ties() -> None:
    study = bare_study()
    bulk_votes(study, tie_share=0)
    results = fit_of(study).results
    assert results["ties"] is None
    assert [entry["outcomes"] for entry in results["against_baseline"]] == [None] * 3


@pytest.mark.once
def test_a_favoured_side_is_found_and_kept_out_of_the_strengths() -> None:
    study = bare_study(contenders=2)
    people = [make_rater(study) for _ in range(4)]
    # Equals, shown unevenly: the second was on the right in three of four looks, and the left was taken in three of
    # four. Counted without sides it would lose by far.
    for rater in people:
        for prompt, choice in enumerate(["left", "left", "left", "right"]):
            for _ in range(3):
                add_vote(study, rater, left=0, right=1, choice=choice, prompt=prompt)
            add_vote(study, rater, left=1, right=0, choice=choice, prompt=prompt)
    results = fit_of(study).results

    assert results["win_probability"]["estimate"][0][1] == pytest.approx(0.5)
    assert results["side_bias"]["estimate"] == pytest.approx(np.log(3))
    assert results["side_bias"]["low"] < np.log(3) < results["side_bias"]["high"]


def test_counts_of_a_fit_are_those_of_the_votes() -> None:
    study = bare_study()
    one, other = make_rater(study), make_rater(study)
    for rater, left, right, choice in [
        (one, 0, 1, "left"),
        (one, 1, 0, "tie"),
        (one, 2, 1, "both_bad"),
        (other, 0, 2, "right"),
        (other, 1, 2, "skip"),
    ]:
        add_vote(study, rater, left=left, right=right, choice=choice)

    fit = fit_of(study)

    counts = [[entry[name] for name in ("votes", "wins", "ties", "losses")] for entry in fit.results["contenders"]]
    assert counts == [[3, 1, 1, 1], [3, 0, 2, 1], [2, 1, 1, 0]]
    assert fit.results["observed"] == {
        "wins": [[0, 1, 0], [0, 0, 0], [1, 0, 0]],
        "ties": [[0, 1, 0], [1, 0, 1], [0, 1, 0]],
    }
    assert [fit.vote_count, fit.rater_count, fit.prompt_count] == [4, 2, 1]
    assert [fit.results["both_bad"], fit.results["skips"], fit.results["simulated_votes"]] == [1, 1, 0]


def test_results_hold_no_nan() -> None:
    study = bare_study()
    add_vote(study, make_rater(study), left=0, right=1, choice="left")
    json.dumps(fit_of(study).results, allow_nan=False)


@pytest.mark.once
def test_an_undefeated_contender_has_a_flagged_number_and_a_reason() -> None:
    study = bare_study()
    for rater in [make_rater(study) for _ in range(4)]:
        for prompt in (0, 1, 2, 3):
            add_vote(study, rater, left=0, right=1, choice="left", prompt=prompt)
            add_vote(study, rater, left=1, right=0, choice="left", prompt=prompt)
            add_vote(study, rater, left=0, right=1, choice="right", prompt=prompt)
            add_vote(study, rater, left=2, right=1, choice="left", prompt=prompt)
            add_vote(study, rater, left=1, right=2, choice="right", prompt=prompt)
    results = fit_of(study).results
    labels = [entry["label"] for entry in results["contenders"]]

    reason = (
        f"{labels[2]} never lost to or tied with {labels[0]} and {labels[1]}: how much stronger is still unbounded."
    )
    first, _, last = results["contenders"]
    assert last["flags"] == ["undefeated", "firth"]
    assert "undefeated" not in first["flags"]
    assert last["note"] == reason
    assert last["log_strength"] > first["log_strength"]
    assert 0.5 < results["win_probability"]["low"][2][1] < results["win_probability"]["estimate"][2][1] < 1
    assert results["estimator"] == "firth"
    assert results["not_comparable"] == []
    assert results["unbounded"] == [reason]
    assert results["warnings"][0].startswith("The maximum-likelihood estimate does not exist, so Firth's penalised")


@pytest.mark.once
def test_two_raters_who_agree_on_everything_give_an_estimate() -> None:
    study = bare_study()
    for rater in (make_rater(study), make_rater(study)):
        for prompt in (0, 1):
            add_vote(study, rater, left=0, right=1, choice="left", prompt=prompt)
            add_vote(study, rater, left=1, right=0, choice="left", prompt=prompt)
            add_vote(study, rater, left=2, right=1, choice="left", prompt=prompt)
    results = fit_of(study).results
    assert results["estimator"] == "firth"
    assert results["win_probability"]["estimate"][0][1] == pytest.approx(0.5)


def test_contenders_that_no_vote_links_stand_on_boards_of_their_own() -> None:
    study = bare_study(contenders=5)
    bulk = [(0, 1, "left"), (1, 0, "left"), (1, 0, "right"), (2, 3, "left"), (3, 2, "left"), (2, 3, "left")]
    for rater in [make_rater(study) for _ in range(3)]:
        for prompt in (0, 1, 2):
            for left, right, choice in bulk:
                add_vote(study, rater, left=left, right=right, choice=choice, prompt=prompt)
    results = fit_of(study).results
    names = [entry["label"] for entry in results["contenders"]]

    boards = [entry["board"] for entry in results["contenders"]]
    assert boards[0] == boards[1] != boards[2] == boards[3]
    assert boards[4] not in boards[:4]
    estimate = np.array(results["win_probability"]["estimate"], dtype=float)
    assert np.isfinite(estimate).tolist() == [[i != j and boards[i] == boards[j] for j in range(5)] for i in range(5)]
    assert results["not_comparable"] == [
        f"No chain of votes links {names[4]} with {names[0]}, {names[1]}, {names[2]} and {names[3]}.",
        f"No chain of votes links {names[0]} and {names[1]} with {names[2]}, {names[3]} and {names[4]}.",
        f"No chain of votes links {names[2]} and {names[3]} with {names[0]}, {names[1]} and {names[4]}.",
    ]
    assert [entry["note"] for entry in results["contenders"]] == [
        *("", ""),
        *[results["not_comparable"][2]] * 2,
        "no votes yet",
    ]
    assert [entry["rank_high"] for entry in results["contenders"][:4]] == [2, 2, 2, 2]
    assert "Ranks count only contenders that can be compared with one another." in results["warnings"]


def test_a_contender_without_votes_says_so() -> None:
    study = bare_study()
    rater = make_rater(study)
    add_vote(study, rater, left=0, right=1, choice="left")
    add_vote(study, rater, left=0, right=1, choice="right")
    results = fit_of(study).results
    assert [entry["note"] for entry in results["contenders"]] == ["", "", "no votes yet"]


@pytest.mark.once
def test_one_rater_gives_an_estimate_without_interval() -> None:
    study = bare_study(contenders=2)
    rater = make_rater(study)
    for prompt, choice in enumerate(["left", "left", "right", "tie"]):
        add_vote(study, rater, left=0, right=1, choice=choice, prompt=prompt)
    results = fit_of(study).results

    assert results["win_probability"]["estimate"][0][1] == pytest.approx(2.5 / 4)
    assert results["win_probability"]["low"][0][1] is None
    assert [results["contenders"][0][name] for name in ("standard_error", "low", "high", "rank_low")] == [None] * 4
    assert results["warnings"] == [
        "Pairs were never shown in both orders, so a side bias cannot be told from the strengths: none was fitted.",
        "No intervals yet: nearly all votes come from one rater, and raters differ.",
    ]
