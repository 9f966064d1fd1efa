"""The API described for people, in the Swagger UI that django-ninja ships; no other host is asked."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from arena.api.routes import description


@login_required
@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """Every operation, to read and to try with a token."""
    return render(request, "arena/api_docs.html", {"description": description()})
