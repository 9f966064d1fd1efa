"""The contenders of a study, those that were withdrawn included, and who changed that when and why."""

from collections.abc import Callable
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from arena import withdrawing
from arena.models import Amendment, Contender, Study
from arena.refusals import Refusal


@login_required
@never_cache
@require_safe
def contender_list(request: HttpRequest, slug: str) -> HttpResponse:
    """Everything that was tried in the study, and the log of what was withdrawn."""
    study = _visible(request, slug)
    entries = withdrawing.contender_entries(study)
    is_opened = study.state in (Study.State.OPEN, Study.State.PAUSED)
    context = {
        "study": study,
        "entries": entries,
        "models": withdrawing.tried_models(entries),
        "withdrawn": sum(entry.withdrawn_at is not None for entry in entries),
        "changes": withdrawing.contender_changes(study),
        "may_withdraw": is_opened and study.is_owned_by(request.user),
    }
    return render(request, "arena/contenders.html", context)


@login_required
@require_POST
def withdraw_contender(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Show a contender to nobody any more; its votes stay."""
    told = "{} is withdrawn: raters meet it no more, its votes stay and count."
    return _act(request, slug, pk, withdrawing.withdraw_contender, told)


@login_required
@require_POST
def bring_back_contender(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Let raters meet a withdrawn contender again."""
    return _act(request, slug, pk, withdrawing.bring_back_contender, "{} is back in the study.")


def _act(request: HttpRequest, slug: str, pk: int, act: Callable[..., Amendment], told: str) -> HttpResponse:
    study = _visible(request, slug)
    if not study.is_owned_by(request.user):
        raise PermissionDenied("Only the study's owners decide about its contenders.")
    contender = get_object_or_404(Contender, study=study, pk=pk)
    try:
        act(contender=contender, reason=request.POST.get("reason", ""), author=cast(User, request.user))
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, told.format(contender))
    return redirect("arena:contenders", slug)


def _visible(request: HttpRequest, slug: str) -> Study:
    return get_object_or_404(Study.objects.visible_to(request.user), slug=slug)
