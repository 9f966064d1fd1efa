"""Who gets in: nobody without a token, readers do not write, revoked and expired ones are out at once."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena import api_tokens
from arena.api import access, contenders
from arena.models import ApiToken, AuditEvent
from generation.image_imports import get_external_recipe
from generation.models import PromptSet, Recipe
from tests.arena import factories
from tests.arena.api.callers import Answer, Caller, body_of, caller, problem
from tests.generation.image_imports import files

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    cache.clear()


def ada_s() -> tuple[PromptSet, Recipe]:
    """A prompt set and a contender of ada's, and a study of hers."""
    ada = factories.make_user("ada")
    prompt_set = factories.make_prompts(2, name="Hers")[0].prompt_set
    factories.make_study(owner=ada, contenders=2, prompts=1, slug="hers", images=False)
    PromptSet.objects.update(owner=ada)
    return prompt_set, get_external_recipe(name="SDXL", owner=ada)[0]


CALLS: dict[str, Callable[[Caller, int, int], Answer]] = {
    "prompt sets": lambda call, s, c: call.get("/prompt-sets"),
    "prompt set": lambda call, s, c: call.get(f"/prompt-sets/{s}"),
    "prompts": lambda call, s, c: call.get(f"/prompt-sets/{s}/prompts"),
    "contenders": lambda call, s, c: call.get("/contenders"),
    "contender": lambda call, s, c: call.get(f"/contenders/{c}"),
    "images": lambda call, s, c: call.get(f"/contenders/{c}/images"),
    "coverage": lambda call, s, c: call.get(f"/contenders/{c}/coverage", prompt_set=s),
    "study": lambda call, s, c: call.get("/studies/hers/coverage"),
    "openapi": lambda call, s, c: call.get("/openapi.json"),
    "create": lambda call, s, c: call.post("/contenders", {"name": "New"}),
    "upload": lambda call, s, c: call.upload(c, {"0_0.png": files.png()}, prompt_set=s),
}
WRITES = ("create", "upload")
OF_NOBODY = ("prompt sets", "contenders", "openapi", "create")
READS = [name for name in CALLS if name not in WRITES]


@pytest.mark.parametrize("name", CALLS)
def test_a_read_token_reads_and_a_write_token_does_both(name: str) -> None:
    prompt_set, contender = ada_s()
    reader, writer = caller("ada", scope="read"), caller("ada")
    answer = CALLS[name](reader, prompt_set.pk, contender.pk)
    if name in WRITES:
        assert problem(answer, 403)["code"] == "read_only_token"
        assert not Recipe.objects.filter(name="New").exists() and not contender.images.exists()
    else:
        body_of(answer)
    assert CALLS[name](writer, prompt_set.pk, contender.pk).status_code in (200, 201)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in OF_NOBODY])
def test_somebody_elses_things_are_not_there(name: str) -> None:
    prompt_set, contender = ada_s()
    assert problem(CALLS[name](caller("bob"), prompt_set.pk, contender.pk), 404)["code"] == "not_found"
    assert CALLS[name](caller("boss", is_superuser=True), prompt_set.pk, contender.pk).status_code in (200, 201)


def test_lists_name_ones_own_things_and_the_sites() -> None:
    ada_s()
    common = factories.make_prompts(1, name="Everybody's")[0].prompt_set
    assert [each["id"] for each in body_of(caller("bob").get("/prompt-sets"))["items"]] == [
        *PromptSet.objects.filter(owner=None).values_list("pk", flat=True)
    ]
    assert common.owner is None
    assert body_of(caller("bob").get("/contenders")) == {"count": 0, "items": []}
    assert body_of(caller("ada").get("/contenders"))["count"] == 1


def test_one_of_nobodys_contenders_is_the_superusers() -> None:
    recipe, _ = get_external_recipe(name="From the command line", owner=None)
    problem(caller("ada").get(f"/contenders/{recipe.pk}"), 404)
    assert body_of(caller("boss", is_superuser=True).get(f"/contenders/{recipe.pk}"))["name"] == recipe.name


