"""Fits: they equal what `ranking` says of the same votes, see the votes they should, and are kept once."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arena import fitting, raters
from arena.counted_votes import read_votes
from arena.fit_results import results_of
from arena.models import AuditEvent, Ballot, Contender, Criterion, Fit, Rater, RuleTie, Study, Vote
from arena.ranking.intervals import (
    outcome_probability_intervals,
    rank_ranges,
    strength_intervals,
    tiers,
    win_probability_intervals,
)
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes, tally
from arena.tasks import refit_changed
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_rater, make_study, make_user

pytestmark = pytest.mark.django_db


def first_criterion(study: Study) -> Criterion:
    return study.criteria.get(position=0)


def fit_of(study: Study) -> Fit:
    """The one fit of a study in which only the first criterion has votes."""
    (fit,) = fitting.refit(study)
    return fit


def bare_study(contenders: int = 3, **options: Any) -> Study:
    return make_study(contenders=contenders, images=False, copies=False, **options)


def add_vote(
    study: Study, rater: Rater, *, left: int, right: int, choice: str, prompt: int = 0, purpose: str = "ordinary"
) -> Vote:
    """One vote on an imported ballot, contenders and prompt by position."""
    contenders = list(study.contenders.all())
    shared = {
        "study": study,
        "rater": rater,
        "study_prompt": study.study_prompts.get(position=prompt),
        "left_contender": contenders[left],
        "right_contender": contenders[right],
        "stratum": rater.stratum,
    }
    position = Ballot.objects.filter(rater=rater).count()
    ballot = Ballot.objects.create(
        **shared,
        origin="imported",
        rule="test",
        position=position,
        purpose=purpose,
        state="answered",
        answered_at="2026-01-01T00:00Z",
    )
    return Vote.objects.create(
        **shared,
        ballot=ballot,
        criterion=first_criterion(study),
        choice=choice,
        cast_at="2026-01-01T00:00Z",
        sequence=position,
        is_ordinary=purpose == "ordinary",
    )


def columns(study: Study) -> Votes:
    """The study's votes as `ranking` wants them, written down a second time and more simply than the product does."""
    numbers = {contender.pk: index for index, contender in enumerate(study.contenders.order_by("position"))}
    outcomes = {"left": LEFT, "right": RIGHT, "tie": TIE}
    votes = list(Vote.objects.order_by("pk"))
    return Votes(
        left=np.array([numbers[vote.left_contender_id] for vote in votes]),
        right=np.array([numbers[vote.right_contender_id] for vote in votes]),
        outcome=np.array([outcomes[vote.choice] for vote in votes]),
        contenders=len(numbers),
        rater=np.array([vote.rater_id for vote in votes]),
        prompt=np.array([vote.study_prompt_id for vote in votes]),
    )


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


def test_where_nobody_tied_there_is_no_model_of_ties() -> None:
    study = bare_study()
    bulk_votes(study, tie_share=0)
    results = fit_of(study).results
    assert results["ties"] is None
    assert [entry["outcomes"] for entry in results["against_baseline"]] == [None] * 3


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


def test_the_same_votes_give_the_same_row() -> None:
    study = bare_study()
    bulk_votes(study)
    first = fit_of(study)
    again = fit_of(study)
    assert again.pk == first.pk
    assert Fit.objects.count() == 1


def test_a_new_vote_gives_a_new_row() -> None:
    study = bare_study()
    rater, *_ = bulk_votes(study)
    first = fit_of(study)
    add_vote(study, rater, left=0, right=1, choice="left")
    second = fit_of(study)
    assert second.pk != first.pk
    assert second.vote_count == first.vote_count + 1
    assert second.votes_digest != first.votes_digest
    assert [second.selection_digest, second.options_digest] == [first.selection_digest, first.options_digest]


def test_two_fits_of_the_same_votes_are_equal_to_the_last_bit() -> None:
    study = bare_study()
    bulk_votes(study)
    counted = read_votes(first_criterion(study))
    labels = ["a", "b", "c"]
    assert results_of(counted, labels=labels, options=fitting.OPTIONS) == results_of(
        counted, labels=labels, options=fitting.OPTIONS
    )


def test_an_excluded_rater_leaves_and_readmission_brings_the_old_fit_back() -> None:
    study = bare_study()
    people = bulk_votes(study, raters=4)
    before = fit_of(study)

    exclusion = raters.exclude(study=study, scope="rater", target=people[0], reason="always left", author=None)
    without = fit_of(study)
    assert without.vote_count == before.vote_count - 30
    assert without.rater_count == 3
    assert without.results["win_probability"] != before.results["win_probability"]
    assert fitting.current_fits(study) == {first_criterion(study).pk: without}

    raters.readmit(exclusion=exclusion, reason="a mistake", author=None)
    assert fit_of(study) == before
    assert fitting.current_fits(study) == {first_criterion(study).pk: before}

    raters.exclude(study=study, scope="rater", target=people[0], reason="after all", author=None)
    assert fit_of(study) == without


