"""What makes votes trustworthy: known answers, checks against them, suspicions, published roots, numbers on raters."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from arena.models.ballots import Ballot
from arena.models.raters import Rater
from arena.models.study import Contender, Criterion, Study, StudyPrompt
from generation.models import Image


class Gold(models.Model):
    """Two images of a prompt with a known answer to some questions. It is shown only after a person has reviewed it."""

    class Answer(models.TextChoices):
        FIRST = "first"
        SECOND = "second"
        TIE = "tie"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="golds")
    study_prompt = models.ForeignKey(StudyPrompt, on_delete=models.PROTECT, related_name="+")
    first_image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="+")
    second_image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="+")
    first_contender = models.ForeignKey(Contender, on_delete=models.PROTECT, related_name="+")
    second_contender = models.ForeignKey(Contender, on_delete=models.PROTECT, related_name="+")
    answers = models.JSONField(help_text="By criterion key: first, second or tie. Questions left out are not judged.")
    proposer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["study_prompt", "first_image", "second_image"], name="one_gold_per_prompt_and_pair"
            ),
            models.CheckConstraint(
                condition=~Q(first_contender=F("second_contender")), name="a_gold_compares_two_contenders"
            ),
            models.CheckConstraint(
                condition=Q(reviewer__isnull=True, reviewed_at__isnull=True)
                | Q(reviewer__isnull=False, reviewed_at__isnull=False),
                name="a_reviewed_gold_has_reviewer_and_time",
            ),
        ]

    def __str__(self) -> str:
        return f"gold {self.pk}: {self.first_contender} and {self.second_contender}"


class BallotCheck(models.Model):
    """What the answers on a gold or repeated ballot are held against. A table of its own: no ballot looks different."""

    ballot = models.OneToOneField(Ballot, on_delete=models.PROTECT, related_name="check_against")
    gold = models.ForeignKey(Gold, null=True, blank=True, on_delete=models.PROTECT, related_name="checks")
    repeats = models.ForeignKey(Ballot, null=True, blank=True, on_delete=models.PROTECT, related_name="repeated_by")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(gold__isnull=False, repeats__isnull=True) | Q(gold__isnull=True, repeats__isnull=False),
                name="a_check_is_gold_or_repeat",
            ),
        ]

    def __str__(self) -> str:
        return f"check of {self.ballot}"


class Flag(models.Model):
    """A suspicion of the machine, for a person to judge. It takes no vote out of anything."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="flags")
    rater = models.ForeignKey(Rater, null=True, blank=True, on_delete=models.PROTECT, related_name="flags")
    cohort = models.CharField(max_length=60, blank=True, help_text="Raters who came together, where it is about them.")
    criterion = models.ForeignKey(Criterion, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=30)
    p = models.FloatField(help_text="How rarely an honest rater with a taste of their own would look like this.")
    statistic = models.JSONField(help_text="What was observed and expected, over how many votes, about whom.")
    sentence = models.TextField()
    found_at = models.DateTimeField(auto_now_add=True)
    faded_at = models.DateTimeField(null=True, blank=True, help_text="When the votes no longer gave this suspicion.")
    dismissed_at = models.DateTimeField(null=True, blank=True, help_text="When a person found nothing wrong.")
    dismissed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["p", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(rater__isnull=False, cohort="") | (Q(rater__isnull=True) & ~Q(cohort="")),
                name="a_flag_is_about_a_rater_or_a_cohort",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.rater or self.cohort}"


class RaterTable(models.Model):
    """Numbers on every rater of a study as of one moment. Never updated; only the newest row is shown."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="rater_tables")
    state_digest = models.CharField(max_length=64, help_text="Of the votes and exclusions that it saw.")
    results = models.JSONField()
    seconds = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"raters of {self.study}"


class VoteRoot(models.Model):
    """A published hash over the ends of all raters' vote chains. The database refuses UPDATE and DELETE (trigger)."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="vote_roots")
    root = models.CharField(max_length=64)
    heads = models.JSONField(help_text="Rater id -> sequence of the last vote that the root covers.")
    votes = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.root[:12]} over {self.votes} votes"
