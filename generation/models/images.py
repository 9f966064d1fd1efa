"""Images that are wanted and images that exist: jobs, pictures with their provenance, runs that ask for them."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from generation.models.recipes import Recipe


class ImageJobQuerySet(models.QuerySet["ImageJob"]):
    def due(self) -> Self:
        """Jobs a worker may take now: pending ones, and running ones whose lease ran out by the database's clock."""
        return self.filter(
            Q(state=ImageJob.State.PENDING) | Q(state=ImageJob.State.RUNNING, lease_until__lt=Now()),
            attempts__lt=ImageJob.MOST_ATTEMPTS,
        )

    def unfinished(self) -> Self:
        return self.filter(state__in=[ImageJob.State.PENDING, ImageJob.State.RUNNING])


class ImageJob(models.Model):
    """One image to be made. The row is the truth; a broker message only says "come and work"."""

    MOST_ATTEMPTS = 3

    class State(models.TextChoices):
        PENDING = "pending"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    # No index of its own: jobs_of_recipe_in_order begins with it, and SQLite would take the one that does not sort.
    recipe = models.ForeignKey(Recipe, on_delete=models.PROTECT, related_name="jobs", db_index=False)
    prompt_text = models.TextField()
    prompt_digest = models.CharField(max_length=64)
    sample = models.PositiveIntegerField(default=0)
    request_digest = models.CharField(max_length=64, unique=True, help_text="hash(recipe digest, prompt text, sample)")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    priority = models.IntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ImageJobQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            # No index on state, priority and id: PostgreSQL would walk it past the jobs of all other recipes.
            models.Index(fields=["state", "lease_until"], name="jobs_by_state_and_lease"),
            # A claim looks at the first waiting job of each recipe: one step into this index, however many wait.
            models.Index(F("recipe"), F("state"), F("priority").desc(), F("id"), name="jobs_of_recipe_in_order"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(reason=""), name="a_failed_job_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.recipe} | {self.prompt_text[:60]} | sample {self.sample}"


class Image(models.Model):
    """A finished picture, stored under the hash of its file, with everything needed to make it again."""

    recipe = models.ForeignKey(Recipe, on_delete=models.PROTECT, related_name="images")
    job = models.OneToOneField(ImageJob, null=True, blank=True, on_delete=models.PROTECT, related_name="image")
    prompt_text = models.TextField()
    prompt_digest = models.CharField(max_length=64)
    sample = models.PositiveIntegerField(default=0)
    request_digest = models.CharField(max_length=64, unique=True)
    seed = models.BigIntegerField(
        null=True, blank=True, help_text="hash(prompt text, sample); null for images made elsewhere."
    )
    file_sha256 = models.CharField(max_length=64, db_index=True)
    pixels_sha256 = models.CharField(max_length=64, db_index=True)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size_bytes = models.PositiveBigIntegerField()
    seconds = models.FloatField(
        null=True, blank=True, help_text="Wall seconds of the micro-batch divided by its images."
    )
    provenance = models.JSONField(default=dict)
    provenance_digest = models.CharField(max_length=64, db_index=True)
    is_quarantined = models.BooleanField(default=False)
    quarantine_reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["recipe", "prompt_digest", "sample"], name="images_by_cell")]

    def __str__(self) -> str:
        return f"{self.recipe} | {self.prompt_text[:60]} | sample {self.sample}"


class Run(models.Model):
    """Who asked for which images. Progress is counted from the jobs, never stored."""

    name = models.CharField(max_length=200)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    priority = models.IntegerField(default=0)
    paused_at = models.DateTimeField(null=True, blank=True)
    pause_reason = models.TextField(
        blank=True, help_text="Why it was paused by itself and will go on by itself; empty where a person paused it."
    )
    cancelled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    jobs: "models.ManyToManyField[ImageJob, RunItem]" = models.ManyToManyField(
        ImageJob, through="RunItem", related_name="runs"
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class RunItem(models.Model):
    """A run points at jobs; a job can serve several runs."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE)
    job = models.ForeignKey(ImageJob, on_delete=models.CASCADE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "job"], name="a_job_is_once_in_a_run")]

    def __str__(self) -> str:
        return f"{self.run}: {self.job}"
