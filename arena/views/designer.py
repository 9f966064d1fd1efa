"""The study designer: the form, its live summary, the plan with its files, opening, and contenders that join later."""

import json
from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arena import newcomers, studies
from arena.audit import note
from arena.design_drafts import DesignDraft, draft_design, new_design
from arena.design_files import MOST_BYTES, design_file_of, planned_study, read_design
from arena.design_forms import recipes_for
from arena.design_summary import Summary, summary_of, summary_of_study
from arena.drafting import save_draft
from arena.models import Study
from arena.preregistration import plan_data, plan_text
from arena.protocols import PROTOCOLS
from arena.refusals import Refusal, StudyError
from arena.views.prompt_sets import designers_only
from arena.views.request_limits import USUAL_BYTES, takes_up_to
from generation.errors import GenerationError
from generation.models import Recipe

ACTS: dict[str, tuple[Callable[..., Study], str]] = {
    "open": (studies.open_study, "is open: its design is frozen, raters can begin as soon as images are there"),
    "pause": (studies.pause_study, "is paused"),
    "resume": (studies.resume_study, "goes on"),
    "close": (studies.close_study, "is closed for good"),
}


@takes_up_to(MOST_BYTES + USUAL_BYTES)
@never_cache
@designers_only
@require_http_methods(["GET", "HEAD", "POST"])
def new_study(request: HttpRequest) -> HttpResponse:
    """An empty design or one begun from a protocol (GET); save it as a draft, or only look at its summary (POST)."""
    user = _person(request)
    if request.method == "POST" and request.FILES.get("design_file"):
        return _from_file(request)
    draft = new_design(user, request.GET, request.POST if request.method == "POST" else None)
    return _answer(request, draft)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit_design(request: HttpRequest, slug: str) -> HttpResponse:
    """The design of a draft, to be changed; an opened study shows its plan."""
    study = _steered(request, slug)
    if study.state != Study.State.DRAFT:
        return redirect("arena:study_plan", slug)
    draft = draft_design(_person(request), study, request.POST if request.method == "POST" else None)
    return _answer(request, draft)


@never_cache
@designers_only
@require_POST
def design_summary(request: HttpRequest) -> HttpResponse:
    """What the form as it stands comes to, as JSON for the page's script. Nothing is stored."""
    user = _person(request)
    slug = request.POST.get("draft", "")
    study = Study.objects.visible_to(user).filter(slug=slug, state=Study.State.DRAFT).first() if slug else None
    summary, problems = _summary(user, request.POST, study)
    names = {"names": _tried(user, request.POST, study).contender_names(user)}
    if summary is None:
        return JsonResponse({**names, "problems": problems})
    return JsonResponse({**summary.to_json(), **names, "problems": [*problems, *summary.why]})


@never_cache
@login_required
@require_safe
def study_plan(request: HttpRequest, slug: str) -> HttpResponse:
    """The plan as people read it, with what may be done about it now."""
    study = _visible(request, slug)
    may_steer = study.is_owned_by(request.user)
    context = {
        "study": study,
        "plan": plan_text(study),
        "summary": summary_of_study(study),
        "may_steer": may_steer,
        "may_join": may_steer and newcomers.may_join(study),
        "recipes": _joinable(request, study) if may_steer and newcomers.may_join(study) else [],
        "amendments": study.amendments.select_related("author").order_by("-pk"),
    }
    return render(request, "arena/study_plan.html", context)


@never_cache
@login_required
@require_safe
def plan_file(request: HttpRequest, slug: str, suffix: str) -> HttpResponse:
    """The plan as .md or .json, or the design file that makes the study again."""
    study = _visible(request, slug)
    if suffix == "md":
        return _file(plan_text(study), f"{slug}-plan.md", "text/markdown; charset=utf-8")
    if suffix == "json":
        text = json.dumps(plan_data(study), ensure_ascii=False, indent=1, sort_keys=True)
        return _file(text + "\n", f"{slug}-plan.json", "application/json")
    if suffix == "design.json":
        text = json.dumps(design_file_of(study), ensure_ascii=False, indent=1)
        return _file(text + "\n", f"{slug}-design.json", "application/json")
    raise Http404


@login_required
@require_POST
def steer_study(request: HttpRequest, slug: str) -> HttpResponse:
    """Open, pause, resume or close a study."""
    study = _steered(request, slug)
    act, words = ACTS.get(request.POST.get("act", ""), (None, ""))
    if act is None:
        messages.error(request, "That button is not known here: reload the page.")
        return redirect("arena:study_plan", slug)
    try:
        study = act(study, actor=_person(request))
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("arena:study_plan", slug)
    messages.success(request, f"{study.name} {words}.")
    if act is studies.open_study and request.POST.get("images"):
        _ask_for_images(request, study)
    return redirect("arena:study_plan", slug)


