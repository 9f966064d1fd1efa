"""The admin: facts cannot be touched, opened studies are frozen, links show once, others' studies are hidden."""

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from arena import raters
from arena.designs import design_digest
from arena.models import (
    AuditEvent,
    Ballot,
    Exclusion,
    Fit,
    FrontSorting,
    Invitation,
    Provider,
    Rater,
    RuleTie,
    Study,
    StudyPrompt,
    Vote,
)
from generation.models import Prompt
from tests.arena import factories

pytestmark = pytest.mark.django_db

FACTS = [Ballot, Vote, Fit, FrontSorting, AuditEvent, Rater, RuleTie, StudyPrompt]
NASTY = "<img src=x onerror=alert(1)> {{7*7}} javascript:alert(1)"


@pytest.fixture
def boss() -> User:
    return factories.make_user("boss", is_superuser=True)


@pytest.fixture
def client(boss: User) -> Client:
    client = Client()
    client.force_login(boss)
    return client


@pytest.fixture
def study() -> Study:
    study = factories.make_study(contenders=2, prompts=2)
    factories.cast(factories.make_rater(study), "left", ballots=2)
    FrontSorting.objects.create(study=study, fits_digest="d", results={}, seconds=1)
    return study


def address(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:arena_{model._meta.model_name}_{page}", args=args)


def inlines_of(study: Study, **changed: object) -> dict[str, object]:
    """What the study form posts for its parts when nothing in them is changed."""
    form: dict[str, object] = {}
    for prefix in ("criteria", "contenders", "members"):
        form |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    return form | changed


# --- facts ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", FACTS)
def test_facts_are_listed_but_cannot_be_added_changed_or_deleted(
    client: Client, study: Study, model: type[Model]
) -> None:
    assert client.get(address(model, "changelist")).status_code == 200
    assert client.get(address(model, "add")).status_code == 403
    row = model._default_manager.first()
    if row is None:
        return
    assert client.get(address(model, "change", row.pk)).status_code == 200
    assert client.post(address(model, "change", row.pk), {}).status_code == 403
    assert client.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert "delete_selected" not in client.get(address(model, "changelist")).content.decode()


def test_every_model_of_the_arena_with_facts_is_guarded() -> None:
    open_to_change = {
        model._meta.model_name
        for model, site in admin.site._registry.items()
        if model._meta.app_label == "arena"
        and type(site).has_change_permission is admin.ModelAdmin.has_change_permission
    }
    assert open_to_change == {"study", "provider"}  # a panel's codes and keys are no facts


def test_prompts_are_text_wherever_the_admin_shows_them(client: Client) -> None:
    study = factories.make_study(contenders=2, prompts=1, with_text=0)
    factories.cast(factories.make_rater(study), "left")
    Prompt.objects.update(text=NASTY)
    Study.objects.update(name=NASTY)
    for model in (StudyPrompt, Ballot, Study, AuditEvent, Vote):
        page = client.get(address(model, "changelist")).content.decode()
        assert "<img src=x" not in page and "&lt;img src=x onerror=alert(1)&gt; {{7*7}}" in page
    row = client.get(address(StudyPrompt, "change", study.study_prompts.get().pk)).content.decode()
    assert "<img src=x" not in row and "&lt;img src=x" in row


# --- studies ----------------------------------------------------------------------------------------------------------
def test_an_opened_studys_design_cannot_be_typed_over(client: Client, study: Study) -> None:
    page = client.get(address(Study, "change", study.pk)).content.decode()
    assert 'name="design"' not in page and 'name="slug"' not in page and 'name="criteria-0-question"' not in page
    form = {"name": "New name", "description": "", "design": '{"samples": 3}', "slug": "other", "state": "draft"}
    answer = client.post(address(Study, "change", study.pk), inlines_of(study, **form))
    before = study.frozen_digest
    study.refresh_from_db()
    assert answer.status_code == 302 and study.name == "New name"
    assert (study.slug, study.state, study.design["samples"]) == ("colours", "open", 1)
    assert design_digest(study) == before


def test_a_drafts_design_is_changed_by_the_act_that_checks_and_logs_it(client: Client, boss: User) -> None:
    study = factories.make_study(images=False, opened=False)
    form = {"name": study.name, "slug": "draft", "description": "", "display_rule": '{"width": 64, "height": 64}'}
    form |= {"rater_rules": '{"ballots_per_rater": 5}', "design": '{"samples": 2}'}
    kept = {"criteria-TOTAL_FORMS": 0, "criteria-INITIAL_FORMS": 0}
    answer = client.post(address(Study, "change", study.pk), inlines_of(study, **form, **kept))
    assert answer.status_code == 302
    study.refresh_from_db()
    assert (study.slug, study.design["samples"], study.rater_rules) == (
        "draft",
        2,
        {"ballots_per_rater": 5, "instructions": True},
    )
    assert study.audit_events.get(act="draft changed").actor == boss


def test_a_wrong_design_is_refused_with_its_sentence(client: Client) -> None:
    study = factories.make_study(images=False, opened=False)
    form = {"name": study.name, "slug": study.slug, "display_rule": '{"width": 64}', "design": "[1]"}
    form |= {"rater_rules": '{"ballots_per_rater": 0}'}
    page = client.post(address(Study, "change", study.pk), inlines_of(study, **form)).content.decode()
    assert "The display rule lacks &#x27;height&#x27;." in page
    assert "Write a JSON object" in page and "Ballots per rater must be a whole number above 0" in page


def test_actions_open_and_close_studies_and_say_what_was_refused(client: Client, boss: User) -> None:
    study = factories.make_study(images=False, opened=False)
    for action, state in (("open_studies", "open"), ("pause_studies", "paused"), ("close_studies", "closed")):
        client.post(address(Study, "changelist"), {"action": action, "_selected_action": [study.pk]})
        study.refresh_from_db()
        assert study.state == state
    refused = client.post(
        address(Study, "changelist"), {"action": "resume_studies", "_selected_action": [study.pk]}, follow=True
    )
    assert "is closed and cannot be resumed." in refused.content.decode()
    told = set(study.audit_events.exclude(act="study created").values_list("act", "actor"))
    assert told == {("study opened", boss.pk), ("study paused", boss.pk), ("study closed", boss.pk)}


def test_studies_are_neither_added_nor_deleted_here(client: Client, study: Study) -> None:
    assert client.get(address(Study, "add")).status_code == 403
    assert client.post(address(Study, "delete", study.pk), {"post": "yes"}).status_code == 403


# --- what people add --------------------------------------------------------------------------------------------------
def test_an_invitations_link_is_shown_once_and_works(client: Client, study: Study) -> None:
    form = {"study": study.pk, "label": "lab", "most_uses": 3, "expires_at_0": "", "expires_at_1": ""}
    page = client.post(address(Invitation, "add"), form, follow=True).content.decode()
    invitation = Invitation.objects.get(label="lab")
    token = page.partition("/join/")[2].partition("/</code>")[0]
    assert raters.invitation_of(token) == invitation
    assert (invitation.most_uses, invitation.created_by) == (3, factories.make_user("boss"))
    again = client.get(address(Invitation, "change", invitation.pk)).content.decode()
    assert token not in again and invitation.token_sha256 not in again and "/join/" not in again


def test_an_invitation_for_nobody_is_refused(client: Client, study: Study) -> None:
    form = {"study": study.pk, "label": "nobody", "most_uses": 0, "expires_at_0": "2001-01-01", "expires_at_1": "00:00"}
    page = client.post(address(Invitation, "add"), form).content.decode()
    assert (
        "An invitation lets in at least one person" in page and not Invitation.objects.filter(label="nobody").exists()
    )


def test_an_invitation_can_be_revoked(client: Client, study: Study) -> None:
    invitation, _ = raters.invite(study=study)
    client.post(address(Invitation, "changelist"), {"action": "revoke", "_selected_action": [invitation.pk]})
    invitation.refresh_from_db()
    assert invitation.revoked_at is not None


def exclusion_form(study: Study, **said: object) -> dict[str, object]:
    empty = {"vote": "", "ballot": "", "rater": "", "image": "", "revokes": "", "reason": "always left"}
    return {"study": study.pk, "scope": "rater", **empty, **said}


def test_votes_are_excluded_and_readmitted_by_adding_rows(client: Client, study: Study, boss: User) -> None:
    rater = study.raters.get()
    client.post(address(Exclusion, "add"), exclusion_form(study, rater=rater.pk))
    exclusion = Exclusion.objects.get()
    assert (exclusion.rater, exclusion.author, exclusion.reason) == (rater, boss, "always left")
    assert not Vote.objects.counted().exists()
    client.post(address(Exclusion, "add"), exclusion_form(study, revokes=exclusion.pk, reason="a mistake"))
    assert Exclusion.objects.latest("id").revokes == exclusion and Vote.objects.counted().exists()
    assert client.post(address(Exclusion, "change", exclusion.pk), {"reason": "other"}).status_code == 403


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({}, "does not fit what is named"),
        ({"scope": "vote"}, "does not fit what is named"),
        ({"reason": ""}, "This field is required."),
        ({"reason": "  "}, "This field is required."),
    ],
)
def test_an_exclusion_that_makes_no_sense_is_refused(
    client: Client, study: Study, said: dict[str, object], sentence: str
) -> None:
    assert sentence in client.post(address(Exclusion, "add"), exclusion_form(study, **said)).content.decode()
    assert not Exclusion.objects.exists()


