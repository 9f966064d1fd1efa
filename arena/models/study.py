"""A study: what is asked of people, about which contenders, on which prompts."""

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import Q

from generation.models import Prompt, Recipe, Run


class StudyQuerySet(models.QuerySet["Study"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Studies this person may look at as a researcher: all for superusers, else those owned or shared.

        Those that a bundle is still being taken into are nobody's yet.
        """
        if not user.is_authenticated:
            return self.none()
        if getattr(user, "is_superuser", False):
            return self.filter(taking_in="")
        return self.filter(taking_in="").filter(Q(owner=user.pk) | Q(members__user=user.pk)).distinct()

    def managed_by(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Studies whose raters this person invites and decides about, see `Study.is_managed_by`; whole ones only."""
        if not user.is_authenticated:
            return self.none()
        whole = self.filter(taking_in="")
        if getattr(user, "is_superuser", False):
            return whole
        roles = StudyMember.MANAGERS
        return whole.filter(Q(owner=user.pk) | Q(members__user=user.pk, members__role__in=roles)).distinct()


class Study(models.Model):
    """Prompts x contenders x criteria with a pair design; frozen and hashed when it opens."""

    class State(models.TextChoices):
        DRAFT = "draft"
        OPEN = "open"
        PAUSED = "paused"
        CLOSED = "closed"

    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="studies"
    )
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    design = models.JSONField(default=dict, help_text="Pair rule, samples, votes wanted, sampling seed and rule.")
    display_rule = models.JSONField(
        default=dict, help_text="Size, padding, format and quality of every image raters see."
    )
    rater_rules = models.JSONField(default=dict, help_text="Ballots per rater, caps.")
    counts_simulated = models.BooleanField(default=True, help_text="Whether simulated raters' votes enter the fits.")
    run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="studies")
    frozen_digest = models.CharField(max_length=64, blank=True)
    taking_in = models.CharField(
        max_length=100,
        blank=True,
        default="",
        editable=False,
        help_text="Which bundle is being taken in, and by whom: until it is there whole, nobody sees the study.",
    )
    opened_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = StudyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "studies"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(state="draft") | ~Q(frozen_digest=""), name="an_opened_study_is_frozen"),
        ]

    def __str__(self) -> str:
        return self.name

    def is_owned_by(self, user: AbstractBaseUser | AnonymousUser) -> bool:
        """Whether this person may do everything here: who made it, colleagues made owners, superusers."""
        return self._has_role(user, StudyMember.Role.OWNER)

    def is_managed_by(self, user: AbstractBaseUser | AnonymousUser) -> bool:
        """Whether this person may invite raters and decide about them: owners and rater managers."""
        return self._has_role(user, *StudyMember.MANAGERS)

    def _has_role(self, user: AbstractBaseUser | AnonymousUser, *roles: str) -> bool:
        if not user.is_authenticated:
            return False
        if getattr(user, "is_superuser", False) or self.owner_id == user.pk:
            return True
        return self.members.filter(user=user.pk, role__in=roles).exists()


class StudyMember(models.Model):
    """A colleague's role in a study."""

    class Role(models.TextChoices):
        OWNER = "owner"
        ANALYST = "analyst"
        RATER_MANAGER = "rater_manager", "rater manager"

    MANAGERS = (Role.OWNER, Role.RATER_MANAGER)

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="study_roles")
    role = models.CharField(max_length=20, choices=Role)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "user"], name="one_role_per_study_and_user")]

    def __str__(self) -> str:
        return f"{self.user} is {self.get_role_display()} of {self.study}"


class Amendment(models.Model):
    """A logged change to an opened study."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="amendments")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    change = models.JSONField()
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.study}: {self.reason[:60]}"


class Criterion(models.Model):
    """One question, its options, and the prompts it applies to."""

    class AppliesTo(models.TextChoices):
        ALL = "all", "all prompts"
        HAS_TEXT = "has_text", "prompts with text to render"
        CATEGORIES = "categories", "prompts of some categories"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="criteria")
    position = models.PositiveIntegerField()
    key = models.SlugField(max_length=50)
    name = models.CharField(max_length=100)
    question = models.TextField()
    allows_tie = models.BooleanField(default=True)
    allows_both_bad = models.BooleanField(default=False)
    shows_prompt = models.BooleanField(
        default=True, help_text="A criterion that hides the prompt is asked before it appears."
    )
    applies_to = models.CharField(max_length=12, choices=AppliesTo, default=AppliesTo.ALL)
    categories = models.JSONField(default=list, blank=True)

    class Meta:
        verbose_name_plural = "criteria"
        ordering = ["study", "position"]
        constraints = [
            models.UniqueConstraint(fields=["study", "key"], name="one_criterion_per_study_and_key"),
            models.UniqueConstraint(fields=["study", "position"], name="one_criterion_per_study_and_position"),
        ]

    def __str__(self) -> str:
        return self.name


class StudyPrompt(models.Model):
    """A prompt's frozen place in a study, with the criteria that apply to it."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="study_prompts")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveIntegerField()
    stratum = models.CharField(max_length=200, blank=True)
    criteria: "models.ManyToManyField[Criterion, models.Model]" = models.ManyToManyField(
        Criterion, related_name="study_prompts"
    )

    class Meta:
        ordering = ["study", "position"]
        constraints = [
            models.UniqueConstraint(fields=["study", "prompt"], name="a_prompt_is_once_in_a_study"),
            models.UniqueConstraint(fields=["study", "position"], name="one_study_prompt_per_position"),
        ]

    def __str__(self) -> str:
        return str(self.prompt)


class Contender(models.Model):
    """A recipe's role in a study. The label is for researchers; raters never see it."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="contenders")
    recipe = models.ForeignKey(Recipe, on_delete=models.PROTECT, related_name="contenders")
    position = models.PositiveIntegerField()
    label = models.CharField(max_length=200)
    is_baseline = models.BooleanField(default=False)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["study", "position"]
        constraints = [
            models.UniqueConstraint(fields=["study", "recipe"], name="a_recipe_is_once_in_a_study"),
            models.UniqueConstraint(fields=["study", "label"], name="one_contender_per_study_and_label"),
            models.UniqueConstraint(
                fields=["study"], condition=Q(is_baseline=True), name="at_most_one_baseline_per_study"
            ),
        ]

    def __str__(self) -> str:
        return self.label


class DisplayCopy(models.Model):
    """The rater's copy of an image under one display rule: same size, format and quality for all, pixels only."""

    image_sha256 = models.CharField(max_length=64, help_text="sha256 of the original's file.")
    rule_digest = models.CharField(max_length=64)
    file_sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=50)
    size_bytes = models.PositiveIntegerField()

    class Meta:
        verbose_name_plural = "display copies"
        constraints = [
            models.UniqueConstraint(fields=["image_sha256", "rule_digest"], name="one_display_copy_per_image_and_rule")
        ]

    def __str__(self) -> str:
        return f"copy of {self.image_sha256[:12]}"