@login_required
@require_POST
def join_study(request: HttpRequest, slug: str) -> HttpResponse:
    """Let a recipe join an open study, with a reason."""
    study = _steered(request, slug)
    said = request.POST.get("recipe", "")
    recipe = _joinable(request, study, pk=int(said)) if said.isascii() and said.isdigit() and len(said) < 10 else []
    if not recipe:
        messages.error(request, "Choose a recipe that is not in the study yet.")
        return redirect("arena:study_plan", slug)
    try:
        joined = newcomers.add_contender(
            study,
            recipe=recipe[0],
            label=request.POST.get("label", ""),
            reason=request.POST.get("reason", ""),
            actor=_person(request),
        )
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, f"{joined.label} joined. Its pairs are asked first until they have caught up.")
    return redirect("arena:study_plan", slug)


def _answer(request: HttpRequest, draft: DesignDraft) -> HttpResponse:
    user = _person(request)
    if request.method == "POST" and request.POST.get("act") == "save" and draft.is_valid():
        try:
            saved = save_draft(draft.planned(user), owner=user, draft=draft.study)
        except StudyError as refusal:
            draft.take_refusal(refusal)
        except Refusal as refusal:
            draft.form.add_error(None, refusal.sentence)
        else:
            messages.success(request, "Saved as a draft. Nothing is frozen before you open it.")
            return redirect("arena:study_plan", saved.slug)
    summary: Summary | None = None
    problems: list[str] = []
    names: list[str] = []
    if draft.form.is_bound:
        summary, problems = _summary(user, request.POST, draft.study)
        names = _tried(user, request.POST, draft.study).contender_names(user)
    elif draft.study is not None:
        summary = summary_of_study(draft.study)
        names = [contender.label for contender in draft.study.contenders.all()]
    context = {
        "draft": draft,
        "form": draft.form,
        "sample": draft.sample,
        "criteria": draft.criteria,
        "study": draft.study,
        "protocol": draft.protocol,
        "protocols": PROTOCOLS.values(),
        "summary": summary,
        "problems": problems,
        "names": names,
    }
    is_wrong = request.POST.get("act") == "save" and request.method == "POST"
    return render(request, "arena/designer.html", context, status=400 if is_wrong else 200)


def _summary(user: User, sent: QueryDict, study: Study | None) -> tuple[Summary | None, list[str]]:
    """The summary of forms that may be half filled: what has no name yet has one for the moment."""
    draft = _tried(user, sent, study)
    if not draft.is_valid():
        return None, _complaints(draft)
    try:
        planned = draft.planned(user)
        keeps = _prompts_kept(draft.study) if planned.prompt_set is None else []
        return summary_of(planned, keeps=keeps), []
    except Refusal as refusal:
        return None, [refusal.sentence]


def _tried(user: User, sent: QueryDict, study: Study | None) -> DesignDraft:
    data = sent.copy()
    data["name"], data["slug"] = data.get("name") or "A study without a name", "summary"
    return draft_design(user, study, data) if study else new_design(user, data, data)


def _complaints(draft: DesignDraft) -> list[str]:
    found = []
    for form in (draft.form, draft.sample, *draft.criteria.forms):
        for name, sentences in form.errors.items():
            label = form.fields[name].label or name if name in form.fields else ""
            found += [f"{label}: {sentence}" if label else str(sentence) for sentence in sentences]
    return [*found, *(str(sentence) for sentence in draft.criteria.non_form_errors())]


def _prompts_kept(study: Study | None) -> list[Any]:
    if study is None:
        return []
    return [row.prompt for row in study.study_prompts.select_related("prompt").order_by("position")]


def _from_file(request: HttpRequest) -> HttpResponse:
    """A draft from a design file."""
    user, sent = _person(request), request.FILES.getlist("design_file")[0]
    try:
        if sent.size is None or sent.size > MOST_BYTES:
            raise StudyError(f"A design file has at most {MOST_BYTES // 2**20} MB.", code="too_large", field="file")
        saved = save_draft(planned_study(read_design(sent.read()), owner=user), owner=user)
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("arena:new_study")
    messages.success(request, "The draft was made from the file.")
    return redirect("arena:study_plan", saved.slug)


def _ask_for_images(request: HttpRequest, study: Study) -> None:
    try:
        run = studies.ask_for_images(study)
    except GenerationError as error:
        messages.error(request, f"Its images could not be asked for: {error}")
    else:
        note(study, _person(request), "images asked for", run=run.pk)


def _joinable(request: HttpRequest, study: Study, *, pk: int | None = None) -> list[Recipe]:
    left = recipes_for(_person(request)).exclude(pk__in=study.contenders.values("recipe"))
    return list(left if pk is None else left.filter(pk=pk))


def _file(text: str, name: str, content_type: str) -> HttpResponse:
    return HttpResponse(
        text, content_type=content_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _visible(request: HttpRequest, slug: str) -> Study:
    return get_object_or_404(Study.objects.visible_to(request.user), slug=slug)


def _steered(request: HttpRequest, slug: str) -> Study:
    """A study that this person may change; for others who may see it, it has no such page."""
    study = _visible(request, slug)
    if not study.is_owned_by(request.user):
        raise Http404
    return study


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)
