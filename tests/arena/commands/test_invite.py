"""`manage.py invite STUDY` prints a link's path, once."""

import csv
import io
from datetime import timedelta
from pathlib import Path

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


def test_many_links_go_to_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    factories.make_study(images=False)
    file = tmp_path / "links.csv"
    said, _ = invite(
        "colours", "--count", "50", "--uses", "1", "--csv", str(file), "--site", "https://vote.example.org/"
    )
    rows = list(csv.reader(file.open(encoding="utf-8", newline="")))
    assert said == f"50 links in {file}." and len(rows) == 51 and file.stat().st_mode & 0o077 == 0
    path = rows[50][1].removeprefix("https://vote.example.org")
    assert raters.invitation_of(resolve(path).kwargs["token"]).most_uses == 1


def test_a_file_that_is_there_is_not_overwritten_and_nothing_is_made(tmp_path: Path) -> None:
    factories.make_study(images=False)
    file = tmp_path / "links.csv"
    file.write_text("kept")
    with pytest.raises(CommandError, match="exists already"):
        invite("colours", "--csv", str(file))
    with pytest.raises(CommandError, match="There is no folder"):
        invite("colours", "--csv", str(tmp_path / "nowhere" / "links.csv"))
    assert file.read_text() == "kept" and not Invitation.objects.exists()
