"""Sharing a study, and the log of who did what."""

from typing import cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arena import audit, sharing
from arena.models import Study, StudyMember
from arena.refusals import Refusal

EVENTS_PER_PAGE = 100


class ShareForm(forms.Form):
    """With whom, and as what."""

    name = forms.CharField(label="Colleague's account", max_length=150, widget=forms.TextInput({"autocomplete": "off"}))
    role = forms.ChoiceField(label="Role", choices=list(sharing.ROLES.items()), initial=StudyMember.Role.ANALYST)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def members(request: HttpRequest, slug: str) -> HttpResponse:
    """Who works on a study; owners give roles."""
    study = get_object_or_404(Study.objects.visible_to(request.user), slug=slug)
    may_share = study.is_owned_by(request.user)
    form = ShareForm(request.POST or None)
    if request.method == "POST":
        _check(may_share)
        if form.is_valid():
            try:
                member = sharing.share(study, actor=cast(User, request.user), **form.cleaned_data)
            except Refusal as refusal:
                form.add_error(refusal.field or None, refusal.sentence)
            else:
                messages.success(request, f"{member.user} is {member.get_role_display()} of this study now.")
                return redirect("arena:members", slug)
    shared = study.members.select_related("user").order_by("user__username")
    context = {"study": study, "members": shared, "form": form, "may_share": may_share}
    return render(request, "arena/members.html", context, status=400 if form.is_bound and form.errors else 200)


@login_required
@require_POST
def remove_member(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Take a colleague's role away."""
    study = get_object_or_404(Study.objects.visible_to(request.user), slug=slug)
    _check(study.is_owned_by(request.user))
    member = get_object_or_404(study.members.select_related("user"), pk=pk)
    sharing.stop_sharing(study, member, actor=cast(User, request.user))
    messages.success(request, f"{member.user} no longer works on this study.")
    return redirect("arena:members", slug)


@login_required
@require_safe
def study_log(request: HttpRequest, slug: str) -> HttpResponse:
    """Who did what on a study, newest first."""
    study = get_object_or_404(Study.objects.visible_to(request.user), slug=slug)
    return _log(request, study)


@login_required
@require_safe
def site_log(request: HttpRequest) -> HttpResponse:
    """Who did what anywhere; for administrators."""
    if not cast(User, request.user).is_superuser:
        raise PermissionDenied("Only administrators see the log of the whole site.")
    return _log(request, None)


def _log(request: HttpRequest, study: Study | None) -> HttpResponse:
    events = audit.events_of(study, act=request.GET.get("act", ""))
    page = Paginator(events, EVENTS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "study": study,
        "page": page,
        "lines": audit.lines_of(page),
        "acts": audit.known_acts(study),
        "act": request.GET.get("act", ""),
    }
    return render(request, "arena/log.html", context)


def _check(is_allowed: bool) -> None:
    if not is_allowed:
        raise PermissionDenied("Only the study's owners decide who works on it.")
