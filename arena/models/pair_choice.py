"""What the choice of pairs keeps so that it costs the same however many votes there are; all of it can be rebuilt."""

from django.db import models
from django.db.models import Q

from arena.models.study import Study, StudyPrompt


class PairExposure(models.Model):
    """A change of how often a pair is before raters or was answered; the sum over a pair's rows is where it stands.

    Triggers on ballots and votes append a row for each change, so that every path that moves a ballot is counted and no
    two writers wait for each other; `arena.exposure.fold` replaces the rows of a prompt by their sums.
    """

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="+", db_index=False)
    study_prompt = models.ForeignKey(StudyPrompt, on_delete=models.CASCADE, related_name="+", db_index=False)
    stratum = models.CharField(max_length=20)
    # Plain numbers: a constraint on each would cost a look-up per vote, and the rows are only derived ones.
    low_image = models.BigIntegerField()
    high_image = models.BigIntegerField()
    low_contender = models.BigIntegerField()
    high_contender = models.BigIntegerField()
    standing = models.IntegerField(help_text="Ballots open or answered, more or less.")
    low_left = models.IntegerField(help_text="Those of them that have the lower image on the left.")
    towards = models.IntegerField(help_text="Those of them that count towards the target: all but skipped ones.")
    is_sum = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["study_prompt", "stratum", "low_image", "high_image"], name="exposure_of_a_pair"),
            models.Index(fields=["study", "stratum"], name="exposure_of_a_study"),
            models.Index(fields=["study_prompt"], condition=Q(is_sum=False), name="exposure_not_folded_yet"),
            models.Index(
                fields=["study", "stratum", "study_prompt"], condition=Q(towards__lt=0), name="exposure_taken_back"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.low_image} and {self.high_image}: {self.standing:+}"


class PromptNeed(models.Model):
    """How many pairs of a prompt still lack votes, as whoever last issued a ballot on it saw under its lock.

    Counts only while `stamp` is that of what can be shown now, and nothing was taken back since.
    """

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="+", db_index=False)
    study_prompt = models.ForeignKey(StudyPrompt, on_delete=models.CASCADE, related_name="+", db_index=False)
    stratum = models.CharField(max_length=20)
    open_pairs = models.PositiveIntegerField()
    stamp = models.CharField(max_length=40)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study", "stratum", "study_prompt"], name="one_need_per_study_stratum_and_prompt"
            )
        ]

    def __str__(self) -> str:
        return f"{self.open_pairs} pairs of {self.study_prompt} lack votes"


class PairPlan(models.Model):
    """With which chances a rule that looks at the votes chooses pairs of contenders; made by a worker."""

    study = models.OneToOneField(Study, on_delete=models.CASCADE, related_name="pair_plan")
    rule = models.CharField(max_length=20)
    contenders = models.JSONField(help_text="Ids, in the order of the chances.")
    chances = models.JSONField(help_text="Of each pair: the upper triangle, row by row; they sum to 1.")
    votes = models.PositiveIntegerField()
    saw = models.CharField(max_length=64, help_text="Digest of which votes and contenders it was made of.")
    seconds = models.FloatField()
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.rule} plan of {self.study} from {self.votes} votes"
