"""From votes to flags, from flags to a person's decision, and back: the judge table, exclusion and its undoing."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena import fitting, judging, leaving_out, raters
from arena.judge_table import FLAG_WORDS, judge_table
from arena.models import Exclusion, Flag, Rater, Study, StudyMember
from arena.rater_numbers import StudyRaters, _believable_seconds
from tests.arena import factories
from tests.arena.judged_study import add_rater

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    """Eight honest raters and one who always says left."""
    study = factories.make_study(contenders=5, prompts=3, with_text=0, images=False, copies=False)
    rng = np.random.default_rng(3)
    for _ in range(8):
        add_rater(study, rng, votes=40)
    add_rater(study, rng, votes=40, always="left")
    return study


def lefty(study: Study) -> Rater:
    return study.raters.latest("pk")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_who_always_says_left_is_flagged_with_the_statistic_and_nobody_is_excluded(study: Study) -> None:
    assert judging.judge(study) is not None
    flag = Flag.objects.get(rater=lefty(study), kind="one side")
    assert flag.p < 0.001 and flag.statistic["observed"] == 1.0 and flag.statistic["count"] == 40
    assert "prefers the left side in 100 % of 40, expected" in flag.sentence
    assert set(Flag.objects.filter(rater__isnull=False).values_list("rater", flat=True)) == {lefty(study).pk}
    assert not Exclusion.objects.exists()


def test_looking_again_happens_only_after_a_change_and_raises_no_flag_twice(study: Study) -> None:
    judging.judge(study)
    before = set(Flag.objects.values_list("pk", flat=True))
    assert judging.judge(study) is None
    add_rater(study, np.random.default_rng(8), votes=5)
    assert judging.judge(study) is not None
    assert set(Flag.objects.filter(rater=Flag.objects.get(pk=min(before)).rater).values_list("pk", flat=True)) <= before


def test_a_dismissed_flag_stays_away(study: Study) -> None:
    judging.judge(study)
    for flag in Flag.objects.all():
        judging.dismiss(flag, actor=factories.make_user(), reason="I know them")
    add_rater(study, np.random.default_rng(8), votes=5)
    judging.judge(study)
    assert judging.suspected(study) == 0
    assert study.audit_events.filter(act="flag dismissed").exists()


def test_the_table_tells_habits_and_agreement_of_each(study: Study) -> None:
    judging.judge(study)
    table = judge_table(study)
    assert len(table.rows) == 9 and table.rows[0].rater == lefty(study) and table.flagged == (table.rows[0],)
    row = table.rows[0]
    assert (row.votes, row.left_share, row.tie_share, row.median_seconds) == (40, 1.0, 0.0, 6.0)
    assert row.median_gap == pytest.approx(6.0)
    honest = [one.agreement for one in table.rows[1:]]
    assert row.agreement < min(honest) and all(0.5 < share <= 1 for share in honest)
    by_name = [one.name for one in judge_table(study, order="rater").rows]
    assert by_name == sorted(by_name)
    assert judge_table(study, order="password").order == "-flags"


def test_gold_failures_are_flagged_once_over_all_questions(study: Study) -> None:
    found = StudyRaters.read(study)
    checks = {rater.pk: judging_counts(rater == lefty(study)) for rater in study.raters.all()}
    flagged = [each for each in StudyRaters(study, found.rows, frozenset(), checks).suspicions()
               if each.suspicion.kind == "gold"]  # fmt: skip
    assert [(each.suspicion.rater, each.criterion) for each in flagged] == [(lefty(study).pk, None)]


def judging_counts(is_bad: bool) -> Any:
    from arena.special_ballots import CheckCounts

    return CheckCounts(gold_asked=8, gold_right=1 if is_bad else 8)


def test_page_times_that_cannot_be_true_are_replaced_by_the_servers() -> None:
    rows = np.zeros(30, dtype=[("ballot", "i8"), ("at", "f8"), ("page", "f8")])
    rows["ballot"], rows["at"], rows["page"] = np.arange(30), 0.7 * np.arange(30), 8.0
    assert np.nanmedian(_believable_seconds(rows)) == pytest.approx(0.7)
    rows["at"] = 9.0 * np.arange(30)
    assert (_believable_seconds(rows) == 8.0).all()


def test_before_and_after_shows_the_fits_that_follow_and_undoing_brings_the_first_one_back(study: Study) -> None:
    (shown,) = [fit for fit in leaving_out.before_and_after(study, [lefty(study)]) if fit.votes_before]
    before = fitting.refit(study)[0]
    (exclusion,) = leaving_out.exclude_raters(study, [lefty(study)], reason="always left", author=factories.make_user())
    after = fitting.refit(study)[0]

    def strengths(fit: Any) -> dict[str, float]:
        return {one["label"]: one["log_strength"] for one in fit.results["contenders"]}

    assert {place.label: place.before for place in shown.places} == pytest.approx(strengths(before), abs=1e-9)
    assert {place.label: place.after for place in shown.places} == pytest.approx(strengths(after), abs=1e-9)
    assert (shown.votes_before, shown.votes_after) == (360, 320) == (before.vote_count, after.vote_count)
    (back,) = [fit for fit in leaving_out.before_and_after(study, with_again=[lefty(study)]) if fit.votes_before]
    assert {place.label: place.before for place in back.places} == pytest.approx(strengths(after), abs=1e-9)
    assert {place.label: place.after for place in back.places} == pytest.approx(strengths(before), abs=1e-9)
    assert (back.votes_before, back.votes_after) == (320, 360)
    raters.readmit(exclusion=exclusion, reason="a mistake", author=None)
    assert strengths(fitting.refit(study)[0]) == pytest.approx(strengths(before), abs=1e-9)


def test_many_exclusions_in_a_day_raise_an_alarm_that_goes_with_them(study: Study) -> None:
    assert leaving_out.exclusion_alarm(study) == ""
    (exclusion,) = leaving_out.exclude_raters(study, [lefty(study)], reason="left", author=factories.make_user())
    assert leaving_out.exclusion_alarm(study).startswith("In the last day 1 rater with 11 % of all votes was excluded")
    page = signed_in(factories.make_user()).get(reverse("arena:study", args=[study.slug])).content.decode()
    assert "In the last day 1 rater" in page
    Exclusion.objects.filter(pk=exclusion.pk).update(created_at=timezone.now() - timedelta(days=2))
    assert leaving_out.exclusion_alarm(study) == ""


@pytest.mark.once
def test_the_decision_takes_two_steps_and_a_reason(study: Study) -> None:
    judging.judge(study)
    client, address = signed_in(factories.make_user()), reverse("arena:exclude_raters", args=[study.slug])
    chosen = {"rater": lefty(study).public_id}
    shown = client.post(address, chosen)
    assert shown.status_code == 200 and "Nothing is excluded yet" in shown.content.decode()
    refused = client.post(address, {**chosen, "confirm": "yes", "reason": " "})
    assert refused.status_code == 400 and "Say why these votes are taken out." in refused.content.decode()
    assert not Exclusion.objects.exists()
    done = client.post(address, {**chosen, "confirm": "yes", "reason": "always left"}, follow=True)
    assert "Excluded: always left" in done.content.decode()
    back = reverse("arena:readmit_rater", args=[study.slug])
    asked = client.post(back, chosen).content.decode()
    assert "with the votes of this rater back in. Nothing is changed yet." in asked and "always left" in asked
    assert client.post(back, {**chosen, "confirm": "yes", "reason": ""}).status_code == 400
    assert Exclusion.objects.standing().exists()
    client.post(back, {**chosen, "confirm": "yes", "reason": "they explained it"})
    assert not Exclusion.objects.standing().exists()
    assert "is not excluded" in client.post(back, chosen, follow=True).content.decode()


@pytest.mark.once
def test_what_a_flag_means_stands_below_the_table(study: Study) -> None:
    client, page = signed_in(factories.make_user()), reverse("arena:raters", args=[study.slug])
    judging.judge(study)
    shown = client.get(page).content.decode()
    assert FLAG_WORDS["one side"] in shown and FLAG_WORDS["too fast"] not in shown
    numbers = {"observed": 0.5, "expected": 0.5, "count": 9, "contender": "final"}
    for kind in FLAG_WORDS:  # every kind that has words here has a sentence with numbers there
        assert not judging.sentence_of(kind, numbers, 0.1, None).startswith(f"{kind};")


@pytest.mark.once
def test_who_may_see_and_who_may_decide(study: Study) -> None:
    judging.judge(study)
    analyst, stranger = factories.make_user("bob"), factories.make_user("eve")
    StudyMember.objects.create(study=study, user=analyst, role=StudyMember.Role.ANALYST)
    page, exclude = reverse("arena:raters", args=[study.slug]), reverse("arena:exclude_raters", args=[study.slug])
    assert [signed_in(user).get(page).status_code for user in (analyst, stranger)] == [200, 404]
    assert [signed_in(user).post(exclude).status_code for user in (analyst, stranger)] == [403, 404]
    assert Client().get(page).status_code == 302
    for name in ("raters_csv",):
        assert signed_in(stranger).get(reverse(f"arena:{name}", args=[study.slug])).status_code == 404


@pytest.mark.parametrize("extra", [0, 6])
def test_the_page_asks_a_fixed_number_of_queries(study: Study, extra: int, django_assert_num_queries: Any) -> None:
    for number in range(extra):
        add_rater(study, np.random.default_rng(number), votes=10, always="left")
    judging.judge(study)
    client = signed_in(factories.make_user())
    with django_assert_num_queries(7):
        client.get(reverse("arena:raters", args=[study.slug]))


@pytest.mark.once
def test_the_file_holds_every_rater_and_runs_no_formula(study: Study) -> None:
    judging.judge(study)
    leaving_out.exclude_raters(study, [lefty(study)], reason="=1+1", author=factories.make_user())
    lines = signed_in(factories.make_user()).get(reverse("arena:raters_csv", args=[study.slug])).content.decode()
    assert len(lines.splitlines()) == 10 and "'=1+1" in lines and ",=1+1" not in lines


def test_simulated_raters_whose_votes_do_not_count_are_no_suspects(study: Study) -> None:
    judging.judge(study)
    Rater.objects.filter(pk=lefty(study).pk).update(kind=Rater.Kind.SIMULATED)
    assert judging.suspected(study) == 1
    Study.objects.filter(pk=study.pk).update(counts_simulated=False)
    assert judging.suspected(Study.objects.get(pk=study.pk)) == 0
