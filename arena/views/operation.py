"""How the site works, for administrators: a page that follows by itself."""

from typing import cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena.operation import operation


@never_cache
@login_required
@require_safe
def show_operation(request: HttpRequest) -> HttpResponse:
    """The page; to htmx only its moving part. It names everybody's runs and models, so it is for administrators."""
    if not cast(User, request.user).is_superuser:
        raise PermissionDenied("Only administrators see how the site works.")
    is_refresh = request.headers.get("HX-Request") == "true"
    name = "arena/_operation.html" if is_refresh else "arena/operation.html"
    response = render(request, name, {"now": operation()})
    patch_vary_headers(response, ["HX-Request"])
    return response
