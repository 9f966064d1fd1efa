"""Gold and repeated ballots: they come at their rates, look like any other, are scored, and enter no fit."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from arena import gold, raters, special_ballots, studies, undoing, voting
from arena.counted_votes import counted_votes
from arena.designs import StudyError, checked_rater_rules
from arena.models import Ballot, BallotCheck, Contender, Gold, Rater, Study, Vote
from arena.models.tokens import random_token
from arena.special_ballots import DISTANCE, CheckCounts, check_counts
from tests.arena import factories

pytestmark = pytest.mark.django_db


def make_study(**rules: float) -> Study:
    study = factories.make_study(contenders=4, prompts=6, with_text=0)
    study.rater_rules = checked_rater_rules({"ballots_per_rater": 30, **rules})
    study.save(update_fields=["rater_rules"])
    return study


def make_gold(study: Study, *, prompt: int = 0, reviewed: bool = True, answer: str = "second") -> Gold:
    first, second = study.contenders.order_by("position")[:2]
    made = gold.propose(
        study=study,
        study_prompt=study.study_prompts.get(position=prompt),
        first=first,
        second=second,
        answers={"aesthetics": answer},
        proposer=study.owner,
    )
    return gold.review(made, reviewer=factories.make_user("grace")) if reviewed else made


def make_checked_rater(study: Study) -> Rater:
    """A rater who is due gold early and something to repeat: whom chance leaves without would make a test fail."""
    rater = factories.make_rater(study)
    gold_share, repeat_share = (study.rater_rules.get(name, 0) for name in ("gold_share", "repeat_share"))

    def is_due(first: int, low: float, high: float) -> bool:
        return any(low <= special_ballots._draw(rater, place) < high for place in range(first, 25))

    while (gold_share and not is_due(1, 0, gold_share)) or (
        repeat_share and not is_due(DISTANCE + 4, gold_share, gold_share + repeat_share)
    ):
        rater.public_id = random_token()
        rater.save(update_fields=["public_id"])
    return rater


def answer_of(ballot: Ballot, better: Contender) -> dict[str, str]:
    side = "left" if ballot.left_contender == better else "right"
    return {criterion.key: side for criterion in ballot.study_prompt.criteria.all()}


def test_gold_comes_at_its_rate_only_once_each_and_only_when_reviewed() -> None:
    study = make_study(gold_share=0.5)
    wanted = {make_gold(study, prompt=prompt).pk for prompt in range(4)}
    make_gold(study, prompt=4, reviewed=False)
    gold.retire(make_gold(study, prompt=5), actor=study.owner)
    rater = make_checked_rater(study)
    factories.cast(rater, "left", ballots=30)
    shown = list(BallotCheck.objects.filter(ballot__rater=rater).values_list("gold", flat=True))
    assert set(shown) <= wanted and len(shown) == len(set(shown)) > 0
    assert rater.ballots.filter(state="answered").count() == 30  # the quota holds for all together


def test_the_place_of_a_special_ballot_is_drawn_once_and_uniformly() -> None:
    study = make_study(gold_share=0.2)
    people = [Rater(study=study, kind="invited") for _ in range(50)]
    drawn = [[special_ballots._draw(rater, place) < 0.2 for place in range(1, 41)] for rater in people]
    assert drawn == [[special_ballots._draw(rater, place) < 0.2 for place in range(1, 41)] for rater in people]
    by_half = [sum(sum(own[half : half + 20]) for own in drawn) for half in (0, 20)]
    # 1,000 draws each of probability 0.2: a standard deviation of 13
    assert all(140 < count < 260 for count in by_half)


def test_a_repetition_shows_an_answered_pair_with_sides_swapped_after_a_while() -> None:
    study = make_study(repeat_share=0.5)
    rater = make_checked_rater(study)
    factories.cast(rater, "left", ballots=30)
    checks = list(BallotCheck.objects.filter(ballot__rater=rater).select_related("ballot", "repeats"))
    assert checks and len({check.repeats_id for check in checks}) == len(checks)
    for check in checks:
        again, before = check.ballot, check.repeats
        assert before is not None and again.purpose == "repeat" and again.position - before.position >= DISTANCE
        assert (again.left_image_id, again.right_image_id) == (before.right_image_id, before.left_image_id)
        assert (again.left_contender, again.right_contender) == (before.right_contender, before.left_contender)


def test_answers_on_special_ballots_enter_no_fit() -> None:
    study = make_study(gold_share=0.25, repeat_share=0.25)
    for prompt in range(4):
        make_gold(study, prompt=prompt)
    rater = make_checked_rater(study)
    factories.cast(rater, "left", ballots=30)
    special = Vote.objects.filter(rater=rater, ballot__check_against__isnull=False)
    assert special.exists() and not special.filter(is_ordinary=True).exists()
    assert not counted_votes(study).filter(pk__in=special.values("pk")).exists()


def test_answers_are_scored_against_gold_and_against_what_was_said_before() -> None:
    study = make_study(gold_share=0.25, repeat_share=0.25)
    for prompt in range(6):
        make_gold(study, prompt=prompt, answer="second")
    second = study.contenders.get(position=1)
    steady, lefty = make_checked_rater(study), make_checked_rater(study)
    while queue := voting.open_ballots(rater=steady, wanted=1):
        better = queue[0].left_contender
        if queue[0].right_contender == second or queue[0].right_contender.position > better.position:
            better = queue[0].right_contender
        better = second if queue[0].left_contender == second else better
        voting.cast_votes(rater=steady, ballot_token=queue[0].token, answers=answer_of(queue[0], better))
    factories.cast(lefty, "left", ballots=30)
    counts = check_counts(study)
    own = counts[steady.pk]
    assert own.gold_asked == own.gold_right > 0 and own.repeats == own.repeated_same > 0
    # Whoever always says left contradicts themselves on every repetition, and is right on gold by the toss of a coin.
    assert counts[lefty.pk].repeats > 0 == counts[lefty.pk].repeated_same
    asked = BallotCheck.objects.filter(ballot__rater=lefty, gold__isnull=False)
    right = [check for check in asked if check.gold and check.ballot.left_image_id == check.gold.second_image_id]
    assert counts[lefty.pk] == CheckCounts(len(asked), len(right), counts[lefty.pk].repeats, 0)


def page_shape(client: Client, study: Study) -> tuple[str, list[str]]:
    """The vote page with everything taken out that differs between any two ballots, and its headers' names."""
    response = client.get(reverse("arena:vote", args=[study.slug]))
    html = response.content.decode()
    html = re.sub(r"[0-9a-f]{32}", "TOKEN", html)
    html = re.sub(r"number \d+|\d+ of \d+[^<]*|value=\"\d+\"|csrfmiddlewaretoken\" value=\"\w+\"", "N", html)
    return html, sorted(response.headers)


