"""Workers: who lives, and what their devices hold."""

from django.db import models
from django.db.models import Q

from generation.models.recipes import Checkpoint


class WorkerHeartbeat(models.Model):
    """A living worker process: what it can do and when it was last seen."""

    worker = models.CharField(max_length=200, unique=True)
    host = models.CharField(max_length=200)
    queues = models.JSONField(default=list)
    weights = models.JSONField(default=list, help_text="Names of the checkpoints whose files this worker holds.")
    loaded = models.JSONField(default=list, help_text="Checkpoints in memory now.")
    fetchable = models.JSONField(
        default=list, help_text="Names of the checkpoints whose files it lacks and knows where to get."
    )
    device = models.CharField(max_length=100, blank=True)
    job_ids = models.JSONField(default=list, help_text="Jobs in work now.")
    images_made = models.PositiveBigIntegerField(default=0, help_text="Since the process began.")
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["worker"]

    def __str__(self) -> str:
        return self.worker


class BatchLimit(models.Model):
    """The largest batch that fits in a device's memory, learned by running out of it."""

    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.CASCADE, related_name="batch_limits")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    device = models.CharField(max_length=100)
    largest = models.PositiveIntegerField()
    learned_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["checkpoint", "width", "height", "device"],
                name="one_batch_limit_per_checkpoint_size_and_device",
            ),
            models.CheckConstraint(condition=Q(largest__gte=1), name="a_batch_holds_at_least_one_image"),
        ]
        ordering = ["checkpoint", "width", "height", "device"]

    def __str__(self) -> str:
        return f"{self.checkpoint} at {self.width} x {self.height} on {self.device}: at most {self.largest}"
