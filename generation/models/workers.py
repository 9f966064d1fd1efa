"""Workers: who lives, what their devices hold, how their tasks went."""

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
    started_at = models.DateTimeField(null=True, blank=True, help_text="When the process began.")
    seconds_working = models.FloatField(default=0.0, help_text="On batches, since the process began.")
    out_of_memory = models.PositiveBigIntegerField(default=0, help_text="How often memory ran out, since it began.")
    memory_used = models.PositiveBigIntegerField(
        default=0, help_text="Bytes of the graphics card that torch holds; where there is none, of the process."
    )
    memory_peak = models.PositiveBigIntegerField(default=0, help_text="The most of that, since the process began.")
    memory_total = models.PositiveBigIntegerField(default=0, help_text="Bytes that the card or the machine has.")
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["worker"]

    def __str__(self) -> str:
        return self.worker


class TaskRecord(models.Model):
    """How one kind of task went last: the only trace of a failed one that outlives the log."""

    name = models.CharField(max_length=200, unique=True)
    succeeded_at = models.DateTimeField(null=True, blank=True, help_text="To the half minute.")
    seconds = models.FloatField(null=True, blank=True, help_text="How long that took.")
    failed_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveBigIntegerField(default=0, help_text="Since the row was made.")
    error = models.TextField(blank=True, help_text="What the last failure said.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


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
