"""How often a sign-in was tried, under codes: neither names nor addresses are kept."""

from django.db import models


class SignInCount(models.Model):
    """So many tries for one account, or from one network, within a minute."""

    code = models.CharField(max_length=64, help_text="HMAC of the account's name or of the network.")
    minute = models.DateTimeField(db_index=True, help_text="Begin of the minute that is counted.")
    number = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["code", "minute"], name="one_sign_in_count_per_code_and_minute")]

    def __str__(self) -> str:
        return f"{self.number} tries"
