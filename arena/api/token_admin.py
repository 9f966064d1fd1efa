"""Tokens in the admin: made by a form that shows them once, read ever after, revoked by an action."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html

from arena import api_tokens
from arena.admin import AddOnly, person
from arena.models import ApiToken


class ApiTokenForm(ModelForm[ApiToken]):
    """A new token, checked as `create_token` checks it."""

    days = forms.IntegerField(
        min_value=1, max_value=api_tokens.MOST_DAYS, initial=api_tokens.USUAL_DAYS, help_text="How long it lives."
    )

    class Meta:
        model = ApiToken
        fields = ["user", "label", "scope"]


@admin.register(ApiToken)
class ApiTokenAdmin(AddOnly):
    form = ApiTokenForm
    list_display = ["id", "label", "user", "scope", "expires_at", "revoked_at", "last_used_at"]
    list_select_related = ["user"]
    actions = ["revoke"]
    facts = ("user", "label", "scope", "expires_at", "revoked_at", "last_used_at", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        return ApiToken.objects.visible_to(person(request))

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        return self.facts if obj else ("user", "label", "scope", "days")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Only superusers make tokens for others: a token may do what its person may."""
        who = person(request)
        kwargs["queryset"] = User.objects.filter(is_active=True) if who.is_superuser else User.objects.filter(pk=who.pk)
        kwargs["initial"] = who.pk
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        said = form.cleaned_data
        saved, text = api_tokens.create_token(
            user=said["user"], label=said["label"], scope=said["scope"], days=said["days"], actor=person(request)
        )
        obj.__dict__.update(saved.__dict__)
        shown = format_html("The token, which cannot be read again later: <code>{}</code>", text)
        self.message_user(request, shown, messages.WARNING)

    @admin.action(description="Revoke: let it open nothing from now on", permissions=["add"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiToken]) -> None:
        for token in chosen:
            api_tokens.revoke_token(token, actor=person(request))
        self.message_user(request, f"{len(chosen)} revoked.", messages.SUCCESS)
