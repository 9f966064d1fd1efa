"""A withdrawn image is met nowhere and counted nowhere, until it is restored."""

import threading
from collections.abc import Iterable

import pytest
from django.contrib.auth.models import AnonymousUser, Permission
from django.db import IntegrityError, connection, transaction

from arena import display, fitting, image_safety, raters, voting
from arena.image_safety import ImageSafetyError, may_see, may_withdraw, report_image, restore_image, withdraw_image
from arena.models import AuditEvent, Ballot, Exclusion, ImageReport, Rater, RuleTie, Study, Vote
from generation.models import Image
from tests.arena import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    """Three contenders and four prompts, all images ready."""
    return factories.make_study(contenders=3, prompts=4)


def withdrawn(image: Image, kind: str = "disturbing", reason: str = "blood") -> ImageReport:
    return withdraw_image(image=image, kind=kind, reason=reason, author=factories.make_user())


def left_image(ballot: Ballot) -> Image:
    assert ballot.left_image is not None
    return ballot.left_image


def images_on_offer(rater: Rater) -> set[int]:
    """All images that this rater ever gets, by answering all there is."""
    while factories.cast(rater, "left"):
        pass
    shown = rater.ballots.filter(state=Ballot.State.ANSWERED).values_list("left_image", "right_image")
    return {pk for pair in shown for pk in pair if pk is not None}


def test_an_open_ballot_with_it_is_taken_back_and_replaced(study: Study) -> None:
    rater = factories.make_rater(study)
    queue = voting.open_ballots(rater=rater)
    image = left_image(queue[0])
    withdrawn(image)
    queue[0].refresh_from_db()
    assert queue[0].state == Ballot.State.EXPIRED
    instead = voting.open_ballots(rater=rater)
    assert len(instead) == 3 and queue[0] not in instead
    assert all(image.pk not in (ballot.left_image_id, ballot.right_image_id) for ballot in instead)


def test_an_answer_to_it_is_refused_with_the_reason_and_nothing_is_stored(study: Study) -> None:
    rater = factories.make_rater(study)
    [ballot] = voting.open_ballots(rater=rater, wanted=1)
    withdrawn(left_image(ballot))
    answers = dict.fromkeys(ballot.study_prompt.criteria.values_list("key", flat=True), "left")
    with pytest.raises(voting.VotingError, match=r"An image of this pair was withdrawn meanwhile: reload"):
        voting.cast_votes(rater=rater, ballot_token=ballot.token, answers=answers)
    assert not Vote.objects.exists()


def test_no_rater_ever_meets_it_again(study: Study) -> None:
    image = Image.objects.earliest("pk")
    withdrawn(image)
    assert image.pk not in images_on_offer(factories.make_rater(study))
    image.refresh_from_db()
    assert display.copy_of(image, study=study) is None
    restore_image(image=image, reason="a mix-up", author=None)
    assert image.pk in images_on_offer(factories.make_rater(study))


def test_its_votes_leave_the_fits_and_come_back(study: Study) -> None:
    for _ in range(4):
        images_on_offer(factories.make_rater(study))
    image = Image.objects.filter(recipe=study.contenders.earliest("position").recipe).earliest("pk")
    before = {fit.criterion_id: fit.vote_count for fit in fitting.refit(study)}
    votes = Vote.objects.count()
    report = withdrawn(image)
    without = {fit.criterion_id: fit.vote_count for fit in fitting.refit(study)}
    assert all(0 < without[key] < before[key] for key in before)
    [exclusion] = report.exclusions.all()
    assert (exclusion.scope, exclusion.image, exclusion.study) == ("image", image, study)
    assert exclusion.reason == "image withdrawn, disturbing: blood"
    restore_image(image=image, reason="a mix-up", author=None)
    assert {fit.criterion_id: fit.vote_count for fit in fitting.refit(study)} == before
    assert Exclusion.objects.get(revokes=exclusion).reason == "image restored: a mix-up"
    assert Vote.objects.count() == votes


def test_what_was_excluded_by_hand_stays_excluded_when_it_is_restored(study: Study) -> None:
    image = Image.objects.earliest("pk")
    by_hand = raters.exclude(study=study, scope="image", target=image, reason="wrong size", author=None)
    report = withdrawn(image)
    assert not report.exclusions.exists()
    restore_image(image=image, reason="fine", author=None)
    assert list(Exclusion.objects.standing()) == [by_hand]


def test_the_same_picture_goes_under_every_name_and_in_every_study(study: Study) -> None:
    data = factories.png_of((9, 9, 9))
    recipes = [contender.recipe for contender in study.contenders.order_by("position")]
    prompt = study.study_prompts.latest("position").prompt
    Image.objects.filter(recipe__in=recipes[:2], prompt_digest=prompt.text_digest).delete()
    one, two = (factories.make_image(recipe=recipe, prompt_text=prompt.text, data=data) for recipe in recipes[:2])
    image_safety._record_ties([one])
    assert RuleTie.objects.count() == 1
    report = withdrawn(one)
    two.refresh_from_db()
    assert two.is_quarantined and report.exclusions.count() == 2 and not RuleTie.objects.exists()
    restore_image(image=two, reason="fine", author=None)
    assert not Image.objects.filter(is_quarantined=True).exists() and not Exclusion.objects.standing().exists()
    assert RuleTie.objects.count() == 1


