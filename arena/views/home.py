"""The first page: a researcher's studies, or a short word to everybody else."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from arena import overview
from arena.researchers import may_design


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Studies for whoever is signed in; what this is for whoever is not."""
    if not request.user.is_authenticated:
        return render(request, "arena/welcome.html")
    cards = overview.study_cards(request.user)
    return render(request, "arena/home.html", {"cards": cards, "may_design": bool(cards) or may_design(request.user)})
