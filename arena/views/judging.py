"""The judge table, what excluding raters would change, and the decision, which takes a reason."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from arena import judging, leaving_out, raters
from arena.counted_votes import ReadingError
from arena.judge_table import FLAG_WORDS, as_csv, judge_table
from arena.models import Exclusion, Flag, Rater, Study
from arena.refusals import Refusal

_COLUMNS = (
    ("rater", "Rater"),
    ("votes", "Votes"),
    ("median_seconds", "Median time"),
    ("median_gap", "Between answers"),
    ("left_share", "Left"),
    ("tie_share", "Ties"),
    ("gold", "Gold right"),
    ("self_agreement", "Repeats same"),
    ("agreement", "Agrees"),
    ("infit", "Infit"),
    ("flags", "Flags"),
)


@login_required
@require_safe
def rater_list(request: HttpRequest, slug: str) -> HttpResponse:
    """All raters of a study, sortable by every column."""
    study = visible(request, slug)
    table = judge_table(study, order=request.GET.get("order", "-flags"))
    context = {
        "study": study,
        "table": table,
        "columns": _heads(table.order),
        "flag_words": {kind: words for kind, words in FLAG_WORDS.items() if kind in table.kinds},
        "may_exclude": study.is_managed_by(request.user),
    }
    return render(request, "arena/raters.html", context)


@login_required
@require_safe
def rater_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """The same as a file."""
    study = visible(request, slug)
    response = HttpResponse(as_csv(judge_table(study, order="rater")), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{study.slug}-raters.csv"'
    return response


@login_required
@require_POST
def exclude_raters(request: HttpRequest, slug: str) -> HttpResponse:
    """First the fits before and after, side by side; with `confirm` and a reason, the exclusion."""
    study = decidable(request, slug)
    chosen = list(study.raters.filter(public_id__in=request.POST.getlist("rater")).order_by("pk"))
    if not chosen:
        messages.error(request, "Choose at least one rater first.")
        return redirect("arena:raters", slug)
    problem = ""
    if "confirm" in request.POST:
        try:
            leaving_out.exclude_raters(
                study, chosen, reason=request.POST.get("reason", ""), author=cast(User, request.user)
            )
        except Refusal as refusal:
            problem = refusal.sentence
        else:
            messages.success(request, f"{len(chosen)} excluded. Fits follow within seconds; this can be undone here.")
            return redirect("arena:raters", slug)
    return _comparison(request, study, chosen, problem)


@login_required
@require_POST
def readmit_rater(request: HttpRequest, slug: str) -> HttpResponse:
    """First the fits before and after; with `confirm` and a reason, the rater's votes back in, by a second row."""
    study = decidable(request, slug)
    rater = get_object_or_404(Rater, study=study, public_id=request.POST.get("rater", ""))
    standing = Exclusion.objects.standing().filter(study=study, scope=Exclusion.Scope.RATER, rater=rater).first()
    if standing is None:
        messages.error(request, "This rater is not excluded.")
        return redirect("arena:raters", slug)
    problem = ""
    if "confirm" in request.POST:
        try:
            raters.readmit(exclusion=standing, reason=request.POST.get("reason", ""), author=cast(User, request.user))
        except Refusal as refusal:
            problem = refusal.sentence
        else:
            messages.success(request, f"The votes of {rater.public_id[:8]} count again.")
            return redirect("arena:raters", slug)
    return _comparison(request, study, [rater], problem, excluded=standing)


@login_required
@require_POST
def dismiss_flag(request: HttpRequest, slug: str) -> HttpResponse:
    """Say that a suspicion is unfounded."""
    study = decidable(request, slug)
    said = request.POST.get("flag", "")
    is_number = said.isascii() and said.isdigit() and len(said) < 19  # more digits than the database takes
    flag = get_object_or_404(Flag, study=study, pk=int(said) if is_number else 0)
    try:
        judging.dismiss(flag, actor=cast(User, request.user), reason=request.POST.get("reason", ""))
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, "The flag is gone; the log keeps your reason.")
    return redirect("arena:raters", slug)


def _comparison(
    request: HttpRequest, study: Study, chosen: list[Rater], problem: str, *, excluded: Exclusion | None = None
) -> HttpResponse:
    """The page before a decision: `excluded` is the exclusion that would be taken back, None to exclude the chosen."""
    try:
        if excluded is None:
            fits = leaving_out.before_and_after(study, chosen)
        else:
            fits = leaving_out.before_and_after(study, with_again=chosen)
    except ReadingError as error:
        messages.error(request, str(error))
        return redirect("arena:raters", study.slug)
    context = {
        "study": study,
        "chosen": chosen,
        "rows": [row for row in judge_table(study).rows if row.rater in chosen],
        "excluded": excluded,
        "fits": fits,
        "problem": problem,
        "reason": request.POST.get("reason", ""),
    }
    return render(request, "arena/exclude_raters.html", context, status=400 if problem else 200)


def _heads(order: str) -> list[dict[str, str]]:
    """Column heads with the order that a click asks for and the one that holds, as aria-sort says it."""
    heads = []
    for key, name in _COLUMNS:
        is_falling = order == f"-{key}"
        sort = "descending" if is_falling else "ascending" if order == key else ""
        heads.append({"name": name, "order": key if is_falling else f"-{key}", "sort": sort})
    return heads


def decidable(request: HttpRequest, slug: str) -> Study:
    """The study, where this person decides about its raters."""
    study = visible(request, slug)
    if not study.is_managed_by(request.user):
        raise PermissionDenied("Only the study's owners and rater managers decide about raters.")
    return study


def visible(request: HttpRequest, slug: str) -> Study:
    """The study, where this person may look at it."""
    return get_object_or_404(Study.objects.visible_to(request.user), slug=slug)
