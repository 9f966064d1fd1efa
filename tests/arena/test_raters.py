"""Invitations, consent, progress, exclusion and its reversal."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from arena import raters, studies, voting
from arena.counted_votes import selections_of
from arena.criteria import PRESETS
from arena.models import Ballot, Exclusion, Invitation, Rater, Study, Vote
from arena.raters import ExclusionError, InvitationError, RaterProgress, exclude, invitation_of, invite, join, readmit
from generation.models import Image
from tests.arena import factories

pytestmark = pytest.mark.django_db

CONSENT = "My votes are kept without my name."


@pytest.fixture
def study() -> Study:
    return factories.make_study(contenders=3, prompts=3, with_text=0, ballots_per_rater=8)


# --- invitations ------------------------------------------------------------------------------------------------------
def test_only_the_hash_of_a_link_is_stored(study: Study) -> None:
    invitation, token = invite(study=study, label="lab", created_by=study.owner)
    assert len(bytes.fromhex(token)) == 16
    assert invitation.token_sha256 == sha256(token.encode()).hexdigest()
    assert invitation_of(token) == invitation
    event = study.audit_events.get(act="invitation made")
    assert (event.actor, event.detail) == (
        study.owner,
        {"invitation": invitation.pk, "most_uses": None},
    )


def test_whoever_joins_becomes_a_rater_with_the_consent_they_gave(study: Study) -> None:
    invitation, _ = invite(study=study)
    rater = join(invitation=invitation, consent_text=CONSENT)
    assert (rater.study, rater.kind, rater.stratum, rater.invitation) == (study, "invited", "people", invitation)
    consent = rater.consents.get()
    assert (consent.text, consent.version) == (CONSENT, sha256(CONSENT.encode()).hexdigest())
    invitation.refresh_from_db()
    assert invitation.uses == 1


def _expire(invitation: Invitation) -> None:
    Invitation.objects.filter(pk=invitation.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def _revoke(invitation: Invitation) -> None:
    raters.revoke(invitation=invitation, actor=None)


def _use_up(invitation: Invitation) -> None:
    Invitation.objects.filter(pk=invitation.pk).update(most_uses=1)
    join(invitation=invitation, consent_text=CONSENT)


def _close(invitation: Invitation) -> None:
    studies.close_study(invitation.study, actor=None)


def _draft(invitation: Invitation) -> None:
    Study.objects.filter(pk=invitation.study_id).update(state="draft")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_expire, "expired"),
        (_revoke, "revoked"),
        (_use_up, "used_up"),
        (_close, "study_closed"),
        (_draft, "not_open_yet"),
    ],
)
def test_a_link_that_lets_nobody_in_says_why(study: Study, spoil: Callable[[Invitation], None], code: str) -> None:
    stale, token = invite(study=study)
    spoil(stale)
    before = Rater.objects.count()
    with pytest.raises(InvitationError) as refused:
        invitation_of(token)
    assert refused.value.code == code and refused.value.sentence.endswith(".")
    # Somebody who opened the page in time and accepts too late is refused as well.
    with pytest.raises(InvitationError) as refused:
        join(invitation=stale, consent_text=CONSENT)
    assert refused.value.code == code and Rater.objects.count() == before


@pytest.mark.parametrize("token", ["", "nonsense", "0" * 32, "\x00", "é" * 10])
def test_an_unknown_link_is_refused(token: str) -> None:
    with pytest.raises(InvitationError) as refused:
        invitation_of(token)
    assert refused.value.code == "unknown_invitation"


def test_a_paused_study_still_lets_people_join(study: Study) -> None:
    invitation, token = invite(study=study)
    studies.pause_study(study, actor=None)
    assert join(invitation=invitation_of(token), consent_text=CONSENT).study == study


@pytest.mark.parametrize(("wrong", "code"), [({"most_uses": 0}, "bad_uses"), ({"days": -1}, "bad_expiry")])
def test_an_invitation_nobody_could_use_is_refused(study: Study, wrong: dict[str, int], code: str) -> None:
    expires_at = timezone.now() + timedelta(days=wrong["days"]) if "days" in wrong else None
    with pytest.raises(InvitationError) as refused:
        invite(study=study, most_uses=wrong.get("most_uses"), expires_at=expires_at)
    assert refused.value.code == code and not Invitation.objects.exists()


def test_the_database_knows_how_often_a_link_may_be_used(study: Study) -> None:
    invitation, _ = invite(study=study, most_uses=2)
    with pytest.raises(IntegrityError, match="an_invitation_is_not_used_up_twice"), transaction.atomic():
        Invitation.objects.filter(pk=invitation.pk).update(uses=3)


@pytest.mark.django_db(transaction=True)
def test_a_link_for_two_lets_in_two_of_six_who_come_at_once(study: Study) -> None:
    invitation, _ = invite(study=study, most_uses=2)
    together = Barrier(6)

    def come(_: int) -> str:
        try:
            together.wait()
            join(invitation=invitation, consent_text=CONSENT)
            return "in"
        except InvitationError as refused:
            return refused.code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(come, range(6))) == ["in", "in"] + ["used_up"] * 4
    assert Rater.objects.count() == 2


# --- progress ---------------------------------------------------------------------------------------------------------
def test_progress_before_the_first_answer_guesses_the_pace(study: Study) -> None:
    expected = RaterProgress(answered=0, quota=8, median_seconds=None, minutes_left=8 * 10 / 60)
    assert raters.progress_of(factories.make_rater(study)) == expected


def test_progress_takes_the_pace_from_the_page_where_it_measured(study: Study) -> None:
    rater = factories.make_rater(study)
    factories.cast(rater, "left", ballots=3)
    assert raters.progress_of(rater) == RaterProgress(
        answered=3, quota=8, median_seconds=1.5, minutes_left=5 * 1.5 / 60
    )


def test_progress_falls_back_on_our_own_clock_and_leaves_pauses_out(study: Study) -> None:
    rater = factories.make_rater(study)
    for seconds in (4, 6, 4000):
        ballot = raters_next(rater)
        shown = timezone.now() - timedelta(seconds=seconds)
        Ballot.objects.filter(pk=ballot.pk).update(state="answered", shown_at=shown, answered_at=timezone.now())
    median = raters.progress_of(rater).median_seconds
    assert median is not None and abs(median - 5) < 0.5


def raters_next(rater: Rater) -> Ballot:
    return voting.open_ballots(rater=rater, wanted=1)[0]


def test_without_a_quota_there_is_no_time_left() -> None:
    study = factories.make_study(slug="endless", ballots_per_rater=None)
    rater = factories.make_rater(study)
    factories.cast(rater, "left")
    assert raters.progress_of(rater) == RaterProgress(answered=1, quota=None, median_seconds=1.5, minutes_left=None)


@pytest.mark.parametrize(("share", "promised"), [(0, 6), (0.25, 8), (0.4, 9)])
def test_nobody_is_promised_more_pairs_than_there_are(share: float, promised: int) -> None:
    study = factories.make_study(slug="small", contenders=3, prompts=2, with_text=0, ballots_per_rater=9)
    Study.objects.filter(pk=study.pk).update(rater_rules=study.rater_rules | {"repeat_share": share})
    assert raters.progress_of(factories.make_rater(study)).quota == promised


def test_while_images_lack_the_planned_pairs_are_promised() -> None:
    study = factories.make_study(slug="small", contenders=3, prompts=2, with_text=0, ballots_per_rater=40)
    Image.objects.filter(recipe=study.contenders.all()[0].recipe).update(is_quarantined=True)
    assert raters.progress_of(factories.make_rater(study)).quota == 6


def test_a_rater_who_answers_all_there_is_is_at_the_end_of_the_line() -> None:
    study = factories.make_study(slug="small", contenders=3, prompts=2, with_text=0, ballots_per_rater=40)
    rater = factories.make_rater(study)
    factories.cast(rater, ballots=6)
    assert voting.open_ballots(rater=rater) == []
    progress = raters.progress_of(rater)
    assert (progress.answered, progress.quota, progress.minutes_left) == (6, 6, 0)


# --- exclusions -------------------------------------------------------------------------------------------------------
def _the_rater(rater: Rater) -> tuple[str, raters.ExclusionTarget, int]:
    return "rater", rater, 4


def _a_ballot(rater: Rater) -> tuple[str, raters.ExclusionTarget, int]:
    return "ballot", rater.ballots.earliest("position"), 2


def _a_vote(rater: Rater) -> tuple[str, raters.ExclusionTarget, int]:
    return "vote", rater.votes.earliest("sequence"), 1


def _an_image(rater: Rater) -> tuple[str, raters.ExclusionTarget, int]:
    image = rater.ballots.earliest("position").left_image
    assert image is not None
    pk = image.pk
    shown = rater.ballots.filter(left_image=pk) | rater.ballots.filter(right_image=pk)
    return "image", image, 2 * shown.count()


@pytest.mark.parametrize("what", [_the_rater, _a_ballot, _a_vote, _an_image])
def test_exclusion_takes_votes_out_and_readmission_brings_them_back(
    study: Study, what: Callable[[Rater], tuple[str, raters.ExclusionTarget, int]]
) -> None:
    rater, other = factories.make_rater(study), factories.make_rater(study)
    factories.cast(rater, "left", ballots=2)
    scope, target, taken = what(rater)
    everything = Vote.objects.counted().count()
    exclusion = exclude(study=study, scope=scope, target=target, reason="always left", author=study.owner)
    assert everything - Vote.objects.counted().count() == taken
    with pytest.raises(ExclusionError, match="excluded already"):
        exclude(study=study, scope=scope, target=target, reason="again", author=study.owner)
    readmit(exclusion=exclusion, reason="it was a mistake", author=study.owner)
    assert Vote.objects.counted().count() == everything and Vote.objects.count() == 4
    with pytest.raises(ExclusionError, match="does not stand"):
        readmit(exclusion=exclusion, reason="again", author=study.owner)
    exclude(study=study, scope=scope, target=target, reason="it was none", author=study.owner)
    assert everything - Vote.objects.counted().count() == taken and Exclusion.objects.count() == 3
    told = list(study.audit_events.filter(act__startswith="votes").order_by("id").values_list("act", "actor__username"))
    assert told == [("votes excluded", "ada"), ("votes readmitted", "ada"), ("votes excluded", "ada")]
    assert other.votes.count() == 0


def test_an_image_excluded_in_one_study_counts_on_in_another_that_shows_it(study: Study) -> None:
    image = Image.objects.filter(recipe__contenders__study=study).earliest("pk")
    prompt = study.study_prompts.get(prompt__text_digest=image.prompt_digest).prompt
    other = studies.open_study(
        studies.create_study(
            slug="also",
            name="Also",
            owner=study.owner,
            prompts=[prompt],
            contenders=[studies.ContenderSpec(label=each.label, recipe=each.recipe) for each in study.contenders.all()],
            criteria=PRESETS["sd3"],
        ),
        actor=None,
    )
    for each in (study, other):
        factories.cast(factories.make_rater(each), "left", ballots=20)
    before = {each: (set(Vote.objects.counted().filter(study=each)), selections_of(each)) for each in (study, other)}
    shown = {
        vote
        for vote in study.votes.select_related("ballot")
        if image.pk in (vote.ballot.left_image_id, vote.ballot.right_image_id)
    }
    exclusion = exclude(study=study, scope="image", target=image, reason="blurred", author=None)
    assert shown and set(Vote.objects.counted().filter(study=study)) == before[study][0] - shown
    assert (
        other.votes.filter(ballot__left_image=image).exists() or other.votes.filter(ballot__right_image=image).exists()
    )
    assert (set(Vote.objects.counted().filter(study=other)), selections_of(other)) == before[other]
    assert selections_of(study) != before[study][1]
    readmit(exclusion=exclusion, reason="it is not", author=None)
    assert (set(Vote.objects.counted().filter(study=study)), selections_of(study)) == before[study]


@pytest.mark.parametrize("what", [_the_rater, _a_ballot, _a_vote, _an_image])
def test_an_exclusion_of_another_study_takes_nothing_out(
    study: Study, what: Callable[[Rater], tuple[str, raters.ExclusionTarget, int]]
) -> None:
    rater = factories.make_rater(study)
    factories.cast(rater, "left", ballots=2)
    scope, target, _ = what(rater)
    stranger = factories.make_study(slug="words", images=False)
    row = {"study": stranger, "scope": scope, "reason": "a row that no act of ours writes", scope: target}
    Exclusion.objects.create(**row)
    assert Vote.objects.counted().count() == Vote.objects.count() == 4


def test_an_exclusion_needs_a_reason_a_fitting_target_and_its_own_study(study: Study) -> None:
    rater = factories.make_rater(study)
    stranger = factories.make_rater(factories.make_study(slug="words"))
    wrong: list[tuple[str, raters.ExclusionTarget, str, str]] = [
        ("rater", rater, "  ", "no_reason"),
        ("vote", rater, "why not", "bad_scope"),
        ("everybody", rater, "why not", "bad_scope"),
        ("rater", stranger, "why not", "other_study"),
    ]
    for scope, target, reason, code in wrong:
        with pytest.raises(ExclusionError) as refused:
            exclude(study=study, scope=scope, target=target, reason=reason, author=None)
        assert refused.value.code == code
    with pytest.raises(ExclusionError, match="taken back in"):
        readmit(
            exclusion=exclude(study=study, scope="rater", target=rater, reason="fast", author=None),
            reason="",
            author=None,
        )
    assert Exclusion.objects.count() == 1


@pytest.mark.parametrize(
    ("row", "constraint"),
    [({"scope": "vote"}, "an_exclusion_names_what_its_scope_says"), ({"reason": ""}, "an_exclusion_has_a_reason")],
)
def test_the_database_refuses_exclusions_that_make_no_sense(study: Study, row: dict[str, str], constraint: str) -> None:
    good = {"study": study, "scope": "rater", "rater": factories.make_rater(study), "reason": "fast"}
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Exclusion.objects.create(**{**good, **row})
