"""A fit: one estimation over a stated set of votes. Never updated; the newest row of a selection is the current one."""

from django.db import models

from arena.models.study import Criterion, Study


class Fit(models.Model):
    """Strengths, win probabilities and intervals of one criterion, with what the fit saw and how it was made."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="fits")
    criterion = models.ForeignKey(Criterion, on_delete=models.PROTECT, related_name="fits")
    selection = models.JSONField(help_text="Which votes: strata, exclusions.")
    selection_digest = models.CharField(max_length=64)
    options = models.JSONField(help_text="Model, tie rule, side bias, clusters, covariance, level.")
    options_digest = models.CharField(max_length=64)
    votes_digest = models.CharField(max_length=64, help_text="Order-free digest of the votes it saw.")
    vote_count = models.PositiveIntegerField()
    rater_count = models.PositiveIntegerField()
    prompt_count = models.PositiveIntegerField()
    code_version = models.CharField(max_length=50)
    results = models.JSONField()
    seconds = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["study", "criterion", "selection_digest", "-id"], name="newest_fit_of_a_selection"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["study", "criterion", "selection_digest", "options_digest", "votes_digest"],
                name="one_fit_per_selection_options_and_votes",
            )
        ]

    def __str__(self) -> str:
        return f"fit {self.pk} of {self.criterion}: {self.vote_count} votes"
