"""What the arena's periodic tasks do when they are called."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from arena import tasks
from arena.models import Ballot, DisplayCopy, RuleTie, Study
from arena.timetable import BEAT_SCHEDULE, WAITED_FOR
from arena.voting import open_ballots
from tests.arena import factories

pytestmark = pytest.mark.django_db


def test_copies_and_rule_ties_are_made_for_studies_that_raters_can_reach() -> None:
    open_study = factories.make_study(slug="open", contenders=2, prompts=2, copies=False)
    same = factories.png_of((5, 5, 5))
    text = open_study.study_prompts.get(position=1).prompt.text
    for contender in open_study.contenders.all():
        contender.recipe.images.filter(prompt_text=text).delete()
        factories.make_image(recipe=contender.recipe, prompt_text=text, data=same)
    factories.make_study(slug="draft", contenders=2, prompts=2, copies=False, opened=False)
    closed = factories.make_study(slug="closed", contenders=2, prompts=2, copies=False)
    Study.objects.filter(pk=closed.pk).update(state="closed")
    tasks.prepare_display_copies()
    assert DisplayCopy.objects.count() == 3
    assert RuleTie.objects.get().study == open_study
    tasks.prepare_display_copies()
    assert (DisplayCopy.objects.count(), RuleTie.objects.count()) == (3, 1)


def test_identical_images_whose_file_had_a_copy_already_still_become_a_rule_tie() -> None:
    study = factories.make_study(contenders=2, prompts=1, images=False, copies=False)
    text = study.study_prompts.get().prompt.text
    for contender in study.contenders.all():
        factories.make_image(recipe=contender.recipe, prompt_text=text, data=factories.png_of((5, 5, 5)))
        tasks.prepare_display_copies()
    assert DisplayCopy.objects.count() == 1 and RuleTie.objects.count() == 1


def test_abandoned_ballots_are_taken_back() -> None:
    rater = factories.make_rater(factories.make_study())
    open_ballots(rater=rater)
    Ballot.objects.filter(position__lte=2).update(lease_until=timezone.now() - timedelta(seconds=1))
    tasks.expire_abandoned_ballots()
    assert list(rater.ballots.order_by("position").values_list("state", flat=True)) == ["expired", "expired", "open"]


@pytest.mark.parametrize("name", sorted(entry["task"] for entry in BEAT_SCHEDULE.values()))
def test_every_task_that_beat_sends_exists(name: str) -> None:
    assert callable(getattr(tasks, name.rpartition(".")[2]))


def test_a_busy_worker_drops_what_only_programs_wait_for_before_what_people_wait_for() -> None:
    patience = {entry["task"].rpartition(".")[2]: entry["options"]["expires"] for entry in BEAT_SCHEDULE.values()}
    fillers = ("let_simulated_raters_vote", "measure_readable_images")
    assert min(patience[task] for task in WAITED_FOR) > max(patience[task] for task in fillers)


def test_sessions_that_are_over_are_thrown_away_and_others_are_not() -> None:
    for name, days in (("over", -1), ("lives", 1)):
        Session.objects.create(session_key=name, session_data="", expire_date=timezone.now() + timedelta(days=days))
    tasks.forget_ended_sessions()
    assert [session.session_key for session in Session.objects.all()] == ["lives"]
