"""Every address of the site x everybody: who gets what. An address that is not in the matrix fails here."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
from django.urls import reverse

from generation import image_store
from generation.models import Image
from tests.arena.dumps import dump
from tests.security.addresses import routes
from tests.security.cast_of_characters import PERSONAS, Scene, set_scene

pytestmark = pytest.mark.django_db

Row = dict[str, int]
RATERS: Final = ("rater", "other rater", "rater elsewhere")
SIGNED_IN: Final = ("owner", "analyst", "other researcher", "staff", "superuser")
TO_LOGIN: Final = dict.fromkeys(PERSONAS, 302)


def everybody(status: int) -> Row:
    return dict.fromkeys(PERSONAS, status)


EVERYBODY = everybody(200)
OWN_RATERS = everybody(403) | {"rater": 200, "other rater": 200}
ONE_RATER = everybody(404) | {"rater": 200}
BY_TOKEN_ONLY = everybody(401)
POST_BY_TOKEN_ONLY = everybody(405)
RESEARCHERS = TO_LOGIN | dict.fromkeys(SIGNED_IN, 200)
THE_STUDYS = RESEARCHERS | {"other researcher": 404, "staff": 404}
TO_POST = TO_LOGIN | dict.fromkeys(SIGNED_IN, 405)
STAFF = TO_LOGIN | dict.fromkeys(SIGNED_IN, 403) | {"staff": 200, "superuser": 200}
ADMINISTRATORS = STAFF | {"staff": 403}
# A signed-in person who neither owns a study nor is a member of one only rates; all researchers of the scene have one.
STAFF_TO_POST = STAFF | {"staff": 405, "superuser": 405}

# What a GET answers. Researchers' pages of a study that is not theirs are "not found", which confirms nothing.
MATRIX: Final[dict[str, Row]] = {
    "healthz": EVERYBODY,
    "readyz": EVERYBODY,
    "metrics": everybody(404),  # there is no token in the settings
    "favicon": everybody(302),
    "arena:home": EVERYBODY,
    "arena:login": EVERYBODY | dict.fromkeys(SIGNED_IN, 302),
    "arena:logout": everybody(405),
    "arena:set_language": everybody(302),
    "arena:password_change": RESEARCHERS,
    "arena:forgotten": EVERYBODY,
    "arena:password_reset_confirm": EVERYBODY,
    "arena:people": ADMINISTRATORS,
    "arena:password_link": TO_POST,
    "arena:switch_account": TO_POST,
    "arena:site_log": ADMINISTRATORS,
    "arena:operation": ADMINISTRATORS,
    "arena:members": THE_STUDYS,
    "arena:remove_member": TO_POST,
    "arena:study_log": THE_STUDYS,
    "arena:join": EVERYBODY,
    "arena:join_from_panel": everybody(404),  # the study has no panel
    "arena:join_from_turk": everybody(404),
    "arena:panel_messages": everybody(405),
    "arena:vote": OWN_RATERS,
    "arena:vote_queue": OWN_RATERS,
    "arena:undo": everybody(405),
    "arena:done": OWN_RATERS,
    "arena:consent": OWN_RATERS,
    "arena:instructions": OWN_RATERS,
    "arena:screening": OWN_RATERS | {"rater": 302, "other rater": 302},  # the study asks for neither
    "arena:qualification": OWN_RATERS | {"rater": 302, "other rater": 302},
    "arena:example_image": everybody(404),  # an invitation's token is none of an example
    "arena:own_data": OWN_RATERS,
    "arena:own_data_file": OWN_RATERS,
    "arena:ballot_image": ONE_RATER,
    "arena:prompt_sets": RESEARCHERS,
    "arena:upload_prompts": TO_POST,
    "arena:prompt_upload": TO_LOGIN | dict.fromkeys(SIGNED_IN, 404),  # nobody has sent a file
    "arena:prompt_set": RESEARCHERS | {"owner": 200},
    "arena:new_study": RESEARCHERS,
    "arena:design_summary": TO_POST,
    "arena:edit_design": THE_STUDYS | {"analyst": 404, "owner": 302, "superuser": 302},  # opened: to its plan
    "arena:study_plan": THE_STUDYS,
    "arena:plan_file": THE_STUDYS,
    "arena:steer_study": TO_POST,
    "arena:join_study": TO_POST,
    "arena:new_import": STAFF,
    "arena:image_import": STAFF | {"staff": 404, "superuser": 404},
    "arena:upload_files": STAFF_TO_POST,
    "arena:commit_import": STAFF_TO_POST,
    "arena:discard_import": STAFF_TO_POST,
    "arena:api_docs": RESEARCHERS,
    "arena:study": THE_STUDYS,
    "arena:invitations": THE_STUDYS | {"analyst": 404},
    "arena:revoke_invitation": TO_POST,
    "arena:count_simulated": TO_POST,
    "arena:study_images": THE_STUDYS,
    "arena:study_image": THE_STUDYS,
    "arena:study_image_about": THE_STUDYS,
    "arena:study_grid": THE_STUDYS,
    "arena:chart": THE_STUDYS,
    "arena:ballots": THE_STUDYS,
    "arena:paper": THE_STUDYS,
    "arena:take": TO_POST,
    "arena:progress": THE_STUDYS,
    "arena:all_raters": STAFF,
    "arena:boards": RESEARCHERS,
    "arena:new_board": RESEARCHERS,
    "arena:board": THE_STUDYS,
    "arena:edit_board": THE_STUDYS | {"analyst": 403},
    "arena:refit_board": TO_POST,
    "arena:publish_board": TO_POST,
    "arena:take_board": TO_POST,
    "arena:board_chart": THE_STUDYS,
    "arena:public_board": everybody(404),  # no administrator has published it
    "arena:public_board_chart": everybody(404),
    "arena:runs": RESEARCHERS,
    "arena:run": THE_STUDYS,
    "arena:steer_run": TO_POST,
    "arena:run_grid": THE_STUDYS,
    "arena:run_image": THE_STUDYS,
    "arena:run_image_about": THE_STUDYS,
    "arena:raters": THE_STUDYS,
    "arena:raters_csv": THE_STUDYS,
    "arena:exclude_raters": TO_POST,
    "arena:readmit_rater": TO_POST,
    "arena:dismiss_flag": TO_POST,
    "arena:contenders": THE_STUDYS,
    "arena:withdraw_contender": TO_POST,
    "arena:bring_back_contender": TO_POST,
    "arena:gold": THE_STUDYS,
    "arena:propose_gold": TO_POST,
    "arena:decide_gold": TO_POST,
    "arena:gold_image": TO_LOGIN | dict.fromkeys(SIGNED_IN, 404),  # there is no such known answer
    "arena:image": THE_STUDYS,
    "arena:image_picture": THE_STUDYS,
    "arena:report_image": TO_POST,
    "arena:withdraw_image": TO_POST,
    "arena:restore_image": TO_POST,
    "api:api-root": everybody(404),
    **dict.fromkeys(
        (
            *("api:openapi", "api:nothing_here", "api:list_prompt_sets", "api:get_prompt_set"),
            *("api:list_prompts", "api:list_contenders", "api:create_contender", "api:get_contender"),
            *("api:upload_images", "api:list_images", "api:get_coverage", "api:get_study_coverage"),
            *("api:create_prompt_set", "api:list_checkpoints", "api:create_checkpoint", "api:get_checkpoint"),
            *(
                "api:list_recipes",
                "api:create_recipe",
                "api:get_recipe",
                "api:list_runs",
                "api:start_run",
                "api:get_run",
            ),
            *("api:list_studies", "api:create_study", "api:get_study", "api:get_results", "api:download_votes"),
            *("api:download_bundle", "api:get_consent", "api:get_ballot_image"),
            *("api:list_boards", "api:create_board", "api:get_board", "api:download_board", "api:list_raters"),
            *("api:list_exclusions", "api:exclude_votes", "api:list_gold", "api:propose_gold"),
        ),
        BY_TOKEN_ONLY,
    ),
    # These take POST alone. What a POST without a token gets: tests/arena/api/test_every_operation.py.
    **dict.fromkeys(
        (
            *("api:steer_run", "api:open_study", "api:pause_study", "api:resume_study", "api:close_study"),
            *("api:ask_for_images", "api:enrol_rater", "api:fetch_ballots", "api:cast_votes"),
            *("api:preview_prompt_file", "api:readmit_votes", "api:review_gold", "api:retire_gold"),
            *("api:import_votes", "api:import_bundle", "api:publish_board", "api:unpublish_board"),
        ),
        POST_BY_TOKEN_ONLY,
    ),
}
# These hand out ballots and note what was shown: the only pages whose look is an act.
MARKING: Final = ("arena:vote", "arena:vote_queue", "arena:done")
# These lead on within the site rather than to the login.
LEADING_ON: Final = ("favicon", "arena:set_language", "arena:screening", "arena:qualification", "arena:edit_design")
# What a rater of the study does for themselves alone.
OWN_ACTS: Final = ("arena:consent", "arena:instructions", "arena:screening", "arena:qualification", "arena:undo")
# No cookie gives a right here: a signature does, or the address itself.
WITHOUT_COOKIES: Final = ("arena:join_from_turk", "arena:panel_messages", "api:api-root")


def address(name: str, scene: Scene) -> str:
    """The address of a route with the scene's own things in it."""
    run = scene.study.run
    assert run is not None
    known: dict[str, Any] = {
        "slug": scene.study.slug,
        "token": scene.ballot.token if "ballot" in name else scene.invitation_token,
        "side": "first" if "gold" in name else "left",
        "pk": scene.image.pk if "image" in name else run.pk,
        "run_pk": run.pk,
        "suffix": {"arena:chart": "svg", "arena:plan_file": "json", "arena:board_chart": "svg"}.get(name, "webp"),
        "name": "standing-prompt-following" if "board" in name else "forest-prompt-following",
        "rest": "somewhere",
        "uidb64": "MQ",
        "prompt_set_id": 1,
        "contender_id": scene.image.recipe_id,
        "checkpoint_id": 1,
        "recipe_id": scene.image.recipe_id,
        "run_id": run.pk,
        "rater_id": scene.ballot.rater.public_id,
        "exclusion_id": 1,
        "gold_id": 1,
    }
    if name == "arena:prompt_set":
        known["pk"] = scene.study.study_prompts.latest("pk").prompt.prompt_set_id
    wanted = re.findall(r"<(?:P<|\w+:)?(\w+)>", routes()[name])
    return reverse(name, kwargs={word: known[word] for word in wanted})


