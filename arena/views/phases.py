"""What stands before the first ballot: consent to a new text, instructions, questions, qualification."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from arena import admission, consent, instructions, rater_phases, voting
from arena.admission import Phase
from arena.models import Rater, Study
from arena.phase_rules import rules_of
from arena.qualification import lacking_pairs, standing_of
from arena.views.languages import as_it_was_read, in_raters_language
from arena.views.rater_sessions import not_joined, rater_here

PAGES: dict[Phase, str] = {
    Phase.CONSENT: "arena:consent",
    Phase.INSTRUCTIONS: "arena:instructions",
    Phase.SCREENING: "arena:screening",
    Phase.BRIEFING: "arena:qualification",
    Phase.SCREENED_OUT: "arena:done",
    Phase.FAILED: "arena:done",
}


def page_before_ballots(rater: Rater) -> str | None:
    """The name of the page that the rater must see before any ballot."""
    return PAGES.get(rater_phases.phase_of(rater))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_raters_language
def consent_again(request: HttpRequest, slug: str) -> HttpResponse:
    """The text has changed since this rater agreed: what it says now, and the button that says yes."""
    rater = _rater(request, slug)
    if rater is None:
        return not_joined(request)
    if request.method == "POST":
        with as_it_was_read(request):
            rater_phases.agree(rater)
        return redirect("arena:vote", slug=slug)
    paragraphs = consent.consent_text(rater.study).split("\n\n")
    has_changed = not rater_phases.has_agreed(rater)
    return render(
        request, "arena/consent.html", {"study": rater.study, "paragraphs": paragraphs, "has_changed": has_changed}
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_raters_language
def read_instructions(request: HttpRequest, slug: str) -> HttpResponse:
    """An example of each question and one to try (POST `practice`); POST without it says that they were read."""
    rater = _rater(request, slug)
    if rater is None:
        return not_joined(request)
    if not rater_phases.has_agreed(rater):
        return redirect("arena:consent", slug=slug)
    if request.method == "POST" and "practice" not in request.POST:
        rater_phases.note_instructions_read(rater)
        voting.resume(rater)
        return redirect("arena:vote", slug=slug)
    return render(request, "arena/instructions.html", instructions_context(rater.study, request.POST.get("practice")))


def instructions_context(study: Study, tried: str | None = None) -> dict[str, object]:
    """What the instructions page reads; `tried` is the answer to the practice pair."""
    practice = instructions.practice(study)
    return {
        "study": study,
        "cards": instructions.cards(study),
        "practice": practice,
        "tried": tried,
        "is_right": practice is not None and tried == practice.answer,
        "allows_both_bad": study.criteria.filter(allows_both_bad=True).exists(),
        "rules": rules_of(study),
    }


@require_safe
def example_image(request: HttpRequest, token: str) -> HttpResponse:
    """An image of an example. Its signed address is the right to see it: it works without a cookie, too."""
    found = instructions.picture_behind(token)
    if found is None:
        raise Http404
    data, content_type = found
    headers = {"Cache-Control": "private, max-age=3600", "Content-Disposition": 'inline; filename="image.webp"'}
    return HttpResponse(data, content_type=content_type, headers=headers)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_raters_language
def screening(request: HttpRequest, slug: str) -> HttpResponse:
    """The study's own questions, answered once."""
    rater = _rater(request, slug)
    if rater is None:
        return not_joined(request)
    if rater_phases.phase_of(rater) != Phase.SCREENING:
        return redirect("arena:vote", slug=slug)
    context: dict[str, object] = {"study": rater.study, "questions": rules_of(rater.study).screening}
    if request.method != "POST":
        return render(request, "arena/screening.html", context)
    said = {key: str(value) for key, value in request.POST.items()}
    try:
        admission.answer_screening(rater, said)
    except admission.AdmissionError as refusal:
        context |= {"problem": refusal.sentence, "problem_field": refusal.field, "said": list(said.values())}
        return render(request, "arena/screening.html", context, status=400)
    return redirect("arena:vote", slug=slug)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_raters_language
def qualification(request: HttpRequest, slug: str) -> HttpResponse:
    """What a qualification attempt asks, or how the last one went; POST begins one."""
    rater = _rater(request, slug)
    if rater is None:
        return not_joined(request)
    standing = standing_of(rater)
    if standing is None or rater_phases.phase_of(rater) != Phase.BRIEFING:
        return redirect("arena:vote", slug=slug)
    is_ready = lacking_pairs(rater.study) == 0
    if request.method == "POST" and is_ready:
        admission.begin_attempt(rater)
        return redirect("arena:vote", slug=slug)
    last = standing.right_by_attempt[-1] if standing.right_by_attempt else None
    context = {"study": rater.study, "standing": standing, "rule": standing.rule, "last": last}
    context["is_ready"] = is_ready
    return render(request, "arena/qualification.html", context)


def _rater(request: HttpRequest, slug: str) -> Rater | None:
    return rater_here(request, Study.objects.filter(slug=slug).first())
