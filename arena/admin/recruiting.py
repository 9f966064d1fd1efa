"""Invitations and panels in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from arena import raters
from arena.admin import BY_STUDY, AddOnly, OwnStudiesOnly, person
from arena.audit import note
from arena.invitations import check_label
from arena.models import Invitation, Provider
from arena.panel_settings import settings_of
from arena.refusals import Refusal


class InvitationForm(ModelForm[Invitation]):
    """A new invitation, checked as `invite_many` and `raters.invite` check it."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        try:
            check_label(cleaned.get("label") or "")
            raters.check_invitation(most_uses=cleaned.get("most_uses"), expires_at=cleaned.get("expires_at"))
        except Refusal as refusal:
            raise forms.ValidationError({refusal.field: refusal.sentence}) from refusal
        return cleaned


@admin.register(Invitation)
class InvitationAdmin(AddOnly):
    form = InvitationForm
    list_display = ["__str__", "study", "uses", "most_uses", "expires_at", "revoked_at", "created_by"]
    list_filter = [BY_STUDY]
    list_select_related = ["study", "created_by"]
    readonly_fields = ["uses", "created_at", "created_by", "revoked_at"]
    exclude = ["token_sha256"]
    actions = ["revoke"]

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        saved, token = raters.invite(
            study=obj.study,
            label=obj.label,
            most_uses=obj.most_uses,
            expires_at=obj.expires_at,
            created_by=person(request),
            is_public=obj.is_public,
        )
        obj.__dict__.update(saved.__dict__)
        link = request.build_absolute_uri(reverse("arena:join", args=[token]))
        shown = format_html("The link, which cannot be read again later: <code>{}</code>", link)
        self.message_user(request, shown, messages.WARNING)

    @admin.action(description="Revoke: let nobody else in by this link", permissions=["add"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[Invitation]) -> None:
        for invitation in chosen.select_related("study"):
            raters.revoke(invitation=invitation, actor=person(request))
        self.message_user(request, f"{len(chosen)} revoked.", messages.SUCCESS)


class ProviderForm(ModelForm[Provider]):
    """A panel's settings, checked as the panel's door reads them."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "settings" in cleaned:
            kind = cleaned.get("kind", self.instance.kind)  # shown, not asked, once the row is there
            try:
                settings_of(Provider(kind=kind, settings=cleaned["settings"]))
            except Refusal as refusal:
                raise forms.ValidationError({refusal.field: refusal.sentence}) from refusal
        return cleaned


@admin.register(Provider)
class ProviderAdmin(OwnStudiesOnly):
    form = ProviderForm
    notes_itself = frozenset({"added", "changed"})
    list_display = ["study", "kind", "changed_at"]
    list_select_related = ["study"]

    def get_readonly_fields(self, request: HttpRequest, obj: Provider | None = None) -> list[str]:
        return ["study", "kind"] if obj else []

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        note(obj.study, person(request), "panel changed" if change else "panel added", kind=obj.kind)