def site_routes() -> list[str]:
    return [name for name in routes() if not name.startswith("admin:")]


def check_headers(headers: Mapping[str, str]) -> None:
    """What every answer carries, whoever asks for what."""
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert not [name for name in headers if name.startswith("Access-Control-")]


def test_every_route_of_the_site_is_in_the_matrix() -> None:
    assert set(site_routes()) == set(MATRIX)


def test_everybody_gets_what_the_matrix_says_and_looking_changes_nothing() -> None:
    scene = set_scene()
    own = tuple(name for name in MATRIX if name not in MARKING)
    derived = ("django_session", "arena_displaycopy")  # small copies of images are made when first looked at
    before = dump(without=derived)
    found = {name: answers(name, scene) for name in own}
    assert dump(without=derived) == before
    found |= {name: answers(name, scene) for name in MARKING}
    assert {name: row for name, row in found.items() if row != MATRIX[name]} == {}
    for name in ("anonymous", "disabled"):
        assert set(scene.browsers[name].cookies) <= {"csrftoken", "sessionid"}
    assert set(scene.browsers["anonymous"].cookies) <= {"csrftoken"}


def answers(name: str, scene: Scene) -> Row:
    found = {}
    for persona in PERSONAS:
        reply = scene.browsers[persona].get(address(name, scene))
        check_headers(reply.headers)
        is_to_login = name not in LEADING_ON and persona not in SIGNED_IN
        if reply.status_code == 302 and MATRIX[name][persona] == 302 and is_to_login:
            assert reply.headers["Location"].startswith("/accounts/login/")
        found[persona] = reply.status_code
    return found


