"""All addresses."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from arena.api import routes as api
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
    path("admin/", admin.site.urls),
    path("api/v1/", api.patterns()),
    path("", include("arena.urls")),
]
handler500 = "evalsite.faults.fault"
