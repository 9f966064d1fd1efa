"""Upload of images made elsewhere: what they are of, the files a few at a time, the report, then one act."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from arena import external_contenders
from arena.audit import note
from arena.forms import DraftChoiceForm, ImportForm
from arena.refusals import Refusal
from arena.views.request_limits import takes_up_to
from generation.image_imports import ImageImportError, Layout
from generation.image_imports.requests import MOST_FILES_AT_ONCE
from generation.image_imports.staging import (
    commit_import,
    discard_import,
    report_of,
    stage_files,
    start_import,
)
from generation.models import ImageImport

MOST_REQUEST_BYTES = 64 * 1024 * 1024
View = Callable[..., HttpResponse]


def staff_only(view: View) -> View:
    """To the sign-in page for visitors, 403 for people who are not staff."""

    @wraps(view)
    @login_required
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not request.user.is_staff:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


@takes_up_to(MOST_REQUEST_BYTES)
@staff_only
@require_http_methods(["GET", "HEAD", "POST"])
def new_import(request: HttpRequest) -> HttpResponse:
    """The form that begins an import, and the imports that were begun and not finished."""
    user = _person(request)
    form = ImportForm(request.POST or None, request.FILES or None, user=user)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        sent = said["manifest"]
        try:
            begun = start_import(
                owner=user,
                prompt_set=said["prompt_set"],
                contender=said["contender"],
                layout=Layout(said["layout"]),
                first_index=said["first_index"],
                samples=said["samples"],
                manifest=(sent.name, sent.read()) if sent else None,
            )
        except ImageImportError as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else "manifest", str(refusal))
        else:
            return redirect("arena:image_import", begun.pk)
    open_ones = ImageImport.objects.filter(owner=user, committed_at=None).select_related("prompt_set")
    status = 400 if form.errors else 200
    return render(request, "arena/new_import.html", {"form": form, "open_imports": open_ones}, status=status)


@staff_only
@require_GET
def image_import(request: HttpRequest, pk: int) -> HttpResponse:
    """The files so far and the report on them; to the uploading script only the report."""
    return _page(request, _own(request, pk))


@takes_up_to(None)
@csrf_exempt  # checked by the inner view: what is too much is told in a sentence before the form is read
@staff_only
@require_POST
def upload_files(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a few files; answers JSON to the script and the page to a form."""
    length = request.headers.get("Content-Length") or "0"
    sentence = (
        f"Too much at once: choose at most {MOST_FILES_AT_ONCE} files and {MOST_REQUEST_BYTES // 2**20} MB, send them, "
        "then choose the next. With JavaScript switched on, any number can be chosen together."
    )
    if not length.isdigit() or int(length) > MOST_REQUEST_BYTES:
        return _refused(request, pk, sentence, status=413)
    try:
        request.FILES  # noqa: B018 - reads the body
    except (TooManyFilesSent, RequestDataTooBig):
        return _refused(request, pk, sentence, status=413)
    answer: HttpResponse = csrf_protect(_upload_files)(request, pk)
    return answer


def _upload_files(request: HttpRequest, pk: int) -> HttpResponse:
    begun = _own(request, pk)
    files, paths = request.FILES.getlist("files"), request.POST.getlist("paths")
    if not files or len(files) > MOST_FILES_AT_ONCE:
        return _refused(request, pk, f"Choose 1 to {MOST_FILES_AT_ONCE} files and send them.", status=400)
    # Django keeps only the last part of a file's name; the script sends the folders beside it.
    names = paths if len(paths) == len(files) else [file.name or "" for file in files]
    try:
        outcomes = stage_files(begun, {name: file.read() for name, file in zip(names, files, strict=True)})
    except ImageImportError as refusal:
        return _refused(request, pk, str(refusal), status=400)
    if _wants_json(request):
        said = [{"name": outcome.name, "refusal": outcome.refusal} for outcome in outcomes]
        return JsonResponse({"files": said})
    return redirect("arena:image_import", pk)


@staff_only
@require_POST
def commit(request: HttpRequest, pk: int) -> HttpResponse:
    """Make images of everything that was uploaded, and contenders of a draft where one was chosen."""
    begun, user = _own(request, pk), _person(request)
    choice = DraftChoiceForm(request.POST, user=user)
    study = choice.cleaned_data["study"] if choice.is_valid() else None
    try:
        images = commit_import(begun)
    except ImageImportError as refusal:
        messages.error(request, str(refusal))
        return redirect("arena:image_import", pk)
    names = list(dict.fromkeys(image.recipe.name for image in images))
    note(study, user, "images imported", contenders=names, images=len(images))
    messages.success(request, f"{len(images):,} images imported for {', '.join(names) or begun}.")
    if study is not None:
        try:
            external_contenders.add_to_draft(study, names=names or [begun.contender], owner=begun.owner)
        except Refusal as refusal:
            messages.error(request, refusal.sentence)
        else:
            return redirect("arena:study", study.slug)
    return redirect("arena:new_import")


@staff_only
@require_POST
def discard(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget what was uploaded."""
    try:
        discard_import(_own(request, pk))
    except ImageImportError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "The import was discarded.")
    return redirect("arena:new_import")


def _page(request: HttpRequest, begun: ImageImport, *, sentence: str = "", status: int = 200) -> HttpResponse:
    error = sentence
    try:
        report = report_of(begun).report
    except ImageImportError as refusal:
        report, error = None, error or str(refusal)
    context = {
        "import": begun,
        "report": report,
        "error": error,
        "staged": begun.files.count(),
        "most_at_once": MOST_FILES_AT_ONCE,
        "choice": DraftChoiceForm(user=_person(request)),
    }
    is_script = request.headers.get("X-Requested-With") == "import.js"
    return render(request, "arena/_import_report.html" if is_script else "arena/import.html", context, status=status)


def _refused(request: HttpRequest, pk: int, sentence: str, *, status: int) -> HttpResponse:
    if _wants_json(request):
        return JsonResponse({"sentence": sentence}, status=status)
    return _page(request, _own(request, pk), sentence=sentence, status=status)


def _wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def _own(request: HttpRequest, pk: int) -> ImageImport:
    imports = ImageImport.objects.select_related("prompt_set", "owner")
    return get_object_or_404(imports, pk=pk, owner=_person(request).pk)


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
