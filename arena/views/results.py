"""The results of a study: one page that follows the votes, its charts, and the switch for simulated raters."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language
from django.views.decorators.http import require_POST, require_safe

from arena import fitting, page_cache
from arena.counted_votes import ReadingError
from arena.models import Study
from arena.not_worse import Margin, margin_of
from arena.page_cache import KeptPage
from arena.study_page import chart_of, study_page
from arena.views.charts import chart_answer

_FOR_A_YEAR = "private, max-age=31536000, immutable"
_ASK_EACH_TIME = "private, no-cache"
_LONGEST_NAME = 100


@login_required
@require_safe
def study(request: HttpRequest, slug: str) -> HttpResponse:
    """The page; to htmx, which asks every few seconds, only its moving part, and that only if it has changed."""
    found = _visible(request, slug)
    is_refresh = request.headers.get("HX-Request") == "true"
    template = "arena/_results.html" if is_refresh else "arena/study.html"
    margin = margin_of(found, request.GET.get("margin", ""))
    looked_for = request.GET.get("contender", "")[:_LONGEST_NAME].strip()
    key = _key(request, found, template, margin, looked_for)
    if (shown := page_cache.kept(key)) is None:
        page = study_page(found, margin=margin, looked_for=looked_for)
        is_known = is_refresh and request.GET.get("seen") == page.stamp
        context = {"page": page, "may_decide": found.is_owned_by(request.user)}
        body = b"" if is_known else render_to_string(template, context, request).encode()
        if not is_known:
            page_cache.keep(key, stamp=page.stamp, body=body)
        shown = KeptPage(page.stamp, body)
    is_known = is_refresh and request.GET.get("seen") == shown.stamp
    response = HttpResponse(status=204) if is_known else HttpResponse(shown.body)
    patch_vary_headers(response, ["HX-Request"])
    response.headers["Cache-Control"] = _ASK_EACH_TIME
    return response


@login_required
@require_safe
def chart(request: HttpRequest, slug: str, name: str, suffix: str) -> HttpResponse:
    """One chart as SVG, PNG or PDF, or its data as CSV; `theme=dark` and `size=narrow` change its looks."""
    study = _visible(request, slug)
    found = chart_of(study, name, margin=margin_of(study, request.GET.get("margin", "")))
    file = f"{slug}-{name}"
    return chart_answer(
        request, found, file=file, suffix=suffix, control=_ASK_EACH_TIME, control_of_version=_FOR_A_YEAR
    )


@login_required
@require_POST
def count_simulated(request: HttpRequest, slug: str) -> HttpResponse:
    """Count simulated raters' votes in the fits of this study, or leave them out."""
    found, counts = _visible(request, slug), request.POST.get("counts") == "yes"
    if not found.is_owned_by(request.user):
        raise PermissionDenied("Only the study's owners decide which votes count.")
    try:
        fitting.set_counts_simulated(found, counts=counts, actor=cast(User, request.user))
    except ReadingError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Simulated raters are now {'counted' if counts else 'left out'}.")
    return redirect("arena:study", slug)


def _key(request: HttpRequest, study: Study, template: str, *shown: Margin | str) -> str | None:
    """Forms carry the token of this browser's cookie, and messages are shown once: neither may reach anybody else."""
    if len(messages.get_messages(request)):
        return None
    get_token(request)
    viewer = (request.user.pk, request.user.is_superuser, getattr(request.user, "is_staff", False), get_language())
    return page_cache.key_of(study, *viewer, request.META["CSRF_COOKIE"], template, *shown)


def _visible(request: HttpRequest, slug: str) -> Study:
    return get_object_or_404(Study.objects.visible_to(request.user).select_related("run"), slug=slug)
