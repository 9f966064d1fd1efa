"""The mark in a browser's tab, also where a page names none: the admin, JSON, a picture by itself."""

from django.http import HttpRequest, HttpResponseRedirect
from django.templatetags.static import static
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe


@cache_control(public=True, max_age=86_400)
@require_safe
def favicon(request: HttpRequest) -> HttpResponseRedirect:
    """Browsers ask for this address by themselves."""
    return HttpResponseRedirect(static("arena/mark.svg"))