# --- other people's studies -------------------------------------------------------------------------------------------
@pytest.fixture
def colleague() -> Iterator[Client]:
    """Staff with every right on the arena's models, but no study of their own."""
    user = factories.make_user("colleague")
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="arena"))
    client = Client()
    client.force_login(user)
    yield client


@pytest.mark.parametrize("model", [Study, Ballot, Vote, Rater, AuditEvent, StudyPrompt])
def test_somebody_elses_study_is_not_there(colleague: Client, study: Study, model: type[Model]) -> None:
    row = model._default_manager.first()
    assert row is not None
    assert colleague.get(address(model, "change", row.pk)).status_code == 302  # "perhaps it was deleted"
    assert f"/{row.pk}/change/" not in colleague.get(address(model, "changelist")).content.decode()


WITH_A_STUDY_FILTER = [*FACTS, Exclusion, Invitation]


@pytest.mark.parametrize("model", WITH_A_STUDY_FILTER)
def test_the_filter_by_study_names_only_studies_that_one_may_see(
    colleague: Client, client: Client, model: type[Model]
) -> None:
    reader = factories.make_user("colleague")
    names = {"Shared", "Own", "Hidden"}
    for name in names:
        study = factories.make_study(contenders=2, prompts=1, images=False, slug=name.lower())
        if name == "Own":
            Study.objects.filter(pk=study.pk).update(owner=reader)
        if name == "Shared":
            study.members.create(user=reader, role="analyst")

    def named_in_filter(browser: Client) -> set[str]:
        page = browser.get(address(model, "changelist")).content.decode()
        return {name for name in names if f">{name}</a>" in page}

    assert (named_in_filter(colleague), named_in_filter(client)) == ({"Shared", "Own"}, names)


