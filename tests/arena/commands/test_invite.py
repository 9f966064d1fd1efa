"""`manage.py invite STUDY` prints a link's path, once."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.urls import resolve
from django.utils import timezone

from arena import raters
from arena.models import Invitation
from tests.arena import factories

pytestmark = pytest.mark.django_db


def invite(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("invite", *arguments, stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue().strip()


def test_the_printed_path_lets_people_in() -> None:
    study = factories.make_study(images=False)
    path, remark = invite("colours", "--label", "lab", "--uses", "2", "--days", "1.5")
    found = resolve(path)
    invitation = raters.invitation_of(found.kwargs["token"])
    assert (found.view_name, remark) == ("arena:join", "")
    assert (invitation.study, invitation.label, invitation.most_uses) == (study, "lab", 2)
    assert invitation.expires_at is not None
    assert abs(invitation.expires_at - timezone.now() - timedelta(days=1.5)) < timedelta(minutes=1)


def test_without_options_the_link_never_ends() -> None:
    factories.make_study(images=False)
    invite("colours")
    invitation = Invitation.objects.get()
    assert (invitation.most_uses, invitation.expires_at) == (None, None)


def test_a_draft_gets_its_link_with_a_remark() -> None:
    factories.make_study(images=False, opened=False)
    path, remark = invite("colours")
    assert path.startswith("/join/") and "has not opened yet" in remark


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["colour"], "There is no study 'colour'. Known: colours."),
        (["colours", "--uses", "0"], "lets in at least one person"),
        (["colours", "--days", "-1"], "must end in the future"),
    ],
)
def test_what_cannot_be_done_is_said_and_stores_nothing(arguments: list[str], sentence: str) -> None:
    factories.make_study(images=False)
    with pytest.raises(CommandError, match=sentence):
        invite(*arguments)
    assert not Invitation.objects.exists()
