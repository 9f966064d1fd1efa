"""Which site the admin is."""

from django.contrib.admin.apps import AdminConfig


class NotedAdminConfig(AdminConfig):
    """Django's admin on the site that notes every change."""

    default_site = "arena.noted_admin.NotedAdminSite"
