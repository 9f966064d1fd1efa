"""Prompt sets and prompts. A correction is a new version, so the prompts themselves are never edited."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from generation.admin.reading import ReadOnlyAdmin
from generation.models import Prompt, PromptSet


@admin.register(PromptSet)
class PromptSetAdmin(admin.ModelAdmin[PromptSet]):
    """Licence and source may be mended; everything else is frozen. Deleting one that a study uses is refused."""

    list_display = ("name", "version", "prompt_count", "licence", "source", "owner", "created_at")
    search_fields = ("name", "source")
    readonly_fields = ("name", "version", "digest", "owner", "created_at", "prompt_count")
    fields = (*readonly_fields, "licence", "source")
    list_select_related = ("owner",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # `manage.py import_prompts` checks the file and numbers the version

    def get_queryset(self, request: HttpRequest) -> QuerySet[PromptSet]:
        return super().get_queryset(request).annotate(count=Count("prompts"))

    @admin.display(description="prompts", ordering="count")
    def prompt_count(self, prompt_set: Any) -> SafeString:
        """How many, as a link to them."""
        address = reverse("admin:generation_prompt_changelist", query={"prompt_set__id__exact": prompt_set.pk})
        return format_html('<a href="{}">{}</a>', address, prompt_set.count)


@admin.register(Prompt)
class PromptAdmin(ReadOnlyAdmin):
    """One text with its category, challenge and the text it must show."""

    list_display = ("prompt_set", "position", "__str__", "category", "challenge", "target_text")
    list_display_links = ("__str__",)
    list_filter = (("prompt_set", admin.RelatedOnlyFieldListFilter), "category", "challenge")
    list_select_related = ("prompt_set",)
    search_fields = ("text", "target_text")
    show_full_result_count = False
