"""Automatic numbers about images and recipes, and what was ordered."""

from django.db import models
from django.db.models import Q

from generation.models.images import Image
from generation.models.recipes import Recipe


class Metric(models.Model):
    """One automatic number about an image, or about a recipe over some of its images. Never asked of people."""

    image = models.ForeignKey(Image, null=True, blank=True, on_delete=models.CASCADE, related_name="metrics")
    recipe = models.ForeignKey(Recipe, null=True, blank=True, on_delete=models.CASCADE, related_name="metrics")
    name = models.CharField(max_length=60)
    value = models.FloatField()
    source = models.CharField(
        max_length=300, help_text="What measured it, with weights and reference, or which import."
    )
    prompts_digest = models.CharField(
        max_length=64, blank=True, help_text="Over which prompts a recipe's number is; empty where that is not known."
    )
    basis = models.CharField(
        max_length=64, blank=True, help_text="Digest of the files a recipe's number was computed from."
    )
    measured_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(image__isnull=False, recipe__isnull=True) | Q(image__isnull=True, recipe__isnull=False),
                name="a_metric_is_of_an_image_or_a_recipe",
            ),
            # PostgreSQL can store NaN and infinity, which no mean survives.
            models.CheckConstraint(
                condition=Q(value__gte=-1e300, value__lte=1e300), name="a_metric_is_a_finite_number"
            ),
            models.CheckConstraint(condition=~Q(name="") & ~Q(source=""), name="a_metric_has_a_name_and_a_source"),
            models.UniqueConstraint(
                fields=["image", "name", "source"],
                condition=Q(image__isnull=False),
                name="one_metric_per_image_name_and_source",
            ),
            models.UniqueConstraint(
                fields=["recipe", "name", "source", "prompts_digest"],
                condition=Q(recipe__isnull=False),
                name="one_metric_per_recipe_name_and_source",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.image or self.recipe}: {self.value:g}"


class MetricOrder(models.Model):
    """A metric asked of the image workers, for all images of some recipes: those that exist and those to come.

    Which images lack it is counted, never stored; the lease keeps two workers from measuring the same ones.
    """

    metric = models.CharField(max_length=60)
    weights = models.CharField(max_length=500, help_text="A folder below the models root, or repository@commit.")
    recipes = models.ManyToManyField(Recipe, related_name="metric_orders")
    source = models.CharField(max_length=300, blank=True, help_text="As in the rows; known once a worker has looked.")
    refusal = models.TextField(blank=True)
    worker = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["metric", "weights"], name="one_metric_order_per_metric_and_weights")
        ]

    def __str__(self) -> str:
        return f"{self.metric} by {self.weights}"
