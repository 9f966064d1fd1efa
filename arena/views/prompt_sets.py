"""Prompt sets: the list, a file on its way in with what was understood of it, and the page of a set."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFilesSent
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arena.audit import note
from arena.prompt_forms import FilterForm, ReadingForm, SampleForm, SaveForm
from arena.researchers import may_design
from arena.views.request_limits import takes_up_to
from generation.models import Prompt, PromptSet, PromptUpload
from generation.prompt_files import MOST_BYTES, PromptFileError
from generation.prompt_sampling import SampleError, candidates_of, draw
from generation.prompt_sets import PromptSetError
from generation.prompt_uploads import keep_upload, look_at, read_otherwise, save_upload, too_large_sentence

ROWS_SHOWN = 20
ROWS_ON_A_PAGE = 50
ROOM_FOR_THE_FORM = 64 * 1024
View = Callable[..., HttpResponse]


def designers_only(view: View) -> View:
    """To the sign-in page for visitors, 403 for people who only rate."""

    @wraps(view)
    @login_required
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not may_design(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


@never_cache
@designers_only
@require_safe
def prompt_sets(request: HttpRequest) -> HttpResponse:
    """The sets this person may use, files not yet saved, and a place to drop another."""
    return _list(request)


@takes_up_to(None)
@csrf_exempt  # checked by the inner view: what is too large is told in a sentence before the form is read
@designers_only
@require_POST
def upload_prompts(request: HttpRequest) -> HttpResponse:
    """Take one file and show what it was understood to be."""
    length = request.headers.get("Content-Length") or "0"
    if not length.isdigit() or int(length) > MOST_BYTES + ROOM_FOR_THE_FORM:
        return _list(request, problem=too_large_sentence(), status=413)
    try:
        request.FILES  # noqa: B018 - reads the body
    except (TooManyFilesSent, RequestDataTooBig):
        return _list(request, problem="Send one file at a time.", status=413)
    answer: HttpResponse = csrf_protect(_upload)(request)
    return answer


def _upload(request: HttpRequest) -> HttpResponse:
    sent = request.FILES.getlist("file")
    if len(sent) != 1:
        return _list(request, problem="Choose one prompt file and send it.", status=400)
    try:
        upload = keep_upload(owner=_person(request), file_name=sent[0].name or "", data=sent[0].read())
    except PromptFileError as error:
        return _list(request, problem=str(error), status=400)
    return redirect("arena:prompt_upload", upload.pk)


@never_cache
@designers_only
@require_http_methods(["GET", "HEAD", "POST"])
def prompt_upload(request: HttpRequest, pk: int) -> HttpResponse:
    """What was understood of a file (GET); read it otherwise, save it as a set, or forget it (POST)."""
    upload = get_object_or_404(PromptUpload, pk=pk, owner=_person(request).pk)
    act = request.POST.get("act", "")
    if request.method == "POST" and act == "forget":
        upload.delete()
        messages.success(request, f"{upload.file_name} was forgotten.")
        return redirect("arena:prompt_sets")
    look = look_at(upload)
    reading = ReadingForm(request.POST if act == "read" else None, look=look, upload=upload)
    save = SaveForm(request.POST if act == "save" else None, upload=upload)
    if act == "read" and reading.is_valid():
        try:
            read_otherwise(upload, reading.reading())
        except PromptFileError as error:
            reading.add_error(None, str(error))
        else:
            return redirect("arena:prompt_upload", upload.pk)
    elif act == "save" and save.is_valid():
        try:
            saved, is_new = save_upload(upload, **save.cleaned_data)
        except (PromptFileError, PromptSetError) as error:
            save.add_error(None, str(error))
        else:
            _tell_saved(request, saved, is_new=is_new)
            return redirect("arena:prompt_set", saved.pk)
    status = 400 if reading.errors or save.errors else 200
    context = {"upload": upload, "look": look, "reading": reading, "save": save, "rows": _first_rows(look.file)}
    return render(request, "arena/prompt_upload.html", context, status=status)


@never_cache
@designers_only
@require_safe
def prompt_set(request: HttpRequest, pk: int) -> HttpResponse:
    """The prompts of a set, filtered and paged; what a sample of them would be; its other versions."""
    found = get_object_or_404(PromptSet.objects.visible_to(request.user), pk=pk)
    filters = FilterForm(request.GET, prompt_set=found)
    chosen = _filtered(found, filters.cleaned_data if filters.is_valid() else {})
    page = Paginator(chosen, ROWS_ON_A_PAGE).get_page(request.GET.get("page"))
    sample = SampleForm(request.GET if "sample" in request.GET else None, prompt_set=found)
    drawn, drawn_by_category = _drawn(found, sample)
    context = {
        "set": found,
        "versions": PromptSet.objects.visible_to(request.user).filter(name=found.name).order_by("-version"),
        "categories": _bars(found),
        "with_text": found.prompts.exclude(target_text=None).count(),
        "duplicates": found.prompts.count() - found.prompts.values("text_digest").distinct().count(),
        "filters": filters,
        "page": page,
        "kept_filters": urlencode({k: v for k, v in request.GET.items() if k in FilterForm.base_fields and v}),
        "sample": sample,
        "drawn": drawn,
        "drawn_by_category": drawn_by_category,
        "design_address": f"{reverse('arena:new_study')}?{sample.as_query(found)}" if drawn else "",
    }
    return render(request, "arena/prompt_set.html", context, status=400 if sample.errors else 200)


def _list(request: HttpRequest, *, problem: str = "", status: int = 200) -> HttpResponse:
    found = PromptSet.objects.visible_to(request.user).select_related("owner")
    counted = found.annotate(
        prompt_count=Count("prompts"), text_count=Count("prompts", filter=Q(prompts__target_text__isnull=False))
    )
    context = {
        "page": Paginator(counted.order_by("name", "-version"), ROWS_ON_A_PAGE).get_page(request.GET.get("page")),
        "uploads": PromptUpload.objects.filter(owner=_person(request).pk).defer("data"),
        "problem": problem,
    }
    return render(request, "arena/prompt_sets.html", context, status=status)


def _tell_saved(request: HttpRequest, saved: PromptSet, *, is_new: bool) -> None:
    if is_new:
        note(None, _person(request), "prompt set saved", prompt_set=saved.pk, name=str(saved))
        messages.success(request, f"Saved as “{saved}”. It never changes: a corrected file becomes the next version.")
    else:
        messages.info(request, f"“{saved}” already holds exactly these prompts; nothing was added.")


def _first_rows(file: Any) -> list[Any]:
    return list(file.rows[:ROWS_SHOWN]) if file else []


def _filtered(found: PromptSet, said: dict[str, Any]) -> QuerySet[Prompt]:
    prompts = found.prompts.order_by("position")
    if words := said.get("search"):
        prompts = prompts.filter(Q(text__icontains=words) | Q(target_text__icontains=words))
    if category := said.get("category"):
        prompts = prompts.filter(category=category)
    if said.get("has_text"):
        prompts = prompts.exclude(target_text=None)
    return prompts


def _bars(found: PromptSet) -> list[dict[str, Any]]:
    rows = found.prompts.order_by().values("category").annotate(number=Count("pk")).order_by("-number", "category")
    counts = [(row["category"] or "no category", row["number"]) for row in rows]
    most = max((number for _, number in counts), default=1)
    return [{"name": name, "number": number, "most": most} for name, number in counts]


def _drawn(found: PromptSet, form: SampleForm) -> tuple[list[Prompt], list[tuple[str, int]]]:
    if not form.is_bound or not form.is_valid():
        return [], []
    try:
        taken = draw(candidates_of(found), form.rule())
    except SampleError as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return [], []
    by_category: dict[str, int] = {}
    for one in taken:
        by_category[one.category or "no category"] = by_category.get(one.category or "no category", 0) + 1
    first = found.prompts.in_bulk([one.pk for one in taken[:ROWS_SHOWN]])
    return [first[one.pk] for one in taken[:ROWS_SHOWN]], sorted(by_category.items(), key=lambda pair: -pair[1])


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)
