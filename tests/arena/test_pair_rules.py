"""The pair rules a study can choose: what they choose, with which chance, and how evenly."""

import itertools
from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from arena import pair_plans, pairing, studies, voting
from arena.designs import ADAPTIVE, BALANCED, FORMER_NAMES, LMARENA, PAIR_RULES, UNIFORM, pair_rule_of
from arena.exposure import Exposure
from arena.models import Ballot, PairPlan, Study
from arena.pairing import Pairing
from arena.ranking.adaptive import believe, pair_probabilities
from arena.ranking.tallies import Tallies
from arena.stock import Look, stock_of
from tests.arena import factories
from tests.arena.bulk_votes import bulk_votes

pytestmark = pytest.mark.django_db


def study_by(rule: str, *, contenders: int = 4, prompts: int = 2) -> Study:
    study = factories.make_study(contenders=contenders, prompts=prompts, ballots_per_rater=None)
    Study.objects.filter(pk=study.pk).update(design={**study.design, "pair_rule": rule})
    return Study.objects.get(pk=study.pk)


def chances(study: Study, *, until: int = 12) -> dict[tuple[int, frozenset[int]], float]:
    """The logged probability of the choices that come up for a new rater, until so many did."""
    now = Pairing(rater=factories.make_rater(study), study=study)
    found: dict[tuple[int, frozenset[int]], float] = {}
    while len(found) < until:
        now.load_history()
        choice = now.choose()
        assert choice is not None
        pair = frozenset((choice.left_contender_id, choice.right_contender_id))
        found[choice.study_prompt_id, pair] = choice.probability
    return found


def rule_names(study: Study) -> set[str]:
    voting.open_ballots(rater=factories.make_rater(study))
    return set(Ballot.objects.filter(origin="issued").values_list("rule", flat=True))


@pytest.mark.parametrize("rule", PAIR_RULES)
def test_every_rule_says_its_name_and_chances_that_sum_to_one(rule: str) -> None:
    study = study_by(rule)
    bulk_votes(study, raters=4, strengths=(0.0, 0.5, 1.0, 3.0))
    pair_plans.refresh_plans()
    found = chances(study)
    assert len(found) == 12 and sum(found.values()) == pytest.approx(1, rel=1e-4)
    assert rule_names(study) == {rule}


def test_the_uniform_rule_does_not_look_at_what_was_seen() -> None:
    study = study_by(UNIFORM)
    factories.cast(factories.make_rater(study), "left", ballots=5)
    assert list(chances(study).values()) == [pytest.approx(1 / 12)] * 12


@pytest.mark.parametrize("rule", [ADAPTIVE, LMARENA])
def test_a_rule_without_votes_balances_and_says_so(rule: str) -> None:
    study = study_by(rule)
    assert pair_plans.refresh_plans() == 0 and not PairPlan.objects.exists()
    assert rule_names(study) == {f"{rule}, balanced so far"}


@pytest.mark.parametrize(("rule", "name"), [(ADAPTIVE, "information-tree"), (LMARENA, "lmarena")])
def test_a_plan_holds_the_chances_of_the_ranking_engine(rule: str, name: str) -> None:
    study = study_by(rule)
    study.criteria.exclude(position=0).delete()
    bulk_votes(study, raters=4, strengths=(0.0, 0.5, 1.0, 3.0), tie_share=0.0)
    assert pair_plans.refresh_plans() == 1
    order = list(study.contenders.order_by("pk").values_list("pk", flat=True))
    wins = np.zeros((4, 4))
    for left, right, choice in study.votes.values_list("left_contender", "right_contender", "choice"):
        winner, loser = (left, right) if choice == "left" else (right, left)
        wins[order.index(winner), order.index(loser)] += 1
    counts = np.zeros((4, 4, 4), dtype=np.int64)
    counts[:, :, 0] = wins
    met = wins + wins.T
    wanted = pair_probabilities(believe(Tallies(counts)), rule=name, votes=met, uniform_share=0.2)  # type: ignore[arg-type]
    known = pair_plans.chances_of(study)
    assert known is not None
    for (low, high), chance in known.items():
        assert chance == pytest.approx(wanted[order.index(low), order.index(high)], rel=1e-4)
    by_pair: Counter[frozenset[int]] = Counter()
    for (_, pair), chance in chances(study).items():
        by_pair[pair] += chance  # type: ignore[assignment]
    assert {tuple(sorted(pair)): pytest.approx(chance) for pair, chance in by_pair.items()} == dict(known)


def test_a_plan_is_made_anew_when_votes_come_and_not_before() -> None:
    study = study_by(ADAPTIVE)
    bulk_votes(study, raters=2)
    assert (pair_plans.refresh_plans(), pair_plans.refresh_plans()) == (1, 0)
    bulk_votes(study, raters=2, seed=2)
    plan = PairPlan.objects.get()
    at_rest = plan.made_at + timedelta(seconds=pair_plans.RESTS * plan.seconds / 2)
    assert pair_plans.refresh_plans(now=at_rest) == 0
    assert pair_plans.refresh_plans(now=at_rest + timedelta(hours=1)) == 1
    assert PairPlan.objects.get().votes == 2 * plan.votes


