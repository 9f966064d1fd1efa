"""What people said and did about single images: reports, withdrawals, restorations. Appended, never changed."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from arena.models.ballots import Exclusion
from arena.models.raters import Rater
from arena.models.study import Study
from generation.models import Image


class ImageReport(models.Model):
    """That somebody found an image broken or disturbing, took it away, or brought it back; with the reason.

    Whether an image is withdrawn now stands on the image itself (`is_quarantined`).
    """

    class Act(models.TextChoices):
        REPORTED = "reported"
        WITHDRAWN = "withdrawn"
        RESTORED = "restored"

    class Kind(models.TextChoices):
        BROKEN = "broken", "broken: it does not show, or not whole"
        DISTURBING = "disturbing", "disturbing: nobody should have to look at it"

    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="reports")
    study = models.ForeignKey(
        Study, null=True, blank=True, on_delete=models.PROTECT, related_name="image_reports", help_text="Where it was."
    )
    act = models.CharField(max_length=10, choices=Act)
    kind = models.CharField(max_length=10, choices=Kind, blank=True)
    reason = models.TextField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    rater = models.ForeignKey(Rater, null=True, blank=True, on_delete=models.PROTECT, related_name="image_reports")
    exclusions: "models.ManyToManyField[Exclusion, models.Model]" = models.ManyToManyField(
        Exclusion, related_name="image_reports", blank=True, help_text="What a withdrawal took out of fits."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="an_image_report_has_a_reason"),
            models.CheckConstraint(
                condition=Q(act="restored") | ~Q(kind=""), name="an_image_report_says_what_is_wrong"
            ),
            models.CheckConstraint(
                condition=Q(rater__isnull=True) | Q(act="reported", author__isnull=True),
                name="raters_only_report_images",
            ),
            models.UniqueConstraint(
                fields=["image", "rater", "kind"],
                condition=Q(rater__isnull=False),
                name="a_rater_reports_an_image_once_a_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"image {self.image_id} {self.get_act_display()}: {self.reason[:60]}"
