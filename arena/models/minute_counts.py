"""How much of something came within a minute, under a code: neither names nor addresses are kept."""

from django.db import models


class MinuteCount(models.Model):
    """So many tries to sign in for one account or from one network, or requests of one token, within a minute."""

    code = models.CharField(max_length=64, help_text="HMAC of what is counted.")
    minute = models.DateTimeField(db_index=True, help_text="Begin of the minute that is counted.")
    number = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["code", "minute"], name="one_count_per_code_and_minute")]

    def __str__(self) -> str:
        return f"{self.number} within a minute"
