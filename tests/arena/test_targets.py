"""Votes wanted of each pair: who still gets it, when nobody does, and what the study says about it."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from arena import exposure, raters, studies, targets, voting, withheld
from arena.intake import take_in_images
from arena.models import Ballot, Exclusion, PromptNeed, Rater, Study
from arena.stock import stock_of
from arena.targets import TargetProgress
from arena.undoing import undo
from tests.arena import factories
from tests.arena.views.browsers import joined_browser, vote_address

pytestmark = pytest.mark.django_db


def study_with_target(target: int = 2, *, contenders: int = 3, prompts: int = 2, samples: int = 1) -> Study:
    study = factories.make_study(
        contenders=contenders, prompts=prompts, samples=samples, ballots_per_rater=None, opened=False, copies=False
    )
    studies.change_draft(study, actor=None, design={"target_votes": target, "samples": samples})
    study = studies.open_study(Study.objects.get(pk=study.pk), actor=None)
    take_in_images(study=study, most=10_000)
    return study


def votes_by_cell(study: Study) -> Counter[tuple[int, frozenset[int]]]:
    """Answered ballots by prompt and pair of contenders."""
    answered = Ballot.objects.filter(study=study, state=Ballot.State.ANSWERED)
    rows = answered.values_list("study_prompt", "left_contender", "right_contender")
    return Counter((prompt, frozenset((left, right))) for prompt, left, right in rows)


def every_cell(study: Study) -> set[tuple[int, frozenset[int]]]:
    pairs = itertools.combinations(study.contenders.values_list("pk", flat=True), 2)
    prompts = study.study_prompts.values_list("pk", flat=True)
    return {(prompt, frozenset(pair)) for prompt, pair in itertools.product(prompts, pairs)}


def needed(study: Study, criterion: str = "aesthetics") -> int:
    return next(row.still_needed for row in targets.progress_of(study) if row.criterion == criterion)


def test_raters_answer_until_every_pair_has_its_target_and_no_further() -> None:
    study = study_with_target(2)
    assert needed(study) == 12
    # How many raters that takes is chance: nobody meets a pair twice, so the last votes may need one rater each.
    while factories.cast(factories.make_rater(study), "left", ballots=4):
        pass
    assert votes_by_cell(study) == dict.fromkeys(every_cell(study), 2)
    assert [row.is_reached for row in targets.progress_of(study)] == [True] * 3
    assert voting.open_ballots(rater=factories.make_rater(study)) == []


def test_a_target_is_counted_by_raters_also_where_there_are_several_samples() -> None:
    study = study_with_target(2, contenders=2, prompts=1, samples=3)
    rater = factories.make_rater(study)
    assert len(factories.cast(rater, "left", ballots=5)) == 1
    assert len(factories.cast(factories.make_rater(study), "left", ballots=5)) == 1
    assert factories.cast(factories.make_rater(study), "left") == []


def test_open_ballots_count_towards_the_target_until_they_lapse() -> None:
    study = study_with_target(1, contenders=2, prompts=2)
    first, second = factories.make_rater(study), factories.make_rater(study)
    assert len(voting.open_ballots(rater=first)) == 2
    assert voting.open_ballots(rater=second) == []
    assert [(row.still_needed, row.out) for row in targets.progress_of(study)] == [(2, 2), (2, 2), (1, 1)]
    Ballot.objects.update(lease_until=timezone.now())
    voting.expire_abandoned()
    assert len(voting.open_ballots(rater=second)) == 2


def _skip(rater: Rater) -> None:
    for ballot in voting.open_ballots(rater=rater):
        voting.cast_votes(rater=rater, ballot_token=ballot.token, answers={}, skip_reason="cannot_tell")


def _be_excluded(rater: Rater) -> None:
    factories.cast(rater, "left", ballots=9)
    raters.exclude(study=rater.study, scope="rater", target=rater, reason="asleep", author=None)


def _undo(rater: Rater) -> None:
    factories.cast(rater, "left", ballots=9)
    Ballot.objects.filter(rater=rater).update(state=Ballot.State.SUPERSEDED)


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("lose", [_skip, _be_excluded, _undo])
def test_votes_that_do_not_count_are_asked_again(lose: Callable[[Rater], None], folded: bool) -> None:
    study = study_with_target(1, contenders=2, prompts=2)
    lose(factories.make_rater(study))
    if folded:
        exposure.fold()
    assert needed(study) == 2
    other = factories.make_rater(study)
    assert len(factories.cast(other, "left", ballots=9)) == 2 and needed(study) == 0


def in_a_fresh_process(study: Study) -> int:
    withheld._kept.clear()
    return needed(study)


def test_what_an_excluded_rater_answers_later_is_asked_again_in_every_process() -> None:
    study = study_with_target(1, contenders=2, prompts=2)
    bad = factories.make_rater(study)
    factories.cast(bad, "left")
    raters.exclude(study=study, scope="rater", target=bad, reason="bot", author=None)
    assert needed(study) == 2
    assert len(factories.cast(bad, "left", ballots=9)) == 1  # nobody tells them
    assert needed(study) == in_a_fresh_process(study) == 2
    undo(rater=bad, ballot_token=bad.ballots.get(position=2).token)
    assert needed(study) == in_a_fresh_process(study) == 1 + 1
    factories.cast(bad, "right")
    assert len(factories.cast(factories.make_rater(study), "left", ballots=9)) == 2
    assert needed(study) == in_a_fresh_process(study) == 0


def test_votes_on_an_excluded_image_that_is_still_shown_are_taken_back_too() -> None:
    study = study_with_target(1, contenders=2, prompts=1)
    first, second = factories.make_rater(study), factories.make_rater(study)
    [ballot] = voting.open_ballots(rater=first)
    assert ballot.left_image is not None
    raters.exclude(study=study, scope="image", target=ballot.left_image, reason="cropped", author=None)
    assert needed(study) == 1
    factories.cast(first, "left")
    assert needed(study) == in_a_fresh_process(study) == 1
    assert len(factories.cast(second, "left", ballots=9)) == 1


def test_only_prompts_of_which_something_is_taken_back_are_counted_again() -> None:
    study = study_with_target(1, contenders=2, prompts=3)
    bad = factories.make_rater(study)
    factories.cast(bad, "left", ballots=3)
    before = stamps_of(study)
    raters.exclude(study=study, scope="ballot", target=bad.ballots.get(position=1), reason="slip", author=None)
    after = stamps_of(study)
    assert [prompt for prompt in before if before[prompt] != after[prompt]] == [
        bad.ballots.get(position=1).study_prompt_id
    ]


def stamps_of(study: Study) -> dict[int, str]:
    needs = targets.needs_of(study, stratum="people", target=1, stock=stock_of(study))
    return {prompt: needs.stamp_of(prompt) for prompt in needs.stock.text_of}


def test_a_readmitted_rater_counts_again() -> None:
    study = study_with_target(1, contenders=2, prompts=2)
    _be_excluded(factories.make_rater(study))
    raters.readmit(exclusion=Exclusion.objects.get(), reason="was awake", author=None)
    assert needed(study) == 0 and voting.open_ballots(rater=factories.make_rater(study)) == []


def test_other_strata_have_targets_of_their_own() -> None:
    study = study_with_target(1, contenders=2, prompts=2)
    factories.cast(factories.make_rater(study, Rater.Kind.SIMULATED), "left", ballots=9)
    assert needed(study) == 2 and len(voting.open_ballots(rater=factories.make_rater(study))) == 2


def test_images_that_come_later_are_asked_about_though_all_before_was_done() -> None:
    study = study_with_target(1, contenders=3, prompts=1)
    late = study.contenders.last()
    assert late is not None
    study.contenders.filter(pk=late.pk).update(withdrawn_at=timezone.now())
    factories.cast(factories.make_rater(study), "left", ballots=9)
    assert PromptNeed.objects.get().open_pairs == 0
    study.contenders.filter(pk=late.pk).update(withdrawn_at=None)
    assert len(factories.cast(factories.make_rater(study), "left", ballots=9)) == 2


def test_the_probability_counts_only_prompts_that_still_lack_votes() -> None:
    study = study_with_target(1, contenders=2, prompts=3)
    first = voting.open_ballots(rater=factories.make_rater(study), wanted=1)[0]
    second = voting.open_ballots(rater=factories.make_rater(study), wanted=1)[0]
    assert [first.probability, second.probability] == pytest.approx([1 / 3, 1 / 2])


def test_what_was_noted_of_a_prompt_is_what_counting_gives() -> None:
    study = study_with_target(2, contenders=3, prompts=3)
    for ballots in (4, 2, 5, 7):
        factories.cast(factories.make_rater(study), "left", ballots=ballots)
        stock = stock_of(study)
        noted = targets.needs_of(study, stratum="people", target=2, stock=stock).open_pairs
        PromptNeed.objects.all().delete()
        assert noted == targets.needs_of(study, stratum="people", target=2, stock=stock).open_pairs


def test_a_rater_gets_the_last_page_when_the_target_is_reached_and_the_study_says_so() -> None:
    study = study_with_target(1, contenders=2, prompts=1)
    factories.cast(factories.make_rater(study), "left")
    browser, _ = joined_browser(study)
    assert browser.get(vote_address(study)).headers["Location"] == reverse("arena:done", args=[study.slug])
    researcher = study.owner
    assert researcher is not None
    browser.force_login(researcher)
    page = browser.get(reverse("arena:study", args=[study.slug])).content.decode()
    assert "Every pair has its 1 vote" in page


def test_the_study_page_says_how_many_votes_are_still_needed() -> None:
    study = study_with_target(3, contenders=3, prompts=1)
    factories.cast(factories.make_rater(study), "left", ballots=2)
    browser, _ = joined_browser(study)
    researcher = study.owner
    assert researcher is not None
    browser.force_login(researcher)
    page = " ".join(browser.get(reverse("arena:study", args=[study.slug])).content.decode().split())
    assert "21 of 27 votes still needed" in page


@pytest.mark.django_db(transaction=True)
def test_raters_who_ask_at_once_never_take_more_than_the_target() -> None:
    study = study_with_target(2, contenders=3, prompts=2)
    people = [factories.make_rater(study) for _ in range(6)]
    together = Barrier(len(people))

    def ask(rater: Rater) -> int:
        try:
            together.wait()
            return len(voting.open_ballots(rater=rater))
        finally:
            connection.close()

    with ThreadPoolExecutor(len(people)) as pool:
        list(pool.map(ask, people))
    held: dict[tuple[int, frozenset[int]], int] = defaultdict(int)
    for prompt, left, right in Ballot.objects.values_list("study_prompt", "left_contender", "right_contender"):
        held[prompt, frozenset((left, right))] += 1
    assert set(held) == every_cell(study) and set(held.values()) == {2}


def test_who_comes_back_after_their_pair_went_to_somebody_else_does_not_get_it_again() -> None:
    study = study_with_target(1, contenders=2, prompts=1)
    slow = factories.make_rater(study)
    [left] = voting.open_ballots(rater=slow)
    Ballot.objects.filter(pk=left.pk).update(lease_until=timezone.now())
    assert voting.resume(slow) == 1  # nobody took it back yet: it still counts as theirs
    Ballot.objects.filter(pk=left.pk).update(lease_until=timezone.now())
    assert voting.expire_abandoned() == 1
    factories.cast(factories.make_rater(study), "left")
    assert voting.resume(slow) == 0 and voting.open_ballots(rater=slow) == []
    assert set(votes_by_cell(study).values()) == {1}


def test_a_target_is_not_reached_where_nothing_can_be_shown_yet() -> None:
    assert not TargetProgress("aesthetics", target=3, pairs=0, wanted=0, still_needed=0, out=0).is_reached
    assert TargetProgress("aesthetics", target=3, pairs=1, wanted=3, still_needed=0, out=0).is_reached
