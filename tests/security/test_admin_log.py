"""Whatever an administrator changes in the admin leaves an event: every form and every action of every model there."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import models, transaction
from django.forms import MultiWidget
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse

from arena import api_tokens, raters, run_control, studies
from arena.models import ApiToken, AuditEvent, Exclusion, Invitation, Provider, Rater, Study
from generation.models import BatchLimit, Checkpoint, ImageJob, PromptSet, Recipe, Run
from tests.arena import factories
from tests.arena.dumps import dump

pytestmark = pytest.mark.django_db

Model = type[models.Model]
Way = tuple[Model, str]
PASSWORD = "correct horse battery"
NO_FACTS = ("django_session", "django_admin_log", "arena_auditevent")


@pytest.fixture
def boss() -> User:
    return factories.make_user("boss", is_superuser=True)


@pytest.fixture
def browser(boss: User) -> Client:
    browser = Client()
    browser.force_login(boss)
    return browser


def ways_to_change(boss: User) -> Iterator[Way]:
    """By the admin's own rights: forms to add, change and delete, and actions."""
    request: HttpRequest = RequestFactory().get("/")
    request.user = boss
    for model, model_admin in admin.site._registry.items():
        typed = set(model_admin.get_fields(request)) - set(model_admin.get_readonly_fields(request, model()))
        for verb, may in (
            ("add", model_admin.has_add_permission(request)),
            ("change", model_admin.has_change_permission(request) and bool(typed)),
            ("delete", model_admin.has_delete_permission(request)),
        ):
            if may:
                yield model, verb
        for action in model_admin.get_actions(request):
            yield model, action


@pytest.fixture
def rows(boss: User) -> dict[Model, models.Model]:
    """One of each model that can be changed, such as its forms and actions take."""
    study = factories.make_study(slug="hers", contenders=2, prompts=2)
    studies.ask_for_images(study)
    assert study.run is not None
    study.run.jobs.update(state="failed", reason="a test")
    draft = factories.make_study(slug="draft", contenders=2, prompts=2, opened=False, images=False, copies=False)
    rater = factories.make_rater(study)
    checkpoint = Checkpoint.objects.create(name="new", source="new", state="refused", refusal="no")
    recipe = factories.make_recipe("lonely")
    assert recipe.checkpoint is not None
    return {
        User: factories.make_user("pat"),
        Group: Group.objects.create(name="Lab"),
        Study: draft,
        Rater: rater,
        Invitation: raters.invite(study=study)[0],
        Provider: Provider.objects.create(study=study, kind="generic", settings={"id_param": "pid"}),
        ApiToken: api_tokens.create_token(user=boss, label="x", scope="read")[0],
        BatchLimit: BatchLimit.objects.create(
            checkpoint=recipe.checkpoint, width=64, height=64, device="cpu", largest=2
        ),
        Run: study.run,
        ImageJob: study.run.jobs.all()[0],
        PromptSet: PromptSet.objects.create(name="alone", version=1, digest="d" * 64),
        Recipe: recipe,
        Checkpoint: checkpoint,
        Exclusion: Exclusion(study=study),
    }


def filled(page: Any) -> dict[str, Any]:
    """What a browser would send of this page if nothing were typed."""
    forms = [page.context["adminform"].form]
    for inline in page.context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    sent: dict[str, Any] = {}
    for form in forms:
        for bound in form:
            widget, value = bound.field.widget, bound.value()
            if isinstance(widget, MultiWidget):
                for at, (one, part) in enumerate(zip(widget.widgets, widget.decompress(value) or (), strict=True)):
                    sent[f"{bound.html_name}_{at}"] = one.format_value(part) or ""
            elif isinstance(value, list):
                sent[bound.html_name] = [getattr(one, "pk", one) for one in value]
            elif value is not None and value is not False:  # 0 is a value
                sent[bound.html_name] = getattr(value, "pk", value)
    return sent


@dataclass(frozen=True)
class Sent:
    """What is typed into a form or sent with an action, on which row if not that of `rows`, after what."""

    typed: Mapping[str, Any] = field(default_factory=dict)
    row: models.Model | None = None
    prepare: Callable[[], object] = lambda: None


