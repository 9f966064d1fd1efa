"""Invitation links for those who run a study; links for an account; links for anybody."""

import csv
import io

import pytest
from django.test import Client
from django.urls import reverse

from arena import raters
from arena.counted_votes import counted_votes
from arena.models import AuditEvent, Invitation, Provider, Rater, RaterIdentity, Study, StudyMember
from tests.arena.factories import cast, make_study, make_user
from tests.arena.views.browsers import open_ballot

pytestmark = pytest.mark.django_db


def page_of(study: Study) -> str:
    return reverse("arena:invitations", args=[study.slug])


def signed_in(name: str) -> Client:
    browser = Client()
    browser.force_login(make_user(name))
    return browser


def test_fifty_single_use_links_come_as_csv_once() -> None:
    study = make_study(images=False, owner=make_user("ada"))
    browser = signed_in("ada")
    answer = browser.post(page_of(study), {"count": "50", "most_uses": "1", "label": "=lab", "csv": "1"})
    rows = list(csv.reader(io.StringIO(answer.content.decode())))
    assert answer.headers["Content-Type"].startswith("text/csv") and len(rows) == 51
    assert rows[1][0] == "'=lab 1" and Client().get(rows[50][1]).status_code == 200
    assert Invitation.objects.filter(study=study, most_uses=1).count() == 50
    token = rows[1][1].rstrip("/").rsplit("/", 1)[1]
    assert token not in browser.get(page_of(study)).content.decode()
    assert not any(token in str(event.detail) for event in AuditEvent.objects.all())


def test_a_link_is_shown_once_and_can_be_revoked() -> None:
    study = make_study(images=False, owner=make_user("ada"))
    browser = signed_in("ada")
    page = browser.post(page_of(study), {"count": "1", "label": "lab"}).content.decode()
    address = page.split("<code>")[1].split("</code>")[0]
    assert Client().get(address).status_code == 200
    invitation = Invitation.objects.get()
    browser.post(reverse("arena:revoke_invitation", args=[study.slug, invitation.pk]))
    assert Client().get(address).status_code == 410
    assert "no, revoked" in browser.get(page_of(study)).content.decode()


@pytest.mark.once
@pytest.mark.parametrize("form", [{"count": "0"}, {"count": "1001"}, {"count": "1", "most_uses": "0"}, {"count": "x"}])
def test_a_wrong_number_makes_nothing(form: dict[str, str]) -> None:
    study = make_study(images=False, owner=make_user("ada"))
    assert signed_in("ada").post(page_of(study), form).status_code == 400
    assert not Invitation.objects.exists()


def test_only_who_runs_the_study_or_its_raters_sees_and_makes_links() -> None:
    study = make_study(images=False, owner=make_user("ada"))
    _, invitation = make_user("eve"), raters.invite(study=study)[0]
    for name, role in (("ann", StudyMember.Role.ANALYST), ("max", StudyMember.Role.RATER_MANAGER)):
        StudyMember.objects.create(study=study, user=make_user(name), role=role)
    revoke = reverse("arena:revoke_invitation", args=[study.slug, invitation.pk])
    for name, status in (("eve", 404), ("ann", 404), ("max", 200), ("ada", 200)):
        assert signed_in(name).get(page_of(study)).status_code == status, name
        assert signed_in(name).post(page_of(study), {"count": "1"}).status_code == status, name
    assert [signed_in(name).post(revoke).status_code for name in ("eve", "ann", "max")] == [404, 404, 302]
    for browser in (Client(), Client()):
        assert browser.get(page_of(study)).headers["Location"].startswith(reverse("arena:login"))
        assert browser.post(revoke).headers["Location"].startswith(reverse("arena:login"))
    assert signed_in("ada").get(revoke).status_code == 405
    other = make_study(slug="other", images=False, owner=make_user("eve"))
    foreign = reverse("arena:revoke_invitation", args=[other.slug, invitation.pk])
    assert signed_in("eve").post(foreign).status_code == 404


