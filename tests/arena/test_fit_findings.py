"""What a fit finds beyond its estimates, against numbers worked out by hand or by other code."""

import math
from typing import Any

import choix
import numpy as np
import pytest

from arena import fitting
from arena.counted_votes import read_votes
from arena.fit_results import results_of
from arena.fit_views import prompts_of
from arena.leaderboard import results_of as results_by_criterion
from arena.models import Exclusion, Fit, Rater, Study
from arena.trust_panel import trust_panel
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_rater
from tests.arena.fit_cases import add_vote, bare_study, first_criterion, fit_of

pytestmark = pytest.mark.django_db


def findings_of(study: Study) -> dict[str, Any]:
    return dict(fit_of(study).results["findings"])


def answer(study: Study, rater: Rater, pair: tuple[int, int], choices: str, *, prompt: int = 0) -> None:
    """So many votes of one rater: l, r or t for left, right and tie."""
    words = {"l": "left", "r": "right", "t": "tie"}
    for choice in choices:
        add_vote(study, rater, left=pair[0], right=pair[1], choice=words[choice], prompt=prompt)


def test_votes_per_pair_are_counted_on_both_sides() -> None:
    study = bare_study(contenders=4)
    rater = make_rater(study)
    answer(study, rater, (0, 1), "lrt")
    answer(study, rater, (1, 0), "l")
    answer(study, rater, (1, 2), "lr")
    pairs = findings_of(study)["trust"]["pairs"]
    assert pairs == {"possible": 6, "met": 2, "fewest": 2, "median": 3.0, "most": 4, "boards": 1, "alone": 1}


@pytest.mark.once
def test_a_lead_of_six_to_four_falls_with_two_votes_of_one_side() -> None:
    """3 : 2 on either side. Without two on one, log 1/2 there outweighs log 3/2 on the other."""
    study = bare_study(contenders=2)
    first, second = study.contenders.order_by("position").values_list("pk", flat=True)
    for number in range(10):
        rater = make_rater(study)
        pair = (0, 1) if number % 2 else (1, 0)
        is_first = number < 6
        answer(study, rater, pair, "l" if is_first == (pair == (0, 1)) else "r", prompt=number % 4)
    trust = findings_of(study)["trust"]
    assert trust["flips"]["vote"] == {"count": 2, "of": 10, "before": first, "after": second}
    assert trust["flips"]["rater"] == {"count": 2, "of": 10, "before": first, "after": second}


@pytest.mark.once
def test_ways_to_count_ties_are_those_of_choix_and_of_the_shares() -> None:
    """8 wins, 6 ties and 2 losses on each side: decisive 8 / 10, with half wins (8 + 3) / 16."""
    study = bare_study(contenders=2)
    raters = [make_rater(study) for _ in range(4)]
    for number, rater in enumerate(raters):
        answer(study, rater, (0, 1), "ll" + "t" * (1 + number % 2) + "r" * (number < 2), prompt=number)
        answer(study, rater, (1, 0), "rr" + "t" * (1 + number % 2) + "l" * (number < 2), prompt=number)
    told = findings_of(study)["trust"]["ties"]
    assert told["decisive"]["against_baseline"][1][0] == pytest.approx(2 / 10)
    assert told["half"]["against_baseline"][1][0] == pytest.approx(5 / 16)
    # Davidson: P(win) : P(tie) : P(loss) = p : nu sqrt(p q) : q fits two contenders exactly, so the shares come back.
    assert told["davidson"]["against_baseline"][1][0] == pytest.approx(5 / 16)
    gap = told["davidson"]["log_strength"][0] - told["davidson"]["log_strength"][1]
    assert gap == pytest.approx(math.log(8 / 2))

    wins = np.array([[0.0, 16.0], [4.0, 0.0]])
    by_choix = choix.ilsr_pairwise_dense(wins, tol=1e-12)
    decisive = told["decisive"]["log_strength"]
    assert decisive[0] - decisive[1] == pytest.approx(by_choix[0] - by_choix[1], abs=1e-8)


