"""The ballots behind a number, for those who may see the study."""

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena.ballot_lists import BallotFilter, ballot_page
from arena.models import Contender, Study

_MOST_DIGITS = 18


@never_cache
@login_required
@require_safe
def ballots(request: HttpRequest, slug: str) -> HttpResponse:
    """Votes on one question, the newest first: of a pair, a contender, a prompt or a rater, as the address says."""
    study = get_object_or_404(Study.objects.visible_to(request.user), slug=slug)
    wanted = _wanted(request, study)
    page = ballot_page(study, wanted)
    kept = {
        name: request.GET[name] for name in ("criterion", "one", "other", "prompt", "rater") if request.GET.get(name)
    }
    prompt = study.study_prompts.select_related("prompt").filter(pk=wanted.prompt).first() if wanted.prompt else None
    if wanted.prompt and prompt is None:
        raise Http404("There is no such prompt in this study.")
    context = {
        "study": study,
        "wanted": wanted,
        "prompt": prompt,
        "page": page,
        "criteria": study.criteria.all(),
        "contenders": study.contenders.all(),
        "images": reverse("arena:study_image", args=[slug, 0, "webp"]).removesuffix("0.webp"),
        "more": f"{request.path}?{urlencode({**kept, 'before': page.after})}" if page.after is not None else "",
    }
    return render(request, "arena/ballots.html", context)


def _wanted(request: HttpRequest, study: Study) -> BallotFilter:
    """What the address asks for. Raises Http404 where it names what the study has not."""
    key = request.GET.get("criterion", "")
    criterion = study.criteria.filter(key=key).first() if key else study.criteria.first()
    if criterion is None:
        raise Http404("There is no such question in this study.")
    return BallotFilter(
        criterion=criterion,
        one=_contender(request, study, "one"),
        other=_contender(request, study, "other"),
        prompt=_number(request, "prompt"),
        rater=request.GET.get("rater", "")[:32],
        before=_number(request, "before"),
    )


def _contender(request: HttpRequest, study: Study, name: str) -> Contender | None:
    number = _number(request, name)
    return None if number is None else get_object_or_404(study.contenders, pk=number)


def _number(request: HttpRequest, name: str) -> int | None:
    said = request.GET.get(name, "")
    if not said:
        return None
    if not (said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS):
        raise Http404(f"{name} must be a whole number.")
    return int(said)
