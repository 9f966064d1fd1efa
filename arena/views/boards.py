"""Standing leaderboards: the list, a board with its charts, making and changing one, and the form for everybody."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arena import board_fitting, boards
from arena.board_exports import export_board
from arena.board_filters import Filters
from arena.board_forms import BoardForm
from arena.board_page import BoardPage, board_page, question_of
from arena.charts import Chart
from arena.charts.boards import history_chart, standing_chart
from arena.models import Board
from arena.refusals import Refusal
from arena.views.charts import chart_answer
from arena.views.kept_files import file_to_keep
from arena.views.prompt_sets import designers_only
from generation.provenance import digest_of

_FOR_EVERYBODY = "public, max-age=300"
_DRAWERS = {"standing": standing_chart, "history": history_chart}


@never_cache
@login_required
@require_safe
def board_list(request: HttpRequest) -> HttpResponse:
    """The boards all of whose studies this person may see."""
    visible = Board.objects.visible_to(request.user)
    # By number, lest the joins of the filter and of the counts multiply.
    lines = Board.objects.filter(pk__in=visible.values("pk")).order_by("-pk").select_related("owner")
    lines = lines.annotate(members=Count("studies", distinct=True), newest=Max("fits__created_at"))
    return render(request, "arena/boards.html", {"boards": lines, "may_create": boards.may_create(request.user)})


@never_cache
@login_required
@require_safe
def board(request: HttpRequest, slug: str) -> HttpResponse:
    """One question of a board; the others are tabs."""
    found = _visible(request, slug)
    page = _page(found, request)
    context = {
        **_shown(page, "arena:board_chart"),
        "is_waiting": page.fit is not None and board_fitting.is_late(found, page.fit),
        "may_edit": boards.may_edit(found, request.user),
        "may_publish": boards.may_publish(request.user),
    }
    return render(request, "arena/board.html", context)


@never_cache
@designers_only
@require_http_methods(["GET", "HEAD", "POST"])
def new_board(request: HttpRequest) -> HttpResponse:
    """An empty form, what it would come to, and the board that it makes."""
    form = BoardForm(_person(request), request.POST if request.method == "POST" else None)
    if request.method == "POST" and "check" not in request.POST and form.is_valid():
        try:
            made = boards.create_board(owner=_person(request), studies=form.chosen, **form.cleaned_data)
        except Refusal as refusal:
            _add_error(form, refusal)
        else:
            messages.success(request, "The board is made; a worker fits it within a minute or so.")
            return redirect("arena:board", made.slug)
    return _answer(request, form)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit_board(request: HttpRequest, slug: str) -> HttpResponse:
    """The same for a board that there is."""
    found = _editable(request, slug)
    form = BoardForm(_person(request), request.POST if request.method == "POST" else None, board=found)
    if request.method == "POST" and "check" not in request.POST and form.is_valid():
        try:
            changed = boards.edit_board(found, actor=_person(request), studies=form.chosen, **form.cleaned_data)
        except Refusal as refusal:
            _add_error(form, refusal)
        else:
            if found.is_public and not changed.is_public:
                messages.warning(request, "Its contents have changed, so an administrator must publish it again.")
            messages.success(request, "The board is changed; a worker fits it within a minute or so.")
            return redirect("arena:board", slug)
    return _answer(request, form)


@login_required
@require_POST
def refit_board(request: HttpRequest, slug: str) -> HttpResponse:
    """Let a worker fit soon what it would leave for up to an hour."""
    board_fitting.ask_for_refit(_editable(request, slug))
    messages.success(request, "A worker looks at it within a minute or so.")
    return redirect("arena:board", slug)


@login_required
@require_POST
def publish_board(request: HttpRequest, slug: str) -> HttpResponse:
    """Let everybody read it, or nobody but those who see all its studies."""
    found = _visible(request, slug)
    if not boards.may_publish(request.user):
        raise PermissionDenied("Only an administrator decides what is public.")
    is_public = request.POST.get("public") == "yes"
    boards.publish(found, is_public=is_public, actor=_person(request))
    messages.success(request, "Anybody can read this board now." if is_public else "This board is no longer public.")
    return redirect("arena:board", slug)


@never_cache
@login_required
@require_POST
def take_board(request: HttpRequest, slug: str) -> FileResponse:
    """Its tables and fits with the votes behind them. It is noted down who took them."""
    found = _visible(request, slug)
    return file_to_keep(f"{slug}-board.zip", lambda path: export_board(found, path, actor=_person(request)))


@login_required
@require_safe
def board_chart(request: HttpRequest, slug: str, name: str, suffix: str) -> HttpResponse:
    """One chart of a board, as a picture or as CSV, of the rows that the filters leave."""
    return _chart(request, _visible(request, slug), name, suffix, control="private, no-cache")


@require_safe
def public_board(request: HttpRequest, slug: str) -> HttpResponse:
    """The board for everybody, where an administrator has switched that on: no study's name, no rater's data."""
    found = get_object_or_404(Board, slug=slug, is_public=True)
    page = _page(found, request, names_studies=False)
    # Without the request nothing of a visitor can enter a page that is kept for all.
    body = render_to_string("arena/public_board.html", _shown(page, "arena:public_board_chart"))
    etag = f'"{digest_of(body)[:32]}"'
    response = get_conditional_response(request, etag=etag) or HttpResponse(body)
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = _FOR_EVERYBODY
    return response


@require_safe
def public_board_chart(request: HttpRequest, slug: str, name: str, suffix: str) -> HttpResponse:
    """A chart of a public board."""
    found = get_object_or_404(Board, slug=slug, is_public=True)
    return _chart(request, found, name, suffix, control=_FOR_EVERYBODY, names_studies=False)


def _page(found: Board, request: HttpRequest, *, names_studies: bool = True) -> BoardPage:
    question = question_of(found, request.GET.get("criterion", ""))
    if question is None:
        raise Http404("The board has no such question.")
    return board_page(found, question, Filters.of(request.GET.dict()), names_studies=names_studies)


def _shown(page: BoardPage, chart_address: str) -> dict[str, object]:
    return {
        "page": page,
        "standing": standing_chart(page),
        "history": history_chart(page),
        "chart_address": chart_address,
    }


def _chart(
    request: HttpRequest, found: Board, name: str, suffix: str, *, control: str, names_studies: bool = True
) -> HttpResponse:
    drawn = _drawn(request, found, name, names_studies=names_studies)
    return chart_answer(request, drawn, file=f"{found.slug}-{name}", suffix=suffix, control=control)


def _drawn(request: HttpRequest, found: Board, name: str, *, names_studies: bool) -> Chart | None:
    kind, _, key = name.partition("-")
    question = question_of(found, key)
    if kind not in _DRAWERS or question is None or not key:
        return None
    return _DRAWERS[kind](board_page(found, question, Filters.of(request.GET.dict()), names_studies=names_studies))


def _answer(request: HttpRequest, form: BoardForm) -> HttpResponse:
    is_wrong = form.is_bound and bool(form.errors) and "check" not in request.POST
    return render(
        request, "arena/board_form.html", {"form": form, "board": form.board}, status=400 if is_wrong else 200
    )


def _add_error(form: BoardForm, refusal: Refusal) -> None:
    form.add_error(refusal.field if refusal.field in form.fields else None, refusal.sentence)


def _visible(request: HttpRequest, slug: str) -> Board:
    return get_object_or_404(Board.objects.visible_to(request.user), slug=slug)


def _editable(request: HttpRequest, slug: str) -> Board:
    found = _visible(request, slug)
    if not boards.may_edit(found, request.user):
        raise PermissionDenied("Only its owner and administrators change a board.")
    return found


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)