def test_gold_repeat_and_qualification_ballots_do_not_count() -> None:
    study = bare_study(contenders=2)
    rater = make_rater(study)
    add_vote(study, rater, left=0, right=1, choice="left")
    for purpose in ("gold", "repeat", "qualification"):
        add_vote(study, rater, left=0, right=1, choice="right", purpose=purpose)
    assert fit_of(study).results["observed"]["wins"] == [[0, 1], [0, 0]]


def test_a_superseded_ballot_does_not_count() -> None:
    study = bare_study(contenders=2)
    rater = make_rater(study)
    add_vote(study, rater, left=0, right=1, choice="left")
    undone = add_vote(study, rater, left=0, right=1, choice="right", prompt=1)
    Ballot.objects.filter(pk=undone.ballot_id).update(state=Ballot.State.SUPERSEDED)
    assert fit_of(study).results["observed"]["wins"] == [[0, 1], [0, 0]]


def test_undoing_a_vote_is_not_answered_by_the_fit_from_before_it() -> None:
    study = bare_study(contenders=2)
    rater = make_rater(study)
    add_vote(study, rater, left=0, right=1, choice="left")
    fitting.refit_changed_studies()
    undone = add_vote(study, rater, left=0, right=1, choice="right", prompt=1)
    fitting.refit_changed_studies()
    Ballot.objects.filter(pk=undone.ballot_id).update(state=Ballot.State.SUPERSEDED)
    assert fitting.current_fits(study) == {}

    (fit,) = fitting.refit_changed_studies()

    assert fit.vote_count == 1
    assert fitting.current_fits(study) == {first_criterion(study).pk: fit}


def test_anonymous_raters_count_only_where_the_design_says_so() -> None:
    study = bare_study(contenders=2)
    add_vote(study, make_rater(study), left=0, right=1, choice="left")
    add_vote(study, make_rater(study, Rater.Kind.ANONYMOUS), left=0, right=1, choice="right")
    assert fit_of(study).vote_count == 1
    Study.objects.filter(pk=study.pk).update(design={**study.design, "counts_anonymous": True})
    study.refresh_from_db()
    assert fit_of(study).vote_count == 2


def test_the_switch_leaves_simulated_raters_out_and_takes_them_back() -> None:
    study = bare_study()
    people = bulk_votes(study, raters=3, seed=1)
    bulk_votes(study, raters=5, seed=2, kind=Rater.Kind.SIMULATED)
    mixed = fit_of(study)
    assert [mixed.vote_count, mixed.results["simulated_votes"]] == [240, 150]

    (alone,) = fitting.set_counts_simulated(study, counts=False, actor=make_user("eva"))
    assert [alone.vote_count, alone.rater_count, alone.results["simulated_votes"]] == [90, len(people), 0]

    study.refresh_from_db()
    assert fitting.set_counts_simulated(study, counts=True, actor=make_user("eva")) == [mixed]
    events = AuditEvent.objects.filter(act__startswith="simulated raters").order_by("pk")
    assert [(event.act, str(event.actor)) for event in events] == [
        ("simulated raters left out", "eva"),
        ("simulated raters counted", "eva"),
    ]


def test_leaving_out_the_only_votes_gives_a_fit_that_says_so() -> None:
    study = bare_study()
    bulk_votes(study, kind=Rater.Kind.SIMULATED)
    fitting.refit(study)
    (fit,) = fitting.set_counts_simulated(study, counts=False, actor=None)
    assert fit.vote_count == 0
    assert fit.results["not_comparable"] == ["No votes are counted yet."]
    assert fit.results["win_probability"]["estimate"] == [[None] * 3] * 3


def test_a_criterion_that_never_had_a_vote_has_no_fit() -> None:
    study = bare_study()
    assert fitting.refit(study) == []
    assert fitting.refit_changed_studies() == []
    assert Fit.objects.count() == 0


def tie_by_rule(study: Study, *, weight: float = 1.0) -> RuleTie:
    low, high, *_ = study.contenders.all()
    return RuleTie.objects.create(
        study=study,
        study_prompt=study.study_prompts.get(position=1),
        low_contender=low,
        high_contender=high,
        weight=weight,
    )


def test_a_tie_by_rule_enters_the_estimate_with_its_weight_and_is_counted() -> None:
    study = bare_study(contenders=2)
    for rater in (make_rater(study), make_rater(study)):
        for choice in ("left", "left", "right"):
            add_vote(study, rater, left=0, right=1, choice=choice)
    tie_by_rule(study, weight=2.0)

    fit = fit_of(study)

    assert fit.results["win_probability"]["estimate"][0][1] == pytest.approx((4 + 1) / (6 + 2))
    assert fit.results["rule_ties"] == 1
    assert fit.results["observed"]["ties"] == [[0, 0], [0, 0]]
    assert fit.vote_count == 6


