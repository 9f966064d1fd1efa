"""The languages a rater can choose, each under its own name."""

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def languages_by_own_name() -> list[tuple[str, str]]:
    """Code and name. Django's own tag translates the names, which hides a language from whoever looks for it."""
    return [(str(code), str(name)) for code, name in settings.LANGUAGES]
