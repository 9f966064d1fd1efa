"""What is kept about a rater: to look at, to take along, to have erased. No script is needed for any of it."""

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from arena import privacy, privacy_rules
from arena.models import Rater, Study
from arena.views import rater_sessions
from arena.views.languages import in_raters_language
from arena.views.rater_sessions import not_joined


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_raters_language
def own_data(request: HttpRequest, slug: str) -> HttpResponse:
    """GET shows what is kept; a first POST asks whether they are sure, and one with `sure` erases."""
    rater = rater_sessions.rater_here(request, Study.objects.filter(slug=slug).first())
    if rater is None:
        return not_joined(request)
    if rater_sessions.unproven_visit(request, rater) is not None:
        return render(request, "arena/own_data_closed.html", {"study": rater.study}, status=403)
    if request.method == "POST" and request.POST.get("sure") == "yes":
        return _erased(request, rater)
    context = {
        "study": rater.study,
        "data": privacy.own_data(rater),
        "excludes": privacy_rules.excludes_erased(rater.study),
        "is_asking": request.method == "POST",
    }
    return render(request, "arena/own_data.html", context)


@never_cache
@require_safe
@in_raters_language
def download(request: HttpRequest, slug: str) -> HttpResponse:
    """The same as a JSON file."""
    rater = rater_sessions.rater_here(request, Study.objects.filter(slug=slug).first())
    if rater is None:
        return not_joined(request)
    if rater_sessions.unproven_visit(request, rater) is not None:
        return render(request, "arena/own_data_closed.html", {"study": rater.study}, status=403)
    headers = {"Content-Disposition": f'attachment; filename="my-data-{rater.study.slug}.json"'}
    options = {"indent": 2, "ensure_ascii": False}
    return JsonResponse(privacy.own_data(rater), headers=headers, json_dumps_params=options)


def _erased(request: HttpRequest, rater: Rater) -> HttpResponse:
    with transaction.atomic():
        # First, because a session that was emptied behind the request's back cannot be saved by it.
        rater_sessions.forget(request, rater=rater)
        erasure = privacy.erase(rater=rater)
    return render(request, "arena/erased.html", {"study": rater.study, "erasure": erasure})
