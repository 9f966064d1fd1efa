"""Each operation that the API describes, x no token, a read token, and a token of somebody else."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.utils import timezone

from arena import api_tokens, consent
from arena.models import ApiToken, Study
from generation.models import Checkpoint, PromptSet
from tests.arena import factories
from tests.arena.api.callers import Answer, Caller, body_of, caller, problem, things_of
from tests.arena.dumps import dump

pytestmark = pytest.mark.django_db

Operation = tuple[str, str]
# What stands in a request to somebody else's things, so that nothing but the owner is wrong with it.
BODIES: dict[str, Any] = {
    "/runs/{run_id}/steer": {"act": "cancel"},
    "/studies/{slug}/exclusions": {"scope": "rater", "target": "{rater_id}", "reason": "x"},
    "/studies/{slug}/exclusions/{exclusion_id}/readmit": {"reason": "x"},
    "/studies/{slug}/gold": {"prompt": 0, "first": 0, "second": 1, "answers": {}},
}


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    cache.clear()


@pytest.fixture
def known() -> dict[str, Any]:
    """What addresses are made of: ada's, and what it needs is hers too."""
    ada = factories.make_user("ada")
    found = things_of(ada)
    PromptSet.objects.update(owner=ada)
    Checkpoint.objects.update(owner=ada)
    return found


def operations() -> Iterator[Operation]:
    paths = body_of(caller("reader", scope="read").get("/openapi.json"))["paths"]
    for path, found in paths.items():
        for method in found:
            yield method, path.removeprefix("/api/v1")


def ask(call: Caller, operation: Operation, known: dict[str, Any]) -> Answer:
    method, path = operation
    address = path.format(**known)
    if method == "get":
        return call.get(
            address, **({"prompt_set": known["prompt_set_id"]} if path.endswith("{contender_id}/coverage") else {})
        )
    if path.endswith("/images") and "contenders" in path:
        from tests.generation.image_imports import files

        return call.upload(known["contender_id"], {"0_0.png": files.png()}, prompt_set=known["prompt_set_id"])
    body = {
        name: value.format(**known) if isinstance(value, str) else value for name, value in BODIES.get(path, {}).items()
    }
    if path == "/studies/{slug}/raters":
        body["consent_version"] = consent.consent_version(Study.objects.get())
    return call.post(address, body)


@pytest.mark.once
def test_without_a_token_there_is_nothing_and_a_session_is_none(known: dict[str, Any]) -> None:
    found, session, wrong = list(operations()), Caller(), Caller("winrate_guessed")
    session._client.force_login(factories.make_user("ada"))
    before = dump(without=("django_session", "arena_minutecount"))
    assert len(found) > 35
    for operation in found:
        for call in (Caller(), session, wrong):
            assert problem(ask(call, operation, known), 401)["code"] == "token_needed", operation
    assert dump(without=("django_session", "arena_minutecount")) == before


@pytest.mark.once
def test_a_read_token_writes_nothing(known: dict[str, Any]) -> None:
    found, call = [each for each in operations() if each[0] != "get"], caller("ada", scope="read")
    body_of(call.get("/studies"))  # notes its use
    before = dump(without=("arena_minutecount",))
    for operation in found:
        assert problem(ask(call, operation, known), 403)["code"] == "read_only_token", operation
    assert dump(without=("arena_minutecount",)) == before


@pytest.mark.once
def test_somebody_elses_things_are_not_there(known: dict[str, Any]) -> None:
    found, call = [each for each in operations() if "{" in each[1]], caller("bob")
    body_of(call.get("/studies"))
    before = dump(without=("arena_minutecount",))
    for operation in found:
        assert problem(ask(call, operation, known), 404)["code"] == "not_found", operation
    for path in ("/studies", "/runs", "/contenders", "/prompt-sets", "/checkpoints", "/recipes", "/boards"):
        assert body_of(call.get(path)) == {"count": 0, "items": []}
    assert dump(without=("arena_minutecount",)) == before


def test_ones_own_things_are(known: dict[str, Any]) -> None:
    call = caller("ada")
    for operation in operations():
        if operation[0] == "get":
            assert ask(call, operation, known).status_code == 200, operation


def test_no_parameter_reaches_into_the_database(known: dict[str, Any]) -> None:
    """Filters and orders that nobody offers are not heeded, and choose nothing."""
    call = caller("ada")
    for query in ({"owner__password__startswith": "p"}, {"ordering": "password"}, {"owner": 1}, {"fields": "owner"}):
        assert body_of(call.get("/studies", **query)) == body_of(call.get("/studies"))
    for query in ({"limit": -1}, {"limit": "1e400"}, {"offset": "x"}, {"limit": 10**30}):
        assert problem(call.get("/studies", **query), 422)["errors"][0]["field"] in ("limit", "offset")


