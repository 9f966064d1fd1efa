"""The invitation: what is asked of a rater, and the one button that says yes."""

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from arena import consent, networks, raters
from arena.views import rater_sessions
from arena.views.languages import in_raters_language
from arena.views.network_here import network_here


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_raters_language
def join(request: HttpRequest, token: str) -> HttpResponse:
    """GET says what is asked and kept; POST is consent, makes a rater and binds this browser to it."""
    if slug := rater_sessions.study_joined_by(request, invitation_token=token):
        return redirect("arena:vote", slug=slug)
    try:
        invitation = raters.invitation_of(token)
        with translation.override(_language_read(request)):
            text = consent.consent_text(invitation.study)
        if request.method != "POST":
            context = {"study": invitation.study, "paragraphs": text.split("\n\n")}
            return render(request, "arena/join.html", context)
        with transaction.atomic():
            networks.count_joining(invitation.study, network=network_here(request))
            rater = raters.join(invitation=invitation, consent_text=text)
    except networks.NetworkError as refusal:
        return render(request, "arena/join_refused.html", {"sentence": refusal.sentence}, status=429)
    except raters.InvitationError as refusal:
        status = 404 if refusal.code == "unknown_invitation" else 410
        return render(request, "arena/join_refused.html", {"sentence": refusal.sentence}, status=status)
    rater_sessions.remember(request, rater=rater, invitation_token=token)
    return redirect("arena:vote", slug=rater.study.slug)


def _language_read(request: HttpRequest) -> str | None:
    """The language in which the form was shown: another tab may have changed the choice since."""
    said = request.POST.get("language", "")
    return said if said in dict(settings.LANGUAGES) else translation.get_language()
