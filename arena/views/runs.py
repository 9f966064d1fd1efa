"""Runs: what a study's images would cost, how a run stands, and the buttons that steer it."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from arena import run_control, studies
from arena.audit import note
from arena.image_grid import GridCell, cell_of_job
from arena.models import Study
from arena.refusals import Refusal
from arena.run_lists import run_lines
from generation.errors import GenerationError
from generation.models import Run
from generation.run_status import status_of

MOST_DIGITS = 10


@never_cache
@login_required
@require_safe
def run_list(request: HttpRequest) -> HttpResponse:
    """The latest runs this person may see."""
    return render(request, "arena/runs.html", {"lines": run_lines(run_control.visible_runs(request.user))})


@never_cache
@login_required
@require_safe
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """How a run stands; to htmx, which asks every few seconds, only the moving part."""
    found = _visible_run(request, pk)
    is_refresh = request.headers.get("HX-Request") == "true"
    context = {
        "status": status_of(found),
        "studies": list(Study.objects.visible_to(request.user).filter(run=found)),
        "may_steer": run_control.may_steer(found, request.user),
    }
    response = render(request, "arena/_run.html" if is_refresh else "arena/run.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@login_required
@require_POST
def steer(request: HttpRequest, pk: int) -> HttpResponse:
    """Pause, resume, cancel, set the priority, or retry; back to where the button was."""
    found = _visible_run(request, pk)
    if not run_control.may_steer(found, request.user):
        return render(request, "403.html", status=403)
    try:
        sentence = _steered(found, request)
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        if request.headers.get("HX-Request") == "true" and (cell := _cell(found, request)):
            return render(request, "arena/_grid_gap.html", {"cell": cell, "run": found})
        messages.success(request, sentence)
    if request.headers.get("HX-Request") == "true":
        return HttpResponseClientRefresh()  # a redirect would put a whole page into a cell of the grid
    target = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        return redirect(target)
    return redirect("arena:run", found.pk)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def study_images(request: HttpRequest, slug: str) -> HttpResponse:
    """What the images of a study would cost (GET), and asking for them (POST)."""
    study = get_object_or_404(Study.objects.visible_to(request.user).select_related("run"), slug=slug)
    may_start = study.is_owned_by(request.user)
    problem, plan = "", None
    try:
        if request.method == "POST":
            if not may_start:
                return render(request, "403.html", status=403)
            started = studies.ask_for_images(study)
            note(study, cast(User, request.user), "images asked for", run=started.pk)
            return redirect("arena:run", started.pk)
        plan = studies.plan_images(study)
    except GenerationError as error:
        problem = str(error)
    context = {"study": study, "plan": plan, "problem": problem, "may_start": may_start}
    return render(request, "arena/study_images.html", context)


def _visible_run(request: HttpRequest, pk: int) -> Run:
    return get_object_or_404(run_control.visible_runs(request.user), pk=pk)


def _steered(run: Run, request: HttpRequest) -> str:
    actor = cast(User, request.user)
    act = request.POST.get("act", "")
    if act == "priority":
        return run_control.set_priority(run, _whole(request.POST.get("priority", "")), actor=actor)
    if act == "retry":
        job, like = request.POST.get("job"), request.POST.get("like")
        return run_control.retry(
            run, actor=actor, jobs=None if job is None else [_whole(job)], like=None if like is None else _whole(like)
        )
    acts = {"pause": run_control.pause, "resume": run_control.resume, "cancel": run_control.cancel}
    if act not in acts:
        raise run_control.RunError("That button is not known here: reload the page.", code="unknown_act", field="act")
    return acts[act](run, actor=actor)


def _cell(run: Run, request: HttpRequest) -> GridCell | None:
    job = request.POST.get("job", "")
    return cell_of_job(run, _whole(job)) if job else None


def _whole(said: str) -> int:
    digits = said.removeprefix("-")
    # int() raises for thousands of digits and takes digits of other scripts.
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS):
        raise run_control.RunError(f"Write a whole number, not {said[:20]!r}.", code="no_number", field="priority")
    return int(said)
