"""All addresses."""

import inspect

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views import defaults

from arena.api import routes as api
from evalsite.favicon import favicon
from evalsite.health import healthz
from evalsite.metrics.page import metrics
from evalsite.readiness import readyz

admin.site.site_header = "Winrate"
admin.site.site_title = "Winrate"
admin.site.index_title = "Everything that is stored"

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("favicon.ico", favicon, name="favicon"),
    path("admin/", admin.site.urls),
    path("api/v1/", api.patterns()),
    path("", include("arena.urls")),
]

# Django's own error pages, without the check of the form's token around them: it would read a body that nobody asked
# for, however large, and fail on one that cannot be read.
handler400, handler403, handler404 = (
    inspect.unwrap(page) for page in (defaults.bad_request, defaults.permission_denied, defaults.page_not_found)
)
handler500 = "evalsite.unavailable.server_error"