def test_nobody_invites_to_or_excludes_from_somebody_elses_study(colleague: Client, study: Study) -> None:
    colleague.post(address(Invitation, "add"), {"study": study.pk, "label": "mine", "most_uses": 1})
    colleague.post(address(Exclusion, "add"), exclusion_form(study, rater=study.raters.get().pk))
    assert not Invitation.objects.filter(label="mine").exists() and not Exclusion.objects.exists()


def test_a_panels_settings_are_checked_and_logged_and_its_kind_stays(client: Client, boss: User) -> None:
    study = factories.make_study(images=False)
    form = {"study": study.pk, "kind": "generic", "webhook_secret": ""}
    wrong = client.post(address(Provider, "add"), {**form, "settings": '{"id_param": ""}'})
    assert "“id_param” must be a text." in wrong.content.decode() and not Provider.objects.exists()
    client.post(address(Provider, "add"), {**form, "settings": '{"id_param": "pid"}'})
    provider = Provider.objects.get()
    changed = {**form, "kind": "mturk", "settings": '{"id_param": "participant"}'}
    client.post(address(Provider, "change", provider.pk), changed)
    provider.refresh_from_db()
    assert (provider.kind, provider.settings) == ("generic", {"id_param": "participant"})
    acts = study.audit_events.filter(act__startswith="panel").order_by("pk").values_list("act", "actor")
    assert list(acts) == [("panel added", boss.pk), ("panel changed", boss.pk)]
