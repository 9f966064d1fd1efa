"""Everybody who might look at a page, each with a browser, around one study of ada's in which everything happened."""

from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import Permission, User
from django.test import Client

from arena import board_fitting, boards, fitting, raters, studies
from arena.models import Ballot, Study
from generation.models import Image
from tests.arena.factories import cast, make_rater, make_study, make_user
from tests.arena.views.browsers import answers_to, joined_browser, open_ballot, vote_address

PERSONAS: Final = (
    *("anonymous", "rater", "other rater", "rater elsewhere", "owner", "analyst", "other researcher"),
    *("staff", "superuser", "disabled"),
)


@dataclass(frozen=True)
class Scene:
    """The study, what addresses are made of, and one browser each."""

    study: Study
    ballot: Ballot
    image: Image
    invitation_token: str
    browsers: dict[str, Client]


def set_scene(**options: Any) -> Scene:
    """A study with a run, votes and a fit; its rater has answered one ballot and has one open."""
    ada, eve = make_user("ada"), make_user("eve")
    study = make_study(slug="hers", contenders=3, prompts=3, owner=ada)
    studies.ask_for_images(study)
    make_study(slug="eves", contenders=2, prompts=1, owner=eve)
    browsers = {name: Client(**options) for name in PERSONAS}
    browsers["rater"] = _rater(study, **options)
    browsers["other rater"] = _rater(study, **options)
    browsers["rater elsewhere"] = _rater(Study.objects.get(slug="eves"), **options)
    first = _let_vote(browsers["rater"], study)
    cast(make_rater(study), "left", ballots=9)  # every pair, so that every contender has its place in the charts
    fitting.refit(study)
    board = boards.create_board(owner=ada, name="Hers", studies=[study], criteria=["prompt-following"])
    board_fitting.refit_board(board)
    study.members.create(user=make_user("ana"), role="analyst")
    for name, user in (
        ("owner", ada),
        ("analyst", make_user("ana")),
        ("other researcher", eve),
        ("staff", staff("sam")),
        ("superuser", make_user("root", is_superuser=True)),
        ("disabled", make_user("dis")),
    ):
        browsers[name].force_login(user)
    # Disabled while signed in, and a member of the study: the session must be worth nothing.
    study.members.create(user=User.objects.get(username="dis"), role="owner")
    User.objects.filter(username="dis").update(is_active=False)
    assert first.left_image is not None
    return Scene(
        study=Study.objects.get(pk=study.pk),
        ballot=open_ballot(browsers["rater"], study),
        image=first.left_image,
        invitation_token=raters.invite(study=study)[1],
        browsers=browsers,
    )


def staff(name: str, *, has_rights: bool = False) -> User:
    """Somebody who may enter the admin, with every right there or with none."""
    user = make_user(name)
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    if has_rights:
        user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=("arena", "generation")))
    return user


def _rater(study: Study, **options: Any) -> Client:
    browser, _ = joined_browser(study)
    same = Client(**options)
    same.cookies = browser.cookies
    return same


def _let_vote(browser: Client, study: Study) -> Ballot:
    plain = Client()
    plain.cookies = browser.cookies
    ballot = open_ballot(plain, study)
    plain.post(vote_address(study), answers_to(ballot))
    ballot.refresh_from_db()
    return ballot
