"""With what pictures are made: checkpoints, schedules, recipes."""

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import Q


class CheckpointQuerySet(models.QuerySet["Checkpoint"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Checkpoints this person may use: all for superusers, else their own and those of the whole site."""
        if not user.is_authenticated:
            return self.none()
        if getattr(user, "is_superuser", False):
            return self
        return self.filter(Q(owner=user.pk) | Q(owner__isnull=True))


class Checkpoint(models.Model):
    """Weights that can make images. Entered as a draft; a worker resolves it to ready or refused."""

    class State(models.TextChoices):
        DRAFT = "draft"
        CHECKING = "checking", "being checked"
        READY = "ready"
        REFUSED = "refused"

    name = models.SlugField(max_length=100, unique=True)
    source = models.CharField(
        max_length=500, help_text="Folder below the models root, or a hub repository (owner/name)."
    )
    revision = models.CharField(
        max_length=40, blank=True, help_text="40-hex commit of a hub repository; empty for a folder."
    )
    pipeline_class = models.CharField(max_length=100, blank=True)
    adapters = models.JSONField(
        default=list,
        blank=True,
        help_text='LoRA files or their folders below the models root: [{"path": "my-style", "weight": 0.8}].',
    )
    base = models.CharField(
        max_length=500, blank=True, help_text="Folder of the pipeline, where the source is an adapter of it."
    )
    file_hashes = models.JSONField(default=dict, blank=True, help_text="sha256 of every file, by relative path.")
    size_bytes = models.BigIntegerField(null=True, blank=True)
    licence = models.CharField(max_length=200, blank=True)
    loss_family = models.CharField(
        max_length=100, blank=True, help_text="Formulation; losses compare only within one family."
    )
    validation_loss = models.FloatField(null=True, blank=True)
    training_step = models.PositiveBigIntegerField(null=True, blank=True)
    parameters = models.PositiveBigIntegerField(null=True, blank=True)
    needs = models.CharField(
        max_length=20,
        blank=True,
        help_text="The least machine that may run it, as a queue such as gen.gpu24; empty: any image worker.",
    )
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    refusal = models.TextField(blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="refused") | ~Q(refusal=""), name="a_refused_checkpoint_has_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> str:
        """Where its files lie below the folders of weights: a pinned repository has one folder for each commit."""
        return f"{self.source}@{self.revision}" if self.revision else self.source


class Schedule(models.Model):
    """How to sample, as data: scheduler class and options, steps, shift or explicit sigmas."""

    scheduler_class = models.CharField(max_length=100)
    options = models.JSONField(default=dict, blank=True)
    steps = models.PositiveIntegerField()
    shift = models.FloatField(null=True, blank=True)
    sigmas = models.JSONField(null=True, blank=True, help_text="Explicit sigmas, descending, without the final zero.")
    digest = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        shift = "" if self.shift is None else f", shift {self.shift:g}"
        grid = ", SD3 grid" if self.is_sd3_grid else ""
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        return f"{self.scheduler_class}, {steps}{shift}{grid}"

    @property
    def is_sd3_grid(self) -> bool:
        """Whether the explicit sigmas are linspace(1, 1/N, N)."""
        return self.sigmas == [(self.steps - k) / self.steps for k in range(self.steps)]


class RecipeQuerySet(models.QuerySet["Recipe"]):
    def external_of(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Services whose images this person uploads: all of them for superusers, else their own."""
        if not user.is_authenticated:
            return self.none()
        external = self.filter(kind="external")
        return external if getattr(user, "is_superuser", False) else external.filter(owner=user.pk)


class Recipe(models.Model):
    """A checkpoint, a schedule and everything else that decides the pixels. Frozen once it has images.

    An external recipe stands for a service whose images are uploaded.
    """

    class Kind(models.TextChoices):
        GENERATED = "generated"
        EXTERNAL = "external"

    class State(models.TextChoices):
        CHECKING = "checking", "being checked"
        READY = "ready"
        REFUSED = "refused"

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.GENERATED)
    checkpoint = models.ForeignKey(Checkpoint, null=True, blank=True, on_delete=models.PROTECT, related_name="recipes")
    schedule = models.ForeignKey(Schedule, null=True, blank=True, on_delete=models.PROTECT, related_name="recipes")
    guidance = models.FloatField(default=1.0)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    dtype = models.CharField(max_length=10, default="float32")
    negative_prompt = models.TextField(blank=True)
    call_options = models.JSONField(
        default=dict, blank=True, help_text="Further pipeline arguments, such as max_sequence_length."
    )
    without = models.JSONField(
        default=list, blank=True, help_text='Text encoders that are not used, such as ["text_encoder_3"].'
    )
    batch_mode = models.CharField(max_length=10, default="fast")
    resolved_sigmas = models.JSONField(null=True, blank=True)
    resolved_timesteps = models.JSONField(null=True, blank=True)
    evaluations = models.PositiveIntegerField(null=True, blank=True, help_text="Function evaluations an image (NFE).")
    state = models.CharField(max_length=10, choices=State, default=State.CHECKING)
    refusal = models.TextField(blank=True)
    digest = models.CharField(max_length=64, unique=True)
    notes = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Who uploads the images of this service; empty for recipes of the whole site.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RecipeQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="generated", checkpoint__isnull=False, schedule__isnull=False)
                | Q(kind="external", checkpoint__isnull=True, schedule__isnull=True, resolved_sigmas__isnull=True),
                name="only_generated_recipes_have_checkpoint_and_schedule",
            ),
        ]

    def __str__(self) -> str:
        return self.name
