"""How a study is doing, for those who may see it: a page that follows by itself."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena.charts.coverage import coverage_chart
from arena.charts.hours import hours_chart
from arena.live_progress import live_progress
from arena.models import Study


@never_cache
@login_required
@require_safe
def progress(request: HttpRequest, slug: str) -> HttpResponse:
    """The page; to htmx only its moving part."""
    study = get_object_or_404(Study.objects.visible_to(request.user).select_related("run"), slug=slug)
    live = live_progress(study)
    context = {
        "study": study,
        "live": live,
        "charts": {"hours": hours_chart(live.pace), "coverage": coverage_chart(live.coverage)},
    }
    is_refresh = request.headers.get("HX-Request") == "true"
    response = render(request, "arena/_progress.html" if is_refresh else "arena/progress.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response
