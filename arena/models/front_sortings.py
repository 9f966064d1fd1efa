"""The order of contenders over several criteria at once. Never updated; a row belongs to the fits that it sorted."""

from django.db import models

from arena.models.study import Study


class FrontSorting(models.Model):
    """Fronts of one set of fits, a fit of each criterion, and how they hold when raters and prompts are resampled."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="front_sortings")
    fits_digest = models.CharField(max_length=64, help_text="Of the fits it sorted, their votes, and the method.")
    results = models.JSONField()
    seconds = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["study", "fits_digest"], name="one_front_sorting_per_set_of_fits"),
        ]

    def __str__(self) -> str:
        return f"fronts {self.pk} of {self.study}"
