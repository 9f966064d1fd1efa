"""What a paper takes from a study: a methods section, a LaTeX table, all figures."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena.latex_table import latex_table
from arena.methods_text import methods_text
from arena.models import Study
from arena.study_page import study_page
from arena.study_report import charts_of


@never_cache
@login_required
@require_safe
def paper(request: HttpRequest, slug: str) -> HttpResponse:
    """Texts to copy and files to download, for those who may see the study."""
    study = get_object_or_404(Study.objects.visible_to(request.user).select_related("run"), slug=slug)
    page = study_page(study)
    results = [report.results for report in page.reports]
    context = {
        "page": page,
        "methods": methods_text(study, results),
        "table": latex_table(results, label=slug),
        "charts": list(charts_of(page)),
    }
    return render(request, "arena/paper.html", context)
