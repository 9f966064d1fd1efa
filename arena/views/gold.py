"""Known answers of a study: proposed with a form, reviewed with both images in sight, retired."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from arena import display, gold, qualification, stored_pictures
from arena.models import Contender, Criterion, Gold, StudyPrompt
from arena.phase_rules import rules_of
from arena.refusals import Refusal
from arena.views.judging import decidable, visible

_PREFIX = "answer."


@login_required
@require_safe
def gold_list(request: HttpRequest, slug: str) -> HttpResponse:
    """All known answers, those that wait for a review first, and the form for one more."""
    study = visible(request, slug)
    golds = study.golds.select_related("study_prompt__prompt", "first_contender", "second_contender", "reviewer")
    names = dict(study.criteria.values_list("key", "name"))
    entries = [
        (each, [(names.get(key, key), said) for key, said in each.answers.items()])
        for each in sorted(golds, key=lambda each: (each.retired_at is not None, each.reviewed_at is not None, each.pk))
    ]
    context = {
        "study": study,
        "entries": entries,
        "prompts": study.study_prompts.select_related("prompt"),
        "contenders": study.contenders.all(),
        "criteria": study.criteria.all(),
        "share": study.rater_rules.get("gold_share", 0),
        "qualification": rules_of(study).qualification,
        "lacking": qualification.lacking_pairs(study),
    }
    return render(request, "arena/gold.html", context)


@login_required
@require_POST
def propose_gold(request: HttpRequest, slug: str) -> HttpResponse:
    """One more pair with known answers; it waits for a review."""
    study = decidable(request, slug)
    prompt = get_object_or_404(StudyPrompt, study=study, position=_number(request, "prompt"))
    first, second = (
        get_object_or_404(Contender, study=study, position=_number(request, name)) for name in ("first", "second")
    )
    keys = Criterion.objects.filter(study=study).values_list("key", flat=True)
    answers = {key: said for key in keys if (said := request.POST.get(_PREFIX + key, ""))}
    try:
        gold.propose(
            study=study,
            study_prompt=prompt,
            first=first,
            second=second,
            answers=answers,
            proposer=cast(User, request.user),
        )
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, "Proposed. Raters are shown it once it is reviewed.")
    return redirect("arena:gold", slug)


@login_required
@require_POST
def decide_gold(request: HttpRequest, slug: str) -> HttpResponse:
    """Review a proposal, or retire a known answer."""
    study = decidable(request, slug)
    chosen = get_object_or_404(Gold, study=study, pk=_number(request, "gold"))
    try:
        if "retire" in request.POST:
            gold.retire(chosen, actor=cast(User, request.user))
        else:
            gold.review(chosen, reviewer=cast(User, request.user))
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    return redirect("arena:gold", slug)


@login_required
@require_safe
def gold_image(request: HttpRequest, slug: str, pk: int, side: str) -> HttpResponseBase:
    """One image of a known answer, as raters see it."""
    study = visible(request, slug)
    chosen = get_object_or_404(Gold.objects.select_related(f"{side}_image"), study=study, pk=pk)
    copy = display.copy_of(getattr(chosen, f"{side}_image"), study=study)
    if copy is None:
        raise Http404
    headers = {"Cache-Control": "private, max-age=3600"}
    return stored_pictures.answer_with(
        copy.file_sha256, suffix=".webp", content_type=copy.content_type, headers=headers
    )


def _number(request: HttpRequest, name: str) -> int:
    said = request.POST.get(name, "")
    if not (said.isascii() and said.isdigit() and len(said) < 10):
        raise Http404
    return int(said)
