"""Images made elsewhere, on their way in."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from generation.models.prompts import PromptSet


class ImageImport(models.Model):
    """Images on their way in: uploaded a few at a time, looked at as a whole, then taken in at once or discarded."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="image_imports")
    prompt_set = models.ForeignKey(PromptSet, on_delete=models.PROTECT, related_name="+")
    contender = models.CharField(max_length=200, blank=True, help_text="Empty where the manifest names contenders.")
    layout = models.CharField(max_length=20)
    first_index = models.PositiveSmallIntegerField(default=0)
    samples = models.PositiveIntegerField(null=True, blank=True)
    claims = models.JSONField(default=list, blank=True, help_text="The rows of the manifest.")
    committed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.contender or 'manifest'} | {self.prompt_set}"


class StagedImage(models.Model):
    """One uploaded file of an import: its picture under its hash, or why it was refused."""

    image_import = models.ForeignKey(ImageImport, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=300)
    picture = models.JSONField(null=True, blank=True)
    refusal = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["image_import", "name"], name="one_staged_image_per_import_and_name"),
            models.CheckConstraint(
                condition=Q(picture__isnull=False) | ~Q(refusal=""), name="a_refused_upload_has_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return self.name
