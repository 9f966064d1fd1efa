"""One image before people who may see which recipe made it: its reports, and taking it away or bringing it back."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from arena import image_safety
from arena.image_facts import facts_of
from arena.models import ImageReport, Study
from arena.refusals import Refusal
from generation import image_store
from generation.errors import GenerationError
from generation.models import Image


@login_required
@never_cache
@require_safe
def image(request: HttpRequest, pk: int) -> HttpResponse:
    """The image with everything that was said about it."""
    found = _visible(request, pk)
    visible = Study.objects.visible_to(request.user).values("pk")
    context = {
        "image": found,
        "facts": facts_of(found),
        "may_withdraw": image_safety.may_withdraw(_person(request), found),
        "kinds": ImageReport.Kind.choices,
        "reports": ImageReport.objects.filter(image__in=image_safety.same_pictures(found)).select_related("author"),
        "twins": image_safety.same_pictures(found).exclude(pk=found.pk).count(),
        "studies": image_safety.studies_with(found).filter(pk__in=visible),
    }
    return render(request, "arena/image.html", context)


@login_required
@never_cache
@require_safe
def picture(request: HttpRequest, pk: int) -> HttpResponse:
    """The stored file, withdrawn or not: whoever decides about it must be able to look."""
    try:
        data = image_store.read(_visible(request, pk).file_sha256, suffix=".png", verify=True)
    except GenerationError as unreadable:
        raise Http404(str(unreadable)) from unreadable
    return HttpResponse(data, content_type="image/png")


@login_required
@require_POST
def report(request: HttpRequest, pk: int) -> HttpResponse:
    """Say that an image is broken or disturbing."""
    return _act(request, _visible(request, pk), image_safety.report_image, "Reported.", kind=_said(request, "kind"))


@login_required
@require_POST
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an image away from raters and its votes out of fits."""
    found = _manageable(request, pk)
    told = "Withdrawn: no rater meets it any more, and its votes count in no fit."
    return _act(request, found, image_safety.withdraw_image, told, kind=_said(request, "kind"))


@login_required
@require_POST
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Bring a withdrawn image back, with its votes."""
    return _act(
        request, _manageable(request, pk), image_safety.restore_image, "Restored: it is shown and counted again."
    )


def _act(request: HttpRequest, found: Image, act: Callable[..., ImageReport], told: str, **said: Any) -> HttpResponse:
    studies = list(image_safety.studies_with(found)[:2])
    study = studies[0] if len(studies) == 1 else None
    try:
        act(image=found, reason=_said(request, "reason"), author=_person(request), study=study, **said)
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, told)
    return redirect(_next(request, found))


def _next(request: HttpRequest, found: Image) -> str:
    """Back to the page of ours that the form was on."""
    asked = _said(request, "next")
    if asked.startswith("/") and url_has_allowed_host_and_scheme(asked, allowed_hosts=None):
        return asked
    return reverse("arena:image", args=[found.pk])


def _said(request: HttpRequest, name: str) -> str:
    return str(request.POST.get(name, ""))


def _visible(request: HttpRequest, pk: int) -> Image:
    found = Image.objects.select_related("recipe__checkpoint", "recipe__schedule").filter(pk=pk).first()
    if found is None or not image_safety.may_see(_person(request), found):
        raise Http404("There is no such image.")  # the same for one that is none of this person's business
    return found


def _manageable(request: HttpRequest, pk: int) -> Image:
    found = _visible(request, pk)
    if not image_safety.may_withdraw(_person(request), found):
        raise PermissionDenied("Only owners of all studies that show this image may do this.")
    return found


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)  # every view here asks to sign in
