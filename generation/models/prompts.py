"""Prompt sets: what there is to draw."""

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import Q


class PromptSetQuerySet(models.QuerySet["PromptSet"]):
    def whole(self) -> Self:
        """All but those into which prompts are still being taken, which have no digest yet."""
        return self.exclude(digest="")

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Sets this person may use: all for superusers, else their own and those that belong to the whole site."""
        if not user.is_authenticated:
            return self.none()
        if getattr(user, "is_superuser", False):
            return self.whole()
        return self.whole().filter(Q(owner=user.pk) | Q(owner__isnull=True))


class PromptSet(models.Model):
    """A named, versioned list of prompts. Never changed once used: a correction is a new version."""

    name = models.CharField(max_length=200)
    version = models.PositiveIntegerField(default=1)
    licence = models.CharField(max_length=200, blank=True)
    source = models.CharField(
        max_length=500, blank=True, help_text="Where the prompts come from: a file name or a citation."
    )
    digest = models.CharField(max_length=64, help_text="sha256 over the prompts in their order.")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PromptSetQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "version"], name="one_prompt_set_per_name_and_version")]
        ordering = ["name", "-version"]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Prompt(models.Model):
    """One text to draw. Knows nothing of criteria: which questions apply is the study's business."""

    prompt_set = models.ForeignKey(PromptSet, on_delete=models.CASCADE, related_name="prompts")
    position = models.PositiveIntegerField()
    text = models.TextField()
    text_digest = models.CharField(max_length=64, db_index=True, help_text="sha256 of the text, UTF-8.")
    category = models.CharField(max_length=200, blank=True)
    challenge = models.CharField(max_length=200, blank=True)
    # Null, not an empty text, says that nothing is to be read: the criteria rule asks for exactly that.
    target_text = models.TextField(  # noqa: DJ001
        null=True, blank=True, help_text="What the picture must spell; empty where nothing is to be read."
    )
    tags = models.JSONField(default=list, blank=True)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt_set", "position"], name="one_prompt_per_set_and_position")
        ]
        ordering = ["prompt_set", "position"]

    def __str__(self) -> str:
        return self.text if len(self.text) <= 80 else f"{self.text[:77]}..."


class PromptUpload(models.Model):
    """A prompt file that somebody is looking at before it becomes a set; gone when it does, or after a week."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="prompt_uploads")
    file_name = models.CharField(max_length=200)
    data = models.BinaryField(help_text="The file, compressed.")
    reading = models.JSONField(default=dict, help_text="Which column means what, and what becomes of duplicates.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.file_name