def test_the_list_takes_the_same_number_of_queries_for_any_number_of_links(
    django_assert_max_num_queries: object,
) -> None:
    study = make_study(images=False, owner=make_user("ada"))
    browser = signed_in("ada")
    for count in (2, 6):
        for _ in range(count):
            raters.invite(study=study, created_by=study.owner)
        with django_assert_max_num_queries(8):  # type: ignore[operator]
            browser.get(page_of(study))


def test_a_study_that_requires_an_account_sends_to_the_login_and_knows_its_person_again() -> None:
    study = make_study(rules={"requires_login": True})
    make_user("mia")
    _, token = raters.invite(study=study)
    address = reverse("arena:join", args=[token])
    assert Client().get(address).headers["Location"] == f"{reverse('arena:login')}?next={address.replace('/', '%2F')}"
    assert Client().post(address).status_code == 302 and not Rater.objects.exists()
    first, second = signed_in("mia"), signed_in("mia")
    first.post(address)
    ballot = open_ballot(first, study)
    second.post(address)
    assert open_ballot(second, study) == ballot
    identity = RaterIdentity.objects.get()
    assert (identity.user, identity.rater.kind) == (make_user("mia"), Rater.Kind.SIGNED_IN)
    assert Invitation.objects.get().uses == 1


@pytest.mark.parametrize("counts", [False, True])
def test_who_joins_by_a_public_link_is_anonymous_and_counted_only_where_the_study_says_so(counts: bool) -> None:  # noqa: FBT001
    study = make_study(design={"counts_anonymous": True} if counts else None)
    _, token = raters.invite(study=study, is_public=True)
    Client().post(reverse("arena:join", args=[token]))
    rater = Rater.objects.get()
    assert (rater.kind, rater.stratum) == (Rater.Kind.ANONYMOUS, "anonymous")
    cast(rater, ballots=2)
    assert counted_votes(study).exists() is counts


def test_a_person_with_an_account_comes_back_by_a_link_that_is_used_up() -> None:
    study = make_study(rules={"requires_login": True})
    _, token = raters.invite(study=study, most_uses=1)
    address = reverse("arena:join", args=[token])
    signed_in("mia").post(address)
    again = signed_in("mia").get(address)
    assert again.headers["Location"] == reverse("arena:vote", args=[study.slug])
    assert signed_in("eve").get(address).status_code == 410


@pytest.mark.parametrize(
    ("kind", "settings", "ends"),
    [
        (
            "prolific",
            {},
            "/panel/colours/?PROLIFIC_PID={{%PROLIFIC_PID%}}&amp;STUDY_ID={{%STUDY_ID%}}&amp;SESSION_ID={{%SESSION_ID%}}",
        ),
        ("generic", {"id_param": "pid"}, "/panel/colours/?pid=…"),
        ("mturk", {}, "/turk/colours/"),
    ],
)
def test_the_page_says_what_to_type_into_the_panel(kind: str, settings: dict[str, str], ends: str) -> None:
    study = make_study(images=False, owner=make_user("ada"))
    Provider.objects.create(study=study, kind=kind, settings=settings)
    assert f"{ends}</code>" in signed_in("ada").get(page_of(study)).content.decode()


def test_no_link_takes_the_label_of_raters_whom_a_program_enrols() -> None:
    study = make_study(images=False, owner=make_user("ada"))
    answer = signed_in("ada").post(page_of(study), {"count": "1", "label": "Front end "})
    assert answer.status_code == 400 and "kept for raters whom a program enrols" in answer.content.decode()
    root = Client()
    root.force_login(make_user("root", is_superuser=True))
    page = root.post(reverse("admin:arena_invitation_add"), {"study": study.pk, "label": "front end"})
    assert "kept for raters whom a program enrols" in page.content.decode()
    assert not Invitation.objects.exists()
    assert signed_in("ada").post(page_of(study), {"count": "1", "label": "our front end"}).status_code == 200
