"""Which pairs are offered, how evenly, and with which probability."""

import itertools
import math
from collections import Counter

import pytest
from django.db.models import Q
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from arena import display, pairing, studies, voting
from arena.models import Ballot, Contender, DisplayCopy, Rater, RuleTie, Study, StudyPrompt
from arena.pairing import Pairing
from generation.models import Image
from tests.arena import factories

pytestmark = pytest.mark.django_db


def pairs_of(rater: Rater, count: int) -> list[tuple[int, frozenset[int]]]:
    """Let the rater answer `count` ballots; the (study prompt, contenders) of each."""
    factories.cast(rater, "left", ballots=count)
    return [
        (ballot.study_prompt_id, frozenset({ballot.left_contender_id, ballot.right_contender_id}))
        for ballot in rater.ballots.order_by("position")
    ]


def draws_of(rater: Rater, count: int = 60) -> list[pairing.PairChoice]:
    """What the rule chooses when the same rater is asked again and again and no ballot is kept."""
    now = Pairing(rater=rater, study=rater.study)
    drawn = []
    for _ in range(count):
        now.load_history()
        choice = now.choose()
        assert choice is not None
        drawn.append(choice)
    return drawn


def chances(rater: Rater, *, draws: int = 150) -> dict[tuple[int, frozenset[int]], float]:
    """The logged probability of every pair that comes up."""
    seen: dict[tuple[int, frozenset[int]], float] = {}
    for choice in draws_of(rater, draws):
        key = (choice.study_prompt_id, frozenset({choice.left_contender_id, choice.right_contender_id}))
        assert math.isclose(seen.setdefault(key, choice.probability), choice.probability)
    return seen


def test_a_rater_gets_every_pair_once_and_then_no_more() -> None:
    study = factories.make_study(contenders=3, prompts=2, ballots_per_rater=None)
    rater = factories.make_rater(study)
    had = pairs_of(rater, 20)
    everything = {
        (prompt, frozenset(pair))
        for prompt in study.study_prompts.values_list("pk", flat=True)
        for pair in itertools.combinations(study.contenders.values_list("pk", flat=True), 2)
    }
    assert len(had) == 6 and set(had) == everything
    assert voting.open_ballots(rater=rater) == []


def test_the_logged_probabilities_of_all_pairs_sum_to_one() -> None:
    study = factories.make_study(contenders=3, prompts=2)
    found = chances(factories.make_rater(study))
    assert len(found) == 6
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == [pytest.approx(1 / 6)] * 6


def test_the_probability_takes_seen_pairs_and_uneven_prompts_into_account() -> None:
    study = factories.make_study(contenders=3, prompts=2)
    other, rater = factories.make_rater(study), factories.make_rater(study)
    factories.cast(other, "left", ballots=1)
    touched = other.ballots.get().study_prompt_id
    found = chances(rater)
    by_prompt = {prompt: sorted(p for (key, _), p in found.items() if key == prompt) for prompt, _ in found}
    untouched = next(prompt for prompt in by_prompt if prompt != touched)
    # The pair the other rater had on that prompt is not among its least seen ones.
    assert by_prompt == {touched: [pytest.approx(1 / 4)] * 2, untouched: [pytest.approx(1 / 6)] * 3}


def test_an_exhausted_prompt_is_not_counted_among_the_choices() -> None:
    study = factories.make_study(contenders=2, prompts=3)
    rater = factories.make_rater(study)
    factories.cast(rater, "left", ballots=1)
    assert sorted(chances(rater, draws=60).values()) == [pytest.approx(1 / 2)] * 2


def test_the_ballot_keeps_rule_and_probability() -> None:
    study = factories.make_study(contenders=2, prompts=4)
    ballot = voting.open_ballots(rater=factories.make_rater(study), wanted=1)[0]
    assert ballot.rule == "balanced" and ballot.probability == pytest.approx(1 / 4)


def test_least_seen_pairs_come_first_so_that_exposure_stays_even() -> None:
    study = factories.make_study(contenders=4, prompts=1, with_text=0)
    for _ in range(6):
        factories.cast(factories.make_rater(study), "left", ballots=1)
    pairs = Counter(frozenset(pair) for pair in Ballot.objects.values_list("left_contender", "right_contender"))
    assert sorted(pairs.values()) == [1] * 6


