"""What a POST changes, for everybody who has to do with a study: nothing without the right, and something with it."""

from typing import Final

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from tests.arena.dumps import dump
from tests.arena.factories import make_user
from tests.security.cast_of_characters import Scene, set_scene
from tests.security.post_acts import Act, acts_of
from tests.security.test_access_matrix import MATRIX, address

pytestmark = pytest.mark.django_db

INSIDERS: Final = ("owner", "rater manager", "analyst", "staff", "superuser")
# Of somebody's own: no study, image or account of others is behind these, and each makes what belongs to its sender.
OWN_THINGS: Final = {
    *("arena:login", "arena:logout", "arena:set_language", "arena:password_change", "arena:forgotten"),
    *("arena:upload_prompts", "arena:prompt_upload", "arena:new_study", "arena:design_summary", "arena:new_board"),
    "arena:new_import",
}
# What raters do with their link and their session, whoever else is signed in beside it.
OF_RATERS: Final = {
    *(
        "arena:join",
        "arena:join_from_panel",
        "arena:vote",
        "arena:undo",
        "arena:own_data",
        "arena:consent",
        "arena:instructions",
    ),
    *("arena:screening", "arena:qualification", "arena:password_reset_confirm"),
}
# A signature is asked for, not a person.
SIGNED: Final = {"arena:join_from_turk", "arena:panel_messages"}


def scene_of_insiders() -> Scene:
    """The scene with a rater manager more, and an owner who is staff, as importing images asks for."""
    scene = set_scene()
    scene.study.members.create(user=make_user("mo"), role="rater_manager")
    scene.browsers["rater manager"] = Client()
    scene.browsers["rater manager"].force_login(make_user("mo"))
    User.objects.filter(username="ada").update(is_staff=True)
    return scene


def those_who_change_rows(scene: Scene, name: str, act: Act) -> set[str]:
    """Whose POST changes any row at all; each is undone before the next."""
    found = set()
    with transaction.atomic():
        act.prepare()
        before = dump(without=("django_session",))
        for persona in INSIDERS:
            with transaction.atomic():
                reply = scene.browsers[persona].post(act.address(name), act.form)
                assert reply.status_code in (200, 302, 403, 404), (name, persona, reply.content[:2000])
                if dump(without=("django_session",)) != before:
                    found.add(persona)
                transaction.set_rollback(True)
        transaction.set_rollback(True)
    return found


def test_a_post_changes_rows_for_those_with_the_right_and_for_nobody_else() -> None:
    scene = scene_of_insiders()
    acts = acts_of(scene)
    found = {name: those_who_change_rows(scene, name, act) for name, act in acts.items()}
    assert {name: who for name, who in found.items() if who != acts[name].everybody} == {}


def test_every_page_that_takes_a_post_is_looked_at() -> None:
    scene = scene_of_insiders()
    looked_at = set(acts_of(scene))
    left_out = OWN_THINGS | OF_RATERS | SIGNED
    assert left_out - set(MATRIX) == set()
    taking = {
        name
        for name in set(MATRIX) - left_out
        if not name.startswith("api:") and scene.browsers["superuser"].post(address(name, scene)).status_code != 405
    }
    assert taking == looked_at
