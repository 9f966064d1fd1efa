"""What a researcher takes along without a terminal: the report, the bundle, the votes."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from arena.bundles.writing import export_study
from arena.models import Study
from arena.refusals import Refusal
from arena.study_report import write_report_zip
from arena.views.kept_files import file_to_keep
from arena.vote_exports import export_votes

Write = Callable[[Study, Path, User], object]


def _bundle(study: Study, path: Path, user: User, *, with_images: bool) -> object:
    # Fitting is a worker's business: the fits that there are go along.
    return export_study(study, path, with_images=with_images, actor=user, fits_first=False)


def _votes(study: Study, path: Path, user: User) -> object:
    return export_votes(study, path, is_public=False, actor=user)


FILES: Final[dict[str, Write]] = {
    "report.zip": lambda study, path, user: write_report_zip(study, path, actor=user),
    "bundle.zip": lambda study, path, user: _bundle(study, path, user, with_images=False),
    "bundle-with-images.zip": lambda study, path, user: _bundle(study, path, user, with_images=True),
    "votes.csv": _votes,
    "votes.jsonl": _votes,
    "votes.parquet": _votes,
}


@never_cache
@login_required
@require_POST
def take(request: HttpRequest, slug: str) -> HttpResponse | FileResponse:
    """The file that the button names. It is noted down who took it."""
    study = get_object_or_404(Study.objects.visible_to(request.user).select_related("run"), slug=slug)
    name = request.POST.get("file", "")
    if name not in FILES:
        messages.error(request, "That file is not known here: reload the page.")
        return redirect("arena:paper", slug)
    try:
        return file_to_keep(f"{slug}-{name}", lambda path: FILES[name](study, path, cast(User, request.user)))
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("arena:paper", slug)