def test_open_ballots_count_as_exposure_and_expired_ones_do_not() -> None:
    study = factories.make_study(contenders=3, prompts=1, with_text=0)
    first, second = factories.make_rater(study), factories.make_rater(study)
    held = voting.open_ballots(rater=first, wanted=1)[0]
    pair = frozenset({held.left_image_id, held.right_image_id})
    least = {frozenset({c.left_image_id, c.right_image_id}) for c in draws_of(second)}
    assert pair not in least and len(least) == 2
    Ballot.objects.update(lease_until=timezone.now())
    voting.expire_abandoned()
    assert pair in {frozenset({c.left_image_id, c.right_image_id}) for c in draws_of(second)}


@pytest.mark.parametrize("other_kind", [Rater.Kind.SIMULATED, Rater.Kind.ANONYMOUS])
def test_other_strata_do_not_eat_peoples_exposure(other_kind: str) -> None:
    study = factories.make_study(contenders=3, prompts=1, with_text=0)
    other = factories.make_rater(study, kind=other_kind)
    factories.cast(other, "left", ballots=1)
    person = factories.make_rater(study)
    assert list(chances(person, draws=100).values()) == [pytest.approx(1 / 3)] * 3
    assert set(Ballot.objects.values_list("stratum", flat=True)) == {str(other_kind)}


def test_sides_are_fair_and_do_not_depend_on_the_contender() -> None:
    study = factories.make_study(contenders=2, prompts=3)
    baseline = study.contenders.get(is_baseline=True).pk
    left = sum(choice.left_contender_id == baseline for choice in draws_of(factories.make_rater(study), 400))
    assert abs(left - 200) < 5 * math.sqrt(100)  # five standard errors: a fair coin fails once in two million runs


def test_identical_pixels_are_never_shown_but_become_a_rule_tie() -> None:
    study = factories.make_study(contenders=3, prompts=1, with_text=0, images=False, copies=False)
    prompt = study.study_prompts.get()
    one, two, three = study.contenders.all()
    same = factories.png_of((10, 20, 30))
    for contender, data in ((two, same), (one, same), (three, factories.png_of((200, 20, 30)))):
        factories.make_image(recipe=contender.recipe, prompt_text=prompt.prompt.text, data=data)
    display.prepare_copies(study=study)
    assert pairing.record_rule_ties(study=study) == 1
    assert pairing.record_rule_ties(study=study) == 0
    tie = RuleTie.objects.get()
    assert (tie.study_prompt, tie.low_contender, tie.high_contender, tie.weight) == (prompt, one, two, 1.0)
    shown = {pair for _, pair in pairs_of(factories.make_rater(study), 5)}
    assert shown == {frozenset({one.pk, three.pk}), frozenset({two.pk, three.pk})}


def test_a_rule_tie_weighs_as_many_samples_as_are_identical() -> None:
    study = factories.make_study(contenders=2, prompts=1, with_text=0, images=False, copies=False, samples=2)
    text = study.study_prompts.get().prompt.text
    first, second = study.contenders.all()
    for contender in (first, second):
        factories.make_image(recipe=contender.recipe, prompt_text=text, sample=0, data=factories.png_of((1, 2, 3)))
        factories.make_image(recipe=contender.recipe, prompt_text=text, sample=1)
    display.prepare_copies(study=study)
    pairing.record_rule_ties(study=study)
    assert RuleTie.objects.get().weight == 0.5
    assert len(pairs_of(factories.make_rater(study), 5)) == 1


def test_a_rule_tie_goes_with_its_reason_but_not_with_its_contender() -> None:
    study = factories.make_study(contenders=4, prompts=1, with_text=0, images=False, copies=False, samples=2)
    text = study.study_prompts.get().prompt.text
    one, two, three, four = study.contenders.all()
    for sample in range(2):
        for contenders, colour in (((one, two), (sample, 2, 3)), ((three, four), (sample, 20, 30))):
            for contender in contenders:
                data = factories.png_of(colour)
                factories.make_image(recipe=contender.recipe, prompt_text=text, sample=sample, data=data)
    pairing.record_rule_ties(study=study)

    def ties() -> dict[tuple[int, int], float]:
        return {(tie.low_contender_id, tie.high_contender_id): tie.weight for tie in study.rule_ties.all()}

    assert ties() == {(one.pk, two.pk): 1.0, (three.pk, four.pk): 1.0}
    _quarantine(one, sample=0)
    pairing.record_rule_ties(study=study)
    assert ties() == {(one.pk, two.pk): 0.5, (three.pk, four.pk): 1.0}
    _quarantine(one, sample=1)
    study.contenders.filter(pk=four.pk).update(withdrawn_at=timezone.now())
    assert pairing.record_rule_ties(study=study) == 0
    assert ties() == {(three.pk, four.pk): 1.0}
    Image.objects.update(is_quarantined=False, quarantine_reason="")
    assert pairing.record_rule_ties(study=study) == 1
    assert ties() == {(one.pk, two.pk): 1.0, (three.pk, four.pk): 1.0}


