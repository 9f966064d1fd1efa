"""The doors to a study: the invitation and the panel's link. GET says what is asked; POST is consent."""

from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from arena import consent, joining, networks, raters
from arena.models import Provider, Study
from arena.panel_settings import PanelError, settings_of
from arena.panel_visits import read_visit
from arena.views import rater_sessions
from arena.views.languages import as_it_was_read, in_raters_language


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_raters_language
def join(request: HttpRequest, token: str) -> HttpResponse:
    """GET says what is asked and kept; POST is consent, makes a rater and binds this browser to it."""
    if slug := rater_sessions.study_joined_by(request, invitation_token=token):
        return redirect("arena:vote", slug=slug)
    try:
        user = request.user if isinstance(request.user, User) else None
        if user is not None and (known := joining.known_by_account(token, user)) is not None:
            rater_sessions.remember(request, rater=known, invitation_token=token)
            return redirect("arena:vote", slug=known.study.slug)
        invitation = raters.invitation_of(token)
        if joining.needs_account(invitation.study) and user is None:
            return redirect(f"{reverse('arena:login')}?{urlencode({'next': request.path})}")
        if request.method != "POST":
            return _ask(request, invitation.study)
        with as_it_was_read(request):
            rater = joining.join_by_invitation(invitation, user=user, network=networks.network_here(request))
    except networks.NetworkError as refusal:
        return _refuse(request, refusal.sentence, status=429)
    except raters.InvitationError as refusal:
        return _refuse(request, refusal.sentence, status=404 if refusal.code == "unknown_invitation" else 410)
    rater_sessions.remember(request, rater=rater, invitation_token=token)
    return redirect("arena:vote", slug=rater.study.slug)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_raters_language
def join_from_panel(request: HttpRequest, slug: str) -> HttpResponse:
    """A panel's link, with its parameters: the same person is the same rater, in whatever browser."""
    doors = Provider.objects.select_related("study").exclude(kind=Provider.Kind.MTURK)
    provider = doors.filter(study__slug=slug).first()
    if provider is None:
        raise Http404
    study = provider.study
    try:
        raters.check_open_to_raters(study)
        visit = read_visit(settings_of(provider), request.GET.dict())
        here = rater_sessions.rater_here(request, study)
        if here is not None and joining.is_from_panel(here, visit):
            return redirect("arena:vote", slug=slug)
        if request.method != "POST":
            return _ask(request, study)
        unproven = None if joining.proves_itself(study, visit) else visit.captured
        with as_it_was_read(request):
            rater = joining.join_from_panel(study, visit, network=networks.network_here(request))
    except networks.NetworkError as refusal:
        return _refuse(request, refusal.sentence, status=429)
    except raters.InvitationError as refusal:
        return _refuse(request, refusal.sentence, status=410)
    except PanelError as refusal:
        return _refuse(request, refusal.sentence, status=400)
    rater_sessions.remember(request, rater=rater, unproven=unproven)
    return redirect("arena:vote", slug=slug)


def _ask(request: HttpRequest, study: Study) -> HttpResponse:
    paragraphs = consent.consent_text(study).split("\n\n")
    return render(request, "arena/join.html", {"study": study, "paragraphs": paragraphs})


def _refuse(request: HttpRequest, sentence: str, *, status: int) -> HttpResponse:
    return render(request, "arena/join_refused.html", {"sentence": sentence}, status=status)
