"""All addresses."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from arena.api import routes as api
from evalsite.health import healthz

admin.site.site_header = "Winrate"
admin.site.site_title = "Winrate"
admin.site.index_title = "Everything that is stored"

handler500 = "evalsite.unavailable.server_error"

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("api/v1/", api.patterns()),
    path("", include("arena.urls")),
]
