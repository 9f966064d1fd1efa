"""Which votes and ties by rule a fit sees."""

import re

import pytest

from arena import fitting, raters
from arena.models import AuditEvent, Ballot, Contender, Fit, Rater, RuleTie, Study, Vote
from arena.study_page import study_page
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import cast, make_rater, make_study, make_user
from tests.arena.fit_cases import add_vote, bare_study, first_criterion, fit_of

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize("scope", ["vote", "ballot", "rater", "image"])
def test_only_what_an_exclusion_took_out_is_told_as_excluded(scope: str) -> None:
    study = make_study(contenders=3, prompts=3)
    people = [make_rater(study) for _ in range(2)]
    for rater in people:
        for purpose in ("gold", "repeat", "qualification"):
            add_vote(study, rater, left=0, right=1, choice="left", purpose=purpose)
        cast(rater, ballots=3)
    fitting.refit(study)
    assert "(" not in study_page(study).votes_in_words
    vote = study.votes.filter(is_ordinary=True)[0]
    image = vote.ballot.left_image
    assert image is not None
    targets: dict[str, raters.ExclusionTarget] = {
        "vote": vote,
        "ballot": vote.ballot,
        "rater": vote.rater,
        "image": image,
    }
    raters.exclude(study=study, scope=scope, target=targets[scope], reason="careless", author=None)
    last = study.ballots.filter(rater=people[1], purpose="ordinary")[2]
    Ballot.objects.filter(pk=last.pk).update(state=Ballot.State.SUPERSEDED)
    fitting.refit(study)
    counted = Vote.objects.counted().filter(study=study).count()
    excluded = Vote.objects.countable().standing().filter(study=study).count() - counted
    words = study_page(study).votes_in_words
    assert excluded > 0 and re.fullmatch(rf"{counted} votes? counted \(\d+ undone, {excluded} excluded\)", words)