@pytest.mark.once
def test_without_ties_there_is_nothing_to_compare() -> None:
    study = bare_study(contenders=2)
    bulk_votes(study, tie_share=0.0)
    assert findings_of(study)["trust"]["ties"] is None


def test_raw_agreement_and_alpha_by_hand() -> None:
    """Two pairs, each seen by three raters: left, left, left and left, right, tie."""
    study = bare_study(contenders=3)
    for first, second in zip("lll", "lrt", strict=True):
        rater = make_rater(study)
        answer(study, rater, (0, 1), first)
        answer(study, rater, (1, 2), second)
    told = findings_of(study)["agreement"]
    # Six answers: four for the lower-numbered contender, one tie, one for the other. One unit is all alike, one not.
    same = 3 / 6
    observed = 1 - same
    expected = 1 - (4 * 3 + 1 * 0 + 1 * 0) / (6 * 5)
    assert told["units"] == 2
    assert told["same"] == pytest.approx(same)
    assert told["expected_by_chance"] == pytest.approx(1 - expected)
    assert told["nominal"]["alpha"] == pytest.approx(1 - observed / expected)
    # Ordinal: values in order higher, tie, lower have 1, 1 and 4 answers, so middles of ranks .5, 1.5, 4.
    middle = [0.5, 1.5, 4.0]
    split = sum((middle[i] - middle[j]) ** 2 for i in range(3) for j in range(3)) / 2  # one unit, each pair counts 1/2
    n = [1, 1, 4]
    chance = sum(n[i] * n[j] * (middle[i] - middle[j]) ** 2 for i in range(3) for j in range(3))
    assert told["ordinal"]["alpha"] == pytest.approx(1 - (6 - 1) * split / chance)


def test_the_hardest_prompt_and_the_biggest_disagreement_are_named() -> None:
    study = bare_study(contenders=3, prompts=3)
    contenders = list(study.contenders.order_by("position").values_list("pk", flat=True))
    prompts = list(study.study_prompts.order_by("position").values_list("pk", flat=True))
    for number in range(6):
        rater = make_rater(study)
        answer(study, rater, (0, 1), "l", prompt=0)
        answer(study, rater, (2, 1), "l" if number % 2 else "r", prompt=1)  # three against three
        answer(study, rater, (0, 2), "l" if number else "t", prompt=2)
    told = prompts_of(read_votes(first_criterion(study)))
    assert [each["prompt"] for each in told["hardest"]] == [prompts[1], prompts[2], prompts[0]]
    hardest = told["hardest"][0]
    assert (hardest["pairs"], hardest["votes"], hardest["ties"]) == (15, 6, 0)
    assert hardest["same"] == pytest.approx(6 / 15)
    assert told["disagreements"] == [{"prompt": prompts[1], "pair": contenders[1:], "answers": [3, 0, 3]}]


def test_a_category_is_fitted_from_its_own_votes() -> None:
    study = bare_study(contenders=2, prompts=6, with_text=3)
    for number in range(8):
        rater = make_rater(study)
        for prompt in range(6):
            # Signs: the first wins 6 of 8; surfaces: it wins 2 of 8. On both sides alike.
            is_first = number < (6 if prompt < 3 else 2)
            pair = (0, 1) if number % 2 else (1, 0)
            answer(study, rater, pair, "l" if is_first == (pair == (0, 1)) else "r", prompt=prompt)
    study.criteria.filter(position=0).update(applies_to="all")
    view = findings_of(study)["views"]["category"]
    signs, surfaces = view["parts"]
    assert [(part["name"], part["votes"], part["raters"], part["prompts"]) for part in view["parts"]] == [
        ("signs", 24, 8, 3),
        ("surfaces", 24, 8, 3),
    ]
    assert signs["against_baseline"][1][0] == pytest.approx(2 / 8)
    assert surfaces["against_baseline"][1][0] == pytest.approx(6 / 8)
    assert view["interaction"]["parts"] == 2
    low, high = signs["against_baseline"][1][1:]
    assert low < 2 / 8 < high


