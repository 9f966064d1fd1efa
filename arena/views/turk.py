"""The door for Mechanical Turk: in its frame, without cookies, instructions alone in a preview."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from arena import consent, joining, networks, raters
from arena.models import Provider
from arena.panel_settings import PanelError, settings_of
from arena.panel_visits import PREVIEW, read_visit, turk_address
from arena.views.languages import as_it_was_read, in_raters_language
from arena.views.passes import address_with_pass, let_panels_frame
from arena.views.phases import instructions_context


@csrf_exempt  # a framed page has no cookie to check; the address itself says who comes, and no session is bound
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_raters_language
def join_from_turk(request: HttpRequest, slug: str) -> HttpResponse:
    """A preview shows the instructions and takes nothing; an accepted task asks for consent, then goes on by a pass."""
    provider = Provider.objects.select_related("study").filter(study__slug=slug, kind=Provider.Kind.MTURK).first()
    if provider is None:
        raise Http404
    study = provider.study
    try:
        raters.check_open_to_raters(study)
        if request.GET.get("assignmentId", PREVIEW) == PREVIEW:
            context = instructions_context(study) | {"is_preview": True, "practice": None, "is_framed": True}
            return let_panels_frame(render(request, "arena/instructions.html", context))
        visit = read_visit(settings_of(provider), request.GET.dict())
        turk_address(visit.captured)
        if request.method != "POST":
            paragraphs = consent.consent_text(study).split("\n\n")
            context = {"study": study, "paragraphs": paragraphs, "is_framed": True}
            return let_panels_frame(render(request, "arena/join.html", context))
        unproven = None if joining.proves_itself(study, visit) else visit.captured
        with as_it_was_read(request):
            rater = joining.join_from_panel(study, visit, network=networks.network_here(request))
    except networks.NetworkError as refusal:
        page = render(request, "arena/join_refused.html", {"sentence": refusal.sentence}, status=429)
        return let_panels_frame(page)
    except (raters.InvitationError, PanelError) as refusal:
        page = render(request, "arena/join_refused.html", {"sentence": refusal.sentence}, status=400)
        return let_panels_frame(page)
    return let_panels_frame(redirect(address_with_pass(rater, reverse("arena:vote", args=[slug]), unproven=unproven)))
