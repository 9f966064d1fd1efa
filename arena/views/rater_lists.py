"""Raters over all studies, for staff."""

from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena import rater_lists
from arena.models import Study
from arena.views.image_imports import staff_only

RATERS_PER_PAGE = 50
FILTERS = ("study", "kind", "state", "name")


@never_cache
@staff_only
@require_safe
def all_raters(request: HttpRequest) -> HttpResponse:
    """A line for each rater of the studies that this person may see, newest first."""
    said = {name: request.GET[name][:200] for name in FILTERS if request.GET.get(name)}
    said = {name: value.replace("\x00", "") for name, value in said.items()}
    page = Paginator(rater_lists.raters_of(request.user, said), RATERS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "lines": rater_lists.lines_of(list(page)),
        "said": said,
        "kept": urlencode(said),
        "studies": Study.objects.visible_to(request.user).order_by("name").values_list("slug", "name"),
        "kinds": rater_lists.KINDS,
        "states": rater_lists.STATES,
    }
    return render(request, "arena/all_raters.html", context)
