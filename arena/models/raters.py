"""Who votes. Everything personal stands in rows of its own, which can be deleted without touching a vote."""

from django.conf import settings
from django.db import models

from arena.models.study import Study
from arena.models.tokens import random_token


class Rater(models.Model):
    """A voting person (or simulated one) under a random public id."""

    class Kind(models.TextChoices):
        INVITED = "invited"
        SIGNED_IN = "signed_in", "signed in"
        ANONYMOUS = "anonymous"
        PANEL = "panel"
        SIMULATED = "simulated"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="raters")
    kind = models.CharField(max_length=10, choices=Kind)
    public_id = models.CharField(max_length=32, unique=True, default=random_token)
    invitation = models.ForeignKey(
        "arena.Invitation", null=True, blank=True, on_delete=models.SET_NULL, related_name="raters"
    )
    traits = models.JSONField(
        default=dict, blank=True, help_text="A simulated rater's seed and taste; empty for people."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    erased_at = models.DateTimeField(
        null=True, blank=True, help_text="When everything that led from the votes to a person was erased."
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} rater {self.public_id[:8]}"

    @property
    def stratum(self) -> str:
        """Targets, caps, power and fits count one stratum at a time: simulated votes must leave people work to do."""
        if self.kind in (self.Kind.SIMULATED, self.Kind.ANONYMOUS):
            return self.kind
        return "people"


class RaterIdentity(models.Model):
    """What ties a rater to a person; deleting this row is erasure."""

    rater = models.OneToOneField(Rater, on_delete=models.CASCADE, related_name="identity")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE)
    external_id = models.CharField(max_length=200, blank=True, help_text="A panel's id for this person.")

    class Meta:
        verbose_name_plural = "rater identities"

    def __str__(self) -> str:
        return f"identity of {self.rater}"


class Consent(models.Model):
    """That this rater agreed to this version of the text, and when."""

    rater = models.ForeignKey(Rater, on_delete=models.CASCADE, related_name="consents")
    version = models.CharField(max_length=64, help_text="sha256 of the text that was shown.")
    text = models.TextField()
    given_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rater", "version"], name="one_consent_per_rater_and_version")]

    def __str__(self) -> str:
        return f"{self.rater} agreed"


class Invitation(models.Model):
    """A link by which people become raters of a study. Only the hash of its token is stored."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="invitations")
    token_sha256 = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=200, blank=True)
    most_uses = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: unlimited.")
    uses = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(most_uses__isnull=True) | models.Q(uses__lte=models.F("most_uses")),
                name="an_invitation_is_not_used_up_twice",
            )
        ]

    def __str__(self) -> str:
        return self.label or f"invitation {self.pk}"