# --- a token's life ---------------------------------------------------------------------------------------------------
def test_a_revoked_token_is_out_at_once() -> None:
    call = caller()
    body_of(call.get("/contenders"))
    assert api_tokens.revoke_token(ApiToken.objects.get(), actor=None) is True
    problem(call.get("/contenders"), 401)
    assert api_tokens.revoke_token(ApiToken.objects.get(), actor=None) is False
    assert AuditEvent.objects.filter(act="API token revoked").count() == 1


def test_an_expired_token_and_one_of_a_disabled_person_are_out() -> None:
    call = caller(days=1)
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    problem(call.get("/contenders"), 401)
    ApiToken.objects.update(expires_at=None)
    body_of(call.get("/contenders"))
    user = factories.make_user("ada")
    user.is_active = False
    user.save(update_fields=["is_active"])
    problem(call.get("/contenders"), 401)


def test_a_token_is_kept_as_a_hash_and_its_use_is_noted() -> None:
    token, text = api_tokens.create_token(user=factories.make_user(), label="ci")
    assert text.startswith("winrate_") and len(text) > 40
    assert text not in str(ApiToken.objects.filter(pk=token.pk).values().get())
    assert token.last_used_at is None
    body_of(Caller(text).get("/contenders"))
    token.refresh_from_db()
    assert token.last_used_at is not None


@pytest.mark.parametrize(
    "header", ["Bearer ", "Bearer wrong", "Basic YWRhOmFkYQ==", "winrate_x", "Bearer winrate_\u00e9"]
)
def test_a_wrong_token_is_a_problem(header: str) -> None:
    ada_s()
    problem(Client().get("/api/v1/contenders", headers={"Authorization": header}), 401)


@pytest.mark.parametrize(
    ("said", "field"),
    [({"label": " "}, "label"), ({"label": "x", "scope": "all"}, "scope"), ({"label": "x", "days": 0}, "days")],
)
def test_a_token_that_makes_no_sense_is_refused(said: dict[str, object], field: str) -> None:
    with pytest.raises(api_tokens.TokenError) as refused:
        api_tokens.create_token(user=factories.make_user(), **said)  # type: ignore[arg-type]
    assert refused.value.field == field and not ApiToken.objects.exists()


# --- other sites, sizes, rates ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://testserver.evil.example", "testserver"])
def test_pages_of_other_sites_are_refused(origin: str) -> None:
    said = problem(caller().post("/contenders", {"name": "New"}, headers={"Origin": origin}), 403)
    assert said["code"] == "foreign_origin" and not Recipe.objects.exists()


def test_ones_own_pages_may_and_no_answer_invites_others() -> None:
    answer = caller().post("/contenders", {"name": "New"}, headers={"Origin": "http://testserver"})
    body_of(answer, 201)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_request_that_is_too_large_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt_set, contender = ada_s()
    monkeypatch.setattr(access, "MOST_REQUEST_BYTES", 100)
    said = problem(caller("ada").upload(contender.pk, {"0_0.png": files.png()}, prompt_set=prompt_set.pk), 413)
    assert said["code"] == "too_large" and not contender.images.exists()


