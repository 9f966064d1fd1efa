"""A contender that joins an open study: what stays as it was, and whose pairs are asked next."""

from collections import Counter

import pytest

from arena import fitting, newcomers, pair_plans, studies, voting
from arena.designs import StudyError, design_digest
from arena.intake import take_in_images
from arena.models import AuditEvent, Ballot, Contender, Study, Vote
from arena.pair_designs import ONE_FACTOR, allowed_pairs
from arena.stock import read_stock
from tests.arena import factories

pytestmark = pytest.mark.django_db


def open_study(rule: str = "balanced", *, prompts: int = 2, **design: object) -> Study:
    return factories.make_study(
        contenders=3, prompts=prompts, ballots_per_rater=None, design={"pair_rule": rule, **design}, with_text=0
    )


def join(study: Study, *, steps: int = 16, with_images: bool = True) -> Contender:
    recipe = factories.make_recipe(f"late, {steps} steps", steps=steps, checkpoint="late")
    if with_images:
        for row in study.study_prompts.select_related("prompt"):
            factories.make_image(recipe=recipe, prompt_text=row.prompt.text)
    joined = newcomers.add_contender(study, recipe=recipe, label="", reason="this week's", actor=study.owner)
    take_in_images(study=study)
    return joined


def pairs_shown(study: Study, *, after: int) -> Counter[frozenset[int]]:
    ballots = Ballot.objects.filter(study=study, pk__gt=after).values_list("left_contender", "right_contender")
    return Counter(frozenset(pair) for pair in ballots)


def newest_ballot(study: Study) -> int:
    return Ballot.objects.filter(study=study).latest("pk").pk


def test_votes_so_far_count_as_before_and_the_frozen_design_stands() -> None:
    study = open_study()
    factories.cast(factories.make_rater(study), "left", ballots=6)
    before = [fit.vote_count for fit in fitting.refit(study)]
    votes = list(Vote.objects.order_by("pk").values())
    joined = join(study)
    study.refresh_from_db()
    assert list(Vote.objects.order_by("pk").values()) == votes
    assert design_digest(study) == study.frozen_digest and joined.label == "late, 16 steps"
    assert [fit.vote_count for fit in fitting.refit(study)] == before
    factories.cast(factories.make_rater(study), "left", ballots=4)
    after = fitting.refit(study)
    assert [fit.vote_count for fit in after] == [count + 4 for count in before]
    rows = [row for fit in after for row in fit.results["contenders"] if row["id"] == joined.pk]
    assert [row["label"] for row in rows] == ["late, 16 steps"] * len(after)
    amendment = study.amendments.get()
    assert (amendment.author, amendment.reason) == (study.owner, "this week's")
    assert amendment.change["recipe"] == joined.recipe.digest
    assert AuditEvent.objects.filter(study=study, act="contender joined").count() == 1


@pytest.mark.parametrize("rule", ["balanced", "uniform", "adaptive", "lmarena"])
def test_its_pairs_are_asked_first_until_they_have_caught_up(rule: str) -> None:
    study = open_study(rule, prompts=1)
    for _ in range(2):
        factories.cast(factories.make_rater(study), "left", ballots=3)
    last = newest_ballot(study)
    joined = join(study)
    pair_plans.refresh_plans()
    for _ in range(2):
        factories.cast(factories.make_rater(study), "left", ballots=3)
    # Three new pairs, twice: as often as each old pair had been shown.
    shown = pairs_shown(study, after=last)
    assert sum(shown.values()) == 6 and all(joined.pk in pair for pair in shown)
    assert set(shown.values()) == {2}
    last = newest_ballot(study)
    for _ in range(3):
        factories.cast(factories.make_rater(study), "left", ballots=5)
    assert any(joined.pk not in pair for pair in pairs_shown(study, after=last))


def test_the_ballot_says_that_newcomers_went_first_and_with_which_chance() -> None:
    study = open_study("uniform")
    factories.cast(factories.make_rater(study), "left", ballots=6)
    join(study)
    ballot = voting.open_ballots(rater=factories.make_rater(study), wanted=1)[0]
    assert ballot.rule == "uniform, newcomers first"
    assert ballot.probability == pytest.approx(1 / 6)


def test_under_a_target_only_the_new_pairs_are_asked() -> None:
    study = open_study(target_votes=1)
    factories.cast(factories.make_rater(study), "left", ballots=10)
    assert voting.open_ballots(rater=factories.make_rater(study)) == []
    last = newest_ballot(study)
    joined = join(study)
    factories.cast(factories.make_rater(study), "left", ballots=10)
    shown = pairs_shown(study, after=last)
    assert sum(shown.values()) == 6 and all(joined.pk in pair for pair in shown)


def test_under_pairs_with_the_baseline_it_meets_only_that() -> None:
    study = open_study(pairs="baseline")
    joined = join(study)
    looks = [look for shelf in read_stock(study).shelves.values() for look in shelf.looks if joined.pk in look.pair]
    baseline = study.contenders.get(is_baseline=True).pk
    assert len(looks) == 2 and all(baseline in look.pair for look in looks)


def test_its_images_are_asked_for_with_the_studys_run() -> None:
    study = open_study()
    studies.ask_for_images(study)
    joined = join(study, with_images=False)
    study.refresh_from_db()
    assert study.run is not None and study.run.jobs.filter(recipe=joined.recipe, state="pending").count() == 2


def test_what_cannot_join_is_refused_with_its_reason() -> None:
    study = open_study()
    recipe = factories.make_recipe("late", steps=3, checkpoint="late")
    small = factories.make_recipe("small", steps=3, checkpoint="late", size=32)
    here = study.contenders.select_related("recipe").first()
    assert here is not None
    for chosen, label, reason, code in (
        (recipe, "", "", "no_reason"),
        (recipe, here.label, "why", "twice"),
        (here.recipe, "another", "why", "twice"),
        (small, "", "why", "too_small"),
        (recipe, "x" * 201, "why", "long_label"),
    ):
        with pytest.raises(StudyError) as refused:
            newcomers.add_contender(study, recipe=chosen, label=label, reason=reason, actor=None)
        assert refused.value.code == code
    studies.close_study(study, actor=None)
    with pytest.raises(StudyError, match="is closed: contenders join only an open one"):
        newcomers.add_contender(study, recipe=recipe, label="", reason="why", actor=None)
    assert study.contenders.count() == 3 and not study.amendments.exists()


def test_a_contender_that_would_cut_the_pairs_into_groups_is_refused() -> None:
    study = open_study(pairs=ONE_FACTOR)
    # No other is one factor away from the first of these, so it meets the baseline: until the second one joins.
    alone = join(study, steps=10)
    assert allowed_pairs(study) is not None and sum(alone.pk in pair for pair in allowed_pairs(study) or ()) == 1
    second = factories.make_recipe("late, 20 steps", steps=20, checkpoint="late")
    with pytest.raises(StudyError, match="'late, 20 steps' the pairs of this study would fall into groups") as refused:
        newcomers.add_contender(study, recipe=second, label="", reason="why", actor=None)
    assert refused.value.code == "unconnected" and study.contenders.count() == 4
    used = study.contenders.select_related("recipe__schedule").earliest("pk").recipe.schedule
    assert used is not None
    between = factories.make_recipe("late, between", steps=used.steps, checkpoint="late")
    for recipe in (between, second):
        newcomers.add_contender(study, recipe=recipe, label="", reason="why", actor=None)
    assert study.contenders.count() == 6
