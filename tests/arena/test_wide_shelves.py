"""Prompts with very many looks: chosen on arrays, with the very chances that the list gives."""

from collections import Counter

import numpy as np
import pytest

from arena import pair_plans, wide_shelves
from arena.designs import PAIR_RULES
from arena.exposure import Exposure, exposure_of, exposure_of_pair
from arena.models import Rater, Study
from arena.pairing import Pairing
from arena.stock import Shelf, stock_of
from arena.wide_shelves import WideShelf, is_wide
from generation.models import Image
from tests.arena import factories
from tests.arena.bulk_votes import bulk_votes
from tests.arena.test_newcomers import join

pytestmark = pytest.mark.django_db

# Two samples; in the first, the pictures of contenders 7 and 9 are the same.
CELLS = (
    ((1, "a", 7), (3, "b", 8), (5, "a", 9), (6, "c", 10)),
    ((2, "d", 8), (4, "e", 7), (9, "f", 10)),
)


def test_every_look_has_its_number_and_no_number_another_look() -> None:
    shelf, wide = Shelf(CELLS), WideShelf(CELLS)
    numbers = np.flatnonzero(wide.different())
    assert len(wide) == 9 and len(numbers) == 8
    assert [wide.look(int(number)) for number in numbers] == shelf.looks
    assert wide.numbers([wide.look(number).images for number in range(9)]) == [*range(9)]
    assert wide.numbers([(1, 2), (1, 99), (98, 99), (3, 1)])[:3] == [None, None, None]
    with pytest.raises(IndexError):
        wide.look(9)


def test_what_was_had_and_what_was_shown_find_their_looks() -> None:
    wide = WideShelf(CELLS)
    free = wide.free({(1, 3), (2, 4), (50, 60)})
    assert [wide.look(int(number)).images for number in np.flatnonzero(free)] == [
        look.images for look in Shelf(CELLS).looks if look.images not in {(1, 3), (2, 4)}
    ]
    shown = Counter({(1, 3): 2, (4, 9): 5, (50, 60): 9})
    counts = wide.shown(Exposure(shown, Counter(), Counter()))
    assert counts.sum() == 7 and counts[wide.numbers([(4, 9)])[0]] == 5


def test_planned_weights_are_those_of_the_list() -> None:
    shelf, wide = Shelf(CELLS), WideShelf(CELLS)
    plan = pair_plans.PairChances.of([7, 8, 9, 10, 11], [0.1, 0.2, 0.05, 0.05, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    had = {(1, 3)}
    looks = [look for look in shelf.looks if look.images not in had]
    weights = wide.weights(plan, wide.free(had))
    assert weights is not None
    samples = Counter(look.pair for look in looks)
    wanted = {look.images: plan[look.pair] / samples[look.pair] for look in looks}
    found = {wide.look(int(number)).images: weights[number] for number in np.flatnonzero(weights)}
    assert found == pytest.approx(wanted)
    assert wide.weights(pair_plans.PairChances.of([7, 8], [1.0]), wide.free(())) is None


def test_chances_of_pairs_read_like_a_mapping() -> None:
    plan = pair_plans.PairChances.of([3, 5, 9], [0.5, 0.25, 0.25])
    assert dict(plan) == {(3, 5): 0.5, (3, 9): 0.25, (5, 9): 0.25} and len(plan) == 3
    assert (5, 3) not in plan and (3, 4) not in plan and (3, 9) in plan


def chances(rater: Rater) -> dict[tuple[int, int, str], float]:
    """The logged probability of every look that comes up in many draws."""
    now, found = Pairing(rater=rater, study=rater.study), dict[tuple[int, int, str], float]()
    now.load_history()
    had = {digest: set(images) for digest, images in now._had.items()}
    for _ in range(150):
        now._had.clear()
        now._had.update({digest: set(images) for digest, images in had.items()})
        choice = now.choose()
        assert choice is not None
        images = sorted((choice.left_image_id, choice.right_image_id))
        found[images[0], images[1], choice.rule] = choice.probability
    return found


@pytest.mark.parametrize("has_plan", [True, False])
@pytest.mark.parametrize("rule", PAIR_RULES)
def test_the_chances_are_the_same_whichever_way_a_pair_is_chosen(
    rule: str, has_plan: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = factories.make_study(contenders=4, prompts=1, samples=2, design={"pair_rule": rule}, ballots_per_rater=None)
    if has_plan:
        bulk_votes(study, raters=4, strengths=(0.0, 0.5, 1.0, 3.0))
        pair_plans.refresh_plans()
    factories.cast(factories.make_rater(study), ballots=3)
    rater = factories.make_rater(study)
    factories.cast(rater, ballots=2)
    same_both_ways(rater, monkeypatch)


@pytest.mark.parametrize("rule", ["uniform", "balanced"])
def test_newcomers_go_first_either_way(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study = factories.make_study(contenders=3, prompts=1, design={"pair_rule": rule}, ballots_per_rater=None)
    for _ in range(2):
        factories.cast(factories.make_rater(study), ballots=3)
    join(study)
    found = same_both_ways(factories.make_rater(Study.objects.get()), monkeypatch)
    assert {name for *_, name in found} == {rule if rule == "balanced" else "uniform, newcomers first"}


def same_both_ways(rater: Rater, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, int, str], float]:
    listed = chances(rater)
    monkeypatch.setattr(wide_shelves, "MANY", 0)
    assert all(is_wide(shelf) for shelf in stock_of(rater.study).shelves.values())
    monkeypatch.setattr(Pairing, "_open_looks", None)  # nobody lists looks now
    drawn = chances(rater)
    both = listed.keys() & drawn.keys()  # chance may pass over a rare look in one of them
    assert len(both) >= min(3, len(listed)) and {look: drawn[look] for look in both} == pytest.approx(
        {look: listed[look] for look in both}
    )
    return listed


def test_a_rater_gets_every_pair_once_on_wide_shelves_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide_shelves, "MANY", 0)
    study = factories.make_study(contenders=4, prompts=2, ballots_per_rater=None)
    low, high = Image.objects.filter(prompt_text=study.study_prompts.all()[0].prompt.text).order_by("pk")[:2]
    Image.objects.filter(pk=high.pk).update(pixels_sha256=low.pixels_sha256)
    rater = factories.make_rater(study)
    factories.cast(rater, ballots=20)
    had = [tuple(sorted(pair)) for pair in rater.ballots.values_list("left_image", "right_image")]
    assert len(had) == len(set(had)) == 11 and (low.pk, high.pk) not in had


def test_the_exposure_of_a_pair_is_that_of_the_prompt() -> None:
    study = factories.make_study(contenders=3, prompts=1, ballots_per_rater=None)
    for _ in range(3):
        factories.cast(factories.make_rater(study), ballots=2)
    prompt, stratum = study.study_prompts.get().pk, "people"
    known = exposure_of([prompt], stratum=stratum)[prompt]
    assert known.shown.total() == 6
    for images, number in known.shown.items():
        one = exposure_of_pair(prompt, images, stratum=stratum)
        assert (one.shown[images], one.low_left[images]) == (number, known.low_left[images])