def test_a_token_makes_so_many_requests_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_tokens, "REQUESTS_A_MINUTE", 3)
    now = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)  # all in one minute
    call, other = caller("ada"), caller("bob")
    codes = [call.get("/contenders").status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    answer = call.get("/contenders")
    assert problem(answer, 429)["code"] == "too_many_requests" and answer.headers["Retry-After"] == "60"
    body_of(other.get("/contenders"))


# --- making tokens ----------------------------------------------------------------------------------------------------
def test_the_command_makes_lists_and_revokes(capsys: pytest.CaptureFixture[str]) -> None:
    factories.make_user("ada")
    call_command("api_token", "create", "ada", "--label", "nightly", "--scope", "write", "--days", "7")
    text = capsys.readouterr().out.strip()
    body_of(Caller(text).post("/contenders", {"name": "New"}), 201)
    number = ApiToken.objects.get().pk
    call_command("api_token", "list")
    listed = capsys.readouterr().out
    assert f"{number}  ada  nightly  write  valid, until " in listed and text not in listed
    call_command("api_token", "revoke", str(number))
    assert capsys.readouterr().out == f"Token {number} is revoked.\n"
    problem(Caller(text).get("/contenders"), 401)
    for arguments in (["create", "eve", "--label", "x"], ["create", "ada", "--label", ""], ["revoke", "0"]):
        with pytest.raises(CommandError):
            call_command("api_token", *arguments)


def test_the_admin_shows_a_token_once_and_revokes_it() -> None:
    boss = factories.make_user("boss", is_superuser=True)
    browser = Client()
    browser.force_login(boss)
    form = {"user": boss.pk, "label": "notebook", "scope": "read", "days": 30}
    page = browser.post(reverse("admin:arena_apitoken_add"), form, follow=True).content.decode()
    text = page.partition("<code>winrate_")[2].partition("</code>")[0]
    call = Caller(f"winrate_{text}")
    body_of(call.get("/contenders"))
    token = ApiToken.objects.get()
    again = browser.get(reverse("admin:arena_apitoken_change", args=[token.pk])).content.decode()
    assert text not in again and token.token_sha256 not in again
    chosen = {"action": "revoke", "_selected_action": [token.pk]}
    browser.post(reverse("admin:arena_apitoken_changelist"), chosen)
    problem(call.get("/contenders"), 401)


def test_staff_make_tokens_for_themselves_only() -> None:
    from django.contrib.auth.models import Permission

    ada, boss = factories.make_user("ada"), factories.make_user("boss", is_superuser=True)
    ada.is_staff = True
    ada.save(update_fields=["is_staff"])
    ada.user_permissions.set(Permission.objects.filter(codename__endswith="_apitoken"))
    token, _ = api_tokens.create_token(user=boss, label="the boss's")
    browser = Client()
    browser.force_login(ada)
    form = {"user": boss.pk, "label": "mine now", "scope": "write", "days": 30}
    assert "Select a valid choice" in browser.post(reverse("admin:arena_apitoken_add"), form).content.decode()
    assert "the boss" not in browser.get(reverse("admin:arena_apitoken_changelist")).content.decode()
    browser.post(reverse("admin:arena_apitoken_changelist"), {"action": "revoke", "_selected_action": [token.pk]})
    assert ApiToken.objects.valid().get() == token


def test_numbers_too_large_and_the_character_nul_are_refused_with_a_sentence() -> None:
    prompt_set, contender = ada_s()
    call = caller("ada")
    problem(call.get("/prompt-sets?offset=99999999999999999999"), 422)
    coverage = f"/contenders/{contender.pk}/coverage?prompt_set={prompt_set.pk}&samples=1000"
    assert call.get(coverage).status_code == 200
    said = problem(call.post("/contenders", {"name": "other", "notes": "a\0b"}), 422)
    assert said["code"] == "nul" and "NUL" in said["detail"]
    assert call.post("/contenders", {"name": "other", "notes": "a\\u0000b"}).status_code == 201


def test_too_many_cells_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt_set, contender = ada_s()
    monkeypatch.setattr(contenders, "MOST_CELLS", 5)
    path = f"/contenders/{contender.pk}/coverage?prompt_set={prompt_set.pk}"
    assert problem(caller("ada").get(f"{path}&samples=6"), 422)["code"] == "too_many_cells"


def test_a_fault_of_ours_is_a_problem_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    prompt_set, contender = ada_s()
    monkeypatch.setattr(contenders, "coverage_of", fail)
    said = problem(caller("ada").get(f"/contenders/{contender.pk}/coverage?prompt_set={prompt_set.pk}"), 500)
    assert "secret" not in said["detail"]