def test_ties_by_rule_were_on_no_side() -> None:
    """They move neither the side bias nor, where no pair was shown both ways, make one up."""
    study = bare_study(contenders=2)
    for rater in (make_rater(study), make_rater(study)):
        for choice in ("left", "left", "right"):
            add_vote(study, rater, left=0, right=1, choice=choice)
    tie_by_rule(study, weight=2.0)
    results = fit_of(study).results
    assert results["side_bias"] is None
    assert results["warnings"][0].startswith("Pairs were never shown in both orders")

    for rater in (make_rater(study), make_rater(study)):
        for choice in ("left", "left", "right"):
            add_vote(study, rater, left=1, right=0, choice=choice)
    low = fit_of(study).results
    assert low["win_probability"]["estimate"][0][1] == pytest.approx(0.5)
    assert low["side_bias"]["estimate"] > 0.3


def test_ties_by_rule_that_change_go_or_are_exchanged_are_refitted() -> None:
    study = bare_study(contenders=2)
    rater = make_rater(study)
    for choice in ("left", "left", "right"):
        add_vote(study, rater, left=0, right=1, choice=choice)
    tie = tie_by_rule(study)
    fitting.refit_changed_studies()

    def share_after_change() -> float:
        (fit,) = fitting.refit_changed_studies()
        assert fitting.refit_changed_studies() == []
        return float(fit.results["win_probability"]["estimate"][0][1])

    RuleTie.objects.update(weight=3.0)
    assert share_after_change() == pytest.approx((2 + 1.5) / (3 + 3))
    tie.delete()
    tie_by_rule(study, weight=3.0)  # as many, as heavy, but another one
    assert share_after_change() == pytest.approx((2 + 1.5) / (3 + 3))
    RuleTie.objects.all().delete()
    assert share_after_change() == pytest.approx(2 / 3)


def test_a_study_can_leave_ties_by_rule_out() -> None:
    study = bare_study(contenders=2)
    rater = make_rater(study)
    for choice in ("left", "left", "right"):
        add_vote(study, rater, left=0, right=1, choice=choice)
    tie_by_rule(study)
    Study.objects.filter(pk=study.pk).update(design={**study.design, "counts_rule_ties": False})
    study.refresh_from_db()
    fit = fit_of(study)
    assert fit.results["win_probability"]["estimate"][0][1] == pytest.approx(2 / 3)
    assert fit.results["rule_ties"] == 0


def test_a_withdrawn_contender_stays_in_the_fit() -> None:
    study = bare_study()
    bulk_votes(study)
    before = fit_of(study)
    Contender.objects.filter(study=study, position=1).update(withdrawn_at="2026-01-01T00:00Z")
    assert fit_of(study) == before


def test_without_a_baseline_the_first_contender_serves() -> None:
    study = bare_study()
    study.contenders.update(is_baseline=False)
    bulk_votes(study)
    results = fit_of(study).results
    assert results["baseline"] == study.contenders.get(position=0).pk
    assert results["warnings"] == ["No contender is marked as the baseline, so the first one serves as it."]


def test_the_digest_of_votes_does_not_depend_on_their_order() -> None:
    study = bare_study()
    bulk_votes(study)
    counted = read_votes(first_criterion(study))
    turned, fewer = replace(counted, rows=counted.rows[::-1]), replace(counted, rows=counted.rows[1:])
    assert turned.digest == counted.digest
    assert fewer.digest != counted.digest


def test_refitting_what_changed_fits_each_change_once() -> None:
    study, quiet = bare_study(slug="moving"), bare_study(slug="quiet")
    bulk_votes(study)
    bulk_votes(quiet)
    assert {fit.study for fit in fitting.refit_changed_studies()} == {study, quiet}
    assert fitting.refit_changed_studies() == []

    add_vote(study, make_rater(study), left=0, right=1, choice="left")
    assert [fit.study for fit in fitting.refit_changed_studies()] == [study]
    assert fitting.refit_changed_studies() == []


def test_looking_for_changes_reads_no_votes_where_there_are_none() -> None:
    study = bare_study()
    bulk_votes(study)
    fitting.refit_changed_studies()
    with CaptureQueriesContext(connection) as queries:
        fitting.refit_changed_studies()
    assert not [query["sql"] for query in queries if "page_milliseconds" in query["sql"] or "sequence" in query["sql"]]
    assert len(queries) <= 12


def test_a_draft_is_not_fitted() -> None:
    study = bare_study()
    bulk_votes(study)
    Study.objects.filter(pk=study.pk).update(state=Study.State.DRAFT)
    assert fitting.refit_changed_studies() == []


def test_the_periodic_task_refits_what_changed() -> None:
    study = bare_study()
    bulk_votes(study)
    refit_changed()
    assert Fit.objects.get().vote_count == 180


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    study = bare_study()
    bulk_votes(study)
    call_command("fit", study.slug, no_color=True)
    printed = capsys.readouterr().out
    results = Fit.objects.get().results
    assert "180 votes, 6 raters, 4 prompts" in printed
    for entry in results["contenders"]:
        assert entry["label"] in printed
    share = results["against_baseline"][1]
    assert f"{100 * share['estimate']:.0f} % ({100 * share['low']:.0f}-{100 * share['high']:.0f})" in printed


def test_the_command_names_the_studies_there_are_when_it_knows_no_such_study() -> None:
    bare_study(slug="colours")
    with pytest.raises(CommandError, match=r"There is no study 'nothing'\. Known are: colours\."):
        call_command("fit", "nothing")
