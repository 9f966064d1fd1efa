"""Grids of images for researchers, and the images in them: small, whole, and with what is known of them.

Raters and strangers find nothing here.
"""

from typing import Any, Final, cast
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena import image_safety, run_control, stored_pictures, thumbnails
from arena.display import DisplayError
from arena.image_facts import facts_of, votes_on
from arena.image_grid import GridFilter, GridSource, RunSource, StudySource, grid_page
from arena.models import ImageReport, Study
from arena.supply import is_image_of
from generation.errors import GenerationError
from generation.models import Image

_FOR_A_YEAR = "private, max-age=31536000, immutable"
MOST_DIGITS = 10
_IMAGES: Final = Image.objects.select_related("recipe__checkpoint", "recipe__schedule")


@never_cache
@login_required
@require_safe
def study_grid(request: HttpRequest, slug: str) -> HttpResponse:
    """Prompts down, contenders across; to htmx the next rows only."""
    study = get_object_or_404(Study.objects.visible_to(request.user).select_related("run"), slug=slug)
    back = {"title": study.name, "url": reverse("arena:study", args=[slug])}
    images = reverse("arena:study_image", args=[slug, 0, "webp"])
    return _grid(request, StudySource(study), back=back, images=images)


@never_cache
@login_required
@require_safe
def run_grid(request: HttpRequest, pk: int) -> HttpResponse:
    """The same for everything that a run asks for."""
    run = get_object_or_404(run_control.visible_runs(request.user), pk=pk)
    back = {"title": run.name, "url": reverse("arena:run", args=[pk])}
    images = reverse("arena:run_image", args=[pk, 0, "webp"])
    return _grid(request, RunSource(run, viewer=request.user), back=back, images=images)


@login_required
@require_safe
def study_image(request: HttpRequest, slug: str, pk: int, suffix: str) -> HttpResponse:
    """An image of a study: `.webp` small, `.png` whole."""
    _, image = _study_and_image(request, slug, pk)
    return _image(image, suffix=suffix)


@never_cache
@login_required
@require_safe
def study_image_about(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """What is known of an image, the votes that it got in this study, and taking it away: a part of a page."""
    study, image = _study_and_image(request, slug, pk)
    back = reverse("arena:study_grid", args=[slug])
    return _about(request, image, back=back, votes=votes_on(image, study=study), is_in_study=True)


@login_required
@require_safe
def run_image(request: HttpRequest, run_pk: int, pk: int, suffix: str) -> HttpResponse:
    """An image that a run asked for, whoever had it made."""
    return _image(_image_of_run(request, run_pk, pk), suffix=suffix)


@never_cache
@login_required
@require_safe
def run_image_about(request: HttpRequest, run_pk: int, pk: int) -> HttpResponse:
    """What is known of an image that a run asked for: a part of a page."""
    image = _image_of_run(request, run_pk, pk)
    return _about(request, image, back=reverse("arena:run_grid", args=[run_pk]))


def _study_and_image(request: HttpRequest, slug: str, pk: int) -> tuple[Study, Image]:
    study = get_object_or_404(Study.objects.visible_to(request.user), slug=slug)
    image = get_object_or_404(_IMAGES, pk=pk)
    if not is_image_of(study, image):
        raise Http404
    return study, image


def _image_of_run(request: HttpRequest, run_pk: int, pk: int) -> Image:
    run = get_object_or_404(run_control.visible_runs(request.user), pk=run_pk)
    image = get_object_or_404(_IMAGES, pk=pk)
    if not run.jobs.filter(request_digest=image.request_digest).exists():
        raise Http404
    return image


def _about(request: HttpRequest, image: Image, *, back: str, **more: Any) -> HttpResponse:
    person = cast(User, request.user)
    context = {
        "image": image,
        "facts": facts_of(image),
        "next": back,
        # Whoever had a run made sees its images, yet an image's own page is for people of its studies.
        "may_see_page": image_safety.may_see(person, image),
        "may_withdraw": image_safety.may_withdraw(person, image),
        "kinds": ImageReport.Kind.choices,
        **more,
    }
    return render(request, "arena/_image_about.html", context)


def _grid(request: HttpRequest, source: GridSource, *, back: dict[str, str], images: str) -> HttpResponse:
    wanted = GridFilter(
        text=request.GET.get("text", "").strip(),
        category=request.GET.get("category", ""),
        first_sample=_whole(request.GET.get("sample", "")) or 0,
        after=_whole(request.GET.get("after", "")),
    )
    page = grid_page(source, wanted)
    is_more = request.headers.get("HX-Request") == "true"
    kept = {"text": wanted.text, "category": wanted.category, "sample": wanted.first_sample or ""}
    context: dict[str, Any] = {
        "page": page,
        "wanted": wanted,
        "back": back,
        "images": images.removesuffix("0.webp"),
        "links_pages": isinstance(source, StudySource),
        "more": f"{request.path}?{urlencode({**kept, 'after': page.after})}" if page.after is not None else "",
        "run": source.run,
        "may_steer": source.run is not None and run_control.may_steer(source.run, request.user),
    }
    if not is_more:
        context["categories"] = source.categories()
    response = render(request, "arena/_grid_rows.html" if is_more else "arena/grid.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _image(image: Image, *, suffix: str) -> HttpResponse:
    if suffix not in ("webp", "png"):
        raise Http404
    # A row's picture never changes, so its address never shows another one.
    headers = {"Cache-Control": _FOR_A_YEAR, "Content-Disposition": f'inline; filename="image-{image.pk}.{suffix}"'}
    if suffix == "png":
        return stored_pictures.answer_with(image.file_sha256, suffix=".png", content_type="image/png", headers=headers)
    try:
        data = thumbnails.thumbnail_of(image)
    except (DisplayError, GenerationError) as unreadable:
        raise Http404 from unreadable
    return HttpResponse(data, content_type="image/webp", headers=headers)


def _whole(said: str) -> int | None:
    return int(said) if said.isascii() and said.isdigit() and len(said) <= MOST_DIGITS else None