def test_a_contender_that_the_plan_does_not_know_is_balanced_until_the_next_plan() -> None:
    study = study_by(ADAPTIVE)
    late = study.contenders.last()
    assert late is not None
    study.contenders.filter(pk=late.pk).update(withdrawn_at=timezone.now())
    bulk_votes(study, raters=3)
    pair_plans.refresh_plans()
    study.contenders.filter(pk=late.pk).update(withdrawn_at=None)
    assert rule_names(study) == {"adaptive, balanced so far"}
    pair_plans.refresh_plans()
    assert rule_names(study) == {"adaptive, balanced so far", "adaptive"}


def test_no_request_makes_a_plan() -> None:
    study = study_by(ADAPTIVE)
    bulk_votes(study, raters=3)
    assert rule_names(study) == {"adaptive, balanced so far"} and not PairPlan.objects.exists()


def test_a_study_that_opened_under_a_former_name_goes_on() -> None:
    study = study_by(next(iter(FORMER_NAMES)))
    assert pair_rule_of(study) == BALANCED and rule_names(study) == {BALANCED}
    draft = factories.make_study(opened=False, slug="words")
    changed = studies.change_draft(draft, actor=None, design={"pair_rule": next(iter(FORMER_NAMES))})
    assert changed.design["pair_rule"] == BALANCED


@given(
    weights=st.lists(st.floats(1e-6, 1), min_size=3, max_size=3),
    samples=st.lists(st.integers(0, 3), min_size=3, max_size=3).filter(any),
)
def test_planned_chances_are_shared_by_samples_and_sum_to_one(weights: list[float], samples: list[int]) -> None:
    pairs = [(1, 2), (1, 3), (2, 3)]
    looks = [
        Look(images=(100 * index + 2 * sample, 100 * index + 2 * sample + 1), contenders=pair)
        for index, pair in enumerate(pairs)
        for sample in range(samples[index])
    ]
    plan = dict(zip(pairs, weights, strict=True))
    total = sum(plan[pair] for index, pair in enumerate(pairs) if samples[index])
    rng = np.random.default_rng(1)
    for choice in (pairing.choose_planned(looks, plan, rng) for _ in range(5)):
        pair = looks[choice.candidate].pair
        assert choice.probability == pytest.approx(plan[pair] / total / samples[pairs.index(pair)])


def test_ten_thousand_ballots_are_even_in_contenders_and_sides() -> None:
    """The balanced rule over 40 prompts and 6 contenders, without storing ballots: what the ledger would count."""
    study = factories.make_study(contenders=6, prompts=40, with_text=0)
    now = Pairing(rater=factories.make_rater(study), study=study)
    known = {prompt: Exposure(Counter(), Counter(), Counter()) for prompt in stock_of(study).text_of}
    looks = {prompt: stock_of(study).shelf_of(prompt).looks for prompt in known}
    prompts, rng = list(known), np.random.default_rng(7)
    left: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    for prompt in rng.choice(prompts, size=10_000):
        choice, look = now._choose_look(prompt, looks[prompt], known[prompt], prompts=len(prompts))
        known[prompt].shown[look.images] += 1
        known[prompt].low_left[look.images] += choice.left_image_id == look.images[0]
        left[choice.left_contender_id] += 1
        seen.update((choice.left_contender_id, choice.right_contender_id))
    assert len(seen) == 6
    for contender, number in seen.items():
        assert abs(left[contender] / number - 0.5) < 0.02
        assert abs(number / (20_000 / 6) - 1) < 0.02
    for counts in known.values():
        assert max(counts.shown.values()) - min(counts.shown.values()) <= 1 and len(counts.shown) == 15
        assert all(abs(2 * counts.low_left[look] - number) <= 1 for look, number in counts.shown.items())


def test_the_first_side_of_a_pair_is_a_coin_and_the_second_the_other_one() -> None:
    study = study_by(UNIFORM, contenders=2, prompts=1)
    baseline = study.contenders.get(is_baseline=True).pk
    for _ in range(8):
        factories.cast(factories.make_rater(study), "left")
    lefts = list(Ballot.objects.order_by("pk").values_list("left_contender", flat=True))
    assert [{first, second} for first, second in zip(lefts[::2], lefts[1::2], strict=True)] == [set(lefts)] * 4
    fresh = Pairing(rater=factories.make_rater(study), study=study)
    drawn = []
    for _ in range(60):
        fresh.load_history()
        choice = fresh.choose()
        assert choice is not None
        drawn.append(choice.left_contender_id == baseline)
    assert any(drawn) and not all(drawn)


def test_what_is_kept_of_the_stock_is_what_reading_it_gives() -> None:
    from arena.stock import read_stock

    study = factories.make_study(contenders=3, prompts=3, samples=2)
    for change in (
        lambda: None,
        lambda: study.contenders.filter(position=1).update(withdrawn_at=timezone.now()),
        lambda: study.contenders.update(withdrawn_at=None),
    ):
        change()
        assert stock_of(study) == read_stock(study) == stock_of(study)
    for shelf in stock_of(study).shelves.values():
        assert shelf.look_count == len(shelf.looks) == 6
    assert len(set(itertools.chain(*(shelf.pairs for shelf in stock_of(study).shelves.values())))) == 3