@pytest.mark.once
def test_outsiders_change_nothing_by_any_post() -> None:
    scene = set_scene()
    outsiders = ("anonymous", "other rater", "rater elsewhere", "other researcher", "disabled")
    # Log-in and log-out are everybody's, joining is what a link is for, a rater may act on what is theirs.
    everybodys = (
        "arena:login",
        "arena:logout",
        "arena:join",
        "arena:own_data",
        "arena:new_import",
        # Another researcher of the scene may bring in prompts and design a study of her own; she sees nobody else's.
        "arena:upload_prompts",
        "arena:new_study",
        "arena:design_summary",
        "arena:undo",
        "arena:set_language",
        "arena:password_change",  # one's own, and asks for the old one
        "arena:password_reset_confirm",  # the link itself is the right
    )
    before = dump(without=("django_session",))
    for name in MATRIX:
        if name in everybodys:
            continue
        for persona in outsiders:
            if persona == "other rater" and name in OWN_ACTS:
                continue
            form = {"ballot": scene.ballot.token, "reason": "x", "kind": "broken", "act": "cancel", "counts": "no"}
            reply = scene.browsers[persona].post(address(name, scene), form)
            assert reply.status_code in (302, 400, 401, 403, 404, 405), (name, persona, reply.status_code)
            if reply.status_code == 302 and name not in LEADING_ON:
                assert reply.headers["Location"].startswith("/accounts/login/"), (name, persona)
    # A rater elsewhere who asks for their own page may be handed ballots; nothing of this study may change.
    assert dump(without=("django_session", "arena_ballot", "arena_pairexposure")) == dump_without_ballots(before)


