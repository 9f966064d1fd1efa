"""How much came from one network, under a code: no address is ever stored."""

from django.db import models
from django.db.models import Q

from arena.models.study import Study


class NetworkKey(models.Model):
    """The random key of one day. Once it is deleted, nothing leads from that day's codes to a network."""

    day = models.DateField(unique=True)
    key = models.BinaryField(max_length=32)

    def __str__(self) -> str:
        return f"key of {self.day}"


class NetworkCount(models.Model):
    """So many acts of one kind from one network (HMAC of its /24 or /48 under the day's key) in a span of time."""

    class Act(models.TextChoices):
        JOINED = "joined"
        ANSWERED = "answered"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="network_counts")
    network = models.CharField(max_length=64)
    act = models.CharField(max_length=10, choices=Act)
    since = models.DateTimeField(db_index=True, help_text="Begin of the hour or day that is counted.")
    number = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study", "network", "act", "since"], name="one_count_per_network_act_and_time"
            ),
            models.CheckConstraint(condition=~Q(network=""), name="a_network_count_names_its_network"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.act}"