def _quarantine(contender: Contender, *, sample: int) -> None:
    images = Image.objects.filter(recipe=contender.recipe, sample=sample)
    images.update(is_quarantined=True, quarantine_reason="disturbing")


def _without_copy(study: Study, prompt: StudyPrompt, contender: Contender) -> None:
    image = Image.objects.get(recipe=contender.recipe, prompt_digest=prompt.prompt.text_digest)
    DisplayCopy.objects.filter(image_sha256=image.file_sha256).delete()


def _quarantined(study: Study, prompt: StudyPrompt, contender: Contender) -> None:
    Image.objects.filter(recipe=contender.recipe).update(is_quarantined=True, quarantine_reason="disturbing")


def _withdrawn(study: Study, prompt: StudyPrompt, contender: Contender) -> None:
    study.contenders.filter(pk=contender.pk).update(withdrawn_at=timezone.now())


def _image_missing(study: Study, prompt: StudyPrompt, contender: Contender) -> None:
    Image.objects.filter(recipe=contender.recipe).delete()


@pytest.mark.parametrize("spoil", [_without_copy, _quarantined, _withdrawn, _image_missing])
def test_a_pair_with_an_unshowable_image_is_not_offered(spoil: object) -> None:
    study = factories.make_study(contenders=3, prompts=1, with_text=0)
    bad = study.contenders.last()
    assert bad is not None and callable(spoil)
    spoil(study, study.study_prompts.get(), bad)
    shown = {pair for _, pair in pairs_of(factories.make_rater(study), 5)}
    assert shown == {frozenset(study.contenders.exclude(pk=bad.pk).values_list("pk", flat=True))}


def test_an_open_ballot_is_taken_back_when_its_image_is_quarantined() -> None:
    study = factories.make_study(contenders=2, prompts=2)
    rater = factories.make_rater(study)
    first = voting.open_ballots(rater=rater, wanted=1)[0]
    Image.objects.filter(pk=first.left_image_id or 0).update(is_quarantined=True, quarantine_reason="disturbing")
    second = voting.open_ballots(rater=rater, wanted=1)[0]
    first.refresh_from_db()
    assert first.state == Ballot.State.EXPIRED and second.study_prompt_id != first.study_prompt_id


def test_prompts_on_which_nothing_is_asked_are_never_shown() -> None:
    study = factories.make_study(contenders=2, prompts=3, with_text=1, opened=False)
    study.criteria.exclude(applies_to="has_text").delete()
    study = studies.open_study(study, actor=None)
    had = pairs_of(factories.make_rater(study), 5)
    assert [prompt for prompt, _ in had] == [study.study_prompts.get(prompt__target_text__isnull=False).pk]


def test_prompts_that_share_a_text_do_not_bring_the_same_images_twice() -> None:
    study = factories.make_study(contenders=2, prompts=1, with_text=0, opened=False)
    again = factories.make_prompts(1, with_text=0, name=study.slug)[0]
    StudyPrompt.objects.create(study=study, prompt=again, position=1)
    study = studies.open_study(study, actor=None)
    assert len(pairs_of(factories.make_rater(study), 5)) == 1


@pytest.mark.parametrize(("contenders", "prompts", "answered"), [(2, 4, 0), (5, 8, 0), (5, 8, 6)])
def test_a_full_queue_costs_a_bounded_number_of_queries(
    django_assert_max_num_queries: DjangoAssertNumQueries, contenders: int, prompts: int, answered: int
) -> None:
    study = factories.make_study(contenders=contenders, prompts=prompts)
    rater = factories.make_rater(study)
    factories.cast(rater, "left", ballots=answered)
    rater = Rater.objects.select_related("study").get(pk=rater.pk)
    with django_assert_max_num_queries(29):
        assert len(voting.open_ballots(rater=rater)) == 3
    with django_assert_max_num_queries(4):
        assert len(voting.open_ballots(rater=rater)) == 3


def test_no_two_open_or_answered_ballots_of_a_rater_hold_the_same_images() -> None:
    study = factories.make_study(contenders=3, prompts=3)
    rater = factories.make_rater(study)
    factories.cast(rater, "left", ballots=9)
    pairs = [
        frozenset(pair)
        for pair in Ballot.objects.filter(~Q(state=Ballot.State.EXPIRED)).values_list("left_image", "right_image")
    ]
    assert len(pairs) == len(set(pairs)) == 9
