"""A chart as an answer: drawn in the theme and size that are asked for, or its data as CSV."""

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response

from arena.charts import Chart
from arena.charts.rendering import CONTENT_TYPES, LIGHT, SIZES, THEMES, WIDE, data_of, render


def chart_answer(
    request: HttpRequest, found: Chart | None, *, file: str, suffix: str, control: str, control_of_version: str = ""
) -> HttpResponse:
    """SVG, PNG, PDF or CSV; `theme=dark` and `size=narrow` change its looks.

    file:               name of the file, without its ending
    control:            how long it may be kept
    control_of_version: the same for an address that names this very version of the picture (`v`)
    """
    if found is None or suffix not in (*CONTENT_TYPES, "csv"):
        raise Http404("There is no such chart, or not enough votes for it yet.")
    name = f'filename="{file}.{suffix}"'
    if suffix == "csv":
        headers = {"Content-Disposition": f"attachment; {name}", "Cache-Control": control}
        return HttpResponse(data_of(found), content_type="text/csv; charset=utf-8", headers=headers)
    theme, size = THEMES.get(request.GET.get("theme", ""), LIGHT), SIZES.get(request.GET.get("size", ""), WIDE)
    etag = f'"{found.digest}-{theme.name}-{size.name}-{suffix}"'
    response = get_conditional_response(request, etag=etag)
    if response is None:
        data = render(found, theme=theme, size=size, suffix=suffix)
        response = HttpResponse(data, content_type=CONTENT_TYPES[suffix])
        response.headers["Content-Disposition"] = f"inline; {name}"
    response.headers["ETag"] = etag
    is_version = bool(control_of_version) and request.GET.get("v") == found.digest
    response.headers["Cache-Control"] = control_of_version if is_version else control
    return response