BAD_BODIES = (
    "[" * 100_000,
    '{"act": NaN}',
    '{"act": 1e400}',
    '{"act": ' + "9" * 5000 + "}",
    '{"act": "cancel", "act": 1',
    "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    "",
    "null",
    "[]",
)


def test_bodies_that_no_program_should_send_are_refused_with_the_field_or_the_reason(known: dict[str, Any]) -> None:
    call = caller("ada")
    before = Study.objects.values().get()
    for body in BAD_BODIES:
        answer = call.post(f"/runs/{known['run_id']}/steer", body)
        assert answer.status_code in (400, 422), body[:30]
        problem(answer, answer.status_code)
    for path in (
        "/studies/\x00",
        "/studies/%ff",
        "/runs/" + "9" * 100,
        "/prompt-sets/0",
        "/studies/hers/raters/x/ballots",
    ):
        answer = call.get(path)
        assert answer.status_code in (404, 405), path
    raw = Client().get("/api/v1/studies?limit=%ff", headers={"Cookie": "a=" + "b" * 65_000})
    assert raw.status_code in (400, 401, 431)
    assert Study.objects.values().get() == before


# What each kind of person's token finds of ada's study and of a run: reading, and writing.
KINDS = {
    "superuser": (200, 200),
    "analyst": (200, 404),
    "rater manager": (200, 404),
    "other researcher": (404, 404),
    "staff": (404, 404),
    "disabled": (401, 401),
    "revoked": (401, 401),
    "expired": (401, 401),
}


OF_REQUESTS = ("arena_minutecount", "arena_apitoken")


def call_of(kind: str) -> Caller:
    user = factories.make_user(kind.replace(" ", "-"), is_superuser=kind == "superuser")
    token, text = api_tokens.create_token(user=user, label="tests", scope="write")
    if kind in ("analyst", "rater manager"):
        Study.objects.get().members.create(user=user, role=kind.replace(" ", "_"))
    if kind == "staff":
        User.objects.filter(pk=user.pk).update(is_staff=True)
    if kind == "disabled":
        User.objects.filter(pk=user.pk).update(is_active=False)
    if kind == "revoked":
        api_tokens.revoke_token(token, actor=None)
    if kind == "expired":
        ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    return Caller(text)


@pytest.mark.once
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_person_gets_what_is_theirs(kind: str, known: dict[str, Any]) -> None:
    call, (reads, writes) = call_of(kind), KINDS[kind]
    for operation in operations():
        method, path = operation
        if not path.startswith(("/studies/{slug}", "/runs/{run_id}")) or (writes == 200 and method != "get"):
            continue
        is_of_front_ends = any(word in path for word in ("/consent", "/raters", "/ballots"))
        if is_of_front_ends and kind == "rater manager":
            continue  # whose work this is
        if kind == "rater manager" and any(word in path for word in ("/exclusions", "/gold")) and method != "get":
            continue  # as on the pages; what they change is in test_judging_and_imports.py
        before = "" if method == "get" else dump(without=OF_REQUESTS)  # who takes votes away is noted down
        found = ask(call, operation, known).status_code
        wanted = (404,) if is_of_front_ends and kind == "analyst" else (reads,) if method == "get" else (writes, 403)
        assert found in wanted, (kind, operation, found)
        assert method == "get" or dump(without=OF_REQUESTS) == before, (kind, operation)


# Nothing to be changed by them here: open and not paused, its images asked for; a known answer has two people, and
# bodies of answers are tried in test_endpoints.py.
IDLE = {
    *("/studies/{slug}/open", "/studies/{slug}/resume", "/studies/{slug}/images"),
    *("/studies/{slug}/gold", "/studies/{slug}/gold/{gold_id}/review"),
    "/studies/{slug}/raters/{rater_id}/ballots/{token}",
}


def test_the_owners_same_requests_do_change_something(known: dict[str, Any]) -> None:
    """Without this, those above might be refused for their bodies alone."""
    call, idle = caller("ada"), set()
    for operation in operations():
        method, path = operation
        if method == "get" or not path.startswith(("/studies/{slug}", "/runs/{run_id}")):
            continue
        with transaction.atomic():
            before = dump(without=OF_REQUESTS)
            ask(call, operation, known)
            if dump(without=OF_REQUESTS) == before:
                idle.add(path)
            transaction.set_rollback(True)
    assert sorted(idle - IDLE) == []