BALLOTS: Final = ("('arena_ballot',", "('arena_pairexposure',")


def dump_without_ballots(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(BALLOTS))


@pytest.mark.once
def test_no_post_works_without_the_form_token_or_from_another_site() -> None:
    scene = set_scene(enforce_csrf_checks=True)
    before = dump(without=("django_session",))
    for name, row in MATRIX.items():
        if row is BY_TOKEN_ONLY or name in WITHOUT_COOKIES:
            continue
        if row is POST_BY_TOKEN_ONLY:
            assert scene.browsers["superuser"].post(address(name, scene)).status_code == 401, name
            continue
        for persona in ("anonymous", "rater", "superuser"):
            browser = scene.browsers[persona]
            refused = (
                (403,) if persona == "superuser" else (302, 403)
            )  # 302: to the login, before the form is looked at
            assert browser.post(address(name, scene)).status_code in refused, (name, persona)
            browser.cookies["csrftoken"] = "a" * 32
            form, elsewhere = {"csrfmiddlewaretoken": "a" * 32}, {"Origin": "https://elsewhere.example"}
            reply = browser.post(address(name, scene), form, headers=elsewhere)
            assert reply.status_code in refused, (name, persona)
    assert dump(without=("django_session",)) == before


@pytest.mark.once
def test_originals_lie_under_no_address() -> None:
    scene = set_scene()
    stored = image_store.name_of(Image.objects.get(pk=scene.image.pk).file_sha256, suffix=".png")
    for path in (f"/{stored}", f"/media/{stored}", f"/images/{stored}", f"/static/{stored}", f"/static/../{stored}"):
        for persona in ("anonymous", "rater", "superuser"):
            assert scene.browsers[persona].get(path).status_code == 404, path
    for folder in ("/static/", "/static/arena/", "/media/", "/ballots/", "/join/", "/vote/"):
        assert scene.browsers["superuser"].get(folder).status_code == 404, folder