def test_every_act_is_a_row_and_an_event(study: Study) -> None:
    image, ada = Image.objects.earliest("pk"), factories.make_user()
    report_image(image=image, kind="broken", reason=" half grey ", author=ada, study=study)
    withdrawn(image)
    restore_image(image=image, reason="fine", author=ada)
    rows = ImageReport.objects.order_by("pk").values_list("act", "kind", "reason", "author", "image")
    assert list(rows) == [
        ("reported", "broken", "half grey", ada.pk, image.pk),
        ("withdrawn", "disturbing", "blood", ada.pk, image.pk),
        ("restored", "", "fine", ada.pk, image.pk),
    ]
    acts = AuditEvent.objects.filter(study=study, actor=ada).order_by("pk").values_list("act", flat=True)
    assert list(acts)[-5:] == [
        *("image reported", "votes excluded", "image withdrawn", "votes readmitted", "image restored"),
    ]
    told = AuditEvent.objects.get(act="image withdrawn").detail
    assert (told["image"], told["kind"], told["reason"]) == (image.pk, "disturbing", "blood")


def test_an_image_of_no_study_is_noted_for_the_site() -> None:
    image = factories.make_image(recipe=factories.make_recipe("alone"), prompt_text="a sign")
    assert not withdrawn(image).exclusions.exists()
    assert AuditEvent.objects.get(act="image withdrawn").study is None


def test_a_report_alone_takes_nothing_away(study: Study) -> None:
    image = Image.objects.earliest("pk")
    report_image(image=image, kind="broken", reason="half grey", author=None)
    image.refresh_from_db()
    assert not image.is_quarantined and not Exclusion.objects.exists()


@pytest.mark.parametrize(
    ("kind", "reason", "code"),
    [("broken", "  \0", "no_reason"), ("ugly", "blood", "bad_kind"), ("broken", "x" * 1001, "long_reason")],
)
def test_a_withdrawal_without_kind_or_reason_is_refused(study: Study, kind: str, reason: str, code: str) -> None:
    with pytest.raises(ImageSafetyError) as refused:
        withdrawn(Image.objects.earliest("pk"), kind, reason)
    assert refused.value.code == code and not Image.objects.filter(is_quarantined=True).exists()


def test_nothing_is_withdrawn_or_restored_twice(study: Study) -> None:
    image = Image.objects.earliest("pk")
    with pytest.raises(ImageSafetyError, match=r"This image is not withdrawn\."):
        restore_image(image=image, reason="fine", author=None)
    withdrawn(image)
    with pytest.raises(ImageSafetyError, match=r"This image is withdrawn already\."):
        withdrawn(image)
    assert ImageReport.objects.count() == 1 and Exclusion.objects.count() == 1


def test_a_raters_report_fits_the_rows_and_is_made_once(study: Study) -> None:
    image, rater = Image.objects.earliest("pk"), factories.make_rater(study)
    said = {"image": image, "study": study, "kind": "broken", "reason": "not_shown", "rater": rater}
    ImageReport.objects.create(act="reported", **said)
    for act, author in (("reported", None), ("withdrawn", None), ("reported", factories.make_user())):
        with pytest.raises(IntegrityError), transaction.atomic():
            ImageReport.objects.create(act=act, author=author, **said)


def test_an_image_that_did_not_show_and_then_disturbs_is_reported_as_both(study: Study) -> None:
    rater = factories.make_rater(study)
    [ballot] = voting.open_ballots(rater=rater, wanted=1)
    for kind in ("broken", "disturbing", "broken"):  # as on later pairs that hold it too
        image_safety.report_by_rater(ballot=ballot, sides=["left"], kind=kind)
    reports = ImageReport.objects.filter(image=left_image(ballot)).order_by("pk")
    assert list(reports.values_list("kind", "rater")) == [("broken", rater.pk), ("disturbing", rater.pk)]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_rater_reports_an_image_while_it_is_withdrawn(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    rater = factories.make_rater(study)
    [ballot] = voting.open_ballots(rater=rater, wanted=1)
    expire, holds_images = image_safety._expire_open_ballots, threading.Event()

    def expire_and_say(pictures: Iterable[Image]) -> None:
        holds_images.set()
        expire(pictures)

    def withdraw() -> None:
        try:
            withdrawn(left_image(ballot))
        finally:
            connection.close()

    monkeypatch.setattr(image_safety, "_expire_open_ballots", expire_and_say)
    manager = threading.Thread(target=withdraw)
    with transaction.atomic():
        voting.cast_votes(rater=rater, ballot_token=ballot.token, answers={}, skip_reason="disturbing")
        manager.start()
        assert holds_images.wait(30)
        image_safety.report_by_rater(ballot=ballot, sides=["left"], kind="disturbing")
    manager.join()
    acts = ImageReport.objects.filter(image=left_image(ballot)).order_by("act").values_list("act", flat=True)
    assert list(acts) == ["reported", "withdrawn"]


def test_owners_of_all_studies_that_have_it_and_those_with_the_right_may_withdraw(study: Study) -> None:
    image = Image.objects.earliest("pk")
    owner, stranger, analyst, carer = (factories.make_user(name) for name in ("ada", "eve", "ann", "cal"))
    study.members.create(user=analyst, role="analyst")
    carer.user_permissions.add(Permission.objects.get(codename="change_image"))
    people = {"owner": owner, "stranger": stranger, "analyst": analyst, "carer": carer}
    assert {name for name, user in people.items() if may_see(user, image)} == {"owner", "analyst", "carer"}
    assert {name for name, user in people.items() if may_withdraw(user, image)} == {"owner", "carer"}
    assert not may_see(AnonymousUser(), image) and not may_withdraw(AnonymousUser(), image)
    study.members.filter(user=analyst).update(role="owner")
    assert may_withdraw(analyst, image)
    other = factories.make_study(slug="other", contenders=2, prompts=1, images=False, owner=stranger)
    other.contenders.filter(position=0).update(recipe=image.recipe)
    other.study_prompts.update(prompt=study.study_prompts.get(prompt__text_digest=image.prompt_digest).prompt)
    assert not may_withdraw(owner, image) and not may_withdraw(stranger, image) and may_see(stranger, image)