def all_sent(rows: dict[Model, models.Model], boss: User) -> dict[Way, Sent]:
    """For every way there is."""
    hers, draft = Study.objects.get(slug="hers"), Study.objects.get(slug="draft")
    recipe, run = rows[Recipe], rows[Run]
    assert isinstance(recipe, Recipe) and isinstance(run, Run)
    deletable = (User, Group, Provider, BatchLimit, PromptSet, Recipe, Checkpoint)
    return {
        **{(model, verb): Sent({"post": "yes"}) for model in deletable for verb in ("delete", "delete_selected")},
        (User, "add"): Sent({"username": "sam", "usable_password": "true"} | passwords()),
        (User, "change"): Sent({"is_superuser": "on"}),
        (Group, "add"): Sent({"name": "Other lab"}),
        (Group, "change"): Sent({"name": "Other lab"}),
        (Study, "change"): Sent({"name": "Other"}),
        (Study, "open_studies"): Sent(row=draft),
        (Study, "pause_studies"): Sent(row=hers),
        (Study, "resume_studies"): Sent(row=hers, prepare=lambda: studies.pause_study(hers, actor=None)),
        (Study, "close_studies"): Sent(row=hers),
        (Rater, "erase_raters"): Sent({"sure": "yes"}),
        (Exclusion, "add"): Sent({"study": hers.pk, "scope": "rater", "rater": rows[Rater].pk, "reason": "x"}),
        (Invitation, "add"): Sent({"study": hers.pk}),
        (Invitation, "revoke"): Sent(),
        (Provider, "add"): Sent({"study": draft.pk, "kind": "generic", "settings": '{"id_param": "pid"}'}),
        (Provider, "change"): Sent({"settings": '{"id_param": "person"}'}),
        (ApiToken, "add"): Sent({"user": boss.pk, "label": "other", "scope": "read", "days": 3}),
        (ApiToken, "revoke"): Sent(),
        (Run, "pause"): Sent(),
        (Run, "resume"): Sent(prepare=lambda: run_control.pause(run, actor=None)),
        (Run, "cancel"): Sent(),
        (Run, "retry"): Sent(),
        (ImageJob, "retry"): Sent(),
        (PromptSet, "change"): Sent({"licence": "MIT"}),
        (Recipe, "add"): Sent(new_recipe(recipe)),
        (Recipe, "change"): Sent({"name": "other"}),
        (Checkpoint, "add"): Sent({"name": "mine", "source": "mine"}),
        (Checkpoint, "change"): Sent({"licence": "MIT"}),
        (Checkpoint, "check_folder_again"): Sent(),
    }


def passwords() -> dict[str, str]:
    return {"password1": PASSWORD, "password2": PASSWORD}


def new_recipe(like: Recipe) -> dict[str, Any]:
    fields = {
        "scheduler_class": "FlowMatchEulerDiscreteScheduler",
        "steps": "3",
        "guidance": "4",
        "dtype": "float32",
        "batch_mode": "fast",
    }
    return fields | {"checkpoint": like.checkpoint_id, "width": 64, "height": 64}


def send(browser: Client, model: Model, verb: str, row: models.Model, typed: Mapping[str, Any]) -> Any:
    place = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    if verb == "add":
        return browser.post(reverse(f"{place}_add"), typed)
    if verb in ("change", "delete"):
        address = reverse(f"{place}_{verb}", args=[row.pk])
        return browser.post(address, {**(filled(browser.get(address)) if verb == "change" else {}), **typed})
    return browser.post(reverse(f"{place}_changelist"), {"action": verb, "_selected_action": [row.pk], **typed})


def test_every_change_in_the_admin_leaves_an_event_that_names_its_person(
    browser: Client, boss: User, rows: dict[Model, models.Model]
) -> None:
    sent, unnoted, idle = all_sent(rows, boss), [], []
    assert set(sent) == set(ways_to_change(boss))
    for (model, verb), what in sent.items():
        with transaction.atomic():
            what.prepare()
            before, last = dump(without=NO_FACTS), AuditEvent.objects.latest("pk").pk
            reply = send(browser, model, verb, what.row or rows[model], what.typed)
            events = AuditEvent.objects.filter(pk__gt=last, actor=boss)
            if not events:
                unnoted.append((model.__name__, verb))
            if reply.status_code != 302 or dump(without=NO_FACTS) == before:
                wrong = re.findall(r'class="errorlist.*?</ul>', reply.content.decode(), re.DOTALL)
                idle.append((model.__name__, verb, reply.status_code, wrong))
            transaction.set_rollback(True)
    assert (idle, unnoted) == ([], [])


def test_the_log_says_what_was_done_to_whose_account_and_no_password(browser: Client, boss: User) -> None:
    send(browser, User, "add", boss, {"username": "pat", "usable_password": "true"} | passwords())
    pat = User.objects.get(username="pat")
    send(browser, User, "change", pat, {"is_superuser": "on"})
    address = reverse("admin:auth_user_password_change", args=[pat.pk])
    assert browser.post(address, {"usable_password": "true"} | passwords()).status_code == 302
    send(browser, User, "delete", pat, {"post": "yes"})
    events = AuditEvent.objects.filter(act__startswith="user ").order_by("pk")
    assert [(event.act, event.actor, event.detail["name"], event.detail["fields"][:1]) for event in events] == [
        ("user added in the admin", boss, "pat", []),
        ("user changed in the admin", boss, "pat", ["Superuser status"]),
        ("user changed in the admin", boss, "pat", ["password"]),
        ("user deleted in the admin", boss, "pat", []),
    ]
    assert [event.detail["kinds"] for event in events][:2] == [["is_active"], ["is_active", "is_superuser"]]
    told = str([event.detail for event in events])
    assert PASSWORD not in told and "pbkdf2" not in told and pat.password not in told
    page = browser.get(reverse("arena:site_log")).content.decode()
    assert "user deleted in the admin" in page and "Superuser status" in page


def test_an_own_password_is_changed_on_the_page_that_notes_it(browser: Client, boss: User) -> None:
    boss.set_password(PASSWORD)
    boss.save()
    browser.force_login(boss)
    assert browser.get(reverse("admin:password_change")).headers["Location"] == reverse("arena:password_change")
    new = {"old_password": PASSWORD, "new_password1": PASSWORD + "!", "new_password2": PASSWORD + "!"}
    assert browser.post(reverse("arena:password_change"), new).status_code == 302
    event = AuditEvent.objects.get()
    assert (event.act, event.actor, event.detail) == ("password changed", boss, {"user": boss.pk})