@pytest.mark.once
def test_the_pages_of_ordinary_gold_and_repeated_ballots_are_the_same() -> None:
    study = make_study(gold_share=0.25, repeat_share=0.25, ballots_per_rater=60)
    for prompt in range(6):
        make_gold(study, prompt=prompt)
    client, (_, token) = Client(), raters.invite(study=study)
    client.post(reverse("arena:join", args=[token]), {"agree": "yes"})
    rater = study.raters.get()
    shapes: dict[str, set[str]] = {}
    while len(shapes) < 3 and voting.open_ballots(rater=rater, wanted=1):
        html, headers = page_shape(client, study)
        ballot = Ballot.objects.filter(rater=rater, state="open").order_by("position")[0]
        shapes.setdefault(ballot.purpose, set()).add(re.sub(r"\s+", " ", html) + str(headers))
        answers = {f"answer.{criterion.key}": "left" for criterion in ballot.study_prompt.criteria.all()}
        client.post(reverse("arena:vote", args=[study.slug]), {"ballot": ballot.token, **answers})
    assert set(shapes) == {"ordinary", "gold", "repeat"}
    assert shapes["gold"] <= shapes["ordinary"] and shapes["repeat"] <= shapes["ordinary"]


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"answers": {}}, "no_answers"),
        ({"answers": {"beauty": "first"}}, "not_asked"),
        ({"answers": {"aesthetics": "left"}}, "no_such_answer"),
        ({"second": "first"}, "same_contender"),
        ({"sample": 3}, "no_such_sample"),
    ],
)
def test_a_proposal_that_makes_no_sense_is_refused(change: dict[str, object], code: str) -> None:
    study = make_study()
    first, second = study.contenders.order_by("position")[:2]
    said = {"first": first, "second": second, "answers": {"aesthetics": "first"}, **change}
    said["second"] = first if said["second"] == "first" else second
    with pytest.raises(gold.GoldError) as refusal:
        gold.propose(study=study, study_prompt=study.study_prompts.get(position=0), proposer=None, **said)  # type: ignore[arg-type]
    assert refusal.value.code == code and not Gold.objects.exists()


@pytest.mark.parametrize(
    "shares", [{"gold_share": -0.1}, {"gold_share": "a"}, {"gold_share": 0.3, "repeat_share": 0.3}]
)
def test_shares_that_leave_no_room_for_the_study_are_refused(shares: dict[str, object]) -> None:
    study = factories.make_study(opened=False, images=False, copies=False)
    with pytest.raises(StudyError, match="at most 0.5 together"):
        studies.change_draft(study, actor=None, rater_rules=shares)


def test_an_undone_answer_to_gold_is_judged_by_the_second_one_alone() -> None:
    study = make_study(gold_share=0.5)
    make_gold(study)
    rater = make_checked_rater(study)
    while (ballot := voting.open_ballots(rater=rater, wanted=1)[0]).purpose != Ballot.Purpose.GOLD:
        factories.cast(rater, "left")
    wrong, right = (study.contenders.get(position=position) for position in (0, 1))
    voting.cast_votes(rater=rater, ballot_token=ballot.token, answers=answer_of(ballot, wrong))
    assert check_counts(study)[rater.pk] == CheckCounts(gold_asked=1, gold_right=0)
    again = undoing.undo(rater=rater, ballot_token=ballot.token)
    assert check_counts(study) == {}
    voting.cast_votes(rater=rater, ballot_token=again.token, answers=answer_of(again, right))
    assert check_counts(study)[rater.pk] == CheckCounts(gold_asked=1, gold_right=1)


def test_a_pair_that_was_shown_with_a_known_answer_does_not_come_again_as_an_ordinary_one() -> None:
    study = factories.make_study(contenders=2, prompts=4, with_text=0)
    study.rater_rules = checked_rater_rules({"ballots_per_rater": 30, "gold_share": 0.5})
    study.save(update_fields=["rater_rules"])
    make_gold(study)
    rater = make_checked_rater(study)
    while special_ballots._draw(rater, 1) >= 0.5:
        rater.public_id = random_token()
        rater.save(update_fields=["public_id"])
    factories.cast(rater, "left", ballots=9)
    shown = [frozenset(pair) for pair in rater.ballots.values_list("left_image", "right_image")]
    assert rater.ballots.get(position=1).purpose == Ballot.Purpose.GOLD
    assert len(shown) == len(set(shown)) == 4
