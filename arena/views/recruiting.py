"""Invitation links for those who run a study, and the door for a panel's own messages."""

from datetime import timedelta
from typing import cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from arena import panels, raters
from arena.invitations import MOST_AT_ONCE, MadeLink, as_csv, invite_many
from arena.models import Invitation, Provider, Study
from arena.panel_settings import PanelError, settings_of

LARGEST_MESSAGE_BYTES = 64 * 1024


class InvitationsForm(forms.Form):
    """How many links of which kind."""

    count = forms.IntegerField(label="How many links", min_value=1, max_value=MOST_AT_ONCE, initial=1)
    label = forms.CharField(label="For whom", max_length=190, required=False, help_text="For your own lists.")
    most_uses = forms.IntegerField(
        label="People per link", min_value=1, required=False, help_text="Empty: any number, an open link."
    )
    days = forms.FloatField(
        label="Days it lets people in",
        min_value=0.01,
        max_value=3650,
        required=False,
        help_text="Empty: until revoked.",
    )
    is_public = forms.BooleanField(
        label="For posting anywhere",
        required=False,
        help_text="Whoever joins counts as anonymous: kept apart, and left out of the results unless the study says "
        "otherwise.",
    )


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def invitations(request: HttpRequest, slug: str) -> HttpResponse:
    """All invitations of a study, and new ones. New links are shown, or sent as CSV, this one time."""
    study = _recruited(request, slug)
    form = InvitationsForm(request.POST or None)
    made: list[MadeLink] = []
    if request.method == "POST" and form.is_valid():
        try:
            made = _make(study, form, user=cast(User, request.user))
        except raters.InvitationError as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, refusal.sentence)
    if made and "csv" in request.POST:
        data = as_csv(made, address_of=lambda token: _address(request, token))
        headers = {"Content-Disposition": f'attachment; filename="{slug}-invitations.csv"'}
        return HttpResponse(data, content_type="text/csv; charset=utf-8", headers=headers)
    provider = Provider.objects.select_related("study").filter(study=study).first()
    context = {
        "study": study,
        "form": InvitationsForm() if made else form,
        "links": [(link.label, _address(request, link.token)) for link in made],
        "invitations": study.invitations.select_related("created_by").order_by("-pk"),
        "provider": provider,
        "panel_address": _panel_address(request, provider) if provider else "",
        "now": timezone.now(),
    }
    status = 400 if form.is_bound and form.errors else 200
    return render(request, "arena/invitations.html", context, status=status)


@login_required
@require_POST
def revoke_invitation(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Let nobody else in by this link."""
    invitation = get_object_or_404(Invitation.objects.filter(study=_recruited(request, slug)), pk=pk)
    raters.revoke(invitation=invitation, actor=cast(User, request.user))
    messages.success(request, f"{invitation}: lets nobody else in.")
    return redirect("arena:invitations", slug)


@csrf_exempt
@require_POST
def panel_messages(request: HttpRequest, slug: str) -> HttpResponse:
    """A panel says that work was given back; signed by a secret that both know, so no cookie is needed."""
    provider = Provider.objects.filter(study__slug=slug).first()
    if provider is None:
        raise Http404
    if len(request.body) > LARGEST_MESSAGE_BYTES:
        return JsonResponse({"problem": "The message is too large."}, status=413)
    try:
        done = panels.take_message(
            provider,
            body=request.body,
            timestamp=request.headers.get("X-Prolific-Request-Timestamp", ""),
            signature=request.headers.get("X-Prolific-Request-Signature", ""),
            event_id=request.headers.get("X-Event-Id", ""),
        )
    except PanelError as refusal:
        status = 403 if refusal.code in ("bad_signature", "bad_timestamp", "no_secret") else 400
        return JsonResponse({"problem": refusal.sentence, "code": refusal.code}, status=status)
    return JsonResponse({"done": done})


def _make(study: Study, form: InvitationsForm, *, user: User) -> list[MadeLink]:
    said = form.cleaned_data
    days = said["days"]
    return invite_many(
        study=study,
        count=said["count"],
        label=said["label"],
        most_uses=said["most_uses"],
        expires_at=None if days is None else timezone.now() + timedelta(days=days),
        created_by=user,
        is_public=said["is_public"],
    )


def _recruited(request: HttpRequest, slug: str) -> Study:
    return get_object_or_404(Study.objects.managed_by(request.user), slug=slug)


def _panel_address(request: HttpRequest, provider: Provider) -> str:
    """What is typed into the panel, with the parameters that it fills in."""
    settings = settings_of(provider)
    if provider.kind == Provider.Kind.MTURK:
        return request.build_absolute_uri(reverse("arena:join_from_turk", args=[provider.study.slug]))
    names = (settings.id_param, *settings.capture_params)
    fills = "{{%" + "%}}" if provider.kind == Provider.Kind.PROLIFIC else "…"
    asked = "&".join(f"{name}={fills.replace('%%', f'%{name}%')}" for name in names)
    return f"{request.build_absolute_uri(reverse('arena:join_from_panel', args=[provider.study.slug]))}?{asked}"


def _address(request: HttpRequest, token: str) -> str:
    return request.build_absolute_uri(reverse("arena:join", args=[token]))