def test_excluded_votes_come_back_in_a_view_of_their_own_only() -> None:
    study = bare_study(contenders=2)
    people = [make_rater(study) for _ in range(5)]
    for number, rater in enumerate(people):
        answer(study, rater, (0, 1), "lr" if number else "rrrr", prompt=number % 4)
        answer(study, rater, (1, 0), "lr" if number else "llll", prompt=number % 4)
    Exclusion.objects.create(study=study, scope="rater", rater=people[0], reason="always the second")
    results = fit_of(study).results
    counted, whole = results["findings"]["views"]["exclusions"]["parts"]
    assert (counted["votes"], whole["votes"]) == (16, 24)
    assert counted["against_baseline"][1][0] == pytest.approx(8 / 16)
    assert whole["against_baseline"][1][0] == pytest.approx(16 / 24)
    assert results["against_baseline"][1]["estimate"] == pytest.approx(8 / 16)


def test_kinds_of_raters_stand_apart_where_there_are_two() -> None:
    study = bare_study(contenders=3)
    bulk_votes(study, raters=5, strengths=[0, 0.5, 1])
    assert "stratum" not in findings_of(study)["views"]
    bulk_votes(study, raters=4, strengths=[1, 0.5, 0], kind=Rater.Kind.SIMULATED, seed=3)
    parts = findings_of(study)["views"]["stratum"]["parts"]
    assert [(part["name"], part["votes"], part["raters"]) for part in parts] == [
        ("people", 150, 5),
        ("simulated", 120, 4),
    ]


@pytest.mark.once
def test_voting_may_stop_only_for_a_clear_first() -> None:
    clear, close = bare_study(contenders=3, slug="clear"), bare_study(contenders=3, slug="close")
    bulk_votes(clear, raters=30, ballots_per_rater=20, strengths=[2.0, 0, -1])
    bulk_votes(close, raters=30, ballots_per_rater=20, strengths=[0.1, 0, -1])
    first = clear.contenders.get(position=0).pk
    stop = findings_of(clear)["trust"]["stop"]
    assert (stop["settled"], stop["pairs"]) == (first, 3)
    assert stop["times"] <= 1
    later = findings_of(close)["trust"]["stop"]
    assert later["settled"] is None
    assert later["times"] > 1


@pytest.mark.once
def test_a_newcomer_without_votes_does_not_unsettle_the_first() -> None:
    study = bare_study(contenders=3)
    bulk_votes(study, raters=30, ballots_per_rater=20, strengths=[2.0, 0, -1])
    before = findings_of(study)["trust"]["stop"]
    contender = study.contenders.get(position=2)
    contender.pk, contender.label, contender.position = None, "newcomer", 3
    contender.recipe = bare_study(contenders=4, slug="other").contenders.get(position=3).recipe
    contender.save()
    first = study.contenders.get(position=0)
    stop = findings_of(study)["trust"]["stop"]
    assert (before["settled"], before["unlinked"]) == (first.pk, 0)
    assert stop == {**before, "unlinked": 1}
    results = next(one for one in results_by_criterion(study) if one.votes)
    panel = trust_panel(results)
    assert panel is not None and panel.stop is not None
    assert panel.stop.sentence.startswith(f"{first.label} is surely first of those that votes link")
    assert "No vote links 1 other contender to these" in panel.stop.sentence


def test_findings_are_equal_to_the_last_bit_and_left_out_unless_asked_for() -> None:
    study = bare_study()
    bulk_votes(study)
    counted, groups = read_votes(first_criterion(study)), fitting.prompt_groups(study)
    labels, options = ["a", "b", "c"], fitting.OPTIONS
    one, other = (results_of(counted, labels=labels, options=options, groups=groups) for _ in range(2))
    assert one == other
    assert results_of(counted, labels=labels, options=options)["findings"] is None


def test_a_fit_without_votes_has_no_findings() -> None:
    study = bare_study()
    rater, *_ = bulk_votes(study, raters=1)
    fitting.refit(study)
    Exclusion.objects.create(study=study, scope="rater", rater=rater, reason="gone")
    fitting.refit(study)
    assert Fit.objects.first() is not None
    assert fit_of(study).results["findings"] is None
