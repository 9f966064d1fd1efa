"""Attackers are found and honest raters are not, at reduced size; how often, `benchmarks.detectors` measures."""

import numpy as np
import pytest

from arena.ranking.cohorts import suspicious_cohorts
from arena.ranking.honest_raters import LEAST_TASTE, estimate_null, own_votes
from arena.ranking.rigging import FEWEST_VOTES, Findings, Gold, gold_error, suspicious_raters
from arena.ranking.tallies import Votes
from benchmarks.crowds import TARGET, Attack, Crowd, crowd
from benchmarks.detectors import strength_of_target, strengths

NOTHING = np.array([], dtype=np.intp)
NO_VOTES = Votes(NOTHING, NOTHING, NOTHING, 3, rater=NOTHING)


def look(known: Crowd) -> Findings:
    return suspicious_raters(known.votes(), seconds=np.array(known.seconds), gold=known.gold)


@pytest.mark.parametrize(
    ("attack", "votes", "kinds"),
    [
        ("target", 160, {"target", "target, with others"}),
        ("omnipresent", 40, {"disagrees"}),
        ("clicker", 80, {"gold", "disagrees", "gold and disagrees"}),
        ("left", 40, {"one side"}),
        ("fast", 20, {"too fast"}),
        ("inverter", 20, {"disagrees", "gold"}),
    ],
)
def test_each_attacker_is_found_for_what_it_does(attack: Attack, votes: int, kinds: set[str]) -> None:
    known = crowd(taste=0.35, seed=5, honest=40)
    attackers = [known.add(attack, votes, gold=8) for _ in range(3)]
    findings = look(known)
    assert len(findings.raters & set(attackers)) >= 2
    for each in findings.suspicions:
        if each.rater in attackers and each.kind in kinds:
            assert each.p < 0.05 and each.count > 0
    assert {each.kind for each in findings.suspicions if each.rater in attackers} & kinds
    if attack == "target":
        pushed = {each.contender for each in findings.suspicions if each.kind.startswith("target")}
        assert TARGET in pushed


@pytest.mark.parametrize("taste", [0.35, 0.7])
def test_honest_raters_with_tastes_of_their_own_are_hardly_ever_suspected(taste: float) -> None:
    suspected = [len(look(crowd(taste=taste, seed=seed)).raters) for seed in range(3)]
    assert sum(suspected) <= 7  # of 180: were 2 % the mean, that many or fewer come 96 times in 100


def test_the_spread_of_tastes_is_told_from_none() -> None:
    found = {}
    for taste in (0.0, 0.7):
        estimates = []
        for seed in range(3):
            votes = crowd(taste=taste, seed=seed).votes()
            raters, error = own_votes(votes, trusted=np.ones(len(votes), dtype=bool))
            estimates.append(estimate_null(raters, error).taste)
        found[taste] = np.mean(estimates)
    assert LEAST_TASTE <= found[0.0] < 0.45 < found[0.7] < 1.0


def test_a_crowd_that_pushes_one_contender_is_found_and_excluding_it_takes_the_bias_away() -> None:
    known = crowd(taste=0.35, seed=2)
    riggers = [known.add("target", 80, gold=8) for _ in range(12)]
    votes, findings = known.votes(), look(known)
    assert len(findings.raters & set(riggers)) >= 9
    honest = strength_of_target(votes, without=riggers)
    before = strength_of_target(votes, without=[]) - honest
    after = strength_of_target(votes, without=sorted(findings.raters)) - honest
    assert before > 0.2 and abs(after) <= 0.4 * before


def test_a_quarter_of_random_votes_keeps_the_order() -> None:
    known = crowd(taste=0.35, seed=4)
    for _ in range(20):
        known.add("clicker", 50)
    with_spam, clean = strengths(known.votes(), without=[]), strengths(known.votes(), without=list(range(60, 80)))
    assert np.corrcoef(with_spam, clean)[0, 1] > 0.97
    assert np.std(with_spam) < np.std(clean)


@pytest.mark.parametrize(("pushing", "honest", "is_found"), [(60, 0, True), (60, 60, True), (0, 60, False)])
def test_sessions_too_short_to_judge_alone_are_judged_together(pushing: int, honest: int, is_found: bool) -> None:
    known = crowd(taste=0.35, seed=1, gold=0)
    inside = [known.add("target", 10) for _ in range(pushing)] + [known.add("honest", 10) for _ in range(honest)]
    findings = suspicious_cohorts(known.votes(), dict.fromkeys(inside, 7))
    assert bool(findings.suspicions) == is_found
    assert findings.raters <= {7}
    if is_found:
        assert {each.contender for each in findings.suspicions if each.kind == "target"} == {TARGET}


def test_a_quarter_of_a_cohort_that_pushes_is_found_though_the_sum_over_all_hardly_moves() -> None:
    known = crowd(taste=0.35, seed=2, gold=0)
    inside = [known.add("target", 10) for _ in range(60)] + [known.add("honest", 10) for _ in range(180)]
    [found] = suspicious_cohorts(known.votes(), dict.fromkeys(inside, 0)).suspicions
    assert (found.kind, found.contender) == ("target", TARGET)
    assert found.observed - found.expected < 0.1


def test_a_small_cohort_and_one_that_is_everybody_are_left_alone() -> None:
    known = crowd(taste=0.35, seed=1, honest=10, votes_each=20)
    assert not suspicious_cohorts(known.votes(), dict.fromkeys(range(4), 0)).suspicions
    assert not suspicious_cohorts(known.votes(), dict.fromkeys(range(10), 0)).suspicions


def test_no_votes_give_no_suspicions_and_unknown_raters_are_refused() -> None:
    assert suspicious_raters(NO_VOTES).suspicions == ()
    nameless = Votes(np.array([0]), np.array([1]), np.array([0]), 2)
    with pytest.raises(ValueError, match="without knowing the raters"):
        suspicious_raters(nameless)


def test_a_crowd_of_clickers_does_not_make_missing_gold_normal() -> None:
    honest = {number: Gold(8, 8) for number in range(6)}
    clickers = {number: Gold(8, 4) for number in range(6, 11)}
    assert gold_error(honest) == pytest.approx(0.05)
    assert gold_error({**honest, **clickers}) <= 0.1


def test_a_few_votes_about_a_contender_are_never_held_against_a_rater() -> None:
    """A slip on a pair that everybody else agrees about is unlikely, and means nothing."""
    about = []
    for seed in range(3):
        known = crowd(taste=0.35, seed=seed, honest=40)
        for _ in range(3):
            known.add("inverter", 10, gold=8)
        about += [each.count for each in look(known).suspicions if each.contender is not None]
    assert all(count >= FEWEST_VOTES for count in about)
