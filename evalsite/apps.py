"""The site itself as an app, so that its checks run with Django's own."""

from django.apps import AppConfig


class EvalsiteConfig(AppConfig):
    name = "evalsite"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks."""
        from evalsite import deployment_checks  # noqa: F401 - importing registers
