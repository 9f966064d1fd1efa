"""Automatic numbers, and what was ordered: for looking, because only measuring and imports write them."""

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from generation.admin.reading import ReadOnlyAdmin
from generation.models import Metric, MetricOrder


@admin.register(Metric)
class MetricAdmin(ReadOnlyAdmin):
    """One number about an image or a recipe, and what it comes from."""

    list_display = ("name", "value", "image", "recipe", "source", "measured_at")
    list_filter = ("name",)
    search_fields = ("source",)
    list_select_related = ("image__recipe", "recipe")
    show_full_result_count = False


@admin.register(MetricOrder)
class MetricOrderAdmin(ReadOnlyAdmin):
    """What image workers were asked to measure."""

    list_display = ("metric", "weights", "source", "recipe_count", "refusal", "worker", "created_at")
    list_filter = ("metric",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[MetricOrder]:
        rows: QuerySet[MetricOrder] = super().get_queryset(request).annotate(recipe_count=Count("recipes"))
        return rows

    @admin.display(description="recipes", ordering="recipe_count")
    def recipe_count(self, order: MetricOrder) -> int:
        """For how many recipes."""
        count: int = getattr(order, "recipe_count")  # noqa: B009 - an annotation, which the model does not declare
        return count
