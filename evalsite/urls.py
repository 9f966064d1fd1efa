"""All addresses."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from arena.api import routes as api
from evalsite.favicon import favicon
from evalsite.health import healthz

admin.site.site_header = "Winrate"
admin.site.site_title = "Winrate"
admin.site.index_title = "Everything that is stored"

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("favicon.ico", favicon, name="favicon"),
    path("admin/", admin.site.urls),
    path("api/v1/", api.patterns()),
    path("", include("arena.urls")),
]
